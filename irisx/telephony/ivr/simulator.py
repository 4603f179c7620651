"""Flows without a call: the same nodes and walk, on scripted input and a clock of its own."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, TypeVar

from irisx.kernel import template
from irisx.kernel.clock import isoformat, now
from irisx.telephony.ivr.audio import Audio, Say, Silence, Text
from irisx.telephony.ivr.flow import Flow, Node
from irisx.telephony.ivr.nodes.base import NEXT
from irisx.telephony.ivr.scope import Json, Scope
from irisx.telephony.ivr.script import Expectation, Script
from irisx.telephony.ivr.step import (
    CallEnded,
    Digits,
    Gathering,
    HandOver,
    HttpAnswer,
    HttpRequest,
    Recorded,
    RecordingRequest,
    TimeLimit,
    TransferOutcome,
    Transferred,
    TransferRequest,
)
from irisx.telephony.ivr.walk import Position, Version, begin, walk

#: Seconds that a transferred call is taken to talk, a recording to last, a prompt without text.
_TALK_SECONDS = 60.0
_SPEECH_SECONDS = 10.0
_PROMPT_SECONDS = 5.0
_CHARACTERS_PER_SECOND = 15
_HUNG_UP = "ORIGINATOR_CANCEL"

#: How the simulator finds another flow as it is published: `flow_3` -> its version.
Flows = Callable[[str], Version | None]

Kept = TypeVar("Kept")
Usual = TypeVar("Usual")


@dataclass(slots=True)
class Visited:
    """A node that was passed: how it was left, why, and what it did.

    `heard`: prompts; `did`: what else happened, such as a request or an event; `changed`: variables
    that it set, with their values. `flow`: id of the subflow that it is a node of.
    """

    node: str
    type: str
    flow: str | None
    at: datetime
    outcome: str = ""
    reasons: list[str] = field(default_factory=list)
    heard: list[dict[str, Any]] = field(default_factory=list)
    did: list[dict[str, Any]] = field(default_factory=list)
    changed: dict[str, Json] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Simulation:
    """What came of it. `cause`: the switch's for the end; `variables`: as they were then."""

    steps: list[Visited]
    cause: str
    variables: dict[str, Json]
    seconds: float


def simulate(flow: Flow, script: Script, flows: Flows) -> Simulation:
    """Run a flow on a script. It always ends: walk.MAX_STEPS bounds it."""
    call = _SimulatedCall(flow, script, flows)
    try:
        cause = walk(call, begin(Version(0, flow)))
    except CallEnded:
        cause = call.hung_up()
    return Simulation(
        steps=call.steps,
        cause=cause,
        variables=dict(call.scope.variables),
        seconds=(call.now() - call.started_at).total_seconds(),
    )


def mismatches(result: Simulation, expect: Expectation) -> Iterator[str]:
    """What of an expectation was not met."""
    path = [step.node for step in result.steps]
    if expect.path is not None and path != expect.path:
        yield f"the path is {_arrows(path)}, not {_arrows(expect.path)}"
    if not _in_order(expect.passes, path, lambda wanted, node: wanted == node):
        yield f"the path {_arrows(path)} does not pass {_arrows(expect.passes)}"
    last = path[-1] if path else None
    if expect.ends_at is not None and last != expect.ends_at:
        yield f"it ends at {last}, not at {expect.ends_at}"
    for name, value in expect.variables.items():
        if result.variables.get(name) != value:
            yield f"{name} is {result.variables.get(name)!r}, not {value!r}"
    said = [text for step in result.steps for heard in step.heard for text in _texts(heard)]
    if not _in_order(expect.hears, said, lambda wanted, text: wanted in text):
        yield f"what is said does not contain {expect.hears!r} in this order"


def _arrows(nodes: Sequence[str]) -> str:
    shown = list(nodes[:20]) + (["…"] if len(nodes) > 20 else [])
    return " → ".join(shown)


def _in_order(
    wanted: Sequence[str], there: Sequence[str], same: Callable[[str, str], bool]
) -> bool:
    rest = iter(there)
    return all(any(same(one, other) for other in rest) for one in wanted)


def _texts(heard: Mapping[str, Any]) -> Iterator[str]:
    for key in ("text", "say", "prompt", "url"):
        if isinstance(heard.get(key), str):
            yield heard[key]


class _SimulatedCall:
    """`walk.Walker` on a script."""

    def __init__(self, flow: Flow, script: Script, flows: Flows) -> None:
        self._script = script
        self._flows = flows
        self._versions = {0: flow}
        self._flow_ids: dict[int, str] = {}
        self._digits = iter(script.digits)
        self._ahead = ""
        self._used: dict[tuple[str, str], int] = {}
        self._deadline: datetime | None = None
        self.started_at = self._clock = script.time or now()
        self.steps: list[Visited] = []
        self._scope = Scope(_facts(script), {**flow.variables, **script.variables})

    # -- walk.Walker ----------------------------------------------------------------------------

    def version(self, version_id: int) -> Flow:
        return self._versions[version_id]

    def published(self, flow_id: str) -> Version | None:
        found = self._flows(flow_id)
        if found is not None:
            self._versions[found.id] = found.flow
            self._flow_ids[found.id] = flow_id
        return found

    def entered(self, position: Position, node: Node) -> None:
        flow_id = self._flow_ids.get(position.place.version)
        self.steps.append(Visited(node.id, node.type, flow_id, self._clock))
        limit = node.time_limit
        self._deadline = None if limit is None else self._clock + timedelta(seconds=limit)

    def left(self, position: Position, node: Node, outcome: str) -> None:
        # A subflow's node is left after those of the flow that it ran.
        here = (node.id, self._flow_ids.get(position.place.version))
        open_ = (step for step in reversed(self.steps) if not step.outcome)
        next(step for step in open_ if (step.node, step.flow) == here).outcome = outcome
        self._note_changes()

    def hang_up(self, cause: str) -> None:
        self._did("hang_up", cause=cause)

    def hung_up(self) -> str:
        """The caller did; the cause of that."""
        self._note_changes()
        for step in self.steps:
            step.outcome = step.outcome or "hung-up"
        return _HUNG_UP

    # -- step.Step ------------------------------------------------------------------------------

    @property
    def scope(self) -> Scope:
        return self._scope

    def now(self) -> datetime:
        return self._clock

    def render(self, text: str) -> str:
        return template.render(text, {**self._scope.values, "now": self._clock})

    def explain(self, reason: str) -> None:
        if self.steps:
            self.steps[-1].reasons.append(reason)

    def play(self, audio: Sequence[Audio], *, barge_in: bool = True) -> None:
        self._hear(audio)

    def gather(self, audio: Sequence[Audio], how: Gathering) -> Digits:
        self._wait(0)
        self._hear(audio)
        typed = self._typed(how)
        if not typed.digits and typed.terminator is None:
            self._wait(how.timeout_ms / 1000)
        else:
            self._wait(0.5 * len(typed.digits))
        return typed

    def record(self, audio: Sequence[Audio], request: RecordingRequest) -> Recorded:
        self._wait(0)
        self._hear(audio)
        seconds = self._scripted("recording", self._script.recordings, _SPEECH_SECONDS)
        if seconds is None:
            return Recorded(None, 0, "failed")
        ended_by = "limit" if seconds >= request.max_seconds else "silence"
        seconds = min(seconds, float(request.max_seconds))
        self._wait(seconds + (request.silence_s if ended_by == "silence" else 0))
        kept = seconds > 0 and seconds >= request.min_seconds
        self._did("record", purpose=request.purpose.value, seconds=seconds, kept=kept)
        return Recorded("simulated" if kept else None, seconds, ended_by)

    def transfer(self, request: TransferRequest) -> Transferred:
        self._wait(0)
        dialled = [target.model_dump() for target in request.targets]
        self._did("transfer", targets=dialled, caller_id=request.caller_id)
        outcome = self._scripted("transfer", self._script.transfers, TransferOutcome.COMPLETED)
        talked = outcome is TransferOutcome.COMPLETED
        self._wait(_TALK_SECONDS if talked else request.ring_seconds)
        return Transferred(outcome, target=0 if talked else None)

    def http(self, request: HttpRequest) -> HttpAnswer:
        self._wait(0)
        body = None if request.body is None else request.body.decode()
        self._did("request", method=request.method, url=request.url, body=body)
        answer = self._scripted("webhook", self._script.webhooks, None)
        if answer is None:
            return HttpAnswer(None, error="the script has no answer for this node")
        if answer.status is None:
            self._wait((request.retries + 1) * request.timeout_ms / 1000)
            return HttpAnswer(None, error="no answer within the time", timed_out=True)
        return HttpAnswer(answer.status, answer.json_)

    def hand_over(self, hand_over: HandOver) -> str:
        self._wait(0)
        self._did(hand_over.room, target=hand_over.target, **hand_over.options)
        return self._scripted("hand_over", self._script.handed_over, NEXT)

    def raise_event(self, type: str, data: Mapping[str, Any]) -> None:
        self._did("event", type=type, data=dict(data))

    # -- what happens ---------------------------------------------------------------------------

    def _wait(self, seconds: float) -> None:
        """Let time pass; the call may end, or the node's time limit pass."""
        if self._script.hangs_up_at == self.steps[-1].node:
            self.explain("the caller hangs up")
            raise CallEnded
        self._clock += timedelta(seconds=seconds)
        if self._deadline is not None and self._clock > self._deadline:
            self._clock = self._deadline
            raise TimeLimit

    def _hear(self, audio: Sequence[Audio]) -> None:
        for item in audio:
            shown = item.model_dump(mode="json", by_alias=True, exclude_none=True)
            self.steps[-1].heard.append(shown)
            self._clock += timedelta(seconds=_seconds_of(item))

    def _typed(self, how: Gathering) -> Digits:
        if not how.typed_ahead:
            self._ahead = ""
        keys = self._ahead or next(self._digits, "")
        for index, key in enumerate(keys):
            if key in how.terminators:
                self._ahead = keys[index + 1 :]
                return Digits(keys[:index], key)
            if index + 1 == how.max_digits:
                self._ahead = keys[index + 1 :]
                return Digits(keys[: index + 1])
        self._ahead = ""
        return Digits(keys)

    def _scripted(
        self, kind: str, lists: Mapping[str, Sequence[Kept]], usual: Usual
    ) -> Kept | Usual:
        """The script's next answer for this node; its last one once all are used up."""
        node = self.steps[-1].node
        answers = lists.get(node)
        if not answers:
            return usual
        used = self._used.get((kind, node), 0)
        self._used[kind, node] = used + 1
        return answers[min(used, len(answers) - 1)]

    def _did(self, what: str, **details: Any) -> None:
        if self.steps:
            self.steps[-1].did.append({"what": what, **details})

    def _note_changes(self) -> None:
        for name in sorted(self._scope.changed):
            self.steps[-1].changed[name] = self._scope.variables[name]
        self._scope.changed.clear()


def _seconds_of(item: Audio) -> float:
    match item:
        case Text(text=text) | Say(say=text):
            return 0.5 + len(text) / _CHARACTERS_PER_SECOND
        case Silence(silence_ms=milliseconds):
            return milliseconds / 1000
        case _:
            return _PROMPT_SECONDS


def _facts(script: Script) -> dict[str, dict[str, Any]]:
    started_at = isoformat(script.time or now())
    return {
        "call": {
            "sid": f"CA{'0' * 32}",
            "from": script.caller,
            "to": script.called,
            "direction": "inbound",
            "started_at": started_at,
        },
        "caller": {"number": script.caller, "name": "", "country": ""},
        "contact": dict(script.contact),
    }
