"""API commands about the switch itself (mod_commands, mod_hash, mod_sofia); calls: api_calls.py."""

import json
import logging
import re
import uuid as uuids
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

from irisx.sandbox import inbound
from irisx.sandbox.gather import split_arguments, unquoted
from irisx.sandbox.states import State

if TYPE_CHECKING:
    from irisx.sandbox.channel import Channel
    from irisx.sandbox.switch import Switch

log = logging.getLogger(__name__)

Command = Callable[["Switch", str], Awaitable[str]]
COMMANDS: dict[str, Command] = {}

NO_REPLY = ""


def command(*names: str) -> Callable[[Command], Command]:
    """Register an API command under its names."""

    def register(function: Command) -> Command:
        COMMANDS.update(dict.fromkeys(names, function))
        return function

    return register


async def run(switch: "Switch", line: str) -> str:
    """The reply to `command arguments`; a defect answers -ERR and is logged, never raised."""
    name, _, argument = line.strip().partition(" ")
    facts = {"API-Command": name, "API-Command-Argument": argument}
    switch.bus.fire("API", ((key, value) for key, value in facts.items() if value))
    function = COMMANDS.get(name.lower())
    if function is None:
        return f"-ERR {name} Command not found!\n"
    try:
        return await function(switch, argument.strip())
    except Exception:
        log.exception("api %s failed", name)
        return "-ERR sandbox failure\n"


@command("version")
async def version(switch: "Switch", argument: str) -> str:
    return "FreeSWITCH Version 1.10.12-irisx-sandbox~64bit (IRISX sandbox, not FreeSWITCH)\n"


@command("status")
async def status(switch: "Switch", argument: str) -> str:
    live = len(switch.channels)
    return (
        f"UP {switch.uptime_text()}\n"
        "FreeSWITCH (Version 1.10.12-irisx-sandbox, the IRISX sandbox switch) is ready\n"
        f"{switch.sessions_started} session(s) since startup\n"
        f"{live} session(s) - peak {switch.sessions_peak}, last 5min {switch.sessions_peak} \n"
        f"0 session(s) per Sec out of max {switch.sessions_per_second}, peak 0, last 5min 0 \n"
        f"{switch.max_sessions} session(s) max\n"
        "min idle cpu 0.00/100.00\n"
        "Current Stack Size/Max 240K/8192K\n"
    )


@command("uptime")
async def uptime(switch: "Switch", argument: str) -> str:
    return f"{(switch.clock.micros() - switch.started) // 1_000_000}\n"


@command("hostname", "switchname")
async def hostname(switch: "Switch", argument: str) -> str:
    return switch.bus.hostname


@command("create_uuid")
async def create_uuid(switch: "Switch", argument: str) -> str:
    return str(uuids.uuid4())


@command("echo")
async def echo(switch: "Switch", argument: str) -> str:
    return argument


MODULES = """
    commands dialplan_xml dptools event_socket hash local_stream loopback sndfile sofia tone_stream
""".split()  # noqa: SIM905 (readable as words)


@command("module_exists")
async def module_exists(switch: "Switch", argument: str) -> str:
    return str(argument.removeprefix("mod_") in MODULES).lower()


@command("global_getvar")
async def global_getvar(switch: "Switch", argument: str) -> str:
    if argument:
        return switch.variables.get(argument, NO_REPLY)
    return "".join(f"{name}={value}\n" for name, value in switch.variables.items())


@command("global_setvar")
async def global_setvar(switch: "Switch", argument: str) -> str:
    name, equals, value = argument.partition("=")
    if not name or not equals:
        return "-USAGE: <var>=<value>\n"
    if value := unquoted(value, "="):
        switch.variables[name] = value
    else:
        switch.variables.pop(name, None)
    return "+OK"


@command("fsctl")
async def fsctl(switch: "Switch", argument: str) -> str:
    """api_expansion, sps, max_sessions, pause, resume, pause_check, hupall."""
    words = argument.split()
    match words:
        case ["api_expansion"]:
            return "+OK api_expansion is off \n"
        case ["sps", *rest]:
            if rest and rest[0].isdigit():
                switch.sessions_per_second = int(rest[0])
            return f"+OK sessions per second: {switch.sessions_per_second}\n"
        case ["max_sessions", *rest]:
            if rest and rest[0].isdigit():
                switch.max_sessions = int(rest[0])
            return f"+OK max sessions: {switch.max_sessions}\n"
        case ["pause", *rest]:
            switch.paused |= set(rest[:1]) or {"inbound", "outbound"}
            return "+OK\n"
        case ["resume", *rest]:
            switch.paused -= set(rest[:1]) or {"inbound", "outbound"}
            return "+OK\n"
        case ["pause_check", *rest]:
            wanted = set(rest[:1]) or {"inbound", "outbound"}
            return str(wanted <= switch.paused).lower()
        case ["hupall", *rest]:
            for channel in list(switch.channels.values()):
                channel.hangup(rest[0] if rest else "MANAGER_REQUEST")
            return "+OK\n"
    usage = "USAGE: fsctl [api_expansion|hupall|max_sessions|pause|resume|sps]"
    return f"-ERR Invalid command\n{usage}\n"


@command("hupall")
async def hupall(switch: "Switch", argument: str) -> str:
    """`hupall [cause [variable value]]`."""
    cause, _, rest = argument.partition(" ")
    name, _, value = rest.partition(" ")
    for channel in list(switch.channels.values()):
        if not name or channel.variables.get(name) == value:
            channel.hangup(cause or "MANAGER_REQUEST")
    return f"+OK hangup all channels with cause {cause or 'MANAGER_REQUEST'}\n"


@command("reloadacl")
async def reloadacl(switch: "Switch", argument: str) -> str:
    return "+OK acl reloaded\n"


@command("reloadxml")
async def reloadxml(switch: "Switch", argument: str) -> str:
    return "+OK [Success]\n"


@command("sofia")
async def sofia(switch: "Switch", argument: str) -> str:
    """Any profile and gateway name is accepted, since the sandbox acts all carriers."""
    match argument.split():
        case ["profile", name, "rescan" | "restart" | "start" | "stop" as verb, *_]:
            done = "scan complete" if verb == "rescan" else f"{verb} {name}"
            return f"Reload XML [Success]\n+OK {done}\n"
        case ["profile", name, "killgw", gateway, *_]:
            return f"+OK gateway {gateway} marked for deletion.\n"
        case ["status"]:
            ruler = "=" * 97
            rows = [f"{'sandbox':>25}\tprofile\t{'sip:sandbox@127.0.0.1':>42}\tRUNNING (0)"]
            rows += [
                f"{'sandbox::' + name:>25}\tgateway\t{'sip:' + address:>42}\tNOREG"
                for name, address in switch.gateways.items()
            ]
            head = f"{'Name':>25}\t   Type\t{'Data':>42}\tState"
            return "\n".join([head, ruler, *rows, ruler, "1 profile 0 aliases", ""])
        case ["status", "gateway", name]:
            rows = [
                f"Name    \t{name}",
                "Profile \tsandbox",
                f"Proxy   \tsip:{switch.gateways.get(name, 'sandbox.invalid')}",
                "State   \tNOREG",
                "Status  \tUP",
            ]
            ruler = "=" * 97
            return "\n".join([ruler, *rows, ruler, ""])
    return "USAGE: sofia status [gateway <name>] | sofia profile <name> rescan\n"


@command("hash")
async def hash_command(switch: "Switch", argument: str) -> str:
    """`insert/realm/key/value`, `insert_ifempty/…`, `select/realm/key`, `delete/realm/key`."""
    action, _, rest = argument.partition("/")
    realm, _, rest = rest.partition("/")
    key, _, value = rest.partition("/")
    entry = (realm, key)
    match action:
        case "insert" if key:
            switch.hashes[entry] = value
            return "+OK\n"
        case "insert_ifempty" if key:
            if entry in switch.hashes:
                return "-ERR key already exists\n"
            switch.hashes[entry] = value
            return "+OK\n"
        case "select" if key:
            return switch.hashes.get(entry, NO_REPLY)
        case "delete" if key:
            return "+OK\n" if switch.hashes.pop(entry, None) is not None else "-ERR Not found\n"
    return "-ERR Usage: hash insert|insert_ifempty|select|delete|delete_ifmatch/realm/key[/value]\n"


@command("hash_dump")
async def hash_dump(switch: "Switch", argument: str) -> str:
    what, _, wanted = argument.partition(" ")
    if what not in ("all", "limit", "db"):
        return "Usage: all|limit|db [<realm>]\n"
    if what == "limit":
        return NO_REPLY
    return "".join(
        f"D/{realm}_{key}/{value}\n"
        for (realm, key), value in switch.hashes.items()
        if not wanted or realm == wanted
    )


@command("limit_usage")
async def limit_usage(switch: "Switch", argument: str) -> str:
    """No application of the sandbox takes limits, so every usage is 0."""
    return "0"


SHOWN = """
    uuid direction created created_epoch name state cid_name cid_num ip_addr dest application
    application_data dialplan context read_codec read_rate read_bit_rate write_codec write_rate
    write_bit_rate secure hostname presence_id presence_data accountcode callstate callee_name
    callee_num callee_direction call_uuid sent_callee_name sent_callee_num initial_cid_name
    initial_cid_num initial_ip_addr initial_dest initial_dialplan initial_context
""".split()  # noqa: SIM905 (a list of one word a line would hide the page)


def shown(channel: "Channel") -> dict[str, str]:
    """A row of `show channels`."""
    headers = dict(channel.headers(variables=False))
    micros = channel.times["created"]
    row = {
        "uuid": channel.uuid,
        "direction": channel.direction,
        "created": channel.switch.clock.local_text(micros),
        "created_epoch": str(micros // 1_000_000),
        "name": channel.name,
        "state": channel.running.name,
        "cid_name": channel.profile.caller_id_name,
        "cid_num": channel.profile.caller_id_number,
        "ip_addr": channel.profile.network_addr,
        "dest": channel.profile.destination,
        "application": channel.variables.get("current_application", ""),
        "application_data": channel.variables.get("current_application_data", ""),
        "dialplan": channel.profile.dialplan,
        "context": channel.profile.context,
        "hostname": channel.switch.bus.hostname,
        "callstate": channel.call_state.name,
        "callee_name": channel.profile.callee_id_name,
        "callee_num": channel.profile.callee_id_number,
        "call_uuid": headers["Channel-Call-UUID"],
        "initial_cid_num": channel.profile.orig_caller_id_number,
        "initial_dest": channel.profile.destination,
        "initial_context": channel.profile.context,
    }
    for side in ("read", "write"):
        row |= {
            f"{side}_codec": headers.get(f"Channel-{side.title()}-Codec-Name", ""),
            f"{side}_rate": headers.get(f"Channel-{side.title()}-Codec-Rate", ""),
            f"{side}_bit_rate": headers.get(f"Channel-{side.title()}-Codec-Bit-Rate", ""),
        }
    return {name: row.get(name, "") for name in SHOWN}


def _call_rows(switch: "Switch") -> list[dict[str, str]]:
    """`show calls`: a bridged pair is one row, its second leg behind `b_`."""
    rows = []
    for channel in switch.channels.values():
        if channel.state < State.CS_ROUTING or (channel.partner and not channel.originator):
            continue
        partner = shown(channel.partner) if channel.partner else dict.fromkeys(SHOWN, "")
        rows.append(shown(channel) | {f"b_{name}": value for name, value in partner.items()})
    return rows


@command("show")
async def show(switch: "Switch", argument: str) -> str:
    """`channels|calls [count] [as json]`."""
    found = re.fullmatch(r"(channels|calls)(?: (count))?(?: as (json))?", argument.strip().lower())
    if found is None:
        return "-USAGE: calls|channels [count] [as json]\n"
    what, count, as_json = found.groups()
    if what == "channels":
        rows = [shown(channel) for channel in switch.channels.values()]
    else:
        rows = _call_rows(switch)
    if as_json:
        fields: dict[str, object] = {"row_count": len(rows)}
        if rows or count:
            fields["rows"] = [] if count else rows
        return json.dumps(fields, separators=(",", ":"))
    if count or not rows:
        return f"\n{len(rows)} total.\n"
    lines = [",".join(rows[0]), *(",".join(row.values()) for row in rows)]
    return "\n".join(lines) + f"\n\n{len(rows)} total.\n"


@command("sandbox_call")
async def sandbox_call(switch: "Switch", argument: str) -> str:
    """`<from> <to> [key=value …]`: a call from outside, see inbound.py."""
    words = split_arguments(argument)
    if len(words) < 2:
        return "-USAGE: <from> <to> [digits=… digits_at=… talk=… hangup_after=… name=value]\n"
    options = dict(word.partition("=")[::2] for word in words[2:])
    channel = inbound.call(switch, words[0], words[1], options)
    return "-ERR SWITCH_CONGESTION\n" if channel is None else f"+OK {channel.uuid}\n"


@command("sandbox_gateway")
async def sandbox_gateway(switch: "Switch", argument: str) -> str:
    """`<name> <host:port>` points a gateway at a real SIP address; without one it is taken back."""
    name, _, address = argument.partition(" ")
    if not re.fullmatch(r"[A-Za-z0-9_.-]{1,128}", name):
        return "-USAGE: <name> [<host:port>]\n"
    if not address:
        switch.gateways.pop(name, None)
        return "+OK\n"
    if not re.fullmatch(r"[A-Za-z0-9.:\[\]-]{1,255}", address):
        return "-USAGE: <name> [<host:port>]\n"
    if switch.sip is None:
        return "-ERR the sandbox was started without --sip\n"
    switch.gateways[name] = address
    return "+OK\n"
