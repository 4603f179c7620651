"""`hangup`: end the call."""

from collections.abc import Iterator
from typing import Literal

from pydantic import Field

from irisx.telephony.ivr.audio import Audio, Prompted, rendered
from irisx.telephony.ivr.nodes.base import End, NodeConfig, Outcomes, Result
from irisx.telephony.ivr.step import Step

#: Causes of the switch by the words of a flow.
CAUSES = {"normal": "NORMAL_CLEARING", "busy": "USER_BUSY", "rejected": "CALL_REJECTED"}


class Hangup(Prompted, NodeConfig):
    """Say goodbye, if there is something to say, and hang up."""

    cause: Literal["normal", "busy", "rejected"] = Field(
        "normal", description="What the caller's side is told."
    )

    def outcomes(self) -> Outcomes:
        return Outcomes(required=frozenset())

    def played(self) -> Iterator[tuple[str, Audio]]:
        yield from self.items()

    def run(self, step: Step, exits: frozenset[str]) -> Result:
        if audio := rendered(self.audio, step.render):
            step.play(audio, barge_in=False)
        return End(CAUSES[self.cause])
