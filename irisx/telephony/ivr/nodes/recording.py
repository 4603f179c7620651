"""What record and voicemail share: prompt, beep, limits."""

from collections.abc import Iterator

from pydantic import Field, model_validator

from irisx.telephony.ivr.audio import Audio, Prompted, rendered
from irisx.telephony.ivr.nodes.base import FAILED, NEXT, NodeConfig, Outcomes, Result
from irisx.telephony.ivr.scope import VariableName
from irisx.telephony.ivr.step import RecordingPurpose, RecordingRequest, Step

#: The outcome when nothing was said, or too little.
EMPTY = "empty"


class RecordsCaller(Prompted, NodeConfig):
    """Base of configs that record what the caller says."""

    WAITS = True

    max_seconds: int = Field(120, ge=1, le=3600, description="Longest recording.")
    min_seconds: int = Field(2, ge=0, le=60, description="A shorter one is thrown away.")
    silence_seconds: int = Field(
        5, ge=0, le=60, description="So much silence ends it; 0: none does."
    )
    terminators: str = Field(
        "#", pattern=r"^[0-9*#]{0,12}$", description="Digits that end it; empty: none does."
    )
    beep: bool = Field(True, description="A tone says when to speak.")
    variable: VariableName = Field("recording", description="Variable that gets the id.")

    @model_validator(mode="after")
    def _consistent(self) -> "RecordsCaller":
        if self.min_seconds > self.max_seconds:
            raise ValueError("min_seconds is more than max_seconds")
        return self

    def outcomes(self) -> Outcomes:
        return Outcomes(optional=frozenset({EMPTY, FAILED}), fallback={EMPTY: NEXT, FAILED: EMPTY})

    def played(self) -> Iterator[tuple[str, Audio]]:
        yield from self.items()

    def sets(self) -> tuple[str, ...]:
        return (self.variable,)

    def _record(self, step: Step, purpose: RecordingPurpose, mailbox: str | None) -> Result:
        request = RecordingRequest(
            purpose=purpose,
            max_seconds=self.max_seconds,
            min_seconds=self.min_seconds,
            silence_s=self.silence_seconds,
            terminators=self.terminators,
            beep=self.beep,
            mailbox=mailbox,
        )
        made = step.record(rendered(self.audio, step.render), request)
        step.scope.set(self.variable, made.id)
        step.explain(f"{made.seconds:g} s recorded, ended by {made.ended_by}")
        if made.id is not None:
            return NEXT
        return FAILED if made.ended_by == FAILED else EMPTY
