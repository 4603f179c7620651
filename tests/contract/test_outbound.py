"""Calls out: every way in which one can end, on every switch."""

from irisx.telephony.calls.states import CallStatus
from tests.contract.rig import ANSWERS, BUSY, REJECTS, RINGS, STAYS, Rig
from tests.waiting import wait_until


def test_an_answered_call_is_timed_by_the_switch_and_told_of_once(line: Rig) -> None:
    call_id = line.place(line.far_end(ANSWERS))
    call = line.wait_status(call_id, "completed", timeout=20)
    assert call.answered_at is not None and call.ended_at is not None
    measured = (call.ended_at - call.answered_at).total_seconds() * 1000
    assert call.duration_ms is not None and abs(call.duration_ms - measured) < 2
    assert call.bill_seconds == -(-call.duration_ms // 1000)
    assert call.reason == "NORMAL_CLEARING" and call.hangup_by == "remote"
    assert line.domain_events(call_id) == ["call.answered", "call.completed", "call.ringing"]
    assert sorted(line.timeline(call_id)) == [
        "call.answered",
        "call.attempted",
        "call.completed",
        "call.ringing",
    ]


def test_a_busy_callee_is_busy(line: Rig) -> None:
    call = line.wait_status(line.place(line.far_end(BUSY)), "busy")
    assert (call.reason, call.sip_status, call.duration_ms) == ("USER_BUSY", 486, 0)


def test_a_rejected_call_has_failed(line: Rig) -> None:
    call = line.wait_status(line.place(line.far_end(REJECTS)), "failed")
    assert (call.reason, call.sip_status) == ("CALL_REJECTED", 603)


def test_a_call_that_rings_out_is_no_answer(line: Rig) -> None:
    call_id = line.place(line.far_end(RINGS), options={"ring_timeout_s": 2})
    call = line.wait_status(call_id, "no-answer")
    assert call.ringing_at is not None and call.answered_at is None


def test_a_call_ended_while_it_rings_is_canceled(line: Rig) -> None:
    call_id = line.place(line.far_end(RINGS))
    line.wait_status(call_id, "ringing")
    line.command(call_id, "end")
    assert line.wait_status(call_id, "canceled").reason == "ORIGINATOR_CANCEL"


def test_a_number_that_no_carrier_reaches_fails_with_that_reason(line: Rig) -> None:
    with_carrier = line.far_end(BUSY)
    line.wait_status(line.place(with_carrier), "busy")
    if line.sandbox:
        line.forget_carriers()
    call = line.wait_status(line.place("+15555559999"), "failed")
    assert call.reason == "NO_ROUTE_DESTINATION"


def test_a_carrier_that_is_down_hands_over_to_the_next(line: Rig) -> None:
    number = line.far_end(STAYS)
    if not line.sandbox:
        line.carrier(number, 9, priority=1)
    call_id = line.place(number)
    call = line.wait_status(call_id, "in-progress", timeout=20)
    attempts = line.timeline(call_id).count("call.attempted")
    assert attempts == (1 if line.sandbox else 2)
    line.command(call_id, "end")
    assert line.wait_status(call_id, "completed").id == call.id


def test_the_switch_forgets_an_end_once_it_is_in_the_database(line: Rig) -> None:
    line.wait_status(line.place(line.far_end(ANSWERS)), "completed", timeout=20)
    wait_until(lambda: not line.kept_ends())


def test_the_engine_forgets_a_call_that_is_over(line: Rig) -> None:
    call_id = line.place(line.far_end(BUSY))
    line.wait_status(call_id, CallStatus.BUSY.value)
    wait_until(lambda: not line.switch.calls and not line.switch.legs)
