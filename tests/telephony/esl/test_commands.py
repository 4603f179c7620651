import inspect
import re
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from irisx.telephony.esl import commands
from irisx.telephony.esl.commands import Api, Command, Endpoint, Leg
from irisx.telephony.esl.errors import UnsafeValue
from tests.telephony.esl.scripted_switch import CHANNEL, OTHER

HOSTILE = [
    "a\nUnique-ID: b",
    "a\rb",
    "a\0b",
    "a\x1bb",
    "a\udcffb",
    "${system(touch /tmp/x)}",
    "$${system(touch /tmp/x)}",
    "\\${system(touch /tmp/x)}",
    "$(touch /tmp/x)",
]

GATHER = {
    "minimum": 1,
    "maximum": 4,
    "tries": 3,
    "timeout_ms": 5000,
    "terminators": "#",
    "prompt": "/var/prompts/menu.wav",
    "invalid_prompt": "silence_stream://250",
    "variable": "irisx_digits",
    "pattern": "^[0-9]{1,4}$",
    "digit_timeout_ms": 2000,
}
FAR = commands.gateway("carrier-1", "+15555550100")

# Every builder with arguments that it takes, and the bytes or text that it makes of them.
BUILDERS: list[tuple[Callable[..., Any], dict[str, Any], str]] = [
    (commands.auth, {"password": "s3cret pass"}, "auth s3cret pass\n\n"),
    (
        commands.subscribe,
        {"events": ["DTMF", "HEARTBEAT"], "subclasses": ["sofia::register"]},
        "event plain DTMF HEARTBEAT CUSTOM sofia::register\n\n",
    ),
    (
        commands.event_filter,
        {"header": "Event-Name", "value": "DTMF"},
        "filter Event-Name DTMF\n\n",
    ),
    (
        commands.execute,
        {
            "channel": CHANNEL,
            "application": "playback",
            "argument": "/a/b.wav",
            "event_uuid": OTHER,
            "loops": 2,
        },
        f"sendmsg {CHANNEL}\ncall-command: execute\nexecute-app-name: playback\n"
        f"Event-UUID: {OTHER}\nevent-lock: true\nloops: 2\n"
        "execute-app-arg: /a/b.wav\n\n",
    ),
    (
        commands.execute,
        {"channel": CHANNEL, "application": "playback", "argument": "/a/long/path/to/the/b.wav"},
        f"sendmsg {CHANNEL}\ncall-command: execute\nexecute-app-name: playback\n"
        "event-lock: true\ncontent-type: text/plain\ncontent-length: 25\n\n"
        "/a/long/path/to/the/b.wav",
    ),
    (
        commands.eavesdrop_mode,
        {"channel": CHANNEL, "digit": "2"},
        f"sendevent MESSAGE\nunique-id: {CHANNEL}\neavesdrop-command: 2\n\n",
    ),
    (
        commands.originate,
        {
            "endpoints": [FAR, commands.user("1000", "irisx.local")],
            "variables": {"origination_caller_id_name": "Ann, of IRISX"},
            "application": "eavesdrop",
            "argument": CHANNEL,
            "in_turn": True,
        },
        "originate {origination_caller_id_name=Ann\\,\\sof\\sIRISX}"
        f"sofia/gateway/carrier-1/+15555550100|user/1000@irisx.local &eavesdrop({CHANNEL})",
    ),
    (
        commands.dial_string,
        {"endpoints": [FAR, commands.loopback("1", "far")], "variables": {"x": "a b"}},
        "{x=a\\sb}sofia/gateway/carrier-1/+15555550100,loopback/1/far",
    ),
    (commands.uuid_exists, {"channel": CHANNEL}, f"uuid_exists {CHANNEL}"),
    (commands.uuid_dump, {"channel": CHANNEL}, f"uuid_dump {CHANNEL}"),
    (
        commands.uuid_getvar,
        {"channel": CHANNEL, "name": "irisx_state"},
        f"uuid_getvar {CHANNEL} irisx_state",
    ),
    (
        commands.uuid_setvar,
        {"channel": CHANNEL, "name": "irisx_x", "value": "it's a\\b"},
        f"uuid_setvar {CHANNEL} irisx_x it\\'s\\sa\\\\b",
    ),
    (
        commands.uuid_setvar_multi,
        {"channel": CHANNEL, "variables": {"irisx_a": "1", "irisx_b": "7:X_Y"}},
        f"uuid_setvar_multi {CHANNEL} irisx_a=1;irisx_b=7:X_Y",
    ),
    (
        commands.keep_end,
        {"channel": CHANNEL},
        f"uuid_setvar {CHANNEL} api_reporting_hook {commands.END_HOOK}",
    ),
    (commands.uuid_answer, {"channel": CHANNEL}, f"uuid_answer {CHANNEL}"),
    (
        commands.uuid_kill,
        {"channel": CHANNEL, "cause": "USER_BUSY"},
        f"uuid_kill {CHANNEL} USER_BUSY",
    ),
    (
        commands.uuid_bridge,
        {"channel": CHANNEL, "other": OTHER},
        f"uuid_bridge {CHANNEL} {OTHER}",
    ),
    (commands.uuid_park, {"channel": CHANNEL}, f"uuid_park {CHANNEL}"),
    (
        commands.uuid_transfer,
        {"channel": CHANNEL, "extension": "1000", "context": "agents", "leg": Leg.BOTH},
        f"uuid_transfer {CHANNEL} -both 1000 XML agents",
    ),
    (
        commands.uuid_transfer_to_park,
        {"channel": CHANNEL, "leg": Leg.B},
        f"uuid_transfer {CHANNEL} -bleg park inline",
    ),
    (
        commands.uuid_transfer_to_eavesdrop,
        {"channel": CHANNEL, "spied": OTHER},
        f"uuid_transfer {CHANNEL} eavesdrop:{OTHER},park inline",
    ),
    (commands.uuid_hold, {"channel": CHANNEL}, f"uuid_hold {CHANNEL}"),
    (commands.uuid_unhold, {"channel": CHANNEL}, f"uuid_hold off {CHANNEL}"),
    (commands.uuid_mute, {"channel": CHANNEL}, f"uuid_audio {CHANNEL} start read mute 1"),
    (commands.uuid_unmute, {"channel": CHANNEL}, f"uuid_audio {CHANNEL} stop"),
    (
        commands.uuid_record_start,
        {"channel": CHANNEL, "file": "/r/a.wav", "options": {"RECORD_STEREO": "true"}},
        f"uuid_record {CHANNEL} start /r/a.wav 0 {{RECORD_STEREO=true}}",
    ),
    (
        commands.uuid_record_stop,
        {"channel": CHANNEL, "file": "/r/a.wav"},
        f"uuid_record {CHANNEL} stop /r/a.wav",
    ),
    (
        commands.uuid_record_mask,
        {"channel": CHANNEL, "file": "/r/a.wav"},
        f"uuid_record {CHANNEL} mask /r/a.wav",
    ),
    (
        commands.uuid_record_unmask,
        {"channel": CHANNEL, "file": "/r/a.wav"},
        f"uuid_record {CHANNEL} unmask /r/a.wav",
    ),
    (
        commands.uuid_broadcast,
        {"channel": CHANNEL, "what": "tone_stream://%(200,0,500)", "leg": Leg.BOTH},
        f"uuid_broadcast {CHANNEL} tone_stream://%(200,0,500) both",
    ),
    (
        commands.uuid_displace_start,
        {"channel": CHANNEL, "file": "/r/a.wav"},
        f"uuid_displace {CHANNEL} start /r/a.wav 0 mux",
    ),
    (
        commands.uuid_displace_stop,
        {"channel": CHANNEL, "file": "/r/a.wav"},
        f"uuid_displace {CHANNEL} stop /r/a.wav",
    ),
    (commands.uuid_break, {"channel": CHANNEL, "everything": True}, f"uuid_break {CHANNEL} all"),
    (
        commands.uuid_send_dtmf,
        {"channel": CHANNEL, "digits": "1w2#", "duration_ms": 120},
        f"uuid_send_dtmf {CHANNEL} 1w2#@120",
    ),
    (
        commands.uuid_recv_dtmf,
        {"channel": CHANNEL, "digits": "2"},
        f"uuid_recv_dtmf {CHANNEL} 2",
    ),
    (commands.uuid_flush_dtmf, {"channel": CHANNEL}, f"uuid_flush_dtmf {CHANNEL}"),
    (
        commands.sched_hangup,
        {"channel": CHANNEL, "after_s": 7200},
        f"sched_hangup +7200 {CHANNEL} ALLOTTED_TIMEOUT",
    ),
    (commands.sched_del, {"group": CHANNEL}, f"sched_del {CHANNEL}"),
    (commands.global_getvar, {"name": "irisx_fence"}, "global_getvar irisx_fence"),
    (
        commands.global_setvar,
        {"name": "irisx_fence", "value": "a = 'b'"},
        "global_setvar irisx_fence=a\\s\\=\\s\\'b\\'",
    ),
    (commands.hang_up_all, {"cause": "SYSTEM_SHUTDOWN"}, "hupall SYSTEM_SHUTDOWN"),
    (commands.status, {}, "status"),
    (commands.version, {}, "version"),
    (commands.show_channels, {}, "show channels as json"),
    (commands.show_channels_count, {}, "show channels count as json"),
    (commands.sessions_per_second, {"limit": 200}, "fsctl sps 200"),
    (commands.api_expansion, {}, "fsctl api_expansion"),
    (commands.reload_acl, {}, "reloadacl"),
    (commands.reload_xml, {}, "reloadxml"),
    (commands.sofia_rescan, {"profile": "carriers"}, "sofia profile carriers rescan"),
    (
        commands.sofia_kill_gateway,
        {"profile": "carriers", "name": "gw-1"},
        "sofia profile carriers killgw gw-1",
    ),
    (commands.sofia_gateway_status, {"name": "gw-1"}, "sofia xmlstatus gateway gw-1"),
    (
        commands.hash_insert,
        {"realm": "irisx", "key": "owner", "value": "42"},
        "hash insert/irisx/owner/42",
    ),
    (commands.hash_select, {"realm": "irisx", "key": "owner"}, "hash select/irisx/owner"),
    (commands.hash_dump, {"realm": "irisx"}, "hash_dump db irisx"),
    (commands.hash_delete, {"realm": "irisx", "key": "owner"}, "hash delete/irisx/owner"),
    (
        commands.chat,
        {"profile": "carriers", "sender": "a@b", "to": "c@d:5060", "text": "it's|${x}"},
        "chat sip|a@b|carriers/sip:c@d:5060|'it\\'s\\|$''{x}'|text/plain",
    ),
    (commands.gateway, {"name": "gw_1", "number": "+1555"}, "sofia/gateway/gw_1/+1555"),
    (
        commands.sofia,
        {"profile": "carriers", "uri": "a.b@sip.example.com:5080;transport=tls"},
        "sofia/carriers/a.b@sip.example.com:5080;transport=tls",
    ),
    (commands.user, {"name": "ann", "domain": "irisx.local"}, "user/ann@irisx.local"),
    (
        commands.registered,
        {"name": "ann", "domain": "irisx", "profile": "agents"},
        "sofia/agents/ann%irisx",
    ),
    (commands.loopback, {"extension": "100", "context": "far"}, "loopback/100/far"),
    (
        commands.gather,
        GATHER,
        "1 4 3 5000 # /var/prompts/menu.wav silence_stream://250 irisx_digits ^[0-9]{1,4}$ 2000",
    ),
    (
        commands.message_waiting,
        {"name": "a1", "domain": "irisx", "new": 2, "heard": 1, "registration": "c@1"},
        "sendevent MESSAGE_WAITING\nsofia-profile: agents\nMWI-Messages-Waiting: yes\n"
        "MWI-Message-Account: a1@irisx\nMWI-Voice-Message: 2/1 (0/0)\nCall-ID: c@1\n\n",
    ),
    (commands.assignments, {"variables": {"a": "1", "b": ""}}, "a=1 b="),
    (
        commands.record,
        {"file": "/var/r/a.wav", "limit_s": 60, "threshold": 200, "silence_s": 3},
        "/var/r/a.wav 60 200 3",
    ),
    (commands.assignment, {"name": "irisx_x", "value": "a = 'b'"}, "irisx_x=a = 'b'"),
    (commands.dtmf, {"value": "12"}, "12"),
    (commands.source, {"value": "file_string:///a/b.wav!/c.wav"}, "file_string:///a/b.wav!/c.wav"),
    (commands.source, {"value": "/a/b.wav!/c.wav"}, "/a/b.wav!/c.wav"),
    (commands.path, {"value": "/a/b.wav"}, "/a/b.wav"),
    (commands.channel_id, {"value": CHANNEL}, CHANNEL),
    (commands.variable_name, {"value": "sip_h_X-Irisx-Call"}, "sip_h_X-Irisx-Call"),
    (commands.hangup_cause, {"value": "NORMAL_CLEARING"}, "NORMAL_CLEARING"),
    (commands.whole, {"value": 7, "field": "x"}, "7"),
    (commands.safe, {"value": "Zoë {x} $5 %{y}", "field": "x"}, "Zoë {x} $5 %{y}"),
]


def text_of(built: object) -> str:
    if isinstance(built, Command):
        return built.encode().decode()
    if isinstance(built, Api | Endpoint):
        return built.text
    assert isinstance(built, str)
    return built


@pytest.mark.parametrize(
    ("builder", "arguments", "expected"), BUILDERS, ids=[row[0].__name__ for row in BUILDERS]
)
def test_builder(builder: Callable[..., Any], arguments: dict[str, Any], expected: str):
    assert text_of(builder(**arguments)) == expected


def test_every_builder_has_its_row():
    public = {
        function
        for name, function in inspect.getmembers(commands, inspect.isfunction)
        if function.__module__ == commands.__name__ and not name.startswith("_")
    }
    assert public == {row[0] for row in BUILDERS}


HOSTILE_CASES = [
    pytest.param(builder, arguments, name, id=f"{builder.__name__}-{name}")
    for builder, arguments, _ in BUILDERS
    for name, good in arguments.items()
    if isinstance(good, str)
    and not isinstance(good, Leg)
    and name != "field"
    and (builder, name)
    != (commands.chat, "text")  # a text arrives as it is (test_text_messages.py)
]


@pytest.mark.parametrize(("builder", "arguments", "name"), HOSTILE_CASES)
def test_no_builder_lets_a_hostile_string_through(
    builder: Callable[..., Any], arguments: dict[str, Any], name: str
):
    for value in HOSTILE:
        for hostile in (value, arguments[name] + value, value + arguments[name]):
            with pytest.raises(UnsafeValue) as raised:
                text_of(builder(**{**arguments, name: hostile}))
            assert raised.value.field
            assert "touch" not in str(raised.value)


@pytest.mark.parametrize("value", HOSTILE)
def test_hostile_variables_do_not_reach_a_dial_string(value: str):
    for name, content in (("irisx_x", value), (value, "x")):
        with pytest.raises(UnsafeValue):
            commands.originate([FAR], {name: content})
        with pytest.raises(UnsafeValue):
            commands.originate([FAR.having({name: content})], {})
        with pytest.raises(UnsafeValue):
            commands.uuid_record_start(CHANNEL, "/r/a.wav", options={name: content})


@pytest.mark.parametrize(
    "value", ["a}b", "{a", "[a", "a]", "<a>", "a'b", 'a"b', "a\\", "^^:a", "|"]
)
def test_what_dial_strings_cannot_carry_is_refused(value: str):
    with pytest.raises(UnsafeValue) as raised:
        commands.originate([FAR], {"irisx_x": value})
    assert raised.value.field == "irisx_x"


def test_legs_with_variables_of_their_own():
    built = commands.originate(
        [FAR.having({"origination_uuid": CHANNEL, "x": "1,2"}), FAR], {"y": "3"}, in_turn=True
    )
    assert built.text == (
        f"originate {{y=3}}[origination_uuid={CHANNEL},x=1\\,2]sofia/gateway/carrier-1/+15555550100"
        "|sofia/gateway/carrier-1/+15555550100 &park()"
    )


@pytest.mark.parametrize(
    "name",
    ["api_hangup_hook", "execute_on_answer", "bridge_pre_execute_aleg_app", "exec_after_bridge_app",
     "session_in_hangup_hook", "record_post_process_exec_api", "API_ON_ANSWER", "a b", "a=b", ""],
)  # fmt: skip
def test_variables_that_the_switch_would_run_are_refused(name: str):
    with pytest.raises(UnsafeValue):
        commands.uuid_setvar(CHANNEL, name, "x")
    with pytest.raises(UnsafeValue):
        commands.originate([FAR], {name: "x"})
    with pytest.raises(UnsafeValue):
        commands.assignment(name, "x")


@pytest.mark.parametrize("application", ["system", "bgsystem", "lua", "eval", "socket", "SET", ""])
def test_only_known_applications(application: str):
    with pytest.raises(UnsafeValue):
        commands.execute(CHANNEL, application, event_uuid=OTHER)
    with pytest.raises(UnsafeValue):
        commands.originate([FAR], {}, application)


@pytest.mark.parametrize(
    ("application", "argument"),
    [
        ("playback", "shell_stream:///bin/sh"),
        ("playback", "say:x"),
        ("endless_playback", "https://example.com/a.wav"),
        ("set", "api_hangup_hook=system touch x"),
        ("unset", "a b"),
        ("eavesdrop", "all"),
        ("three_way", "all"),
    ],
)
def test_arguments_that_would_do_something_else(application: str, argument: str):
    with pytest.raises(UnsafeValue):
        commands.execute(CHANNEL, application, argument, event_uuid=OTHER)


def test_a_body_is_counted_in_bytes():
    built = commands.execute(CHANNEL, "set", "irisx_x=Zoë the Beekeeper of Oz")
    assert built.encode().endswith("content-length: 32\n\nirisx_x=Zoë the Beekeeper of Oz".encode())


def test_an_argument_that_a_head_would_trim_is_a_body():
    built = commands.execute(CHANNEL, "set", "irisx_x=1 ")
    assert built.encode().endswith(b"\n\nirisx_x=1 ")


@pytest.mark.parametrize(
    "value",
    ["/a/../etc/passwd", "../a", "a.wav", "/a b.wav", "/a'b", "shell_stream:///bin/sh",
     "https://example.com/a.wav", "say:x", "{a=b}/a.wav", "file_string:///a!../b", "local_stream://",
     "tone_stream://path=/etc/passwd", "@@/a"],
)  # fmt: skip
def test_only_harmless_sources_are_played(value: str):
    with pytest.raises(UnsafeValue):
        commands.source(value)


@pytest.mark.parametrize(
    ("builder", "arguments"),
    [
        (commands.gateway, {"name": "gw/x", "number": "1"}),
        (commands.gateway, {"name": "gw", "number": "1,loopback/2"}),
        (commands.gateway, {"name": "gw", "number": "1 &system(x)"}),
        (commands.gateway, {"name": "gw", "number": ""}),
        (commands.sofia, {"profile": "p", "uri": "a@b;fs_path=sip:c"}),
        (commands.sofia, {"profile": "p", "uri": "a@b@c"}),
        (commands.sofia, {"profile": "p", "uri": "sip:a@b"}),
        (commands.user, {"name": "a@b", "domain": "c"}),
        (commands.loopback, {"extension": "answer,park", "context": "default/inline"}),
        (commands.channel_id, {"value": "all"}),
        (commands.channel_id, {"value": CHANNEL + " all"}),
        (commands.uuid_kill, {"channel": CHANNEL, "cause": "A B"}),
        (commands.uuid_send_dtmf, {"channel": CHANNEL, "digits": "1@2"}),
        (commands.eavesdrop_mode, {"channel": CHANNEL, "digit": "9"}),
        (commands.sched_hangup, {"channel": CHANNEL, "after_s": -1}),
        (commands.sched_hangup, {"channel": CHANNEL, "after_s": True}),
        (commands.assignment, {"name": "a", "value": "b\\nc"}),
        (commands.gather, {**GATHER, "pattern": "\\d+"}),
        (commands.gather, {**GATHER, "terminators": "a b"}),
        (commands.record, {"file": "r.wav", "limit_s": 60, "threshold": 0, "silence_s": 1}),
        (commands.record, {"file": "/r.wav", "limit_s": 0, "threshold": 0, "silence_s": 1}),
        (commands.originate, {"endpoints": [], "variables": {}}),
        (
            commands.execute,
            {
                "channel": CHANNEL,
                "application": "multiset",
                "argument": "a=1 b='x",
                "event_uuid": OTHER,
            },
        ),
        (
            commands.execute,
            {
                "channel": CHANNEL,
                "application": "multiset",
                "argument": "a=1 api_hangup_hook=x",
                "event_uuid": OTHER,
            },
        ),
        (commands.uuid_send_dtmf, {"channel": CHANNEL, "digits": "1", "duration_ms": 1}),
        (
            commands.originate,
            {"endpoints": [FAR], "variables": {}, "application": "playback", "argument": "a)b"},
        ),
        (Endpoint, {"address": "user/1,user/2"}),
    ],
)
def test_refused_by_grammar(builder: Callable[..., Any], arguments: dict[str, Any]):
    with pytest.raises(UnsafeValue):
        builder(**arguments)


def test_the_end_hook_is_kept_whole_and_runs_nothing():
    assert not re.search(r"\$\{[a-z_]*[^a-z_}]", commands.END_HOOK)
    hook = "{origination_nested_vars=true,api_reporting_hook=" + commands.END_HOOK
    with_variables = commands.originate([FAR], {"x": "1"}, keep_end=True).background(OTHER)
    assert f"originate {hook},x=1}}sofia/" in with_variables.line
    assert f"originate {hook}}}sofia/" in commands.originate([FAR], {}, keep_end=True).text
    with pytest.raises(UnsafeValue):
        commands.uuid_setvar(CHANNEL, "irisx_x", commands.END_HOOK)


def test_background_has_its_own_job():
    built = commands.uuid_park(CHANNEL).background(OTHER)
    assert built.encode() == f"bgapi uuid_park {CHANNEL}\nJob-UUID: {OTHER}\n\n".encode()
    assert commands.status().foreground.encode() == b"api status\n\n"


@given(st.text(), st.text(), st.text())
def test_a_command_is_one_message_whatever_is_in_it(line: str, value: str, body: str):
    try:
        data = Command(f"x {line}", (("Name", value),), body).encode()
    except UnsafeValue:
        return
    start, _, rest = data.partition(b"\n\n")
    assert b"${" not in data and b"\r" not in data and b"\0" not in data
    assert start.count(b"\n") == (3 if body else 1)
    assert rest == body.encode()


@given(st.text(), st.dictionaries(st.text(), st.text(), max_size=3))
def test_an_originate_never_grows_a_second_destination(number: str, variables: dict[str, str]):
    try:
        built = commands.originate([commands.gateway("gw", number)], variables)
    except UnsafeValue:
        return
    assert built.text.count(" ") == 2
    assert built.text.endswith(f"sofia/gateway/gw/{number} &park()")
    assert built.text.count("{") == built.text.count("}") == bool(variables)
