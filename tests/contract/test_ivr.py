"""Calls in IVR flows: every node type and its branches, digits as callers send them."""

import io
from collections.abc import Iterator
from typing import Any
from uuid import UUID

import gevent
import numpy as np
import pytest
import soundfile
from sqlalchemy import select

from irisx.kernel.db import transaction
from irisx.kernel.errors import Conflict
from irisx.kernel.events import DomainEvent
from irisx.kernel.redis import redis
from irisx.media import client
from irisx.media.process import Media
from irisx.settings import get_settings
from irisx.telephony.calls.models import Recording
from irisx.telephony.ivr import prompts, visits
from irisx.telephony.ivr.models import IvrFlow, IvrFlowVersion, VersionStatus
from irisx.telephony.ivr.visit_models import Message, Visit
from irisx.tenancy.access import SYSTEM
from irisx.tenancy.models import Tenant
from tests.contract.rig import ANSWERS, BUSY, REJECTS, RINGS, STAYS, Line, Rig
from tests.receiver import Answer, receiving
from tests.waiting import wait_until

CALLED = "+15550002000"


def silence(milliseconds: int) -> dict[str, Any]:
    return {"silence_ms": milliseconds}


def node(id: str, type: str, config: dict[str, Any] | None = None, **more: Any) -> dict[str, Any]:
    return {"id": id, "type": type, "config": config or {}, **more}


def pause(id: str, milliseconds: int, next: str | None = None) -> dict[str, Any]:
    """A `play` of so much silence that no digit stops."""
    config = {"prompts": [silence(milliseconds)], "barge_in": False}
    return node(id, "play", config, next=next)


def publish(line: Line, *nodes: dict[str, Any], **more: Any) -> str:
    """A flow of the tenant, as publishing leaves it; its id."""
    document = {"name": "test", "entry_point": nodes[0]["id"], "nodes": list(nodes), **more}
    with transaction() as session:
        flow = IvrFlow(tenant_id=line.tenant.id, name="test", latest=1, published=1)
        session.add(flow)
        session.flush()
        session.add(
            IvrFlowVersion(
                flow_id=flow.id,
                tenant_id=line.tenant.id,
                number=1,
                status=VersionStatus.PUBLISHED,
                document=document,
                uses=[],
                author="system",
            )
        )
    return flow.public_id


def call_in(line: Line, *nodes: dict[str, Any], digits: str = "", hold_ms: int = 8000) -> UUID:
    """Somebody calls a number that leads to a flow of these nodes; the call's id."""
    flow = publish(line, *nodes)
    line.destination(CALLED, {"type": "flow", "id": flow})
    before = {row.id for row in line.rows()}
    line.call_in(CALLED, hold_ms=hold_ms, digits=digits)
    return wait_until(lambda: next((row.id for row in line.rows() if row.id not in before), None))


def path(call_id: UUID) -> list[tuple[str, str]]:
    """The nodes that a call passed, each with its outcome."""
    assert visits.flush(5)
    with transaction() as session:
        rows = session.scalars(
            select(Visit).where(Visit.call_id == call_id).order_by(Visit.step, Visit.left_at)
        ).all()
    return [(row.node, row.outcome) for row in rows]


def ended(line: Line, call_id: UUID, timeout: float = 20) -> list[tuple[str, str]]:
    line.wait_status(call_id, "completed", timeout=timeout)
    return path(call_id)


def test_prompts_are_played_and_the_flow_hangs_up(line: Rig) -> None:
    call_id = call_in(line, pause("a", 400, "b"), pause("b", 600))
    assert ended(line, call_id) == [("a", "next"), ("b", "next")]
    call = line.row(call_id)
    assert call.hangup_by != "caller"
    assert call.duration_ms is not None and 950 < call.duration_ms < 3000


def test_digits_choose_a_branch(line: Rig) -> None:
    gather = node(
        "ask",
        "gather",
        {"max_digits": 4, "timeout": 5, "prompts": [silence(200)]},
        branches={"159": "right", "timeout": "wrong"},
    )
    call_id = call_in(line, gather, pause("right", 20), pause("wrong", 20), digits="159#")
    assert ended(line, call_id) == [("ask", "159"), ("right", "next")]


def ask(**config: Any) -> dict[str, Any]:
    branches = {"1": "one", "timeout": "none", "invalid": "wrong"}
    config = {"num_digits": 1, "timeout": 1, **config}
    return node("ask", "gather", config, branches=branches)


ANSWERS_TO_ASK = (pause("one", 20), pause("none", 20), pause("wrong", 20))


def test_nothing_typed_is_a_timeout_after_all_attempts(line: Rig) -> None:
    call_id = call_in(line, ask(attempts=2), *ANSWERS_TO_ASK)
    assert ended(line, call_id) == [("ask", "timeout"), ("none", "next")]
    assert (line.row(call_id).duration_ms or 0) > 2000


def test_a_wrong_digit_is_invalid(line: Rig) -> None:
    call_id = call_in(line, ask(timeout=5), *ANSWERS_TO_ASK, digits="7")
    assert ended(line, call_id) == [("ask", "invalid"), ("wrong", "next")]


def test_digits_typed_into_a_prompt_that_plays_on_are_kept(line: Rig) -> None:
    """The prompt can't be stopped, so what is typed meanwhile is for the gather after it."""
    call_id = call_in(line, pause("talk", 2500, "ask"), ask(), *ANSWERS_TO_ASK, digits="1")
    assert ended(line, call_id) == [("talk", "next"), ("ask", "1"), ("one", "next")]


def test_digits_typed_too_early_can_be_thrown_away(line: Rig) -> None:
    strict = ask(typed_ahead=False)
    call_id = call_in(line, pause("talk", 2500, "ask"), strict, *ANSWERS_TO_ASK, digits="1")
    assert ended(line, call_id)[1:] == [("ask", "timeout"), ("none", "next")]


def test_a_digit_stops_a_prompt_and_counts(line: Rig) -> None:
    talk = node("talk", "play", {"prompts": [silence(10_000)]}, next="ask")
    call_id = call_in(line, talk, ask(), *ANSWERS_TO_ASK, digits="1")
    assert ended(line, call_id) == [("talk", "next"), ("ask", "1"), ("one", "next")]
    assert (line.row(call_id).duration_ms or 0) < 5000


def test_a_question_that_can_t_be_interrupted_is_heard_to_its_end(line: Rig) -> None:
    patient = ask(barge_in=False, prompts=[silence(2500)])
    call_id = call_in(line, patient, *ANSWERS_TO_ASK, digits="1")
    assert ended(line, call_id) == [("ask", "1"), ("one", "next")]
    assert (line.row(call_id).duration_ms or 0) > 2500


def test_a_menu_asks_again(line: Rig) -> None:
    menu = node(
        "menu",
        "menu",
        {"options": {"1": "sales", "2": "support"}, "timeout": 5, "prompts": [silence(100)]},
        branches={"1": "one", "2": "none", "timeout": "wrong"},
    )
    call_id = call_in(line, menu, *ANSWERS_TO_ASK, digits="92")
    assert ended(line, call_id) == [("menu", "2"), ("none", "next")]


def test_variables_conditions_hours_and_subflows(line: Rig) -> None:
    """What decides without the caller takes no time, whatever its number."""
    inner = publish(line, pause("inside", 40, "back"), node("back", "return", {"outcome": "vip"}))
    always = {day: ["00:00-24:00"] for day in ("mon", "tue", "wed", "thu", "fri", "sat", "sun")}
    call_id = call_in(
        line,
        node("set", "set_variable", {"variables": {"n": "{{ 6 * 7 }}"}}, next="if"),
        node(
            "if",
            "condition",
            {"cases": [{"when": {"value": "n", "is": "equal", "to": 42}, "branch": "yes"}]},
            branches={"yes": "hours", "default": "no"},
        ),
        node(
            "hours",
            "hours",
            {"time_zone": "UTC", "weekly": always},
            branches={"open": "sub", "closed": "no"},
        ),
        node("sub", "subflow", {"flow": inner}, branches={"vip": "sms"}, next="no"),
        node("sms", "send_sms", {"text": "n is {{ n }}"}, next="bye"),
        node("bye", "hangup", {"cause": "busy"}),
        pause("no", 20),
    )
    passed = ended(line, call_id)
    names = ["set", "if", "hours", "sub", "inside", "back", "sms", "bye"]
    assert sorted(name for name, _ in passed) == sorted(names)
    assert ("sub", "vip") in passed
    with transaction() as session:
        told = session.scalars(select(DomainEvent).where(DomainEvent.type == "ivr.send_sms")).one()
    assert (told.data["to"], told.data["text"]) == ("+15550009999", "n is 42")
    assert line.row(call_id).reason == "USER_BUSY"


def test_a_webhook_decides(line: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(get_settings(), "allowed_private_hosts", "127.0.0.1")
    with receiving(lambda request: Answer(200, body=b'{"tier": "gold"}')) as receiver:
        call_id = call_in(
            line,
            node(
                "web",
                "webhook",
                {"url": receiver.url, "save": {"tier": "tier"}},
                next="if",
                branches={"failed": "no"},
            ),
            node(
                "if",
                "condition",
                {
                    "cases": [
                        {"when": {"value": "tier", "is": "equal", "to": "gold"}, "branch": "y"}
                    ]
                },
                branches={"y": "yes", "default": "no"},
            ),
            pause("yes", 20),
            pause("no", 20),
        )
        assert ended(line, call_id) == [("web", "next"), ("if", "y"), ("yes", "next")]


def test_a_webhook_to_a_private_address_fails(line: Rig) -> None:
    web = node(
        "web", "webhook", {"url": "http://127.0.0.1:9/"}, next="no", branches={"failed": "f"}
    )
    call_id = call_in(line, web, pause("f", 20), pause("no", 20))
    assert ended(line, call_id) == [("web", "failed"), ("f", "next")]


def message_of(line: Line, call_id: UUID) -> tuple[Message, Recording]:
    assert visits.flush(5)
    with transaction() as session:
        message = session.scalars(select(Message).where(Message.call_id == call_id)).one()
        sound = session.scalars(select(Recording).where(Recording.path == message.path)).one()
    return message, sound


VOICEMAIL = {"mailbox": "sales", "prompts": [{"silence_ms": 100}], "min_seconds": 1}


def test_a_message_is_ended_by_a_digit(line: Rig) -> None:
    config = {**VOICEMAIL, "silence_seconds": 0, "terminators": "#"}
    leave = node("leave", "voicemail", config, next="bye", branches={"empty": "none"})
    call_id = call_in(line, leave, pause("bye", 20), pause("none", 20), digits="   #")
    assert ended(line, call_id) == [("leave", "next"), ("bye", "next")]
    message, sound = message_of(line, call_id)
    assert (message.mailbox, message.from_number) == ("sales", "+15550009999")
    info = soundfile.info(str(get_settings().recording_path / sound.path))
    assert 1.0 < info.duration < 4


def test_a_message_is_ended_by_its_limit(line: Rig) -> None:
    config = {**VOICEMAIL, "silence_seconds": 0, "max_seconds": 1}
    leave = node("leave", "voicemail", config, next="bye")
    call_id = call_in(line, leave, pause("bye", 20))
    assert ended(line, call_id) == [("leave", "next"), ("bye", "next")]


def test_a_message_is_kept_when_the_caller_hangs_up(line: Rig) -> None:
    config = {**VOICEMAIL, "silence_seconds": 0}
    call_id = call_in(line, node("leave", "voicemail", config), hold_ms=3500)
    assert ended(line, call_id) == [("leave", "hung-up")]
    _, sound = message_of(line, call_id)
    assert soundfile.info(str(get_settings().recording_path / sound.path)).duration > 1


def test_silence_ends_a_recording(line: Rig) -> None:
    config = {"silence_seconds": 1, "min_seconds": 0, "beep": False}
    call_id = call_in(line, node("say", "record", config, next="bye"), pause("bye", 20))
    assert ended(line, call_id) == [("say", "next"), ("bye", "next")]
    assert (line.row(call_id).duration_ms or 0) < 6000


def transfer(*numbers: str, **config: Any) -> dict[str, Any]:
    branches = {outcome: f"is-{outcome}" for outcome in ("busy", "no-answer", "failed")}
    targets = [{"type": "number", "to": number} for number in numbers]
    config = {"targets": targets, "ring_seconds": 5, **config}
    return node("to", "transfer", config, next="is-next", branches=branches)


OUTCOMES = tuple(pause(f"is-{name}", 20) for name in ("next", "busy", "no-answer", "failed"))


@pytest.mark.parametrize(
    ("numbers", "outcome"),
    [
        ([ANSWERS], "next"),
        ([BUSY], "busy"),
        ([RINGS], "no-answer"),
        ([REJECTS], "failed"),
        ([BUSY, ANSWERS], "next"),
    ],
)
def test_a_transfer_comes_back_with_its_outcome(
    line: Rig, numbers: list[str], outcome: str
) -> None:
    for number in numbers:
        line.far_end(number)
    call_id = call_in(line, transfer(*numbers), *OUTCOMES, hold_ms=15_000)
    assert ended(line, call_id, 30) == [("to", outcome), (f"is-{outcome}", "next")]


def test_who_answers_hears_the_whisper_first(line: Rig) -> None:
    config = {"whisper": {"prompts": [silence(800)]}, "music": {"prompts": [silence(500)]}}
    call_id = call_in(line, transfer(line.far_end(ANSWERS), **config), *OUTCOMES, hold_ms=15_000)
    assert ended(line, call_id, 30) == [("to", "next"), ("is-next", "next")]


def test_a_time_limit_leaves_the_node(line: Rig) -> None:
    slow = {**ask(timeout=30), "time_limit": 1}
    slow["branches"] = {**slow["branches"], "time_limit": "none"}
    call_id = call_in(line, slow, *ANSWERS_TO_ASK)
    assert ended(line, call_id) == [("ask", "time_limit"), ("none", "next")]


@pytest.mark.parametrize("busy_with", ["record", "transfer", "webhook"])
def test_a_time_limit_stops_whatever_the_node_does(
    line: Rig, monkeypatch: pytest.MonkeyPatch, busy_with: str
) -> None:
    monkeypatch.setattr(get_settings(), "allowed_private_hosts", "127.0.0.1")
    rung = line.far_end(RINGS)
    with receiving(lambda request: Answer(200, after=5.0)) as server:
        configs = {
            "record": {"silence_seconds": 0, "max_seconds": 60},
            "transfer": {"targets": [{"type": "number", "to": rung}], "ring_seconds": 30},
            "webhook": {"url": server.url, "timeout": 10},
        }
        branches = {"time_limit": "late", "failed": "no", "busy": "no", "no-answer": "no"}
        if busy_with != "transfer":
            branches = {"time_limit": "late", "failed": "no"}
        slow = node("slow", busy_with, configs[busy_with], next="no", branches=branches)
        slow["time_limit"] = 2
        call_id = call_in(line, slow, pause("late", 200), pause("no", 20), hold_ms=15_000)
        assert ended(line, call_id) == [("slow", "time_limit"), ("late", "next")]


@pytest.fixture
def media() -> Iterator[None]:
    """The media process, which speaks."""
    media = Media()
    greenlet = gevent.spawn(media.run)
    wait_until(lambda: redis().exists(client.ALIVE))
    yield
    media.stop()
    greenlet.get(timeout=5)


def test_the_specifications_example(line: Rig, media: None) -> None:
    text = "Welcome to IRISX. Press 1 for sales, 2 for support."
    call_id = call_in(
        line,
        node("node_1", "play", {"text": text, "voice": "en-US-Neural2-F"}, next="node_2"),
        node(
            "node_2",
            "gather",
            {"num_digits": 1, "timeout": 5},
            branches={"1": "node_sales", "2": "node_support", "timeout": "node_1"},
        ),
        pause("node_sales", 100),
        node("node_support", "play", {"text": "You are {{ caller.number }}."}),
        digits="2",
        hold_ms=20_000,
    )
    assert ended(line, call_id) == [
        ("node_1", "next"),
        ("node_2", "2"),
        ("node_support", "next"),
    ]


def test_a_caller_who_hangs_up_ends_the_flow_at_once(line: Rig) -> None:
    call_id = call_in(line, ask(timeout=30), *ANSWERS_TO_ASK, hold_ms=600)
    assert ended(line, call_id) == [("ask", "hung-up")]


def test_a_caller_who_hangs_up_in_a_subflow_is_dropped_there(line: Rig) -> None:
    inner = publish(line, ask(timeout=30), *ANSWERS_TO_ASK)
    sub = node("sub", "subflow", {"flow": inner}, next="end")
    call_id = call_in(line, sub, pause("end", 20), hold_ms=600)
    assert sorted(ended(line, call_id)) == [("ask", "hung-up"), ("sub", "hung-up")]


def test_a_flow_that_goes_round_in_circles_ends(line: Rig) -> None:
    call_id = call_in(
        line,
        node("a", "set_variable", {"variables": {"n": 1}}, next="b"),
        node("b", "set_variable", {"variables": {"n": 2}}, next="a"),
    )
    assert len(ended(line, call_id)) == 1000


def test_an_answered_call_goes_into_a_flow(line: Rig) -> None:
    flow = publish(line, pause("hello", 300))
    call_id = line.place(line.far_end(STAYS), options={"on_answer": {"type": "flow", "id": flow}})
    assert ended(line, call_id) == [("hello", "next")]


def test_a_call_is_transferred_into_a_flow(line: Rig) -> None:
    flow = publish(line, pause("hello", 300))
    call_id = line.place(line.far_end(STAYS))
    line.wait_status(call_id, "in-progress")
    line.command(call_id, "transfer", to={"type": "flow", "id": flow})
    assert ended(line, call_id) == [("hello", "next")]


@pytest.fixture
def tone(line: Rig) -> str:
    """An uploaded prompt: 0.6 s of 700 Hz."""
    time = np.arange(round(0.6 * 44_100)) / 44_100
    file = io.BytesIO()
    soundfile.write(file, 0.4 * np.sin(2 * np.pi * 700 * time), 44_100, format="OGG")
    return prompts.upload(SYSTEM, line.tenant.id, "tone", file.getvalue()).public_id


def test_an_uploaded_prompt_is_what_the_caller_hears(line: Rig, tone: str) -> None:
    with transaction() as session:
        row = session.get_one(Tenant, line.tenant.id)
        row.settings = {**row.settings, "record_calls": True}
    talk = node("talk", "play", {"prompts": [silence(200), {"prompt": tone}]}, next="end")
    call_id = call_in(line, talk, pause("end", 300))
    assert ended(line, call_id) == [("talk", "next"), ("end", "next")]
    with transaction() as session:
        path = session.scalars(select(Recording.path).where(Recording.call_id == call_id)).one()
    sound, rate = soundfile.read(get_settings().recording_path / path)
    heard = sound[:, 1]
    loud = np.flatnonzero(np.abs(heard) > 0.1)
    assert 0.5 < (loud[-1] - loud[0]) / rate < 0.7
    spectrum = np.abs(np.fft.rfft(heard[loud[0] : loud[-1]]))
    assert abs(np.argmax(spectrum) * rate / (loud[-1] - loud[0]) - 700) < 10


def test_digits_typed_while_a_webhook_is_asked_are_kept(
    line: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(get_settings(), "allowed_private_hosts", "127.0.0.1")
    with receiving(lambda request: Answer(200, after=2.0)) as server:
        web = node("web", "webhook", {"url": server.url}, next="ask", branches={"failed": "wrong"})
        gather = ask(num_digits=2, timeout=2)
        gather["branches"]["15"] = "one"
        call_id = call_in(line, web, gather, *ANSWERS_TO_ASK, digits="15")
        assert ended(line, call_id) == [("web", "next"), ("ask", "15"), ("one", "next")]


def test_a_prompt_that_is_not_there_is_left_out_and_told_of(line: Rig) -> None:
    talk = node("talk", "play", {"prompts": [{"prompt": "prm_999"}, silence(100)]}, next="end")
    call_id = call_in(line, talk, pause("end", 100))
    assert ended(line, call_id) == [("talk", "next"), ("end", "next")]
    assert "prompt.missing" in line.timeline(call_id)


def test_a_call_is_taken_out_of_its_flow(line: Rig) -> None:
    """By command, while the flow has it connected: the flow does not go on."""
    target = line.far_end(STAYS)
    other = line.far_end(ANSWERS)
    call_id = call_in(line, transfer(target), *OUTCOMES, hold_ms=20_000)
    line.wait_line(call_id, "call.bridged")
    line.command(call_id, "transfer", to={"type": "number", "to": other})
    passed = ended(line, call_id, 20)
    assert passed == [("to", "taken-out")]
    assert line.timeline(call_id).count("call.bridged") == 2


def test_a_call_in_a_flow_is_not_put_on_hold(line: Rig) -> None:
    call_id = call_in(line, pause("a", 5000), hold_ms=20_000)
    line.wait_status(call_id, "in-progress")
    with pytest.raises(Conflict, match="flow"):
        line.command(call_id, "hold")
    line.command(call_id, "end")
    line.wait_status(call_id, "completed")


def test_an_unpublished_flow_refuses_the_call(line: Rig) -> None:
    line.destination(CALLED, {"type": "flow", "id": "flow_999"})
    line.call_in(CALLED)
    row = wait_until(lambda: next(iter(line.rows()), None))
    assert line.wait_status(row.id, "failed").reason == "SUBSCRIBER_ABSENT"
