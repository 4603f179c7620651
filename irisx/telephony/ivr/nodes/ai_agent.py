"""`ai_agent`: let a voice assistant talk with the caller."""

from collections.abc import Iterator

from pydantic import Field

from irisx.telephony.ivr.audio import Template
from irisx.telephony.ivr.nodes.base import (
    FAILED,
    NEXT,
    Catalog,
    Fault,
    NodeConfig,
    Outcomes,
    Result,
)
from irisx.telephony.ivr.step import HandOver, Step

ROOM = "ai_agent"
TRANSFER = "transfer"


class AiAgent(NodeConfig):
    """Hand the caller over to a voice assistant, until it is done."""

    WAITS = True

    assistant: str = Field(pattern=r"^asst_[0-9]{1,18}$", examples=["asst_3"])
    instructions: Template | None = Field(
        None, description="What the assistant should know of this call."
    )
    max_seconds: int = Field(600, ge=10, le=3600)

    def outcomes(self) -> Outcomes:
        return Outcomes(
            required=frozenset({NEXT, TRANSFER, FAILED}), fallback={TRANSFER: NEXT, FAILED: NEXT}
        )

    def templates(self) -> Iterator[tuple[str, str]]:
        if self.instructions is not None:
            yield "instructions", self.instructions

    def check(self, catalog: Catalog) -> Iterator[Fault]:
        if not catalog.room_is_there(ROOM):
            yield Fault("", "voice assistants are not part of this version; use a transfer node")
        elif not catalog.has_assistant(self.assistant):
            yield Fault("assistant", f"there is no assistant {self.assistant}; use one of yours")

    def run(self, step: Step, exits: frozenset[str]) -> Result:
        told = step.render(self.instructions) if self.instructions is not None else None
        options = {"instructions": told, "max_seconds": self.max_seconds}
        return step.hand_over(HandOver(ROOM, self.assistant, options))
