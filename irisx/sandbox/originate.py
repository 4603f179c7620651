"""Placing calls (switch_ivr_originate.c): endpoints, timeouts, failover, simultaneous ringing."""

import re
import uuid as uuids
from typing import TYPE_CHECKING

from irisx.sandbox import dialstring
from irisx.sandbox.bridge import is_true
from irisx.sandbox.channel import Channel
from irisx.sandbox.dialstring import DialError, DialString, Leg
from irisx.sandbox.farends import FarEnd, by_number, registered_user
from irisx.sandbox.leg import Profile

if TYPE_CHECKING:
    from irisx.sandbox.switch import Switch

DEFAULT_TIMEOUT = 60.0


def seconds_until(switch: "Switch", when: str) -> float | None:
    """`+5` from now, `@5` every (taken as from now), else an epoch; None when unreadable."""
    if not re.fullmatch(r"[+@]?\d{1,12}", when):
        return None
    if when[0] in "+@":
        return float(when[1:])
    return float(when) - switch.clock.now()


def timeout_of(variables: dict[str, str], *names: str, default: float) -> float:
    """The first of the named variables that is a number of seconds."""
    for name in names:
        if re.fullmatch(r"\d{1,6}", variables.get(name, "")):
            return float(variables[name])
    return default


async def originate(
    switch: "Switch",
    text: str,
    *,
    caller: Channel | None = None,
    timeout: float = DEFAULT_TIMEOUT,
    caller_id: tuple[str, str] = ("", ""),
) -> tuple[Channel | None, str]:
    """Dial until one leg answers (or has media, unless `ignore_early_media`).

    Returns the leg and SUCCESS, or None and the hang-up cause. `caller_id` is (name, number).
    """
    try:
        dial = dialstring.parse(text)
    except DialError as error:
        return None, str(error)
    cause = "DESTINATION_OUT_OF_ORDER"
    for group in dial.groups:
        leg, cause = await _dial_group(switch, dial, group, caller, timeout, caller_id)
        if leg is not None:
            return leg, "SUCCESS"
        if caller is not None and not caller.ready():
            return None, "ORIGINATOR_CANCEL"
    return None, cause


async def _dial_group(
    switch: "Switch",
    dial: DialString,
    group: list[Leg],
    caller: Channel | None,
    timeout: float,
    caller_id: tuple[str, str],
) -> tuple[Channel | None, str]:
    legs: list[Channel] = []
    cause = "DESTINATION_OUT_OF_ORDER"
    for leg in group:
        channel, cause = make_leg(switch, leg, dial.variables, caller, caller_id)
        if channel is not None:
            legs.append(channel)
    for channel in legs:
        channel.start()
    variables = dial.variables | (group[0].variables if len(group) == 1 else {})
    limit = timeout_of(variables, "originate_timeout", "call_timeout", default=timeout)
    if legs:
        winner, cause = await _race(switch, legs, variables, caller, limit)
        for channel in legs:
            if channel is not winner:
                channel.hangup("LOSE_RACE" if winner is not None else cause)
        return winner, cause
    return None, cause


async def _race(
    switch: "Switch",
    legs: list[Channel],
    variables: dict[str, str],
    caller: Channel | None,
    limit: float,
) -> tuple[Channel | None, str]:
    """Wait for the first leg that connects."""
    ignore = variables.get("ignore_early_media", "")
    only_answer = is_true(ignore) or ignore in ("consume", "ring_ready")
    began = switch.clock.now()
    watch = legs[0] if len(legs) == 1 else None
    while True:
        for leg in legs:
            connected = leg.times["answered"] or (leg.times["progress_media"] and not only_answer)
            if leg.up and connected:
                return leg, "SUCCESS"
        living = [leg for leg in legs if leg.up]
        if not living:
            return None, legs[-1].cause
        elapsed = switch.clock.now() - began
        if elapsed >= limit:
            return None, "NO_ANSWER"
        for leg in living:
            _end_when_late(leg, elapsed, limit)
        if caller is not None:
            if not caller.ready():
                return None, "ORIGINATOR_CANCEL"
            if any(leg.times["progress"] for leg in living):
                caller.ring_ready()
            await caller.turn(0.02)
        elif watch is not None:
            await watch.watched(0.1)
        else:
            await switch.clock.sleep(0.02)


def _end_when_late(leg: Channel, elapsed: float, limit: float) -> None:
    """Apply a leg's own leg_timeout and progress_timeout."""
    if elapsed >= timeout_of(leg.variables, "leg_timeout", default=limit):
        leg.hangup("NO_ANSWER")
    progress = timeout_of(leg.variables, "progress_timeout", default=limit)
    if elapsed >= progress and not leg.times["progress"]:
        leg.hangup("PROGRESS_TIMEOUT")


def make_leg(
    switch: "Switch",
    leg: Leg,
    shared: dict[str, str],
    caller: Channel | None,
    caller_id: tuple[str, str] = ("", ""),
) -> tuple[Channel | None, str]:
    """Create an outbound channel, not yet started; or None and the cause."""
    variables = exported(caller) | shared | leg.variables
    uuid = variables.get("origination_uuid") or str(uuids.uuid4())
    if uuid in switch.channels:
        return None, "DESTINATION_OUT_OF_ORDER"
    endpoint = resolve(switch, leg.endpoint, variables)
    if isinstance(endpoint, str):
        return None, endpoint
    name, destination, far = endpoint
    refusal = switch.admit("outbound")
    if refusal:
        return None, refusal
    inherited = (caller.profile.caller_id_name, caller.profile.caller_id_number) if caller else ()
    cid_name, cid_number = caller_id if any(caller_id) else inherited or ("", "0000000000")
    cid_name = variables.get("origination_caller_id_name", cid_name)
    cid_number = variables.get("origination_caller_id_number", cid_number)
    profile = Profile(
        destination=destination,
        caller_id_name=cid_name,
        caller_id_number=cid_number,
        orig_caller_id_number=cid_number,
        callee_id_name="Outbound Call",
        callee_id_number=destination,
        ani=cid_number,
        network_addr="127.0.0.1",
        source="src/switch_ivr_originate.c",
    )
    channel = Channel(switch, far, name, "outbound", profile, uuid, variables)
    if caller is not None:
        channel.other = ("originator", caller)
        channel.variables |= {"originator": caller.uuid, "signal_bond": caller.uuid}
    switch.adopt(channel)
    channel.fire("CHANNEL_OUTGOING")
    return channel, "SUCCESS"


def exported(caller: Channel | None) -> dict[str, str]:
    """The variables that a dialling leg passes on (`export_vars`)."""
    if caller is None:
        return {}
    names = [name for name in caller.variables.get("export_vars", "").split(",") if name]
    return {
        name.removeprefix("nolocal:"): caller.variables[name]
        for name in names
        if name in caller.variables
    }


def resolve(
    switch: "Switch", endpoint: str, variables: dict[str, str]
) -> tuple[str, str, FarEnd] | str:
    """Channel name, destination and far end of an endpoint; or the cause why there is none."""
    kind, _, rest = endpoint.partition("/")
    match kind.lower():
        case "error":
            return rest.upper() or "NORMAL_CLEARING"
        case "user":
            user = rest.partition("@")[0]
            if not user:
                return "SUBSCRIBER_ABSENT"
            return f"sofia/agents/{rest}", user, registered_user()
        case "loopback":
            number = rest.partition("/")[0]
            return f"loopback/{number}-a", number, by_number(number)
        case "sofia":
            return _resolve_sofia(switch, rest, variables)
    return "CHAN_NOT_IMPLEMENTED"


def _resolve_sofia(
    switch: "Switch", rest: str, variables: dict[str, str]
) -> tuple[str, str, FarEnd] | str:
    profile, _, target = rest.partition("/")
    gateway = ""
    if profile == "gateway":
        gateway, _, target = target.partition("/")
        gateway = gateway.rpartition("::")[2]
        if not gateway:
            return "INVALID_GATEWAY"
        variables |= {"sip_gateway_name": gateway, "sip_profile_name": "gateway"}
    else:
        variables |= {"sip_profile_name": profile, "sofia_profile_name": profile}
    if not target or not profile:
        return "INVALID_URL"
    address = re.sub(r"^sips?:", "", target.partition(";")[0])
    user, _, host = address.rpartition("@") if "@" in address else (address, "", "")
    name = f"sofia/{profile if not gateway else 'sandbox'}/{address}"
    host = switch.gateways.get(gateway, host if target.startswith(("sip:", "sips:")) else "")
    variables["sip_destination_url"] = f"sip:{user}@{host or 'sandbox.invalid'}"
    if host and switch.sip is not None:
        return name, user, switch.sip.outbound(user, host, variables)
    return name, user, by_number(user)
