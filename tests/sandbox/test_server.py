"""The Event Socket on the wire."""

import socket
import string
from contextlib import suppress

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.sandbox.client import Client, names
from tests.sandbox.process import Sandbox


def connect(sandbox: Sandbox) -> socket.socket:
    connection = socket.create_connection(("127.0.0.1", sandbox.port), timeout=5)
    assert connection.recv(1000) == b"Content-Type: auth/request\n\n"
    return connection


def read_all(connection: socket.socket) -> bytes:
    data = b""
    while part := connection.recv(65536):
        data += part
    return data


def test_a_wrong_password_ends_the_connection(sandbox: Sandbox) -> None:
    with connect(sandbox) as connection:
        connection.sendall(b"auth wrong\n\n")
        said = read_all(connection)
    assert said.startswith(b"Content-Type: command/reply\nReply-Text: -ERR invalid\n\n")
    assert b"Content-Type: text/disconnect-notice\nContent-Length: 67\n\n" in said


@pytest.mark.parametrize("command", ["api status", "event plain ALL", "sendmsg x", "bgapi status"])
def test_nothing_is_done_before_authorisation(sandbox: Sandbox, command: str) -> None:
    with connect(sandbox) as connection:
        connection.sendall(command.encode() + b"\n\n")
        assert connection.recv(1000).endswith(b"Reply-Text: -ERR command not found\n\n")


def test_a_command_may_arrive_byte_by_byte_with_carriage_returns_after_blank_lines(
    sandbox: Sandbox,
) -> None:
    with connect(sandbox) as connection:
        for byte in f"\n\r\n\nauth {sandbox.password}\r\n\r\n".encode():
            connection.sendall(bytes([byte]))
        assert connection.recv(1000).endswith(b"+OK accepted\n\n")


def test_several_commands_in_one_packet_are_answered_in_order(client: Client) -> None:
    client.send("api echo one\n\napi echo two\n\nbogus")
    frames = [client._answer() for _ in range(3)]
    assert [body for _, body in frames] == [b"one", b"two", b""]
    assert frames[2][0]["Reply-Text"] == "-ERR command not found"


def test_exit_says_goodbye(sandbox: Sandbox) -> None:
    with Client(sandbox.port, sandbox.password) as client:
        assert client.command("exit")["Reply-Text"] == "+OK bye"
        headers, body = client.frame()
    assert headers["Content-Type"] == "text/disconnect-notice"
    assert body.startswith(b"Disconnected, goodbye.\n")


def test_an_application_argument_may_travel_in_the_body(client: Client) -> None:
    leg = client.parked()
    body = "kept=" + "x" * 5000
    client.command(
        f"sendmsg {leg}\ncall-command: execute\nexecute-app-name: set\nEvent-UUID: body\n"
        f"content-type: text/plain\ncontent-length: {len(body)}\n\n{body}".rstrip("\n")
    )
    client.done("body")
    assert client.api(f"uuid_getvar {leg} kept") == "x" * 5000


def test_variables_are_never_expanded(client: Client) -> None:
    leg = client.parked()
    client.done(client.execute(leg, "set", "kept=${system(touch /tmp/never)}"))
    client.done(client.execute(leg, "set", "again=${kept}$${hostname}"))
    assert client.api(f"uuid_getvar {leg} kept") == "${system(touch /tmp/never)}"
    assert client.api(f"uuid_getvar {leg} again") == "${kept}$${hostname}"


def test_a_hostile_caller_name_stays_one_header(sandbox: Sandbox) -> None:
    """FreeSWITCH doesn't encode %0A again: a client that unquotes before it splits is fooled."""
    with Client(sandbox.port, sandbox.password) as client:
        client.command("event plain CHANNEL_CREATE")
        client.api("sandbox_call 'a%0AUnique-ID: forged' +15550001")
        event = client.wait("CHANNEL_CREATE")
        assert event["Caller-Caller-ID-Number"] == "a\nUnique-ID: forged"
        assert event["Unique-ID"] != "forged"
        client.api("hupall")


def test_undecodable_bytes_survive(client: Client) -> None:
    leg = client.parked()
    client.socket.sendall(b"api uuid_setvar " + leg.encode() + b" name M\xfcller\n\n")
    client._answer()
    client.send(f"api uuid_getvar {leg} name")
    assert client._answer()[1] == b"M\xfcller"


def test_filters_are_alternatives(sandbox: Sandbox) -> None:
    with Client(sandbox.port, sandbox.password) as client:
        client.command("event plain CHANNEL_PARK CHANNEL_ANSWER BACKGROUND_JOB")
        client.command("filter Event-Name CHANNEL_PARK")
        client.command("filter Job-UUID /^x/")
        leg = client.dial("+15555550108")
        client.wait("CHANNEL_PARK", leg)
        client.command("bgapi status\nJob-UUID: xyz")
        client.wait("BACKGROUND_JOB")
        assert names(client.events) == ["CHANNEL_PARK", "BACKGROUND_JOB"]
        client.api("hupall")


def test_noevents_and_nixevent(sandbox: Sandbox) -> None:
    with Client(sandbox.port, sandbox.password) as client:
        client.command("event plain BACKGROUND_JOB CHANNEL_PARK")
        client.command("nixevent BACKGROUND_JOB")
        client.wait("CHANNEL_PARK", client.dial("+15555550108"))
        assert names(client.events) == ["CHANNEL_PARK"]
        assert client.command("noevents")["Reply-Text"] == "+OK no longer listening for events"
        assert client.command("noevents")["Reply-Text"] == "-ERR not listening for events"
        client.api("hupall")


def test_events_wait_until_a_blocking_api_has_answered(client: Client) -> None:
    """As in mod_event_socket, where the connection's thread runs the command."""
    client.send("api originate sofia/gateway/far/+15555550102 &park()")
    headers, body = client.frame()
    assert (headers["Content-Type"], body) == ("api/response", b"-ERR USER_BUSY\n")
    assert "CHANNEL_HANGUP_COMPLETE" not in names(client.events)
    client.wait("CHANNEL_HANGUP_COMPLETE")


def test_sequence_numbers_rise(client: Client) -> None:
    client.parked()
    numbers = [int(event["Event-Sequence"]) for event in client.events]
    assert numbers == sorted(set(numbers))


WORDS = st.one_of(
    st.sampled_from(
        """
        api bgapi sendmsg sendevent filter delete all event plain json nixevent noevents exit log
        auth originate uuid_bridge uuid_kill uuid_record uuid_transfer uuid_setvar_multi start stop
        &park() {a=b}sofia/gateway/x/+15555550108 sofia/gateway/ ^^:a=1 { [ }} ' '' , | -1 99999999
        hash insert/a/b sched_api +0 none status sandbox_call 1 2 show channels as json uuid_dump
        content-length: 5 content-length: -1 call-command: execute playback tone_stream://%(
        """.split()  # noqa: SIM905 (readable as a page of words)
    ),
    st.text(string.printable, max_size=12),
    st.binary(max_size=12).map(lambda raw: raw.decode("latin-1")),
)


@settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.lists(st.lists(WORDS, max_size=8), max_size=6))
def test_no_input_kills_the_sandbox(sandbox: Sandbox, lines: list[list[str]]) -> None:
    with Client(sandbox.port, sandbox.password) as client, suppress(ConnectionError, TimeoutError):
        for words in lines:
            client.socket.sendall(" ".join(words).encode("utf-8", "replace") + b"\n\n")
    with Client(sandbox.port, sandbox.password) as client:
        assert client.api("echo alive") == "alive"
        client.api("hupall")
    assert "Traceback" not in sandbox.log


def test_a_client_that_drops_in_the_middle_of_a_body_is_forgotten(sandbox: Sandbox) -> None:
    with connect(sandbox) as connection:
        connection.sendall(
            f"auth {sandbox.password}\n\nsendmsg x\ncontent-length: 99\n\nabc".encode()
        )
    with Client(sandbox.port, sandbox.password) as client:
        assert client.api("echo alive") == "alive"
