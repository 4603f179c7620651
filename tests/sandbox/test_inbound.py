"""Calls from outside, through the dialplan that IRISX gives FreeSWITCH."""

from pathlib import Path

import pytest

from tests.sandbox.client import Client, names


def ring(client: Client, options: str = "") -> str:
    leg = client.api(f"sandbox_call +4930111 +15550009999 {options}").split()[1]
    client.wait("CHANNEL_PARK", leg)
    return leg


def test_a_call_is_parked_for_the_engine(client: Client) -> None:
    leg = ring(client, "sip_h_X-Test=1 caller_name=Ann")
    parked = client.wait("CHANNEL_PARK", leg)
    assert parked["Caller-Caller-ID-Number"] == "+4930111"
    assert parked["Caller-Caller-ID-Name"] == "Ann"
    assert parked["Caller-Destination-Number"] == "+15550009999"
    assert parked["Answer-State"] == "ringing"
    assert parked["variable_irisx_call_id"] == leg
    assert parked["variable_irisx_direction"] == "inbound"
    assert parked["variable_irisx_ingress"] == "carrier"
    assert parked["variable_sip_h_X-Test"] == "1"
    assert client.api(f"hash select/irisx_missed/{leg}").startswith("1|carrier|")


def test_without_an_engine_the_caller_hears_so_and_the_call_ends(client: Client) -> None:
    leg = ring(client)
    ended = client.wait("CHANNEL_HANGUP_COMPLETE", leg, timeout=20)
    assert ended["Hangup-Cause"] == "NORMAL_TEMPORARY_FAILURE"
    assert "PLAYBACK_STOP" in names(client.of(leg))


def test_an_engine_that_takes_the_call_cancels_the_announcement(client: Client) -> None:
    leg = ring(client)
    client.api(f"sched_hangup +1 {leg} ALLOTTED_TIMEOUT")
    assert client.api(f"sched_del {leg}") == "+OK Deleted: 2\n"
    assert client.api(f"sched_del {leg}") == "+OK Deleted: 0\n"


def test_a_scripted_caller_presses_talks_and_leaves(client: Client) -> None:
    leg = ring(client, "digits=12# digits_at=0.5 talk=1 hangup_after=3")
    client.api(f"uuid_answer {leg}")
    ended = client.wait("CHANNEL_HANGUP_COMPLETE", leg)
    digits = [event["DTMF-Digit"] for event in client.of(leg) if event["Event-Name"] == "DTMF"]
    assert digits == ["1", "2", "#"]
    assert ended["variable_sip_hangup_disposition"] == "recv_bye"
    assert int(ended["variable_billmsec"]) == pytest.approx(3000, abs=300)


def test_a_caller_who_is_not_answered_gives_up(client: Client) -> None:
    leg = ring(client, "give_up_after=1")
    ended = client.wait("CHANNEL_HANGUP_COMPLETE", leg)
    assert ended["Hangup-Cause"] == "ORIGINATOR_CANCEL"
    assert ended["variable_billsec"] == "0"


def test_the_dialplan_is_that_of_freeswitch() -> None:
    """golden/inbound_*.json were played by park.inc and wait.inc; it must not drift from them."""
    park = (Path(__file__).parents[2] / "dialplans" / "wait.inc").read_text()
    for action in ("media_timeout=300000", "media_hold_timeout=1800000", "no_engine XML no_engine"):
        assert action in park
