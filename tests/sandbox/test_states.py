"""A channel only ever moves along the table, whatever commands come."""

from collections import defaultdict
from itertools import pairwise

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from irisx.sandbox.states import CAUSES, SIP_CAUSES, TRANSITIONS, State, cause_named
from tests.sandbox.client import Client
from tests.sandbox.process import Sandbox

COMMANDS = [
    "api uuid_bridge {a} {b}",
    "api uuid_bridge {b} {c}",
    "api uuid_bridge {c} {a}",
    "api uuid_park {a}",
    "api uuid_park {b}",
    "api uuid_transfer {a} park inline",
    "api uuid_transfer {b} -both set:x=y,park inline",
    "api uuid_transfer {a} nowhere XML carriers",
    "api uuid_hold toggle {a}",
    "api uuid_setvar {a} park_after_bridge true",
    "api uuid_setvar {b} transfer_after_bridge park:inline",
    "api uuid_kill {c}",
    "api uuid_break {a} all",
    "sendmsg {a}\ncall-command: execute\nexecute-app-name: playback\nexecute-app-arg: silence_stream://500",
    "sendmsg {b}\ncall-command: execute\nexecute-app-name: bridge\n"
    "execute-app-arg: sofia/gateway/x/+15555550108",
    "sendmsg {c}\ncall-command: execute\nexecute-app-name: eavesdrop\nexecute-app-arg: {a}",
    "sendmsg {a}\ncall-command: hangup",
]


@settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.lists(st.sampled_from(COMMANDS), min_size=1, max_size=12))
def test_no_commands_lead_a_channel_off_the_table(
    fast_sandbox: Sandbox, commands: list[str]
) -> None:
    with Client(fast_sandbox.port, fast_sandbox.password) as client:
        client.command("event plain ALL")
        legs = {name: client.parked() for name in "abc"}
        for command in commands:
            client.command(command.format(**legs))
        client.api("hupall")
        for leg in legs.values():
            client.wait("CHANNEL_DESTROY", leg)
        paths = defaultdict(list)
        for event in client.events:
            if event["Event-Name"] == "CHANNEL_STATE":
                paths[event["Unique-ID"]].append(State[event["Channel-State"]])
    for path in paths.values():
        assert path[0] is State.CS_INIT
        for before, after in pairwise(path):
            assert after is before or after in reachable(before), path
    assert "Traceback" not in fast_sandbox.log


def reachable(state: State) -> set[State]:
    """A handler may not have had time to run between two moves."""
    direct = TRANSITIONS[state]
    return set(direct) | {later for middle in direct for later in TRANSITIONS[middle]}


def test_a_hang_up_ends_in_destruction_only() -> None:
    assert TRANSITIONS[State.CS_HANGUP] == {State.CS_REPORTING}
    assert TRANSITIONS[State.CS_REPORTING] == {State.CS_DESTROY}
    assert TRANSITIONS[State.CS_DESTROY] == set()


@pytest.mark.parametrize(
    ("text", "cause"),
    [
        ("USER_BUSY", "USER_BUSY"),
        ("allotted_timeout", "ALLOTTED_TIMEOUT"),
        ("17", "USER_BUSY"),
        ("NOPE", "NORMAL_CLEARING"),
        ("", "NORMAL_CLEARING"),
    ],
)
def test_causes_are_read_as_freeswitch_reads_them(text: str, cause: str) -> None:
    assert cause_named(text) == cause


def test_every_sip_response_maps_to_a_known_cause() -> None:
    assert set(SIP_CAUSES.values()) <= set(CAUSES)
