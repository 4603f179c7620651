"""API commands about calls: `originate`, `uuid_…`, `sched_…` (mod_commands)."""

import re
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING

from irisx.sandbox import bridge, dialstring, originate, session
from irisx.sandbox.api import command, run
from irisx.sandbox.apps import recorders
from irisx.sandbox.channel import Action, Channel
from irisx.sandbox.channel import Command as SendMessage
from irisx.sandbox.events import Event
from irisx.sandbox.gather import split_arguments
from irisx.sandbox.media import MediaError, open_source
from irisx.sandbox.states import State
from irisx.sandbox.taps import Displace, Recorder

if TYPE_CHECKING:
    from irisx.sandbox.switch import Switch

NO_CHANNEL = "-ERR No such channel!\n"
NO_SESSION = "-ERR Cannot locate session!\n"
OK = "+OK\n"
SUCCESS = "+OK Success\n"


def words_of(argument: str, most: int) -> list[str]:
    """Exactly `most` blank-separated fields; the last one takes the rest."""
    parts = argument.split(" ", most - 1)
    return [*parts, *[""] * (most - len(parts))]


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
    _flip(leg)
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
    return argument, ""


def _flip(leg: Channel) -> None:
    """The dialled party becomes the caller of its own dialplan (channel_cid_flipped)."""
    leg.variables |= {
        "pre_transfer_caller_id_number": leg.profile.caller_id_number,
        "channel_cid_flipped": "yes",
        "call_uuid": leg.uuid,
    }
    if leg.profile.caller_id_name:
        leg.variables["pre_transfer_caller_id_name"] = leg.profile.caller_id_name
    leg.profile = replace(
        leg.profile,
        caller_id_name=leg.profile.destination,
        caller_id_number=leg.profile.destination,
        callee_id_name=leg.profile.caller_id_name,
        callee_id_number=leg.profile.caller_id_number,
    )


@command("uuid_exists")
async def uuid_exists(switch: "Switch", argument: str) -> str:
    return str(switch.find(argument) is not None).lower()


@command("uuid_dump")
async def uuid_dump(switch: "Switch", argument: str) -> str:
    """`<uuid> [json]`: all headers of the channel, as CHANNEL_DATA."""
    if not argument:
        return "-USAGE: <uuid> [format]\n"
    uuid, form = words_of(argument, 2)
    channel = switch.find(uuid)
    if channel is None:
        return NO_CHANNEL
    headers = switch.bus.stamp("CHANNEL_DATA") | dict(channel.headers(variables=True))
    event = Event("CHANNEL_DATA", headers)
    return (event.json() if form == "json" else event.plain()).decode("ascii")


@command("uuid_getvar")
async def uuid_getvar(switch: "Switch", argument: str) -> str:
    uuid, name = words_of(argument, 2)
    if not name:
        return "-USAGE: <uuid> <var>\n"
    channel = switch.find(uuid)
    if channel is None:
        return NO_CHANNEL
    return channel.variables.get(name) or switch.variables.get(name) or "_undef_"


@command("uuid_setvar")
async def uuid_setvar(switch: "Switch", argument: str) -> str:
    """`<uuid> <name> [value]`; without a value the variable goes."""
    uuid, name, value = words_of(argument, 3)
    if not name:
        return "-USAGE: <uuid> <var> [value]\n"
    channel = switch.find(uuid)
    if channel is None:
        return NO_CHANNEL
    _set(channel, name, value)
    return OK


def _set(channel: Channel, name: str, value: str) -> None:
    if value:
        channel.variables[name] = value
    else:
        channel.variables.pop(name, None)


@command("uuid_setvar_multi")
async def uuid_setvar_multi(switch: "Switch", argument: str) -> str:
    """`<uuid> a=1;b=2`; as in FreeSWITCH an item without `=` takes the value before it."""
    uuid, items = words_of(argument, 2)
    if not items:
        return "-USAGE: <uuid> <var>=<value>;<var>=<value>...\n"
    channel = switch.find(uuid)
    if channel is None:
        return NO_CHANNEL
    value = ""
    for item in items.split(";")[:64]:
        name, equals, own = item.partition("=")
        value = own if equals else value
        if name:
            _set(channel, name, value)
    return OK


@command("uuid_answer")
async def uuid_answer(switch: "Switch", argument: str) -> str:
    channel = switch.find(argument)
    if channel is None:
        return "-ERROR\n"
    channel.answer()
    return OK


@command("uuid_pre_answer")
async def uuid_pre_answer(switch: "Switch", argument: str) -> str:
    channel = switch.find(argument)
    if channel is None:
        return "-ERROR\n"
    channel.pre_answer()
    return OK


@command("uuid_kill")
async def uuid_kill(switch: "Switch", argument: str) -> str:
    if not argument:
        return "-USAGE: <uuid> [cause]\n"
    uuid, cause = words_of(argument, 2)
    channel = switch.find(uuid)
    if channel is None:
        return NO_CHANNEL
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
async def uuid_park(switch: "Switch", argument: str) -> str:
    channel = switch.find(argument)
    if channel is None:
        return NO_CHANNEL
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
        held = not channel.held if verb == "toggle" else verb == "on"
        session.set_hold(channel, held)
    return SUCCESS


@command("uuid_audio")
async def uuid_audio(switch: "Switch", argument: str) -> str:
    """`<uuid> start read|write mute <level>` or `<uuid> stop`; a level of 0 unmutes."""
    usage = "-USAGE: <uuid> [start [read|write] [mute|level <level>]|stop]\n"
    uuid, verb, side, kind, level = words_of(argument, 5)
    if verb not in ("start", "stop"):
        return usage
    channel = switch.find(uuid)
    if channel is None:
        return NO_CHANNEL
    if verb == "stop":
        channel.muted = {"read": False, "write": False}
        return OK
    if side not in channel.muted or kind not in ("mute", "level"):
        return usage
    if kind == "mute":
        channel.muted[side] = level not in ("0", "")
    return OK


@command("uuid_break")
async def uuid_break(switch: "Switch", argument: str) -> str:
    """`<uuid> [all]`: stop the running application; `all` also drops queued commands."""
    uuid, everything = words_of(argument, 2)
    if not uuid:
        return "-USAGE: <uuid> [all]\n"
    channel = switch.find(uuid)
    if channel is None:
        return NO_CHANNEL
    if everything == "all":
        channel.commands.clear()
    channel.breaking = True
    channel.notify()
    return OK


@command("uuid_broadcast")
async def uuid_broadcast(switch: "Switch", argument: str) -> str:
    """`<uuid> <path>|app::arg [aleg|bleg|both]`."""
    uuid, path, which = ([*argument.split(" "), "", ""])[:3] if argument else ["", "", ""]
    channel = switch.find(uuid)
    if channel is None or not path:
        return "-ERR invalid uuid\n"
    application, separator, data = path.partition("::")
    if not separator:
        application, data = "playback", path
    legs = [channel] if which in ("", "aleg", "both") else []
    if which in ("bleg", "both") and channel.partner is not None:
        legs.append(channel.partner)
    for leg in legs:
        headers = {"call-command": "execute", "execute-app-name": application}
        leg.queue(SendMessage(headers | {"execute-app-arg": data}))
    return "+OK Message sent\n"


@command("uuid_displace")
async def uuid_displace(switch: "Switch", argument: str) -> str:
    """`<uuid> start <path> [limit s] [mux]` or `<uuid> stop <path>`."""
    words = [*split_arguments(argument), "", "", "", "", ""]
    uuid, verb, path, limit, flags = words[:5]
    channel = switch.find(uuid)
    if channel is None:
        return NO_SESSION
    playing = [bug for bug in channel.bugs if isinstance(bug, Displace) and bug.path == path]
    if verb == "stop" and playing:
        playing[0].end("")
        return SUCCESS
    if verb != "start" or not path or playing:
        return "-ERR Cannot displace session!\n"
    try:
        source = open_source(path)
    except MediaError:
        return "-ERR Cannot displace session!\n"
    seconds = float(limit) if re.fullmatch(r"\d{1,6}", limit) else 0.0
    Displace(channel, path, source, seconds, "m" in flags)
    return SUCCESS


@command("uuid_record")
async def uuid_record(switch: "Switch", argument: str) -> str:
    """`<uuid> start|stop|mask|unmask <path> [limit s] [{vars}]`; `stop all` stops every one."""
    uuid, verb, path, limit, rest = words_of(argument, 5)
    if not path or verb not in ("start", "stop", "mask", "unmask"):
        return "-USAGE: <uuid> [start|stop|mask|unmask] <path> [<limit>] [<recording_vars>]\n"
    channel = switch.find(uuid)
    if channel is None:
        return NO_SESSION
    if verb == "start":
        return _start_recording(channel, path, limit, rest)
    found = recorders(channel, path)
    if not found:
        return f"-ERR Cannot {verb} record session!\n"
    for recorder in found:
        if verb == "stop":
            recorder.end("success-maxtime")
        else:
            recorder.masked = verb == "mask"
    return SUCCESS


def _start_recording(channel: Channel, path: str, limit: str, rest: str) -> str:
    seconds = float(limit) if re.fullmatch(r"\d{1,6}", limit) else 0.0
    if recorders(channel, path):
        return "-ERR Cannot record session!\n"
    try:
        variables, _ = dialstring.take_variables(rest.strip(), "{")
        Recorder(channel, path, variables, seconds)
    except (MediaError, dialstring.DialError):
        return "-ERR Cannot record session!\n"
    return SUCCESS


@command("uuid_send_dtmf")
async def uuid_send_dtmf(switch: "Switch", argument: str) -> str:
    uuid, digits = words_of(argument, 2)
    if not digits:
        return "-USAGE: <uuid> <dtmf_data>\n"
    channel = switch.find(uuid)
    if channel is None:
        return NO_SESSION
    channel.far.receive_digits(digits.partition("@")[0])
    return f"+OK {channel.uuid} sent DTMF {digits}.\n"


@command("uuid_recv_dtmf")
async def uuid_recv_dtmf(switch: "Switch", argument: str) -> str:
    """Digits as if the far end had pressed them: `12@ms`."""
    uuid, digits = words_of(argument, 2)
    if not digits:
        return "-USAGE: <uuid> <dtmf_data>\n"
    channel = switch.find(uuid)
    if channel is None:
        return NO_SESSION
    keys, _, millis = digits.partition("@")
    duration = int(millis) * 8 if re.fullmatch(r"\d{1,5}", millis) else 2000
    for key in keys:
        if key.upper() in "0123456789*#ABCD":
            channel.dtmf(key.upper(), "APP", duration)
    return f"+OK {channel.uuid} received DTMF {digits}.\n"


@command("uuid_flush_dtmf")
async def uuid_flush_dtmf(switch: "Switch", argument: str) -> str:
    channel = switch.find(argument)
    if channel is None:
        return "-ERR No such session\n"
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
