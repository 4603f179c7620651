"""Callers wait in queues and agents are rung, on every switch: what is promised, and every race
that other systems' users report (contact-center.md §2.1)."""

import io
from datetime import timedelta

import numpy as np
import pytest
import soundfile

from irisx.kernel.clock import now
from irisx.telephony.acd import wrap_up
from irisx.telephony.acd.models import Strategy
from irisx.telephony.ivr import prompts
from irisx.telephony.ivr import service as ivr
from irisx.telephony.supervision import live as supervision
from irisx.tenancy import agents
from irisx.tenancy.access import SYSTEM
from irisx.tenancy.agent_models import AgentStatus
from tests.contract import acd
from tests.contract.rig import ALSO_STAYS, ANSWERS, BUSY, REJECTS, RINGS, STAYS, Rig
from tests.waiting import wait_until

LONG_MS = 25_000


def tune(seconds: float) -> bytes:
    """Silence as a WAV file."""
    sound = io.BytesIO()
    soundfile.write(sound, np.zeros(int(seconds * 8000), np.int16), 8000, format="WAV")
    return sound.getvalue()


def end_all(line: Rig) -> None:
    for row in line.rows():
        if row.ended_at is None:
            line.command(row.id, "end")
    wait_until(lambda: not line.switch_channels())


def test_an_agent_takes_a_caller_and_both_hang_up_together(line: Rig) -> None:
    ann = acd.agent(line, line.far_end(STAYS))
    queue = acd.queue(line, ann)
    line.call_in(acd.NUMBER, hold_ms=2500)
    talking = acd.wait_record(queue, "talking")
    assert talking.agent_id == ann.id
    busy = acd.wait_status(line, ann, "busy")
    assert busy.activity_call == talking.call_id
    done = acd.wait_record(queue, "completed")
    assert done.wait_ms is not None and done.talk_ms is not None and done.talk_ms > 500
    acd.wait_status(line, ann, "available")
    wait_until(lambda: not line.switch_channels())
    (offer,) = acd.wait_offers(queue, "answered")
    assert offer.agent_id == ann.id
    assert line.wait_status(done.call_id, "completed")
    told = line.domain_events(done.call_id)
    assert {"queue.entered", "agent.offered", "queue.answered", "queue.completed"} <= set(told)


def test_the_agent_hangs_up_first_and_wraps_up(line: Rig) -> None:
    ann = acd.agent(line, line.far_end(ANSWERS))  # ends by itself after a second
    options = {"wrap_up_seconds": 600, "wrap_up_codes": ["sold"], "wrap_up_code_required": True}
    queue = acd.queue(line, ann, options=options)
    line.call_in(acd.NUMBER, hold_ms=LONG_MS)
    done = acd.wait_record(queue, "completed")
    assert line.wait_status(done.call_id, "completed")
    wait_until(lambda: not line.switch_channels())
    acd.wait_status(line, ann, "wrap-up")
    line.call_in(acd.NUMBER, hold_ms=LONG_MS)
    acd.wait_record(queue, "waiting")
    wrap_up.report(SYSTEM, line.tenant.id, ann.id, code="sold", done=True)
    wait_until(lambda: len(acd.offers(queue)) == 2)  # she is rung at once
    wrapped = acd.records(queue)[0]
    assert (wrapped.wrap_up_code, wrapped.status.value) == ("sold", "completed")
    wait_until(lambda: acd.records(queue)[0].wrap_ms is not None)
    end_all(line)


def test_a_caller_hangs_up_while_an_agent_rings_and_no_call_is_left_of_it(line: Rig) -> None:
    ann = acd.agent(line, line.far_end(RINGS))
    queue = acd.queue(line, ann)
    line.call_in(acd.NUMBER, hold_ms=1500)
    gone = acd.wait_record(queue, "abandoned")
    acd.wait_offers(queue, "caller-left")
    wait_until(lambda: not line.switch_channels())  # no zombie at the agent's phone
    assert acd.now_(line, ann).status is AgentStatus.AVAILABLE
    assert gone.wait_ms is not None
    seat = line.engine.center._rooms[line.tenant.id].matcher.seat(ann.id)
    assert seat is not None and seat.offer is None  # nor a stuck reservation


@pytest.mark.parametrize(("phone", "outcome"), [(REJECTS, "rejected"), (BUSY, "busy")])
def test_an_agent_does_not_take_a_caller_who_goes_to_the_next(
    line: Rig, phone: str, outcome: str
) -> None:
    ann = acd.agent(line, line.far_end(phone))
    bob = acd.agent(line, line.far_end(STAYS))
    queue = acd.queue(line, ann, bob)
    line.call_in(acd.NUMBER, hold_ms=3000)
    talking = acd.wait_record(queue, "talking")
    assert talking.agent_id == bob.id
    acd.wait_offers(queue, outcome, "answered")
    assert acd.now_(line, ann).status is AgentStatus.AVAILABLE
    end_all(line)


def test_an_agent_who_can_not_be_reached_is_away_after_so_many_offers(line: Rig) -> None:
    ann = acd.agent(line, "+15555550777")  # no carrier leads there
    options = {"max_missed_offers": 2, "no_answer_delay_seconds": 1}
    queue = acd.queue(line, ann, options=options)
    line.call_in(acd.NUMBER, hold_ms=LONG_MS)
    acd.wait_offers(queue, "unreachable", "unreachable")
    away = acd.wait_status(line, ann, "away")
    assert away.reason == "missed-offers"
    assert acd.records(queue)[0].status.value == "waiting"
    end_all(line)


def test_an_agent_logs_out_while_reserved(line: Rig) -> None:
    ann = acd.agent(line, line.far_end(RINGS))
    queue = acd.queue(line, ann)
    line.call_in(acd.NUMBER, hold_ms=LONG_MS)
    acd.wait_offers(queue, None)
    agents.set_status(SYSTEM, line.tenant.id, ann.id, AgentStatus.OFFLINE, None)
    assert acd.now_(line, ann).status is AgentStatus.OFFLINE
    end_all(line)
    acd.wait_offers(queue, "caller-left")
    seat = line.engine.center._rooms[line.tenant.id].matcher.seat(ann.id)
    assert seat is not None and seat.offer is None


def test_ring_all_the_first_to_answer_has_the_caller(line: Rig) -> None:
    ann = acd.agent(line, line.far_end(RINGS))
    bob = acd.agent(line, line.far_end(STAYS))
    queue = acd.queue(line, ann, bob, strategy=Strategy.RING_ALL)
    line.call_in(acd.NUMBER, hold_ms=LONG_MS)
    assert acd.wait_record(queue, "talking").agent_id == bob.id
    wait_until(lambda: len(line.switch_channels()) == 2)
    found = {row.agent_id: row.outcome for row in acd.offers(queue)}
    assert {key: value and value.value for key, value in found.items()} == {
        ann.id: "lost-race",
        bob.id: "answered",
    }
    end_all(line)


def test_who_waited_longest_is_first_whoever_else_waits(line: Rig) -> None:
    ann = acd.agent(line, line.far_end(STAYS, calls=2), status=None)
    queue = acd.queue(line, ann)
    line.call_in(acd.NUMBER, caller="+15550009001", hold_ms=LONG_MS)
    acd.wait_record(queue, "waiting")
    line.call_in(acd.NUMBER, caller="+15550009002", hold_ms=LONG_MS)
    acd.wait_record(queue, "waiting", count=2)
    agents.set_status(SYSTEM, line.tenant.id, ann.id, AgentStatus.AVAILABLE, None)
    first = acd.wait_record(queue, "talking")
    assert first.number == "+15550009001"
    line.command(first.call_id, "end")
    acd.wait_record(queue, "completed")
    assert acd.wait_record(queue, "talking").number == "+15550009002"
    end_all(line)


def test_overflow_by_no_agents_by_length_and_by_time(line: Rig) -> None:
    far_end = line.far_end(STAYS)
    elsewhere = {"type": "number", "to": far_end}
    options = {"no_agents_seconds": 0, "overflow": {"no_agents": elsewhere}}
    nobody = acd.queue(line, options=options)
    line.call_in(acd.NUMBER, hold_ms=LONG_MS)
    gone = acd.wait_record(nobody, "overflowed")
    assert (gone.reason, gone.to) == ("no-agents", far_end)
    line.wait_line(gone.call_id, "call.bridged")
    end_all(line)

    full = acd.queue(line, number="+15550003001", max_wait_time=6, options={"max_length": 1})
    line.call_in("+15550003001", hold_ms=LONG_MS)
    acd.wait_record(full, "waiting")
    line.call_in("+15550003001", hold_ms=LONG_MS)
    second = acd.wait_record(full, "overflowed")
    assert second.reason == "full"
    assert line.wait_status(second.call_id, "busy").answered_at is None
    acd.wait_record(full, "overflowed", count=2)
    first, _ = acd.records(full)
    assert first.reason == "wait"
    assert line.wait_status(first.call_id, "completed")


def test_the_exit_key_and_the_callback_key(line: Rig) -> None:
    mailbox = {"type": "voicemail", "mailbox": "sales"}
    options = {"exit_key": "9", "exit_to": mailbox, "callback_key": "1"}
    queue = acd.queue(line, options=options)
    line.call_in(acd.NUMBER, hold_ms=6000, digits=" 9")
    gone = acd.wait_record(queue, "exited")
    assert (gone.reason, gone.to) == ("9", "voicemail")
    line.wait_line(gone.call_id, "recording.started")
    end_all(line)
    line.call_in(acd.NUMBER, hold_ms=6000, digits=" 1")
    wanted = acd.wait_record(queue, "callback")
    assert line.wait_status(wanted.call_id, "completed")
    assert "callback.requested" in line.domain_events(wanted.call_id)


def test_who_hung_up_and_calls_again_keeps_the_place(line: Rig) -> None:
    queue = acd.queue(line, options={"return_window_seconds": 60})
    line.call_in(acd.NUMBER, caller="+15550009001", hold_ms=700)
    gone = acd.wait_record(queue, "abandoned")
    line.call_in(acd.NUMBER, caller="+15550009002", hold_ms=LONG_MS)
    acd.wait_record(queue, "waiting")
    line.call_in(acd.NUMBER, caller="+15550009001", hold_ms=LONG_MS)
    back = acd.wait_record(queue, "waiting", count=2)
    assert back.number == "+15550009001"
    assert back.place_at == gone.place_at
    room = line.engine.center._rooms[line.tenant.id]
    wait_until(lambda: room.matcher.length(queue) == 2)  # the row is written before
    assert room.matcher.position(str(back.id)) == 1
    end_all(line)


def test_a_flow_s_queue_comes_back_with_its_outcome(line: Rig) -> None:
    ann = acd.agent(line, line.far_end(ANSWERS))
    queue = acd.queue(line, ann)
    flow = {
        "name": "f",
        "entry_point": "q",
        "nodes": [
            {
                "id": "q",
                "type": "queue",
                "config": {"queue": f"queue_{queue}", "priority": 3},
                "next": "after",
                "branches": {"failed": "after"},
            },
            {"id": "after", "type": "transfer", "config": _to(line), "branches": {"failed": "bye"}},
            {"id": "bye", "type": "hangup"},
        ],
    }
    published = ivr.create(SYSTEM, line.tenant.id, flow, publish=True).flow.public_id
    called = line.destination("+15550003009", {"type": "flow", "id": published})
    line.call_in(called, hold_ms=LONG_MS)
    talked = acd.wait_record(queue, "completed")  # the agent hangs up after a second
    assert talked.priority == 3

    def goes_on() -> bool:
        return line.timeline(talked.call_id).count("call.bridged") == 2

    wait_until(goes_on)
    assert line.row(talked.call_id).ended_at is None
    end_all(line)


def _to(line: Rig) -> dict[str, object]:
    return {"targets": [{"type": "number", "to": line.far_end(STAYS)}]}


def test_a_call_is_transferred_into_a_queue_and_out_of_it(line: Rig) -> None:
    ann = acd.agent(line, line.far_end(STAYS))
    queue = acd.queue(line, ann)
    first = acd.queue(line, number="+15550003001")
    line.call_in("+15550003001", hold_ms=LONG_MS)
    waits = acd.wait_record(first, "waiting")
    to_queue = {"type": "queue", "id": f"queue_{queue}"}
    line.command(waits.call_id, "transfer", to=to_queue)
    acd.wait_record(first, "exited")
    assert acd.wait_record(queue, "talking").call_id == waits.call_id
    elsewhere = {"type": "number", "to": line.far_end(ALSO_STAYS)}
    line.command(waits.call_id, "transfer", to=elsewhere)
    acd.wait_record(queue, "completed")
    acd.wait_status(line, ann, "available")
    wait_until(lambda: line.timeline(waits.call_id).count("call.bridged") == 2)
    end_all(line)


def test_music_of_one_s_own_is_played_again_and_again(line: Rig) -> None:
    music = prompts.upload(SYSTEM, line.tenant.id, "music", tune(seconds=0.5))
    ann = acd.agent(line, line.far_end(STAYS), status=None)
    queue = acd.queue(line, ann, music_on_hold=music.public_id)
    line.call_in(acd.NUMBER, hold_ms=LONG_MS)
    waits = acd.wait_record(queue, "waiting")

    def plays() -> bool:
        return "endless_playback" in line.told(f"uuid_dump {waits.call_id}")

    wait_until(plays)
    started = now()
    wait_until(lambda: now() - started > timedelta(seconds=1.2))
    assert plays()
    agents.set_status(SYSTEM, line.tenant.id, ann.id, AgentStatus.AVAILABLE, None)
    assert acd.wait_record(queue, "talking").call_id == waits.call_id
    end_all(line)


def test_an_agent_whose_caller_was_taken_over_does_not_wait_for_ever(
    line: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(supervision, "RETURN_SECONDS", 1)
    ann = acd.agent(line, line.far_end(STAYS))
    queue = acd.queue(line, ann, options={"wrap_up_seconds": 600})
    line.call_in(acd.NUMBER, hold_ms=LONG_MS)
    call_id = acd.wait_record(queue, "talking").call_id
    supervisor = line.far_end(ALSO_STAYS)
    line.command(call_id, "supervise", supervisor=supervisor, mode="takeover")
    assert acd.wait_record(queue, "completed").agent_id == ann.id
    acd.wait_status(line, ann, "wrap-up")
    wait_until(lambda: len(line.switch_channels()) == 2)  # customer and supervisor
    assert line.row(call_id).ended_at is None
    end_all(line)


def test_a_supervisor_takes_over_a_caller_who_waits(line: Rig) -> None:
    ann = acd.agent(line, line.far_end(RINGS))
    queue = acd.queue(line, ann)
    line.call_in(acd.NUMBER, hold_ms=LONG_MS)
    waiting = acd.wait_record(queue, "waiting")
    wait_until(lambda: len(line.switch_channels()) == 2, 10)  # the caller, and Ann's phone
    supervisor = line.far_end(STAYS)
    line.command(waiting.call_id, "supervise", supervisor=supervisor, mode="takeover")
    assert acd.wait_record(queue, "exited").reason == "taken-over"
    matcher = line.engine.center._rooms[line.tenant.id].matcher

    def nobody_rings() -> bool:
        seat = matcher.seat(ann.id)
        return seat is not None and seat.offer is None and len(line.switch_channels()) == 2

    wait_until(nobody_rings, 10)
    end_all(line)
