"""`transfer`: connect the caller with somebody."""

from collections.abc import Iterator
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from irisx.kernel.errors import ValidationError
from irisx.telephony.calls import destinations
from irisx.telephony.calls.destinations import Destination
from irisx.telephony.ivr.audio import Audio, Prompt, ShortTemplate, rendered
from irisx.telephony.ivr.nodes.base import (
    FAILED,
    NEXT,
    Catalog,
    Enter,
    Fault,
    NodeConfig,
    Outcomes,
    Result,
)
from irisx.telephony.ivr.step import HandOver, Step, TransferOutcome, TransferRequest

BUSY, NO_ANSWER = TransferOutcome.BUSY.value, TransferOutcome.NO_ANSWER.value
FULL, TIMEOUT = "full", "timeout"


class Target(BaseModel):
    """Whom to reach: a number or SIP address (`to`), an agent, queue or flow (`id`)."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    type: Literal["number", "sip", "agent", "queue", "flow"]
    to: ShortTemplate | None = Field(None, examples=["+15555550100", "{{ owner }}"])
    id: ShortTemplate | None = Field(None, examples=["sip_3", "flow_7"])

    @model_validator(mode="after")
    def _named(self) -> "Target":
        wanted = "to" if self.type in ("number", "sip") else "id"
        other = "id" if wanted == "to" else "to"
        if getattr(self, wanted) is None or getattr(self, other) is not None:
            raise ValueError(f"a target of type {self.type} is named by `{wanted}`, not `{other}`")
        return self

    @property
    def name(self) -> str:
        """The template of its `to` or `id`."""
        return self.to or self.id or ""

    def destination(self, name: str) -> Destination:
        """What to dial for the rendered name; ValidationError if it is nothing to dial."""
        field = "to" if self.type in ("number", "sip") else "id"
        return destinations.parse({"type": self.type, field: name}, field)


class Transfer(NodeConfig):
    """Ring targets one after the other and connect the caller with the first who answers."""

    WAITS = True

    targets: list[Target] = Field(
        min_length=1,
        max_length=10,
        description="A flow or a queue can only be the last: the call goes on there.",
        examples=[[{"type": "agent", "id": "sip_3"}, {"type": "number", "to": "+15555550100"}]],
    )
    ring_seconds: int = Field(30, ge=5, le=120, description="How long each target is rung.")
    caller_id: ShortTemplate | None = Field(
        None, description="One of your numbers, shown in place of the caller's own."
    )
    whisper: Prompt | None = Field(
        None, description="Played to who answers, before the caller is connected."
    )
    music: Prompt | None = Field(None, description="Heard in place of the ringing tone.")
    record: bool = Field(False, description="Record from now on.")

    def outcomes(self) -> Outcomes:
        if all(target.type == "flow" for target in self.targets):
            return Outcomes(required=frozenset({FAILED}))
        return Outcomes(
            required=frozenset({NEXT, BUSY, NO_ANSWER, FAILED}),
            optional=frozenset({FULL, TIMEOUT}),
            fallback={BUSY: FAILED, NO_ANSWER: FAILED, FULL: FAILED, TIMEOUT: NO_ANSWER},
        )

    def played(self) -> Iterator[tuple[str, Audio]]:
        for field, prompt in (("whisper.", self.whisper), ("music.", self.music)):
            if prompt is not None:
                yield from prompt.items(field)

    def templates(self) -> Iterator[tuple[str, str]]:
        yield from super().templates()
        for index, target in enumerate(self.targets):
            yield f"targets.{index}", target.name
        if self.caller_id is not None:
            yield "caller_id", self.caller_id

    def check(self, catalog: Catalog) -> Iterator[Fault]:
        for index, target in enumerate(self.targets):
            if target.type in ("flow", "queue") and index < len(self.targets) - 1:
                yield Fault(
                    f"targets.{index}", f"a {target.type} must be the last target: put it there"
                )
            if "{{" not in target.name and (wrong := _wrong_with(target, catalog)):
                yield Fault(f"targets.{index}", wrong)
        if self.caller_id and "{{" not in self.caller_id and not catalog.has_number(self.caller_id):
            yield Fault("caller_id", f"{self.caller_id} is none of your numbers; use one of them")

    def run(self, step: Step, exits: frozenset[str]) -> Result:
        *before, last = [(target, step.render(target.name)) for target in self.targets]
        goes_on = last[0].type in ("flow", "queue")
        outcome = FAILED
        dialled = list(self._dialled(step, before if goes_on else [*before, last]))
        if dialled:
            outcome = self._dial(step, dialled)
        if not goes_on or outcome == NEXT:
            return outcome
        target, name = last
        if target.type == "flow":
            return Enter(name, returns=False)
        return step.hand_over(HandOver("queue", name))

    def _dialled(self, step: Step, targets: list[tuple[Target, str]]) -> Iterator[Destination]:
        for target, name in targets:
            try:
                yield target.destination(name)
            except ValidationError as error:
                step.explain(f"{name!r} is left out: {error.message}")

    def _dial(self, step: Step, dialled: list[Destination]) -> str:
        request = TransferRequest(
            targets=dialled,
            ring_seconds=self.ring_seconds,
            caller_id=self.caller_id and step.render(self.caller_id),
            whisper=rendered(self.whisper.audio, step.render) if self.whisper else (),
            music=rendered(self.music.audio, step.render) if self.music else (),
            record=self.record,
        )
        done = step.transfer(request)
        step.explain(f"{done.outcome} {done.cause}".strip())
        return NEXT if done.outcome is TransferOutcome.COMPLETED else done.outcome.value


def _wrong_with(target: Target, catalog: Catalog) -> str | None:
    """Why a target whose name is no template can't be reached."""
    name = target.name
    if target.type == "flow":
        known = catalog.has_published_flow(name)
        return None if known else f"there is no published flow {name}; publish it first"
    if target.type == "queue":
        if not catalog.room_is_there("queue"):
            return "queues are not part of this version; transfer to an agent or a number"
        return None if catalog.has_queue(name) else f"there is no queue {name}"
    try:
        target.destination(name)
    except ValidationError as error:
        return error.message
    if target.type == "agent" and not catalog.has_agent(name):
        return f"there is no agent {name}; use one of your SIP accounts"
    return catalog.refuses_destination(name) if target.type == "number" else None
