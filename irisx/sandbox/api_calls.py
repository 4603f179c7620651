"""API commands about calls: `originate`, `uuid_…`, `sched_…` (mod_commands)."""

import re
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

from irisx.sandbox import bridge, dialstring, originate
from irisx.sandbox.api import command, run
from irisx.sandbox.apps import recorders
from irisx.sandbox.channel import Channel
from irisx.sandbox.events import Event
from irisx.sandbox.gather import split_arguments, unquoted
from irisx.sandbox.leg import Action
from irisx.sandbox.leg import Command as SendMessage
from irisx.sandbox.media import MediaError, open_source
from irisx.sandbox.states import CallState, State
from irisx.sandbox.taps import Displace, Recorder

if TYPE_CHECKING:
    from irisx.sandbox.switch import Switch

NO_CHANNEL = "-ERR No such channel!\n"
NO_SESSION = "-ERR Cannot locate session!\n"
OK = "+OK\n"
SUCCESS = "+OK Success\n"

AUDIO_USAGE = "-USAGE: <uuid> [start [read|write] [mute|level <level>]|stop]\n"
BROADCAST_USAGE = "-USAGE: <uuid> <path> [aleg|bleg|holdb|both]\n"
DISPLACE_USAGE = "-USAGE: <uuid> [start|stop] <path> [<limit>] [mux]\n"
RECORD_USAGE = "-USAGE: <uuid> [start|stop|mask|unmask] <path> [<limit>] [<recording_vars>]\n"


def words_of(argument: str, most: int) -> list[str]:
    """Exactly `most` blank-separated fields; the last one takes the rest."""
    parts = argument.split(" ", most - 1)
    return [*parts, *[""] * (most - len(parts))]


OnChannel = Callable[[Channel, str], Awaitable[str]]


def on_channel(
    usage: str, missing: str = NO_CHANNEL, *, least: int = 0
) -> Callable[[OnChannel], Callable[["Switch", str], Awaitable[str]]]:
    """A command whose first word is the uuid of a live channel.

    It answers `usage` when fewer than `least` words follow, and `missing` for an unknown uuid.
    """

    def wrap(function: OnChannel) -> Callable[["Switch", str], Awaitable[str]]:
        async def run_on_channel(switch: "Switch", argument: str) -> str:
            uuid, _, rest = argument.partition(" ")
            if not uuid or len(rest.split()) < least:
                return usage
            channel = switch.find(uuid)
            return missing if channel is None else await function(channel, rest.strip())

        return run_on_channel

    return wrap


@command("originate")
async def originate_command(switch: "Switch", argument: str) -> str:
    """`<dial string> <extension>|&app(args) [dialplan] [context] [cid name] [cid number] [s]`."""
    usage = (
        "-USAGE: <call url> <exten>|&<application_name>(<app_args>) [<dialplan>] [<context>] "
        "[<cid_name>] [<cid_num>] [<timeout_sec>]\n"
    )
    target, rest = _take_dial_string(argument)
    fields = split_arguments(rest)
    if not target or not fields:
        return usage
    extension, dialplan_name, context, name, number, limit = [*fields, *[""] * 6][:6]
    timeout = float(limit) if re.fullmatch(r"\d{1,5}", limit) else originate.DEFAULT_TIMEOUT
    leg, cause = await originate.originate(
        switch, target, timeout=timeout, caller_id=(name, number)
    )
    if leg is None:
        return f"-ERR {cause}\n"
    leg.flip_caller_id()
    leg.variables["call_uuid"] = leg.uuid
    application = re.fullmatch(r"&([A-Za-z_]+)(?:\((.*)\))?", extension, re.DOTALL)
    if application:
        leg.actions.append(Action(application[1], application[2] or ""))
        leg.hit_dialplan = True
        leg.set_state(State.CS_EXECUTE)
    else:
        leg.transfer(extension, dialplan_name, context)
    return f"+OK {leg.uuid}\n"


def _take_dial_string(argument: str) -> tuple[str, str]:
    """Split at the first blank outside brackets and quotes."""
    depth, quoted = 0, False
    for index, char in enumerate(argument):
        if char == "'":
            quoted = not quoted
        elif not quoted and char in "{[<":
            depth += 1
        elif not quoted and char in "}]>":
            depth -= 1
        elif char == " " and depth <= 0 and not quoted:
            return argument[:index], argument[index + 1 :]
    # Never closed: whatever it is, the extension is the last word.
    target, _, extension = argument.rpartition(" ")
    return target, extension


@command("uuid_exists")
async def uuid_exists(switch: "Switch", argument: str) -> str:
    return str(switch.find(argument) is not None).lower()


@command("uuid_dump")
@on_channel("-USAGE: <uuid> [format]\n")
async def uuid_dump(channel: Channel, form: str) -> str:
    """`<uuid> [json]`: all headers of the channel, as CHANNEL_DATA."""
    headers = channel.switch.bus.stamp("CHANNEL_DATA") | dict(channel.headers(variables=True))
    event = Event("CHANNEL_DATA", headers)
    return (event.json() if form == "json" else event.plain()).decode("ascii")


@command("uuid_getvar")
@on_channel("-USAGE: <uuid> <var>\n", least=1)
async def uuid_getvar(channel: Channel, name: str) -> str:
    return channel.variables.get(name) or channel.switch.variables.get(name) or "_undef_"


@command("uuid_setvar")
@on_channel("-USAGE: <uuid> <var> [value]\n", least=1)
async def uuid_setvar(channel: Channel, rest: str) -> str:
    """`<uuid> <name> [value]`; without a value the variable goes."""
    name, _, value = rest.partition(" ")
    channel.set_variable(name, unquoted(value))
    return OK


@command("uuid_setvar_multi")
@on_channel("-USAGE: <uuid> <var>=<value>;<var>=<value>...\n", least=1)
async def uuid_setvar_multi(channel: Channel, items: str) -> str:
    """`<uuid> a=1;b=2`; as in FreeSWITCH an item without `=` takes the value before it."""
    value = ""
    for item in items.split(";")[:64]:
        name, equals, own = item.partition("=")
        value = own if equals else value
        if name:
            channel.set_variable(name, value)
    return OK


@command("uuid_answer")
@on_channel("-ERROR\n", "-ERROR\n")
async def uuid_answer(channel: Channel, rest: str) -> str:
    channel.answer()
    return OK


@command("uuid_pre_answer")
@on_channel("-ERROR\n", "-ERROR\n")
async def uuid_pre_answer(channel: Channel, rest: str) -> str:
    channel.pre_answer()
    return OK


@command("uuid_kill")
@on_channel("-USAGE: <uuid> [cause]\n")
async def uuid_kill(channel: Channel, cause: str) -> str:
    channel.hangup(cause or "NORMAL_CLEARING")
    return OK


@command("uuid_bridge")
async def uuid_bridge(switch: "Switch", argument: str) -> str:
    first_uuid, second_uuid = words_of(argument, 2)
    if not second_uuid:
        return "-USAGE: <uuid> <other_uuid>\n"
    first, second = switch.find(first_uuid), switch.find(second_uuid)
    if first is None or second is None or first is second:
        return "-ERR Invalid uuid\n"
    if not (first.has_media or second.has_media):
        return "-ERR Neither channel is answered\n"
    bridge.uuid_bridge(first, second)
    return f"+OK {second.uuid}\n"


@command("uuid_transfer")
async def uuid_transfer(switch: "Switch", argument: str) -> str:
    """`<uuid> [-bleg|-both] <destination> [dialplan] [context]`."""
    words = split_arguments(argument)
    if len(words) < 2:
        return "-USAGE: <uuid> [-bleg|-both] <dest-exten> [<dialplan>] [<context>]\n"
    channel = switch.find(words[0])
    if channel is None:
        return NO_CHANNEL
    which = words[1] if words[1] in ("-bleg", "-both") else ""
    target = words[2:5] if which else words[1:4]
    if not target:
        return "-USAGE: <uuid> [-bleg|-both] <dest-exten> [<dialplan>] [<context>]\n"
    partner = channel.partner
    if which and partner is None:
        return "-ERR no bleg\n"
    if which and partner is not None:
        partner.transfer(*target)
    if which != "-bleg":
        channel.transfer(*target)
    return OK


@command("uuid_park")
@on_channel("-USAGE: <uuid>\n")
async def uuid_park(channel: Channel, rest: str) -> str:
    channel.set_state(State.CS_PARK, again=True)
    return OK


@command("uuid_hold")
async def uuid_hold(switch: "Switch", argument: str) -> str:
    """`[off|toggle] <uuid> [display]`; FreeSWITCH says success for an unknown uuid too."""
    words = argument.split()
    if not words:
        return "-USAGE: [off|toggle] <uuid> [<display>]\n-ERR Operation failed\n"
    verb = words.pop(0) if words[0] in ("off", "toggle") else "on"
    channel = switch.find(words[0] if words else "")
    if channel is not None:
        if channel.held and verb in ("off", "toggle"):
            channel.unhold()
            channel.set_call_state(CallState.ACTIVE)
        elif verb != "off":
            channel.hold()
    return SUCCESS


@command("uuid_audio")
@on_channel(AUDIO_USAGE, least=1)
async def uuid_audio(channel: Channel, rest: str) -> str:
    """`<uuid> start read|write mute <level>` or `<uuid> stop`; a level of 0 unmutes."""
    match rest.split():
        case ["stop", *_]:
            channel.muted = {"read": False, "write": False}
        case ["start", "read" | "write" as side, "mute", *level]:
            channel.muted[side] = level[:1] not in ([], ["0"])
        case ["start", "read" | "write", "level", *_]:
            pass
        case _:
            return AUDIO_USAGE
    return OK


@command("uuid_break")
@on_channel("-USAGE: <uuid> [all]\n")
async def uuid_break(channel: Channel, rest: str) -> str:
    """`<uuid> [all]`: stop the running application; `all` also drops queued commands."""
    if rest == "all":
        channel.commands.clear()
    channel.breaking = True
    channel.notify()
    return OK


@command("uuid_broadcast")
@on_channel(BROADCAST_USAGE, "-ERR invalid uuid\n", least=1)
async def uuid_broadcast(channel: Channel, rest: str) -> str:
    """`<uuid> <path>|app::arg [aleg|bleg|both]`."""
    words = rest.split(" ")
    which = words.pop() if words[-1] in ("aleg", "bleg", "both") else "aleg"
    application, separator, data = " ".join(words).partition("::")
    if not separator:
        application, data = "playback", application
    legs = [channel] if which in ("aleg", "both") else []
    if which in ("bleg", "both") and channel.partner is not None:
        legs.append(channel.partner)
    for leg in legs:
        headers = {"call-command": "execute", "execute-app-name": application}
        leg.queue(SendMessage(headers | {"execute-app-arg": data}))
    return "+OK Message sent\n"


@command("uuid_displace")
@on_channel(DISPLACE_USAGE, NO_SESSION, least=2)
async def uuid_displace(channel: Channel, rest: str) -> str:
    """`<uuid> start <path> [limit s] [mux]` or `<uuid> stop <path>`."""
    verb, path, limit, flags = [*split_arguments(rest), "", "", ""][:4]
    playing = [bug for bug in channel.bugs if isinstance(bug, Displace) and bug.path == path]
    if verb == "stop" and playing:
        playing[0].end("")
        return SUCCESS
    if verb != "start" or playing:
        return "-ERR Cannot displace session!\n"
    try:
        source = open_source(path)
    except MediaError:
        return "-ERR Cannot displace session!\n"
    Displace(channel, path, source, _seconds(limit), "m" in flags)
    return SUCCESS


@command("uuid_record")
@on_channel(RECORD_USAGE, NO_SESSION, least=2)
async def uuid_record(channel: Channel, rest: str) -> str:
    """`<uuid> start|stop|mask|unmask <path> [limit s] [{vars}]`; `stop all` stops every one."""
    verb, path, limit, variables = words_of(rest, 4)
    if verb == "start":
        return _start_recording(channel, path, _seconds(limit), variables)
    if verb not in ("stop", "mask", "unmask"):
        return RECORD_USAGE
    found = recorders(channel, path)
    if not found:
        return f"-ERR Cannot {verb} record session!\n"
    for recorder in found:
        if verb == "stop":
            recorder.end("success-maxtime")
        else:
            recorder.masked = verb == "mask"
    return SUCCESS


def _start_recording(channel: Channel, path: str, limit: float, text: str) -> str:
    if recorders(channel, path):
        return "-ERR Cannot record session!\n"
    try:
        variables, _ = dialstring.take_variables(text.strip(), "{")
        Recorder(channel, path, variables, limit)
    except (MediaError, dialstring.DialError):
        return "-ERR Cannot record session!\n"
    return SUCCESS


def _seconds(text: str) -> float:
    return float(text) if re.fullmatch(r"\d{1,6}", text) else 0.0


@command("uuid_send_dtmf")
@on_channel("-USAGE: <uuid> <dtmf_data>\n", NO_SESSION, least=1)
async def uuid_send_dtmf(channel: Channel, digits: str) -> str:
    channel.far.receive_digits(digits.partition("@")[0])
    return f"+OK {channel.uuid} sent DTMF {digits}.\n"


@command("uuid_recv_dtmf")
@on_channel("-USAGE: <uuid> <dtmf_data>\n", NO_SESSION, least=1)
async def uuid_recv_dtmf(channel: Channel, digits: str) -> str:
    """Digits as if the far end had pressed them: `12@ms`."""
    keys, _, millis = digits.partition("@")
    duration = int(millis) * 8 if re.fullmatch(r"\d{1,5}", millis) else 2000
    for key in keys:
        if key.upper() in "0123456789*#ABCD":
            channel.dtmf(key.upper(), "APP", duration)
    return f"+OK {channel.uuid} received DTMF {digits}.\n"


@command("uuid_flush_dtmf")
@on_channel("-ERR No such session\n", "-ERR No such session\n")
async def uuid_flush_dtmf(channel: Channel, rest: str) -> str:
    channel.digits.clear()
    return OK


def _schedule(
    switch: "Switch", when: str, group: str, what: str, action: Callable[[], None]
) -> int | None:
    delay = originate.seconds_until(switch, when)
    return None if delay is None else switch.scheduler.add(delay, group, what, action)


@command("sched_hangup")
async def sched_hangup(switch: "Switch", argument: str) -> str:
    """`[+]<s> <uuid> [cause]`; the task's group is the uuid."""
    when, uuid, cause = words_of(argument, 3)
    usage = "-USAGE: [+]<time> <uuid> [<cause>]\n"
    if not uuid:
        return usage
    channel = switch.find(uuid)
    if channel is None:
        return NO_CHANNEL
    number = _schedule(
        switch,
        when,
        channel.uuid,
        "switch_ivr_schedule_hangup",
        lambda: channel.hangup(cause or "ALLOTTED_TIMEOUT"),
    )
    return usage if number is None else OK


@command("sched_transfer")
async def sched_transfer(switch: "Switch", argument: str) -> str:
    """`[+]<s> <uuid> <extension> [dialplan] [context]`."""
    usage = "-USAGE: [+]<time> <uuid> <extension> [<dialplan>] [<context>]\n"
    words = split_arguments(argument)
    if len(words) < 3:
        return usage
    channel = switch.find(words[1])
    if channel is None:
        return NO_CHANNEL
    number = _schedule(
        switch,
        words[0],
        channel.uuid,
        "switch_ivr_schedule_transfer",
        lambda: channel.transfer(*words[2:5]) if channel.up else None,
    )
    return usage if number is None else OK


@command("sched_api")
async def sched_api(switch: "Switch", argument: str) -> str:
    """`[+]<s> <group> <api command>`."""
    usage = "-ERR Invalid syntax. USAGE: [+@]<time> <group_name> <command_string>[&]\n"
    when, group, line = words_of(argument, 3)
    if not line:
        return usage

    def act() -> None:
        switch.spawn(_forget_reply(switch, line), f"sched_api {line[:60]}")

    number = _schedule(switch, when, group, "sched_api_function", act)
    return usage if number is None else f"+OK Added: {number}\n"


async def _forget_reply(switch: "Switch", line: str) -> None:
    await run(switch, line)


@command("sched_del", "unsched_api")
async def sched_del(switch: "Switch", argument: str) -> str:
    return f"+OK Deleted: {switch.scheduler.delete(argument)}\n"
