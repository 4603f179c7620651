"""Placing calls: failover, simultaneous ringing, timeouts, variables."""

import time
import uuid

import pytest

from tests.sandbox.client import Client, names


def far(number: str) -> str:
    return f"sofia/gateway/far/+1555555{number}"


@pytest.mark.parametrize(
    ("dial", "reply"),
    [
        (f"{far('0102')}|{far('0108')}", "+OK "),
        (f"{far('0102')}|{far('0104')}", "-ERR CALL_REJECTED\n"),
        (f"{far('0104')},{far('0108')}", "+OK "),
        ("error/user_busy", "-ERR USER_BUSY\n"),
        ("nope/1", "-ERR CHAN_NOT_IMPLEMENTED\n"),
        ("user/anna@example.com", "+OK "),
        ("sofia/agents/anna@127.0.0.1", "+OK "),
        ("{a=b sofia/x/y", "-ERR DESTINATION_OUT_OF_ORDER\n"),
    ],
)
def test_what_becomes_of_a_dial_string(client: Client, dial: str, reply: str) -> None:
    assert client.api(f"originate {dial} &park()").startswith(reply)


def test_the_first_to_answer_wins_the_race(client: Client) -> None:
    legs = [str(uuid.uuid4()) for _ in range(2)]
    targets = ",".join(
        f"[origination_uuid={leg}]{far(number)}"
        for leg, number in zip(legs, ("0103", "0108"), strict=True)
    )
    assert client.api(f"originate {targets} &park()") == f"+OK {legs[1]}\n"
    assert client.wait("CHANNEL_HANGUP_COMPLETE", legs[0])["Hangup-Cause"] == "LOSE_RACE"


@pytest.mark.parametrize("variable", ["originate_timeout", "leg_timeout"])
def test_a_timeout_ends_the_ringing(client: Client, variable: str) -> None:
    began = time.monotonic()
    assert client.api(f"originate {{{variable}=2}}{far('0103')} &park()") == "-ERR NO_ANSWER\n"
    assert time.monotonic() - began == pytest.approx(0.5, abs=0.4)


def test_a_uuid_is_never_dialled_twice(client: Client) -> None:
    leg = client.parked()
    again = client.api(f"originate {{origination_uuid={leg}}}{far('0108')} &park()")
    assert again.startswith("-ERR ")
    assert client.api(f"uuid_exists {leg}") == "true"


def test_the_leg_carries_its_variables_and_caller_id(client: Client) -> None:
    leg = client.parked(
        variables="origination_caller_id_number=+4930,origination_caller_id_name='Ann, Co',"
        "irisx_tenant_id=t1,sip_h_X-Call=9"
    )
    created = client.wait("CHANNEL_CREATE", leg)
    assert created["Caller-Caller-ID-Number"] == "+4930"
    assert created["Caller-Caller-ID-Name"] == "Ann, Co"
    assert created["variable_irisx_tenant_id"] == "t1"
    assert created["variable_sip_h_X-Call"] == "9"


def test_exported_variables_reach_the_leg_that_is_dialled(client: Client) -> None:
    leg = client.parked()
    client.done(client.execute(leg, "export", "both=1"))
    client.done(client.execute(leg, "export", "nolocal:there=2"))
    client.execute(leg, "bridge", far("0108"))
    other = client.wait("CHANNEL_BRIDGE", leg)["Bridge-B-Unique-ID"]
    assert client.api(f"uuid_getvar {other} both") == "1"
    assert client.api(f"uuid_getvar {other} there") == "2"
    assert client.api(f"uuid_getvar {leg} there") == "_undef_"


def test_a_hang_up_of_the_dialling_leg_cancels_the_dialled_one(client: Client) -> None:
    leg = client.parked()
    client.execute(leg, "bridge", far("0103"))
    other = client.until(
        lambda event: event["Event-Name"] == "CHANNEL_PROGRESS" and event["Unique-ID"] != leg
    )["Unique-ID"]
    client.api(f"uuid_kill {leg}")
    assert client.wait("CHANNEL_DESTROY", other)["Hangup-Cause"] == "ORIGINATOR_CANCEL"


def test_a_paused_switch_takes_no_calls(client: Client) -> None:
    client.api("fsctl pause")
    try:
        assert client.api(f"originate {far('0108')} &park()") == "-ERR SWITCH_CONGESTION\n"
        assert client.api("sandbox_call +1 +2") == "-ERR SWITCH_CONGESTION\n"
    finally:
        client.api("fsctl resume")
    assert client.api(f"originate {far('0108')} &park()").startswith("+OK ")


def test_execute_on_answer(client: Client) -> None:
    leg = client.dial("+15555550108", "execute_on_answer='set kept=1'")
    client.wait("CHANNEL_EXECUTE_COMPLETE", leg, Application="set")
    assert client.api(f"uuid_getvar {leg} kept") == "1"


def test_a_bridge_passes_digits_on(client: Client) -> None:
    presser = client.parked("+15555550107", "irisx_far_end_digits=5")
    caller = client.parked("+15555550108")
    client.api(f"uuid_bridge {caller} {presser}")
    client.wait("DTMF", presser)
    client.api(f"uuid_kill {caller}")
    client.wait("CHANNEL_DESTROY", presser)
    assert names(client.of(caller)).count("DTMF") == 0
