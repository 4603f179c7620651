"""The room against a real FreeSWITCH."""

import os
import signal
import socket
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import gevent
import pytest
from greenswitch.esl import InboundESL

from irisx.telephony.esl import commands
from irisx.telephony.esl.commands import Api, Endpoint
from irisx.telephony.esl.connection import Connection
from irisx.telephony.esl.errors import (
    AuthenticationFailed,
    ChannelGone,
    CommandRefused,
    Disconnected,
    UnsafeValue,
)
from irisx.telephony.esl.wire import Event
from tests.switches import FreeSwitch, needs_freeswitch
from tests.waiting import wait_until

pytestmark = [needs_freeswitch, pytest.mark.xdist_group("freeswitch")]

# A far end in the same switch that waits, unanswered, in a parked channel of its own.
FAR = Endpoint("loopback/park/default/inline")
SILENCE = ("playback", "silence_stream://20")


class Node:
    """A connection to the switch of the tests, its events kept."""

    def __init__(self, url: str) -> None:
        self.events: list[Event] = []
        self.downs: list[str] = []
        self.ups = 0
        self.connection = Connection(url, self.events.append, self._up, self.downs.append)
        self.api = self.connection.api

    def _up(self) -> None:
        self.ups += 1

    def wait_for(self, name: str, **headers: str) -> Event:
        """The first event of that name with such headers, "uuid" short for Unique-ID."""
        wanted = {"Unique-ID" if key == "uuid" else key: value for key, value in headers.items()}

        def found() -> Event | None:
            events = [event for event in self.events if event.name == name]
            return next((event for event in events if wanted.items() <= event.items()), None)

        return wait_until(found)

    def call(self, **variables: str) -> str:
        """An answered, parked leg; its uuid."""
        uuid = str(uuid4())
        every = {"origination_uuid": uuid, "park_timeout": "60", **variables}
        job = self.connection.bgapi(commands.originate([FAR], every))
        far = self.far_of(uuid)
        self.api(commands.uuid_answer(far))
        assert job.wait(5) == f"+OK {uuid}"
        return uuid

    def far_of(self, uuid: str) -> str:
        return self.wait_for("CHANNEL_PARK", variable_other_loopback_leg_uuid=uuid)["Unique-ID"]


@pytest.fixture(scope="module")
def switch() -> Iterator[FreeSwitch]:
    with FreeSwitch() as freeswitch:
        yield freeswitch


@pytest.fixture
def node(switch: FreeSwitch) -> Iterator[Node]:
    node = Node(switch.esl_url)
    node.connection.start()
    assert node.connection.wait_up(5)
    yield node
    switch.api("hupall")
    node.connection.close()


def test_knows_which_run_of_the_switch_it_is(switch: FreeSwitch, node: Node):
    assert node.connection.core_uuid == switch.api("global_getvar core_uuid")


def test_asking_for_api_expansion_does_not_turn_it_on(switch: FreeSwitch, node: Node):
    for _ in range(2):
        assert node.api(commands.api_expansion()) == "+OK api_expansion is off "


def test_a_wrong_password(switch: FreeSwitch):
    node = Node(switch.esl_url.replace("test-", "wrong-"))
    node.connection.start()
    wait_until(lambda: isinstance(node.connection.last_error, AuthenticationFailed))
    node.connection.close()


def test_originate_with_variables_that_need_quoting(node: Node):
    values = {
        "origination_caller_id_name": "Ann, Zoë & the 1st = 100%",
        "irisx_x": "a;b:c/d@e,f  g#h!i~j% $5",
    }
    uuid = node.call(**values)
    for name, value in values.items():
        assert node.api(commands.uuid_getvar(uuid, name)) == value
    answered = node.wait_for("CHANNEL_ANSWER", uuid=uuid)
    assert answered.variable("irisx_x") == values["irisx_x"]
    assert answered["Core-UUID"] == node.connection.core_uuid
    assert answered.sequence > node.wait_for("CHANNEL_ORIGINATE", uuid=uuid).sequence


def test_legs_in_turn_with_ids_of_their_own(node: Node):
    first, second = str(uuid4()), str(uuid4())
    legs = [
        FAR.having({"origination_uuid": uuid, "irisx_leg": f"leg {uuid},1"})
        for uuid in (first, second)
    ]
    job = node.connection.bgapi(commands.originate(legs, {"irisx_all": "yes"}, in_turn=True))
    node.api(commands.uuid_kill(node.far_of(first), "NORMAL_TEMPORARY_FAILURE"))
    node.api(commands.uuid_answer(node.far_of(second)))
    assert job.wait(5) == f"+OK {second}"
    assert node.api(commands.uuid_getvar(second, "irisx_leg")) == f"leg {second},1"
    assert node.api(commands.uuid_getvar(second, "irisx_all")) == "yes"


def test_a_far_end_that_is_busy(node: Node):
    uuid = str(uuid4())
    job = node.connection.bgapi(commands.originate([FAR], {"origination_uuid": uuid}))
    node.api(commands.uuid_kill(node.far_of(uuid), "USER_BUSY"))
    with pytest.raises(CommandRefused) as refused:
        job.wait(5)
    assert refused.value.text == "-ERR USER_BUSY"
    assert node.api(commands.uuid_exists(uuid)) == "false"


@pytest.mark.parametrize(
    "value",
    ["plain", "$5", "100%", "it's a dog's", "a\\b", "\\n", "\\\\n", "{x}", " outer ", "a  b", "\\",
     "'", "^^:x", '"q"', "a=b", "Zoë", "%0A", "$\\{x}", "[a,b]|c", '{"a": "b=\\"c\\""}'],
)  # fmt: skip
def test_a_variable_arrives_as_it_is(node: Node, value: str):
    uuid = node.call()
    node.api(commands.uuid_setvar(uuid, "irisx_x", value))
    assert node.api(commands.uuid_getvar(uuid, "irisx_x")) == value
    if "%0A" not in value:  # on the wire FreeSWITCH takes that for encoded already
        dump = Event(node.api(commands.uuid_dump(uuid)).encode())
        assert dump.variable("irisx_x") == value
    if "\\" not in value:
        argument = commands.assignment("irisx_y", value)
        node.connection.execute(uuid, "set", argument).wait(5)
        assert node.api(commands.uuid_getvar(uuid, "irisx_y")) == value.rstrip(" ") or value


@pytest.mark.parametrize(
    "value", ["it's", "a = b", "\\n", " outer ", '{"a": "b=\\"c\\"", "d": [1, 2]}', "$5"]
)
def test_a_node_variable_arrives_as_it_is(node: Node, value: str):
    node.api(commands.global_setvar("irisx_x", value))
    assert node.api(commands.global_getvar("irisx_x")) == value


def test_a_pipeline_runs_in_order_and_is_told_step_by_step(node: Node):
    uuid = node.call()
    executions = node.connection.execute_all(uuid, [SILENCE] * 10)
    executions[-1].wait(5)
    done = [event for event in node.events if event.name == "CHANNEL_EXECUTE_COMPLETE"]
    order = [event["Application-UUID"] for event in done if event.uuid == uuid]
    assert order == [execution.event_uuid for execution in executions]
    assert all(execution.wait(0)["Application"] == "playback" for execution in executions)


def test_a_hangup_ends_the_wait(node: Node):
    uuid = node.call()
    execution = node.connection.execute(uuid, "playback", "silence_stream://-1")
    last = node.connection.execute(uuid, "playback", "silence_stream://-1")
    node.wait_for("CHANNEL_ANSWER", uuid=uuid)
    node.api(commands.uuid_kill(uuid, "USER_BUSY"))
    with pytest.raises(ChannelGone) as gone:
        last.wait(5)
    assert gone.value.cause == "USER_BUSY"
    with pytest.raises(CommandRefused):
        node.connection.execute(uuid, *SILENCE)
    del execution


def test_digits_are_gathered(node: Node):
    uuid = node.call()
    argument = commands.gather(
        minimum=1,
        maximum=4,
        tries=1,
        timeout_ms=3000,
        terminators="#",
        prompt="silence_stream://2000",
        invalid_prompt="silence_stream://20",
        variable="irisx_digits",
        pattern="^[0-9]{1,4}$",
        digit_timeout_ms=2000,
    )
    gathered = node.connection.execute(uuid, "play_and_get_digits", argument)
    node.api(commands.uuid_recv_dtmf(uuid, "42#"))
    assert gathered.wait(6).variable("irisx_digits") == "42"


def test_every_command_is_one_that_the_switch_knows(node: Node, tmp_path: Path):
    uuid, other = node.call(), node.call()
    file = str(tmp_path / "a.wav")
    for command in (
        commands.status(),
        commands.version(),
        commands.show_channels(),
        commands.show_channels_count(),
        commands.sessions_per_second(500),
        commands.reload_acl(),
        commands.reload_xml(),
        commands.sofia_rescan("carriers"),
        commands.sched_hangup(uuid, 600),
        commands.sched_del(uuid),
        commands.uuid_setvar_multi(uuid, {"irisx_a": "1", "irisx_b": "7:X_Y"}),
        commands.uuid_mute(uuid),
        commands.uuid_unmute(uuid),
        commands.uuid_record_start(uuid, file, options={"RECORD_STEREO": "true"}),
        commands.uuid_record_mask(uuid, file),
        commands.uuid_record_unmask(uuid, file),
        commands.uuid_record_stop(uuid, file),
        commands.uuid_broadcast(uuid, "tone_stream://%(20,0,500)"),
        commands.uuid_break(uuid, everything=True),
        commands.uuid_send_dtmf(uuid, "1w2"),
        commands.uuid_flush_dtmf(uuid),
        commands.uuid_transfer_to_park(uuid),
        commands.uuid_hold(uuid),
        commands.hash_insert("irisx", "fence", "7"),
        commands.uuid_bridge(uuid, other),
    ):
        node.api(command)
    node.wait_for("RECORD_STOP", uuid=uuid)
    assert node.api(commands.uuid_getvar(uuid, "irisx_b")) == "7:X_Y"
    assert node.api(commands.hash_select("irisx", "fence")) == "7"
    node.api(commands.hash_delete("irisx", "fence"))
    node.wait_for("CHANNEL_BRIDGE", uuid=uuid)


def test_a_bridge_with_a_dial_string(node: Node):
    uuid, other = node.call(), str(uuid4())
    variables = {"origination_uuid": other, "irisx_x": "a b,c"}
    node.connection.execute(uuid, "bridge", commands.dial_string([FAR], variables))
    node.api(commands.uuid_answer(node.far_of(other)))
    node.wait_for("CHANNEL_BRIDGE", uuid=uuid)
    assert node.api(commands.uuid_getvar(other, "irisx_x")) == "a b,c"


def test_no_shell_runs(switch: FreeSwitch, node: Node, tmp_path: Path):
    uuid = node.call()
    touched = tmp_path / "touched"
    hostile = f"${{system(touch {touched})}}"
    bare = InboundESL(switch.ip, switch.esl_port, switch.esl_password)
    bare.connect()
    head = f"sendmsg {uuid}\ncall-command: execute\nexecute-app-name: set\nevent-lock: true\n"
    # As FreeSWITCH comes, what a stranger typed runs in a shell ...
    switch.api("fsctl api_expansion on")
    bare.send(f"{head}execute-app-arg: irisx_x={hostile}")
    wait_until(touched.exists)
    touched.unlink()
    # ... and no builder lets it through ...
    for build in (
        lambda: node.connection.execute(uuid, "set", f"irisx_x={hostile}"),
        lambda: node.connection.execute(uuid, "playback", hostile),
        lambda: node.api(commands.uuid_setvar(uuid, "irisx_x", hostile)),
        lambda: node.api(commands.uuid_setvar(uuid, "api_hangup_hook", f"system touch {touched}")),
        lambda: node.connection.bgapi(commands.originate([FAR], {"irisx_x": hostile})),
        lambda: node.api(Api(f"expand {hostile}")),
    ):
        with pytest.raises(UnsafeValue):
            build()
    # ... and with the configuration of IRISX it would not run even so.
    switch.api("fsctl api_expansion off")
    bare.send(f"{head}execute-app-arg: irisx_x={hostile}")
    node.connection.execute(uuid, *SILENCE).wait(5)
    assert not touched.exists()
    gevent.killall([bare._receive_events_greenlet, bare._process_events_greenlet])
    bare.sock.close()


def test_hostile_and_broken_caller_names(switch: FreeSwitch, node: Node):
    uuid = str(uuid4())
    name = b"Zo\xeb\\nUnique-ID: 0\\nEvent-Name: CHANNEL_HANGUP_COMPLETE"
    quoted = name.replace(b" ", b"\\s")
    with socket.create_connection((switch.ip, switch.esl_port)) as raw:
        raw.sendall(
            f"auth {switch.esl_password}\n\nbgapi originate {{origination_uuid={uuid},"
            "origination_caller_id_name=".encode()
            + quoted
            + f"}}{FAR.text} &park()\n\n".encode()
        )
        parked = node.wait_for("CHANNEL_PARK", variable_other_loopback_leg_uuid=uuid)
    raw_name = parked.raw("Caller-Caller-ID-Name")
    assert raw_name.startswith(b"Zo\xeb")
    assert parked["Caller-Caller-ID-Name"].startswith("Zo�")
    created = node.wait_for("CHANNEL_ORIGINATE", uuid=uuid)
    assert created.name == "CHANNEL_ORIGINATE"
    assert node.api(commands.uuid_exists(uuid)) == "true"


def test_a_switch_that_is_killed_and_comes_back(switch: FreeSwitch, node: Node):
    uuid = node.call()
    core = node.connection.core_uuid
    execution = node.connection.execute(uuid, "playback", "silence_stream://-1")
    os.kill(switch.pid, signal.SIGKILL)
    with pytest.raises(Disconnected):
        execution.wait(2)
    wait_until(lambda: node.downs)
    switch.stop()
    switch.start()
    assert node.connection.wait_up(5)
    assert node.connection.core_uuid != core
    assert node.api(commands.uuid_exists(uuid)) == "false"
    assert node.ups == 2
