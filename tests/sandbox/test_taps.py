"""What is heard and recorded: tones are followed through the mix."""

import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from tests.sandbox.client import Client
from tests.sandbox.process import Sandbox
from tests.sandbox.sound import level, loudness, seconds
from tests.waiting import wait_until


@pytest.fixture(scope="module")
def sandbox(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sandbox]:
    """At its real speed: the tones of the far ends last only so long."""
    with Sandbox(tmp_path_factory.mktemp("sandbox")) as process:
        yield process


TONE = "tone_stream://%(60000,0,440)"
HEARD = 2000


def record(client: Client, leg: str, path: Path, variables: str = "RECORD_STEREO=true") -> None:
    reply = client.api(f"uuid_record {leg} start {path} 0 {{{variables}}}")
    assert reply == "+OK Success\n"


def grown(path: Path, to: float) -> None:
    """Wait until a recording holds `to` seconds of stereo."""
    wait_until(lambda: path.stat().st_size >= to * 32000)


def test_the_party_is_on_the_left_and_what_it_hears_on_the_right(
    client: Client, recordings: Path
) -> None:
    leg = client.parked("+15555550105")
    path = recordings / "stereo.wav"
    record(client, leg, path)
    client.execute(leg, "playback", TONE)
    grown(path, 1.0)
    client.api(f"uuid_record {leg} stop {path}")
    assert level(path, 2100, 0, 0.4, 0.9) > HEARD
    assert level(path, 440, 0, 0.4, 0.9) < 100
    assert level(path, 440, 1, 0.4, 0.9) > HEARD
    assert level(path, 2100, 1, 0.4, 0.9) < 100


def test_a_recording_lasts_as_long_as_it_ran(client: Client, recordings: Path) -> None:
    leg = client.parked()
    path = recordings / "limited.wav"
    assert client.api(f"uuid_record {leg} start {path} 1") == "+OK Success\n"
    stopped = client.wait("RECORD_STOP", leg)
    assert stopped["Record-Completion-Cause"] == "success-maxtime"
    assert seconds(path) == pytest.approx(1.0, abs=0.05)


def test_masked_is_silent(client: Client, recordings: Path) -> None:
    leg = client.parked()
    path = recordings / "masked.wav"
    client.execute(leg, "playback", TONE)
    record(client, leg, path)
    grown(path, 0.5)
    client.api(f"uuid_record {leg} mask {path}")
    begin = path.stat().st_size / 32000
    grown(path, begin + 0.5)
    client.api(f"uuid_record {leg} unmask {path}")
    end = path.stat().st_size / 32000
    grown(path, end + 0.5)
    client.api(f"uuid_record {leg} stop {path}")
    assert level(path, 440, 1, 0.1, begin - 0.1) > HEARD
    assert loudness(path, 1, begin + 0.1, end - 0.1) == 0
    assert level(path, 440, 1, end + 0.1, end + 0.4) > HEARD


def test_partners_hear_each_other_until_one_is_muted(client: Client, recordings: Path) -> None:
    fax, customer = client.parked("+15555550105"), client.parked("+15555550106")
    client.api(f"uuid_bridge {customer} {fax}")
    client.wait("CHANNEL_BRIDGE", customer)
    path = recordings / "bridged.wav"
    record(client, customer, path)
    grown(path, 0.4)
    client.api(f"uuid_audio {fax} start read mute -4")
    muted = path.stat().st_size / 32000
    grown(path, muted + 0.4)
    client.api(f"uuid_record {customer} stop {path}")
    assert level(path, 2100, 1, 0.1, muted - 0.1) > HEARD
    assert level(path, 2100, 1, muted + 0.1, muted + 0.3) < 100


def test_the_partner_of_a_held_leg_hears_music(client: Client, recordings: Path) -> None:
    fax, customer = client.parked("+15555550105"), client.parked("+15555550106")
    client.api(f"uuid_bridge {customer} {fax}")
    client.wait("CHANNEL_BRIDGE", customer)
    client.api(f"uuid_hold {fax}")
    path = recordings / "held.wav"
    record(client, customer, path)
    grown(path, 0.6)
    client.api(f"uuid_record {customer} stop {path}")
    assert level(path, 2100, 1) < 100
    assert loudness(path, 1) > 300


@pytest.mark.parametrize(
    ("command", "partner_hears", "spied_hears"),
    [("0", False, False), ("1", True, False), ("2", False, True), ("3", True, True)],
)
def test_whom_a_supervisor_talks_to(
    client: Client, recordings: Path, command: str, partner_hears: bool, spied_hears: bool
) -> None:
    customer, agent = client.parked("+15555550106"), client.parked("+15555550106")
    client.api(f"uuid_bridge {customer} {agent}")
    client.wait("CHANNEL_BRIDGE", customer)
    supervisor = client.dial("+15555550105", application=f"&eavesdrop({agent})")
    client.wait("CHANNEL_EXECUTE", supervisor)
    client.command(f"sendevent MESSAGE\nunique-id: {supervisor}\neavesdrop-command: {command}")
    paths = {
        leg: recordings / f"{name}{command}.wav"
        for leg, name in ((customer, "customer"), (agent, "agent"))
    }
    for leg, path in paths.items():
        record(client, leg, path)
    for path in paths.values():
        grown(path, 0.6)
    client.api("hupall")
    client.wait("CHANNEL_DESTROY", agent)
    assert (level(paths[customer], 2100, 1, 0.2) > HEARD) is partner_hears
    assert (level(paths[agent], 2100, 1, 0.2) > HEARD) is spied_hears
    assert level(paths[customer], 2100, 0, 0.2) < 100


def test_a_recording_begun_before_the_whisper_does_not_hold_it(
    client: Client, recordings: Path
) -> None:
    agent = client.parked("+15555550106")
    before, after = recordings / "before.wav", recordings / "after.wav"
    record(client, agent, before)
    supervisor = client.dial("+15555550105", application=f"&eavesdrop({agent})")
    client.wait("CHANNEL_EXECUTE", supervisor)
    client.api(f"uuid_recv_dtmf {supervisor} 2")
    record(client, agent, after)
    grown(after, 0.6)
    client.api("hupall")
    client.wait("CHANNEL_DESTROY", agent)
    assert level(before, 2100, 1) < 100
    assert level(after, 2100, 1, 0.2) > HEARD


def test_a_live_tap_through_a_fifo(client: Client, recordings: Path) -> None:
    leg = client.parked("+15555550105")
    path = recordings / "tap.r8"
    os.mkfifo(path)
    reader = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    record(client, leg, path, "RECORD_READ_ONLY=true,enable_file_write_buffering=false")
    data = bytearray()

    def enough() -> bool:
        with suppress(BlockingIOError):
            data.extend(os.read(reader, 65536))
        return len(data) >= 8000

    wait_until(enough)
    os.close(reader)
    stopped = client.wait("RECORD_STOP", leg)
    assert stopped["Record-Completion-Cause"] == "uri-failure"
    assert client.api(f"uuid_exists {leg}") == "true"


def test_a_fifo_without_a_reader_is_refused(client: Client, recordings: Path) -> None:
    leg = client.parked()
    os.mkfifo(recordings / "lonely.r8")
    reply = client.api(f"uuid_record {leg} start {recordings}/lonely.r8")
    assert reply == "-ERR Cannot record session!\n"


@pytest.mark.parametrize(
    "path", ["/etc/irisx.wav", "../x.wav", "{}/../outside.wav", "relative.wav"]
)
def test_nothing_is_written_outside_the_given_directories(
    client: Client, recordings: Path, path: str
) -> None:
    leg = client.parked()
    reply = client.api(f"uuid_record {leg} start {path.format(recordings)}")
    assert reply == "-ERR Cannot record session!\n"


def test_displaced_audio_is_mixed_or_replaces(client: Client, recordings: Path) -> None:
    leg = client.parked("+15555550106")
    client.execute(leg, "playback", TONE)
    for flag, original in (("mux", True), ("", False)):
        path = recordings / f"displaced{flag}.wav"
        client.api(f"uuid_displace {leg} start tone_stream://%(9000,0,700) 0 {flag}")
        record(client, leg, path)
        grown(path, 0.5)
        client.api(f"uuid_record {leg} stop {path}")
        client.api(f"uuid_displace {leg} stop tone_stream://%(9000,0,700)")
        assert level(path, 700, 1, 0.1) > HEARD
        assert (level(path, 440, 1, 0.1) > HEARD) is original
