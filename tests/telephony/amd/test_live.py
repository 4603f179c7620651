"""Detection on a live call, told things in every order: one verdict, one thing that follows."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any
from uuid import uuid4

import gevent
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from irisx.kernel.clock import now
from irisx.media.taps import Report
from irisx.telephony.amd import config, live
from irisx.telephony.amd.live import TRANSITIONS, Detection, Stage
from irisx.telephony.calls.journal import Change, Journal
from irisx.telephony.calls.live import LiveCall
from irisx.telephony.calls.states import CallStatus, Direction
from irisx.telephony.esl.wire import Event


class Written(Journal):
    """What was recorded of the call."""

    def __init__(self) -> None:
        self.changes: list[Change] = []

    def record(self, change: Change, written: Callable[[], None] | None = None) -> None:
        self.changes.append(change)

    @property
    def results(self) -> list[dict[str, Any]]:
        return [c.amd for c in self.changes if c.amd is not None and "result" in c.amd]


@dataclass
class Node:
    """A switch that notes what it is asked for; its channel is parked."""

    asked: list[str] = field(default_factory=list)
    forwarded: list[str] = field(default_factory=list)

    def run(self, *apis: Any) -> None:
        self.asked += [api.text for api in apis]

    def execute(self, channel: str, *steps: tuple[str, str]) -> None:
        self.asked += [name for name, _ in steps]

    def dump(self, channel: str) -> Event:
        return Event(b"Event-Name: CHANNEL_DATA\n")

    def forward(self, switch: Any, call: LiveCall, destination: str, event: Event) -> None:
        self.forwarded.append(destination)

    @property
    def kills(self) -> int:
        return sum(each.startswith("uuid_kill") for each in self.asked)


def answered(journal: Journal, **chosen: Any) -> tuple[LiveCall, Detection]:
    plan = config.settle(chosen)
    call = LiveCall(
        id=uuid4(),
        tenant_id=1,
        direction=Direction.OUTBOUND,
        initiated_at=now(),
        from_number="+15550001000",
        to_number="+15555550100",
        journal=journal,
        status=CallStatus.IN_PROGRESS,
        options={"amd": plan.model_dump(mode="json")},
        answered_at=now(),
        next_destination="+15555550108",
    )
    call.parked.add(call.uuid)
    detection = call.amd = Detection(plan, limit_ms=0)
    detection.message.set(["/message.wav"])
    return call, detection


def verdict(result: str, cause: str = "greeting_length", **more: Any) -> tuple[str, dict[str, Any]]:
    return "verdict", {"result": result, "cause": cause, "confidence": 0.9, "features": {}, **more}


TOLD = [
    verdict("human", "after_greeting_silence"),
    verdict("machine"),
    verdict("machine", "sit"),
    verdict("machine", "beep", beep_end_ms=6000),
    verdict("fax", "fax_ced"),
    verdict("silence", "initial_silence"),
    ("patient", {}),
    ("greeting_over", {"beep_at_ms": 5000, "beep_end_ms": 5400}),
    ("ended", {"cause": "closed"}),
    ("ended", {"cause": "lost"}),
    ("limit", {}),
]


def tell(node: Node, call: LiveCall, detection: Detection, kind: str, data: dict[str, Any]) -> None:
    if kind == "limit":
        detection.limit_ms = 0
        live._limit_reached(node, call, detection)  # type: ignore[arg-type]
    else:
        report = Report("tap", call.uuid, "amd", kind, data)
        live.heard(node, call, report)  # type: ignore[arg-type]


@settings(max_examples=150, deadline=None)
@given(told=st.lists(st.sampled_from(TOLD), max_size=8), leaves=st.booleans())
def test_whatever_is_told_in_whatever_order_one_thing_follows(
    told: list[tuple[str, dict[str, Any]]], leaves: bool
) -> None:
    journal, node = Written(), Node()
    call, detection = answered(journal, **({"message": {"text": "Hello"}} if leaves else {}))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            live, "forward", lambda s, c, destination, e: node.forwarded.append(destination)
        )
        patch.setattr(live, "_watch", lambda *arguments: None)
        for kind, data in told:
            before = detection.stage
            tell(node, call, detection, kind, data)
            assert detection.stage is before or detection.stage in TRANSITIONS[before]
            gevent.sleep(0)
        live.give_up(node, call, "hung_up")  # type: ignore[arg-type]
    [result] = journal.results
    messages = node.asked.count("playback")
    followed = len(node.forwarded) + node.kills + messages
    assert followed <= 1
    assert messages <= leaves
    if result["action"] == "connect":
        assert node.forwarded == ["+15555550108"] and not call.awaits_verdict
    elif result["action"] == "hangup":
        assert node.kills == 1
    elif result["action"] == "none":
        assert followed == 0


@pytest.mark.parametrize(
    ("cause", "chosen", "action"),
    [
        ("greeting_length", {}, "hangup"),
        ("greeting_length", {"message": {"text": "Hello"}}, "leave_voicemail"),
        ("sit", {"message": {"text": "Hello"}}, "hangup"),
        ("greeting_length", {"action_on_machine": "connect"}, "connect"),
    ],
)
def test_a_message_needs_words_and_a_mailbox(
    monkeypatch: pytest.MonkeyPatch, cause: str, chosen: dict[str, Any], action: str
) -> None:
    journal, node = Written(), Node()
    call, detection = answered(journal, **chosen)
    monkeypatch.setattr(live, "forward", lambda *arguments: None)
    monkeypatch.setattr(live, "_watch", lambda *arguments: None)
    tell(node, call, detection, *verdict("machine", cause))
    assert journal.results[0]["action"] == action
    assert (detection.stage is Stage.AWAITING_BEEP) == (action == "leave_voicemail")
