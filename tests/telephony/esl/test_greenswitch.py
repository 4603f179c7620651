"""The eleven defects of bare greenswitch 0.0.19: each is shown on it first, then not on ours.

A newer greenswitch that mends one fails the first half of its test: then it may be used again.
"""

import socket as real_socket
from collections.abc import Iterator
from pathlib import Path

import gevent
import greenswitch.esl
import pytest
from gevent.event import AsyncResult
from gevent.event import Event as Flag
from greenswitch.esl import ESLEvent, InboundESL, OutboundESLServer, OutboundSession

import irisx.telephony.esl
from irisx.telephony.esl import commands
from irisx.telephony.esl.connection import Connection
from irisx.telephony.esl.dispatch import Dispatcher
from irisx.telephony.esl.errors import CommandTimeout, Disconnected, UnsafeValue
from irisx.telephony.esl.wire import Decoder, Event
from tests.switches import free_ports
from tests.telephony.esl.scripted_switch import CHANNEL, OTHER, ScriptedSwitch, event
from tests.waiting import wait_until

LONG_ENOUGH = 0.2  # s that a defect is given to not happen
PARK = event({"Event-Name": "CHANNEL_PARK", "Unique-ID": CHANNEL})


@pytest.fixture
def switch() -> Iterator[ScriptedSwitch]:
    with ScriptedSwitch() as scripted:
        yield scripted


@pytest.fixture
def bare(switch: ScriptedSwitch) -> Iterator[InboundESL]:
    inbound = InboundESL("127.0.0.1", switch.port, "ClueCon")
    inbound.connect()
    yield inbound
    greenlets = [inbound._receive_events_greenlet, inbound._process_events_greenlet]
    gevent.killall(greenlets)
    inbound.sock.close()


class Ours:
    def __init__(self, url: str) -> None:
        self.events: list[Event] = []
        self.downs: list[str] = []
        self.ups = 0
        self.connection = Connection(
            url, self.events.append, self._up, self.downs.append, timeout=0.5
        )

    def _up(self) -> None:
        self.ups += 1


@pytest.fixture
def ours(switch: ScriptedSwitch) -> Iterator[Ours]:
    node = Ours(switch.url)
    node.connection.start()
    assert node.connection.wait_up(5)
    yield node
    node.connection.close()


def block_of(frame: bytes) -> bytes:
    [decoded] = Decoder().feed(frame)
    return decoded.body


def never(waiting: gevent.Greenlet) -> bool:
    waiting.join(LONG_ENOUGH)
    try:
        return not waiting.dead
    finally:
        waiting.kill()


def test_1_a_callers_name_forges_headers():
    name = f"evil\nUnique-ID: {OTHER}"
    headers = {"Unique-ID": CHANNEL, "Caller-Caller-ID-Name": name}
    block = block_of(event({"Event-Name": "CHANNEL_PARK", **headers}))
    assert ESLEvent(block.decode()).headers["Unique-ID"] == OTHER
    assert Event(block).uuid == CHANNEL


def test_2_a_body_forges_headers():
    headers = {"Event-Name": "BACKGROUND_JOB", "Job-UUID": OTHER}
    block = block_of(event(headers, b"+OK\nEvent-Name: CHANNEL_HANGUP_COMPLETE\n"))
    assert ESLEvent(block.decode()).headers["Event-Name"] == "CHANNEL_HANGUP_COMPLETE"
    got = Event(block)
    assert got.name == "BACKGROUND_JOB"
    assert got.body == "+OK\nEvent-Name: CHANNEL_HANGUP_COMPLETE\n"


def test_3_a_large_command_is_cut_and_a_reply_waited_for_without_end(
    switch: ScriptedSwitch, bare: InboundESL, ours: Ours
):
    assert never(gevent.spawn(bare.send, "api status " + "x" * 20_000_000))
    assert not switch.commands("api status")

    ours.connection.execute(CHANNEL, "set", "irisx_x=" + "x" * 4_000_000, timeout=10)
    assert switch.commands("sendmsg")[0].endswith("x" * 4_000_000)
    switch.answers["api status"] = None
    with pytest.raises(CommandTimeout):
        ours.connection.api(commands.status())


def test_4_a_command_waits_for_ever_when_the_socket_drops(
    switch: ScriptedSwitch, bare: InboundESL, ours: Ours
):
    switch.answers["api status"] = None
    waiting = gevent.spawn(bare.send, "api status")
    mine = gevent.spawn(ours.connection.api, commands.status(), 60)
    wait_until(lambda: len(switch.commands("api status")) == 2)
    switch.drop()
    with pytest.raises(Disconnected):
        mine.get(timeout=2)
    assert never(waiting)


def test_5_the_end_of_the_socket_is_not_told(switch: ScriptedSwitch, bare: InboundESL, ours: Ours):
    told: list[object] = []
    bare.register_handle("DISCONNECT", told.append)
    switch.drop()
    wait_until(lambda: ours.downs and not bare.connected)
    assert not told


def test_6_no_reconnect(switch: ScriptedSwitch, bare: InboundESL, ours: Ours):
    assert switch.sessions == 2
    switch.drop()
    wait_until(lambda: ours.ups == 2)
    assert switch.sessions == 3  # ours
    assert len(switch.commands("event plain ")) == 2
    assert not bare.connected


def test_7_one_latin_1_byte_makes_a_deaf_client(
    switch: ScriptedSwitch, bare: InboundESL, ours: Ours
):
    handled: list[object] = []
    bare.register_handle("CHANNEL_PARK", handled.append)
    job = event({"Event-Name": "BACKGROUND_JOB"}, "+OK Zoë".encode("latin-1"))
    switch.send(job + PARK)
    wait_until(lambda: len(ours.events) == 2)
    assert ours.events[0].body == "+OK Zo�"
    bare._receive_events_greenlet.join(5)
    assert (bare._receive_events_greenlet.dead, bare.connected) == (True, True)
    assert not handled


def test_8_a_handler_that_waits_stops_every_other_call(switch: ScriptedSwitch, bare: InboundESL):
    def wait_on_first(got: ESLEvent | Event) -> None:
        headers = got if isinstance(got, Event) else got.headers
        if headers["Unique-ID"] == CHANNEL:
            blocked.wait()
        else:
            others.append(got)

    blocked = Flag()
    others: list[object] = []
    bare.register_handle("CHANNEL_PARK", wait_on_first)
    parks = PARK + event({"Event-Name": "CHANNEL_PARK", "Unique-ID": OTHER})
    switch.send(parks)
    assert never(gevent.spawn(wait_until, lambda: others, 60))

    dispatcher = Dispatcher(wait_on_first, lambda got: got.uuid)
    connection = Connection(switch.url, dispatcher.dispatch)
    connection.start()
    assert connection.wait_up(5)
    switch.send(parks)
    wait_until(lambda: others)
    blocked.set()
    connection.close()


def test_8_a_handler_that_stops_the_client_waits_for_itself(
    switch: ScriptedSwitch, bare: InboundESL
):
    bare.register_handle("CHANNEL_PARK", lambda _: bare.stop())
    switch.send(PARK)
    wait_until(lambda: "exit" in switch.received)
    assert never(bare._process_events_greenlet)

    dispatcher = Dispatcher(lambda _: connection.close(), lambda got: got.uuid)
    connection = Connection(switch.url, dispatcher.dispatch)
    connection.start()
    assert connection.wait_up(5)
    switch.send(PARK)
    wait_until(lambda: not connection.up and dispatcher.active == 0)


def test_9_completions_are_matched_by_the_applications_name(switch: ScriptedSwitch, ours: Ours):
    left, right = real_socket.socketpair()
    session = OutboundSession(("", 0), left)
    first, second = AsyncResult(), AsyncResult()
    for result in (first, second):
        session.register_expected_event(
            "CHANNEL_EXECUTE_COMPLETE", "current_application", "playback", result
        )
    headers = {
        "Event-Name": "CHANNEL_EXECUTE_COMPLETE",
        "Unique-ID": CHANNEL,
        "variable_current_application": "playback",
    }
    second_done = event({**headers, "Application-UUID": "the second one"})
    session.on_event(ESLEvent(block_of(second_done).decode()))
    assert first.ready() and not second.ready()
    gevent.killall([session._receive_events_greenlet, session._process_events_greenlet])
    left.close()
    right.close()

    mine, next_one = ours.connection.execute_all(
        CHANNEL, [("playback", "/a.wav"), ("playback", "/b.wav")]
    )
    switch.send(event({**headers, "Application-UUID": next_one.event_uuid}))
    assert next_one.wait(2).uuid == CHANNEL
    with pytest.raises(CommandTimeout):
        mine.wait(0)


def test_10_the_accept_loop_polls(monkeypatch: pytest.MonkeyPatch):
    """We have none: the engine connects to the switch, whose own calls need no socket each."""
    sleeps: list[float] = []

    def sleep(seconds: float) -> None:
        sleeps.append(seconds)
        server.stop()

    server = OutboundESLServer("127.0.0.1", free_ports(1)[0], application=object)
    monkeypatch.setattr(greenswitch.esl.gevent, "sleep", sleep)
    server.listen()
    assert sleeps == [0.1]

    room = Path(irisx.telephony.esl.__file__).parent
    assert not [file for file in room.glob("*.py") if "Outbound" in file.read_text()]


def test_11_a_line_end_in_an_argument_is_a_second_command(
    switch: ScriptedSwitch, bare: InboundESL, ours: Ours
):
    hostile = "irisx_x=1\n\napi system touch /tmp/irisx-was-here"
    command = f"sendmsg {CHANNEL}\ncall-command: execute\nexecute-app-name: set\n"
    bare.send(f"{command}execute-app-arg: {hostile}")
    wait_until(lambda: switch.commands("api system"))
    switch.received.clear()
    with pytest.raises(UnsafeValue):
        ours.connection.execute(CHANNEL, "set", hostile)
    with pytest.raises(UnsafeValue):
        ours.connection.api(commands.uuid_setvar(CHANNEL, "irisx_x", hostile))
    assert not switch.received
