"""`play`: say something."""

from collections.abc import Iterator

from pydantic import Field, model_validator

from irisx.telephony.ivr.audio import Audio, Prompted, rendered
from irisx.telephony.ivr.nodes.base import NEXT, NodeConfig, Result
from irisx.telephony.ivr.step import Step


class Play(Prompted, NodeConfig):
    """Play text or prompts, and go on."""

    barge_in: bool = Field(True, description="A digit stops it, and counts in the next gather.")
    times: int = Field(1, ge=1, le=10, description="How often it is played.")

    @model_validator(mode="after")
    def _says_something(self) -> "Play":
        if not self.audio:
            raise ValueError("nothing to play: give `text` or `prompts`")
        return self

    def played(self) -> Iterator[tuple[str, Audio]]:
        yield from self.items()

    def run(self, step: Step, exits: frozenset[str]) -> Result:
        audio = rendered(self.audio, step.render)
        step.play([*audio] * self.times, barge_in=self.barge_in)
        return NEXT
