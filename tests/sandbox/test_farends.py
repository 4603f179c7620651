"""Who answers which number."""

from pathlib import Path

import numpy as np
import pytest

from irisx.sandbox.farends import babble, fax_answer
from tests.sandbox.client import Client, names
from tests.sandbox.sound import level, loudness


def call(client: Client, number: str) -> str:
    return client.dial(f"+1555555{number}", "ignore_early_media=true,originate_timeout=3")


@pytest.mark.parametrize(
    ("number", "status", "cause"),
    [("0102", "486", "USER_BUSY"), ("0104", "603", "CALL_REJECTED")],
)
def test_who_refuses(client: Client, number: str, status: str, cause: str) -> None:
    leg = call(client, number)
    assert client.result(leg) == f"-ERR {cause}\n"
    ended = client.wait("CHANNEL_HANGUP_COMPLETE", leg)
    assert ended["variable_hangup_cause"] == cause
    assert ended["variable_sip_term_status"] == status
    assert ended["variable_billsec"] == "0"


def test_one_rings_for_ever(client: Client) -> None:
    leg = call(client, "0103")
    assert client.result(leg) == "-ERR NO_ANSWER\n"
    assert "CHANNEL_PROGRESS" in names(client.of(leg))
    assert "CHANNEL_ANSWER" not in names(client.of(leg))


@pytest.mark.parametrize("number", ["0100", "0999", "1234"])
def test_who_talks_and_hangs_up_after_five_seconds(client: Client, number: str) -> None:
    leg = call(client, number)
    assert client.result(leg) == f"+OK {leg}\n"
    ended = client.wait("CHANNEL_HANGUP_COMPLETE", leg)
    assert ended["variable_sip_hangup_disposition"] == "recv_bye"
    assert int(ended["variable_billmsec"]) == pytest.approx(5000, abs=400)
    assert int(ended["variable_answermsec"]) == pytest.approx(300, abs=200)


def test_a_number_of_another_form_is_a_person_too(client: Client) -> None:
    leg = client.dial("+4930123450102")
    assert client.result(leg) == f"+OK {leg}\n"


def test_the_digits_of_the_variable_are_pressed(client: Client) -> None:
    leg = client.parked("+15555550107", "irisx_far_end_digits=12#w*A")
    client.wait("DTMF", leg, DTMF_Digit="A")
    digits = [event["DTMF-Digit"] for event in client.of(leg) if event["Event-Name"] == "DTMF"]
    assert digits == ["1", "2", "#", "*", "A"]


def test_a_voicemail_greets_and_beeps(client: Client, recordings: Path) -> None:
    leg = call(client, "0101")
    client.wait("CHANNEL_PARK", leg)
    path = recordings / "voicemail.wav"
    client.api(f"uuid_record {leg} start {path} 7")
    client.wait("RECORD_STOP", leg)
    assert loudness(path, 0, 1, 5) > 500
    assert level(path, 1000, 0, 5.65, 6.0) > 3000
    assert loudness(path, 0, 6.4, 7) == 0
    assert client.api(f"uuid_exists {leg}") == "true"


@pytest.mark.parametrize(("number", "loud"), [("0106", False), ("0108", True)])
def test_who_stays(client: Client, recordings: Path, number: str, loud: bool) -> None:
    leg = call(client, number)
    client.wait("CHANNEL_PARK", leg)
    path = recordings / f"{number}.wav"
    client.api(f"uuid_record {leg} start {path} 11")
    client.wait("RECORD_STOP", leg)
    assert (loudness(path) > 100) is loud
    assert client.api(f"uuid_exists {leg}") == "true"


def test_babble_is_the_same_every_time_and_has_pauses() -> None:
    assert np.array_equal(babble(1.0, seed=9), babble(1.0, seed=9))
    frames = np.abs(babble(2.0).reshape(-1, 160).astype(int)).max(axis=1)
    assert frames.max() > 5000
    assert frames.min() < frames.max() / 4


def test_a_fax_answers_with_2100_hertz() -> None:
    spectrum = np.abs(np.fft.rfft(fax_answer()[:8000]))
    assert spectrum.argmax() == 2100
