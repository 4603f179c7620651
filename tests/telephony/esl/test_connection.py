import gc
from collections.abc import Callable, Iterator

import gevent
import pytest

from irisx.telephony.esl import commands
from irisx.telephony.esl.connection import Address, Connection
from irisx.telephony.esl.errors import (
    AuthenticationFailed,
    ChannelGone,
    CommandRefused,
    CommandTimeout,
    Disconnected,
    UnsafeValue,
)
from irisx.telephony.esl.wire import Event
from tests.telephony.esl.scripted_switch import (
    CHANNEL,
    CORE,
    OTHER,
    ScriptedSwitch,
    api_response,
    event,
    head,
    reply,
)
from tests.waiting import wait_until


class Node:
    """A connection, and what it told its owner."""

    def __init__(self, url: str, **options: float) -> None:
        self.events: list[Event] = []
        self.ups = 0
        self.downs: list[str] = []
        self.during_up: Callable[[], object] = lambda: None
        self.connection = Connection(
            url, self.events.append, self._on_up, self.downs.append, **options
        )

    def _on_up(self) -> None:
        self.ups += 1
        self.during_up()


@pytest.fixture
def switch() -> Iterator[ScriptedSwitch]:
    with ScriptedSwitch() as scripted:
        yield scripted


@pytest.fixture
def node(switch: ScriptedSwitch) -> Iterator[Node]:
    node = Node(switch.url, timeout=0.3, keep_alive=30)
    node.connection.start()
    assert node.connection.wait_up(5)
    yield node
    node.connection.close()


def job_done(job: str, body: bytes) -> bytes:
    return event({"Event-Name": "BACKGROUND_JOB", "Job-UUID": job}, body)


def executed(execution: str, channel: str = CHANNEL) -> bytes:
    return event(
        {
            "Event-Name": "CHANNEL_EXECUTE_COMPLETE",
            "Unique-ID": channel,
            "Application": "playback",
            "Application-UUID": execution,
        }
    )


def hung_up(channel: str = CHANNEL) -> bytes:
    return event(
        {
            "Event-Name": "CHANNEL_HANGUP_COMPLETE",
            "Unique-ID": channel,
            "Hangup-Cause": "USER_BUSY",
        }
    )


# -- coming up and going down -------------------------------------------------------------------


def test_authenticates_and_subscribes_before_it_is_up(switch: ScriptedSwitch):
    node = Node(switch.url)
    node.during_up = lambda: seen.extend(switch.received)
    seen: list[str] = []
    node.connection.start()
    assert node.connection.wait_up(5)
    wait_until(lambda: node.ups)
    node.connection.close()
    assert seen[0] == "auth ClueCon"
    [subscription] = switch.commands("event plain ")
    assert subscription in seen
    assert subscription.endswith(" CUSTOM sofia::gateway_state sofia::register")
    assert " ALL" not in subscription
    assert node.connection.core_uuid == CORE


@pytest.mark.parametrize(
    "url", ["", "esl://host:1", "http://:x@h:1", "esl://:x@:1", "esl://:x@h:port"]
)
def test_a_wrong_url_is_refused(url: str):
    with pytest.raises(ValueError):
        Address.parse(url)


def test_url_parts():
    assert Address.parse("esl://:a%40b%20c@node1") == Address("node1", 8021, "a@b c")
    assert "secret" not in str(Address.parse("esl://:secret@node1:8021"))


def test_a_wrong_password_is_told_and_tried_again(switch: ScriptedSwitch):
    node = Node(switch.url.replace("ClueCon", "wrong"))
    node.connection.start()
    wait_until(lambda: switch.sessions >= 2)
    assert isinstance(node.connection.last_error, AuthenticationFailed)
    assert not node.connection.up
    switch.answers["auth "] = reply("+OK accepted")
    assert node.connection.wait_up(5)
    node.connection.close()


def test_a_host_that_the_acl_refuses(switch: ScriptedSwitch):
    switch.greeting = head(Content_Type="text/rude-rejection", Content_Length=24)
    switch.greeting += b"Access Denied, go away.\n"
    node = Node(switch.url)
    node.connection.start()
    wait_until(lambda: isinstance(node.connection.last_error, AuthenticationFailed))
    node.connection.close()


def test_a_switch_that_says_nothing_is_left_and_tried_again(switch: ScriptedSwitch):
    switch.greeting = b""
    node = Node(switch.url, timeout=0.05)
    node.connection.start()
    wait_until(lambda: switch.sessions >= 2)
    assert isinstance(node.connection.last_error, Disconnected)
    node.connection.close()


def test_waits_for_a_switch_that_is_not_there_yet():
    with ScriptedSwitch() as gone:
        port = gone.port
    node = Node(f"esl://:ClueCon@127.0.0.1:{port}")
    node.connection.start()
    wait_until(lambda: node.connection.last_error)
    with pytest.raises(Disconnected):
        node.connection.api(commands.status())
    with ScriptedSwitch(port=port):
        assert node.connection.wait_up(5)
        node.connection.close()


@pytest.mark.parametrize("reset", [False, True])
def test_reconnects_and_resubscribes(switch: ScriptedSwitch, node: Node, reset: bool):
    other_core = CORE.replace("1", "9")
    switch.answers["api global_getvar core_uuid"] = api_response(other_core)
    switch.drop(reset=reset)
    wait_until(lambda: node.ups == 2)
    assert len(node.downs) == 1
    assert len(switch.commands("event plain ")) == 2
    assert node.connection.core_uuid == other_core
    switch.send(hung_up())
    wait_until(lambda: [each.name for each in node.events] == ["CHANNEL_HANGUP_COMPLETE"])


def test_a_refused_subscription_is_no_connection(switch: ScriptedSwitch):
    switch.answers["event "] = reply("-ERR permission denied")
    node = Node(switch.url)
    node.connection.start()
    wait_until(lambda: isinstance(node.connection.last_error, CommandRefused))
    assert (node.connection.up, node.ups) == (False, 0)
    node.connection.close()


def test_a_disconnect_notice_ends_the_session(switch: ScriptedSwitch, node: Node):
    switch.send(head(Content_Type="text/disconnect-notice", Content_Length=5) + b"Bye.\n")
    wait_until(lambda: node.downs and node.ups == 2)


@pytest.mark.parametrize(
    "garbage",
    [
        b"Content-Type: api/response\nContent-Length: -1\n\n",
        b"Content-Type: api/response\nContent-Length: 99999999999\n\n",
        b"x" * 70_000,
        reply("+OK to a command that nobody sent"),
    ],
    ids=["negative", "absurd", "endless", "unasked"],
)
def test_what_is_no_protocol_ends_the_session(switch: ScriptedSwitch, node: Node, garbage: bytes):
    switch.send(garbage)
    wait_until(lambda: node.downs and node.ups == 2)
    assert node.connection.api(commands.status()) == "+OK"


def test_a_silent_peer_is_left(switch: ScriptedSwitch):
    node = Node(switch.url, timeout=0.1, keep_alive=0.1)
    node.connection.start()
    assert node.connection.wait_up(5)
    switch.answers["api global_getvar core_uuid"] = None
    wait_until(lambda: node.downs)
    assert "silent" in node.downs[0]
    node.connection.close()


def test_a_peer_that_answers_is_kept(switch: ScriptedSwitch):
    node = Node(switch.url, timeout=0.5, keep_alive=0.02)
    node.connection.start()
    assert node.connection.wait_up(5)
    wait_until(lambda: len(switch.commands("api global_getvar")) > 3)
    assert not node.downs
    node.connection.close()


def test_a_failing_callback_does_not_end_the_connection(switch: ScriptedSwitch, node: Node):
    def fail() -> None:
        raise RuntimeError("owner's bug")

    node.during_up = fail
    switch.drop()
    wait_until(lambda: node.ups == 2)
    switch.drop()
    wait_until(lambda: node.ups == 3)


def test_a_drop_ends_what_on_up_waits_for(switch: ScriptedSwitch, node: Node):
    def recover() -> None:
        job = node.connection.bgapi(commands.uuid_park(CHANNEL))
        try:
            job.wait(60)
        except Disconnected as error:
            gone.append(error)

    gone: list[Disconnected] = []
    node.during_up = recover
    switch.drop()
    wait_until(lambda: switch.commands("bgapi"))
    switch.drop()
    wait_until(lambda: gone and len(node.downs) == 2)


def test_close_ends_it_for_good(switch: ScriptedSwitch, node: Node):
    node.connection.close()
    assert node.downs == ["closed by the engine"]
    assert not node.connection.up
    with pytest.raises(Disconnected):
        node.connection.api(commands.status())


# -- commands -----------------------------------------------------------------------------------


def test_api_gives_the_body(switch: ScriptedSwitch, node: Node):
    switch.answers[f"api uuid_getvar {CHANNEL}"] = api_response("Zoë\n")
    assert node.connection.api(commands.uuid_getvar(CHANNEL, "x")) == "Zoë"


def test_latin_1_in_a_reply_harms_nothing(switch: ScriptedSwitch, node: Node):
    switch.answers["api uuid_getvar"] = api_response(b"Zo\xeb")
    assert node.connection.api(commands.uuid_getvar(CHANNEL, "x")) == "Zo�"
    assert node.connection.api(commands.status()) == "+OK"


def test_a_refusal_is_an_error_with_its_text(switch: ScriptedSwitch, node: Node):
    refusal = api_response("-ERR No such channel!\n")
    switch.answers["api uuid_kill"] = refusal
    switch.answers["sendmsg"] = reply("-ERR invalid")
    with pytest.raises(CommandRefused) as refused:
        node.connection.api(commands.uuid_kill(CHANNEL))
    assert refused.value.text == "-ERR No such channel!"
    with pytest.raises(CommandRefused):
        node.connection.execute(CHANNEL, "answer")


def test_a_late_reply_is_not_given_to_the_next_command(switch: ScriptedSwitch, node: Node):
    switch.answers["api status"] = None
    switch.answers["api version"] = api_response("1.10")
    with pytest.raises(CommandTimeout):
        node.connection.api(commands.status())
    assert not node.downs
    waiting = gevent.spawn(node.connection.api, commands.version())
    wait_until(lambda: switch.commands("api version"))
    # The switch answers in order: the version's answer can't have come before the status.
    with pytest.raises(CommandTimeout):
        waiting.get()
    switch.send(api_response("UP 0 years"))
    assert node.connection.api(commands.version()) == "1.10"


def test_pipeline_is_one_write_and_replies_in_order(switch: ScriptedSwitch, node: Node):
    names = [f"irisx_{number}" for number in range(50)]
    switch.answers |= {f"api uuid_getvar {CHANNEL} {name}": api_response(name) for name in names}
    batch = [commands.uuid_getvar(CHANNEL, name).foreground for name in names]
    assert node.connection.pipeline(batch) == names


def test_a_refusal_in_a_pipeline_leaves_the_replies_in_step(switch: ScriptedSwitch, node: Node):
    switch.answers["api uuid_kill"] = api_response("-ERR gone")
    switch.answers["api version"] = api_response("1.10")
    batch = [commands.uuid_kill(CHANNEL).foreground, commands.status().foreground]
    with pytest.raises(CommandRefused):
        node.connection.pipeline(batch)
    assert node.connection.api(commands.version()) == "1.10"


def test_answers_say_which_were_refused(switch: ScriptedSwitch, node: Node):
    switch.answers["api uuid_dump"] = api_response("-ERR No such channel!\n")
    switch.answers["api version"] = api_response("1.10\n")
    batch = [commands.version(), commands.uuid_dump(CHANNEL), commands.version()]
    assert node.connection.answers(batch) == ["1.10", None, "1.10"]


def test_greenlets_that_share_the_connection_get_their_own_replies(
    switch: ScriptedSwitch, node: Node
):
    uuids = [f"{number:08x}-0000-4000-8000-000000000000" for number in range(40)]
    switch.answers |= {f"api uuid_getvar {uuid}": api_response(uuid) for uuid in uuids}
    asked = [
        gevent.spawn(node.connection.api, commands.uuid_getvar(uuid, "x"), 5) for uuid in uuids
    ]
    assert [each.get() for each in asked] == uuids


def test_a_large_command_arrives_whole(switch: ScriptedSwitch, node: Node):
    argument = "irisx_x=" + "x" * 3_000_000
    execution = node.connection.execute(CHANNEL, "set", argument, timeout=10)
    [command] = switch.commands("sendmsg")
    assert command.endswith(argument)
    assert f"Event-UUID: {execution.event_uuid}\n" in command


def test_large_commands_of_two_greenlets_do_not_mix(switch: ScriptedSwitch, node: Node):
    arguments = [f"irisx_x={letter * 12_000_000}" for letter in "ab"]
    sent = [
        gevent.spawn(node.connection.execute, CHANNEL, "set", argument, timeout=10)
        for argument in arguments
    ]
    gevent.joinall(sent, raise_error=True)
    bodies = [command.rpartition("\n")[2] for command in switch.commands("sendmsg")]
    assert sorted(bodies) == arguments


@pytest.mark.parametrize("cut", [b"", b"Content-Type: api/resp", api_response("y" * 100)[:-50]])
def test_pending_commands_fail_at_once_when_the_socket_drops(
    switch: ScriptedSwitch, node: Node, cut: bytes
):
    switch.answers["api status"] = None
    waiting = [gevent.spawn(node.connection.api, commands.status(), 60) for _ in range(3)]
    wait_until(lambda: len(switch.commands("api status")) == 3)
    if cut:
        switch.send(cut)
    switch.drop()
    for each in waiting:
        with pytest.raises(Disconnected):
            each.get(timeout=2)
    wait_until(lambda: node.ups == 2)


def test_a_peer_that_stops_reading_costs_its_session_not_the_engine(
    switch: ScriptedSwitch, node: Node
):
    switch.reading.clear()
    node.connection.api(commands.status())  # the one that it was about to read
    with pytest.raises(CommandTimeout):
        node.connection.execute(CHANNEL, "set", "irisx_x=" + "x" * 12_000_000)
    # Part of the command is on the wire: the session is of no use any more.
    wait_until(lambda: len(node.downs) == 1)
    switch.reading.set()
    wait_until(lambda: node.ups == 2)
    assert node.connection.api(commands.status()) == "+OK"


def test_the_reader_cannot_be_made_to_wait_for_itself(switch: ScriptedSwitch):
    errors: list[Exception] = []

    def ask(_: Event) -> None:
        try:
            connection.api(commands.status())
        except RuntimeError as error:
            errors.append(error)

    connection = Connection(switch.url, ask)
    connection.start()
    assert connection.wait_up(5)
    switch.send(hung_up())
    wait_until(lambda: errors)
    assert connection.api(commands.status()) == "+OK"
    connection.close()


def test_an_exception_in_on_event_does_not_deafen_the_reader(switch: ScriptedSwitch):
    names: list[str] = []

    def fail(got: Event) -> None:
        names.append(got.name)
        raise RuntimeError("owner's bug")

    connection = Connection(switch.url, fail)
    connection.start()
    assert connection.wait_up(5)
    switch.send(hung_up() + executed(OTHER))
    wait_until(lambda: len(names) == 2)
    connection.close()


def test_unsafe_values_are_never_written(switch: ScriptedSwitch, node: Node):
    before = len(switch.received)
    with pytest.raises(UnsafeValue):
        node.connection.execute(CHANNEL, "playback", "a\n\napi system touch /tmp/x")
    with pytest.raises(UnsafeValue):
        node.connection.execute(CHANNEL, "set", "a=${system(touch /tmp/x)}")
    assert len(switch.received) == before


# -- jobs and executions ------------------------------------------------------------------------


def test_a_job_gives_its_result(switch: ScriptedSwitch, node: Node):
    job = node.connection.bgapi(commands.uuid_park(CHANNEL))
    assert switch.commands("bgapi") == [f"bgapi uuid_park {CHANNEL}\nJob-UUID: {job.uuid}"]
    switch.send(job_done(OTHER, b"+OK other\n") + job_done(job.uuid, b"+OK mine\n"))
    assert job.wait(2) == "+OK mine"
    assert [each["Job-UUID"] for each in node.events] == [OTHER, job.uuid]


def test_a_job_that_is_done_before_its_reply(switch: ScriptedSwitch, node: Node):
    switch.answers["bgapi "] = None
    started = gevent.spawn(node.connection.bgapi, commands.uuid_park(CHANNEL), 5)
    wait_until(lambda: switch.commands("bgapi"))
    uuid = switch.commands("bgapi")[0].rsplit(" ", 1)[1]
    switch.send(job_done(uuid, b"+OK") + reply("+OK Job-UUID"))
    assert started.get().wait(2) == "+OK"


def test_a_job_that_fails(switch: ScriptedSwitch, node: Node):
    job = node.connection.bgapi(commands.originate([commands.gateway("gw", "1")], {}))
    switch.send(job_done(job.uuid, b"-ERR USER_BUSY\n"))
    with pytest.raises(CommandRefused) as refused:
        job.wait(2)
    assert refused.value.text == "-ERR USER_BUSY"


def test_a_job_that_takes_too_long(node: Node):
    with pytest.raises(CommandTimeout):
        node.connection.bgapi(commands.uuid_park(CHANNEL)).wait(0.01)


def test_an_execution_is_matched_by_its_own_id(switch: ScriptedSwitch, node: Node):
    first, second = node.connection.execute_all(
        CHANNEL, [("playback", "/a.wav"), ("playback", "/b.wav")]
    )
    switch.send(executed(OTHER) + executed(second.event_uuid, OTHER) + executed(second.event_uuid))
    assert second.wait(2)["Application-UUID"] == second.event_uuid
    with pytest.raises(CommandTimeout):
        first.wait(0.01)
    switch.send(executed(first.event_uuid))
    assert first.wait(2)["Application-UUID"] == first.event_uuid


def test_steps_are_locked_so_that_they_run_one_after_the_other(switch: ScriptedSwitch, node: Node):
    node.connection.execute_all(CHANNEL, [("playback", "/a.wav"), ("playback", "/b.wav")])
    assert all("\nevent-lock: true\n" in sent for sent in switch.commands("sendmsg"))
    node.connection.execute(CHANNEL, "playback", "/a.wav", event_lock=False)
    assert "event-lock" not in switch.commands("sendmsg")[2]


def test_a_hangup_ends_what_waits_on_that_channel_only(switch: ScriptedSwitch, node: Node):
    mine = node.connection.execute(CHANNEL, "playback", "/a.wav")
    other = node.connection.execute(OTHER, "playback", "/a.wav")
    switch.send(hung_up())
    with pytest.raises(ChannelGone) as gone:
        mine.wait(2)
    assert (gone.value.channel, gone.value.cause) == (CHANNEL, "USER_BUSY")
    switch.send(executed(other.event_uuid, OTHER))
    assert other.wait(2).uuid == OTHER


def test_a_drop_ends_what_waits(switch: ScriptedSwitch, node: Node):
    job = node.connection.bgapi(commands.uuid_park(CHANNEL))
    execution = node.connection.execute(CHANNEL, "playback", "/a.wav")
    switch.drop()
    with pytest.raises(Disconnected):
        job.wait(2)
    with pytest.raises(Disconnected):
        execution.wait(2)


def test_nothing_is_kept_of_what_nobody_waits_for(node: Node):
    node.connection.bgapi(commands.uuid_park(CHANNEL))
    node.connection.execute(CHANNEL, "playback", "/a.wav")
    gc.collect()
    assert (len(node.connection._jobs), len(node.connection._waits)) == (0, 0)


def test_low_latency_pokes_while_somebody_is_inside(switch: ScriptedSwitch, node: Node):
    assert "" not in switch.received
    with node.connection.low_latency(), node.connection.low_latency():
        wait_until(lambda: switch.received.count("") >= 3)
        assert node.connection.api(commands.status()) == "+OK"
    wait_until(lambda: not node.connection._hurrier)
    poked = switch.received.count("")
    assert node.connection.api(commands.status()) == "+OK"
    assert switch.received.count("") == poked
