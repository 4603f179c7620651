"""Calls in: found, refused with the right code, connected."""

import pytest

from tests.contract.rig import ANSWERS, BUSY, STAYS, Rig
from tests.sipp import Sipp
from tests.waiting import wait_until


def test_a_call_to_a_number_is_connected_with_its_destination(line: Rig) -> None:
    far_end = line.far_end(STAYS)
    called = line.destination("+15550002000", {"type": "number", "to": far_end})
    caller = line.call_in(called, hold_ms=1500)
    row = wait_until(lambda: next(iter(line.rows()), None))
    call = line.wait_status(row.id, "completed", timeout=20)
    assert (call.direction.value, call.from_number, call.to_number) == (
        "inbound",
        "+15550009999",
        called,
    )
    assert call.duration_ms is not None and call.duration_ms > 1000
    assert line.domain_events(call.id) == [
        "call.answered",
        "call.completed",
        "call.initiated",
        "call.ringing",
    ]
    assert "call.bridged" in line.timeline(call.id)
    if not line.sandbox:
        assert 200 in caller.responses


def test_a_caller_who_calls_himself_something_odd_is_connected_anonymously(line: Rig) -> None:
    called = line.destination("+15550002000", {"type": "number", "to": line.far_end(STAYS)})
    line.call_in(called, caller="o|brien", hold_ms=300)
    row = wait_until(lambda: next(iter(line.rows()), None))
    line.wait_line(row.id, "call.bridged")
    assert line.wait_status(row.id, "completed").from_number == "anonymous"


def test_a_busy_destination_makes_the_caller_busy(line: Rig) -> None:
    called = line.destination("+15550002000", {"type": "number", "to": line.far_end(BUSY)})
    caller = line.call_in(called)
    row = wait_until(lambda: next(iter(line.rows()), None))
    call = line.wait_status(row.id, "busy")
    assert call.reason == "USER_BUSY"
    if not line.sandbox:
        assert caller.responses[-1] == 486


def test_a_carriers_signature_is_kept_on_the_call(line: Rig) -> None:
    if line.freeswitch is None:
        pytest.skip("the sandbox's scripted callers sign nothing")
    identity = (
        "eyJhbGciOiJFUzI1NiJ9.e30.c2ln;info=<https://cert.example/p.pem>;alg=ES256;ppt=shaken"
    )
    target = f"127.0.0.1:{line.freeswitch.sip_port}"
    with Sipp("uac_signed", target, service=line.number, extra=identity):
        row = wait_until(lambda: next(iter(line.rows()), None))
    assert row.stir_shaken == {"identity": identity, "p_asserted_identity": "+15550199"}


def test_an_unknown_number_is_404(line: Rig) -> None:
    caller = line.call_in("+15550007777")
    if line.sandbox:
        wait_until(lambda: not line.switch_channels())
    else:
        assert caller.responses[-1] == 404
    assert line.rows() == []


def test_a_number_without_a_destination_is_480(line: Rig) -> None:
    caller = line.call_in(line.number)
    row = wait_until(lambda: next(iter(line.rows()), None))
    call = line.wait_status(row.id, "failed")
    assert call.reason == "SUBSCRIBER_ABSENT"
    if not line.sandbox:
        assert caller.responses[-1] == 480


def test_a_suspended_tenant_is_403(line: Rig) -> None:
    called = line.destination("+15550002000", {"type": "number", "to": line.far_end(ANSWERS)})
    line.suspend()
    caller = line.call_in(called)
    row = wait_until(lambda: next(iter(line.rows()), None))
    assert line.wait_status(row.id, "failed").reason == "INCOMING_CALL_BARRED"
    if not line.sandbox:
        assert caller.responses[-1] == 403
