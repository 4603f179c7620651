"""Two sandboxes that call each other over real SIP and RTP."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.sandbox.client import Client
from tests.sandbox.process import Sandbox
from tests.sandbox.sound import level
from tests.switches import free_ports
from tests.waiting import wait_until

pytest.importorskip("baresip")


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Sandbox, Sandbox, int]]:
    """The caller, the called, and the SIP port of the latter."""
    ports = free_ports(2)
    caller, called = (
        Sandbox(tmp_path_factory.mktemp("sip"), "--sip", f"127.0.0.1:{port}") for port in ports
    )
    with caller, called:
        yield caller, called, ports[1]


@pytest.fixture
def clients(pair: tuple[Sandbox, Sandbox, int]) -> Iterator[tuple[Client, Client]]:
    caller, called, port = pair
    with (
        Client(caller.port, caller.password) as one,
        Client(called.port, called.password) as other,
    ):
        for client in (one, other):
            client.command("event plain ALL")
        assert one.api(f"sandbox_gateway far 127.0.0.1:{port}") == "+OK\n"
        yield one, other
        one.api("hupall")
        other.api("hupall")


def test_a_call_with_audio_and_digits_both_ways(
    clients: tuple[Client, Client], pair: tuple[Sandbox, Sandbox, int]
) -> None:
    one, other = clients
    leg = one.dial("+15551230000", "ignore_early_media=true,sip_h_X-Call-Id=abc")
    arrived = other.wait("CHANNEL_PARK")
    far_leg = arrived["Unique-ID"]
    assert arrived["Caller-Destination-Number"] == "+15551230000"
    assert arrived["variable_sip_h_X-Call-Id"] == "abc"
    one.wait("CHANNEL_PROGRESS", leg)
    other.api(f"sched_del {far_leg}")
    other.api(f"uuid_answer {far_leg}")
    assert one.result(leg) == f"+OK {leg}\n"
    paths = []
    for client, uuid, sandbox, hertz in (
        (one, leg, pair[0], 440),
        (other, far_leg, pair[1], 700),
    ):
        client.execute(uuid, "playback", f"tone_stream://%(60000,0,{hertz})")
        paths.append(sandbox.recordings / "sip.wav")
        client.api(f"uuid_record {uuid} start {paths[-1]} 0 {{RECORD_STEREO=true}}")
    for path in paths:
        wait_until(lambda path=path: path.stat().st_size > 64000, 10)
    one.api(f"uuid_send_dtmf {leg} 7")
    other.wait("DTMF", far_leg, DTMF_Digit="7")
    one.api(f"uuid_kill {leg}")
    ended = other.wait("CHANNEL_HANGUP_COMPLETE", far_leg)
    assert ended["variable_sip_hangup_disposition"] == "recv_bye"
    assert level(paths[0], 700, 0, 1.0, 2.0) > 1500
    assert level(paths[1], 440, 0, 1.0, 2.0) > 1500


def test_a_refused_call(clients: tuple[Client, Client]) -> None:
    one, other = clients
    leg = one.dial("+15551230001")
    far_leg = other.wait("CHANNEL_PARK")["Unique-ID"]
    other.api(f"uuid_kill {far_leg} USER_BUSY")
    assert one.result(leg) == "-ERR USER_BUSY\n"


def test_an_abandoned_call(clients: tuple[Client, Client]) -> None:
    one, other = clients
    leg = one.dial("+15551230002")
    far_leg = other.wait("CHANNEL_PARK")["Unique-ID"]
    one.api(f"uuid_kill {leg}")
    ended = other.wait("CHANNEL_HANGUP_COMPLETE", far_leg)
    assert ended["Hangup-Cause"] == "ORIGINATOR_CANCEL"
    assert ended["variable_billsec"] == "0"


def test_a_gateway_needs_sip(tmp_path: Path) -> None:
    with Sandbox(tmp_path) as sandbox, Client(sandbox.port, sandbox.password) as client:
        assert client.api("sandbox_gateway x 127.0.0.1:5060").startswith("-ERR ")
