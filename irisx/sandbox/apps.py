"""Dialplan applications (mod_dptools), as far as IRISX uses them.

Arguments are taken literally: `${…}` is never expanded.
"""

import logging
import re
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

from irisx.sandbox import bridge, gather, originate, session
from irisx.sandbox.bridge import is_true
from irisx.sandbox.gather import Heard
from irisx.sandbox.media import MediaError, Quiet
from irisx.sandbox.playback import play
from irisx.sandbox.states import CallState, State
from irisx.sandbox.taps import Recorder, Spy

if TYPE_CHECKING:
    from irisx.sandbox.channel import Channel

log = logging.getLogger(__name__)

Application = Callable[["Channel", str], Awaitable[None]]
APPLICATIONS: dict[str, Application] = {}


# Before these an unanswered channel gets early media.
MEDIA_APPLICATIONS: set[str] = set()


def application(*names: str, media: bool = False) -> Callable[[Application], Application]:
    """Register an application under its names."""

    def register(function: Application) -> Application:
        if media:
            MEDIA_APPLICATIONS.update(names)
        APPLICATIONS.update(dict.fromkeys(names, function))
        return function

    return register


@application("answer")
async def answer(channel: "Channel", argument: str) -> None:
    channel.answer()


@application("pre_answer")
async def pre_answer(channel: "Channel", argument: str) -> None:
    channel.pre_answer()


@application("ring_ready")
async def ring_ready(channel: "Channel", argument: str) -> None:
    channel.ring_ready()


@application("park")
async def park(channel: "Channel", argument: str) -> None:
    await session.park(channel)


@application("hangup")
async def hangup(channel: "Channel", argument: str) -> None:
    channel.hangup(argument or "NORMAL_CLEARING")


@application("respond")
async def respond(channel: "Channel", argument: str) -> None:
    """Refuse the call with a SIP response: `486 Busy Here`."""
    status = argument.split(" ", 1)[0]
    if status.isascii() and status.isdigit():
        channel.hangup(channel.switch.sip_cause(int(status)))


@application("log", "info", "event", "sched_heartbeat")
async def nothing(channel: "Channel", argument: str) -> None:
    log.debug("%s: %.200s", channel.name, argument)


@application("set")
async def set_variable(channel: "Channel", argument: str) -> None:
    """`name=value`; an empty value removes the variable."""
    name, _, value = argument.partition("=")
    channel.set_variable(name.strip(), value)


@application("unset")
async def unset(channel: "Channel", argument: str) -> None:
    channel.variables.pop(argument.strip(), None)


@application("multiset")
async def multiset(channel: "Channel", argument: str) -> None:
    """Several assignments separated by blanks, or by X when led by `^^X`."""
    separator = " "
    if argument.startswith("^^") and len(argument) > 3:
        separator, argument = argument[2], argument[3:]
    for part in argument.split(separator):
        await set_variable(channel, part)


@application("export")
async def export(channel: "Channel", argument: str) -> None:
    """`[nolocal:]name=value`: also set on the legs that this channel dials."""
    name, _, value = argument.partition("=")
    plain = name.strip().removeprefix("nolocal:")
    listed = [item for item in channel.variables.get("export_vars", "").split(",") if item]
    if not plain:
        return
    channel.variables[name.strip()] = value
    if name.strip() not in listed:
        channel.variables["export_vars"] = ",".join([*listed, name.strip()])


@application("sleep")
async def sleep(channel: "Channel", argument: str) -> None:
    millis = re.match(r"\s*(\d{1,9})", argument)
    if millis:
        await play(channel, Quiet(int(millis[1]) * 8))


@application("playback", media=True)
async def playback(channel: "Channel", argument: str) -> None:
    """A file or stream, or a list separated by `playback_delimiter`."""
    await gather.playback(channel, argument)


@application("endless_playback", media=True)
async def endless_playback(channel: "Channel", argument: str) -> None:
    """A file again and again until it is stopped (mod_dptools.c)."""
    while channel.ready() and await gather.playback(channel, argument):
        pass


@application("play_and_get_digits", media=True)
async def play_and_get_digits(channel: "Channel", argument: str) -> None:
    await gather.play_and_get_digits(channel, argument)


@application("read", media=True)
async def read(channel: "Channel", argument: str) -> None:
    await gather.read(channel, argument)


@application("send_dtmf")
async def send_dtmf(channel: "Channel", argument: str) -> None:
    channel.far.receive_digits(argument.partition("@")[0])


@application("queue_dtmf")
async def queue_dtmf(channel: "Channel", argument: str) -> None:
    """As if the far end had pressed them: for what collects digits next."""
    channel.digits.extend(argument.partition("@")[0])


@application("flush_dtmf")
async def flush_dtmf(channel: "Channel", argument: str) -> None:
    channel.digits.clear()


@application("echo", media=True)
async def echo(channel: "Channel", argument: str) -> None:
    channel.hears = channel
    while channel.ready() and not channel.take_break():
        await channel.turn()
    channel.hears = None


def _whole(words: list[str], place: int) -> int:
    """The number at a place; 0 where none is."""
    word = words[place].lstrip("+") if place < len(words) else ""
    return int(word) if re.fullmatch(r"[0-9]{1,6}", word) else 0


@application("record", media=True)
async def record(channel: "Channel", argument: str) -> None:
    """`path [limit s [threshold [silence s]]]`: what the party says until a digit, the limit,
    silence, or the end."""
    path, *numbers = argument.split() or [""]
    limit, threshold, silence = (_whole(numbers, place) for place in range(3))
    heard = Heard(channel, channel.variables.get("playback_terminators", "*"))
    channel.variables.pop("playback_terminator_used", None)
    try:
        recorder = Recorder(
            channel,
            path,
            {"RECORD_READ_ONLY": "true"},
            float(limit),
            session_wide=False,
            threshold=threshold,
            silence=silence or 3,
        )
    except MediaError as error:
        log.warning("%s: %s", channel.name, error)
        channel.hangup("DESTINATION_OUT_OF_ORDER")
        return
    while channel.ready() and recorder in channel.bugs:
        if heard.take() and heard.terminator:
            channel.variables["playback_terminator_used"] = heard.terminator
            break
        if channel.take_break():
            break
        await channel.turn()
    recorder.end("success-maxtime")


@application("record_session")
async def record_session(channel: "Channel", argument: str) -> None:
    """`path [+limit s]`: record beside everything else."""
    path, _, rest = argument.strip().partition(" ")
    limit = re.match(r"\+?(\d{1,6})", rest.strip())
    try:
        Recorder(channel, path, {}, float(limit[1]) if limit else 0.0)
    except MediaError as error:
        log.warning("%s: %s", channel.name, error)


@application("stop_record_session")
async def stop_record_session(channel: "Channel", argument: str) -> None:
    for recorder in recorders(channel, argument.strip() or "all"):
        recorder.end("success-maxtime")


@application("record_session_mask")
async def record_session_mask(channel: "Channel", argument: str) -> None:
    for recorder in recorders(channel, argument.strip()):
        recorder.masked = True


@application("record_session_unmask")
async def record_session_unmask(channel: "Channel", argument: str) -> None:
    for recorder in recorders(channel, argument.strip()):
        recorder.masked = False


def recorders(channel: "Channel", path: str) -> list[Recorder]:
    """The session recordings of a channel into a path, or of any with `all`."""
    return [
        bug for bug in channel.bugs if isinstance(bug, Recorder) and path in ("all", bug.asked_path)
    ]


@application("bridge")
async def bridge_to(channel: "Channel", argument: str) -> None:
    """Dial and join (mod_dptools, audio_bridge_function)."""
    if channel.times["answered"]:
        channel.set_call_state(CallState.RING_WAIT)
    leg, cause = await originate.originate(channel.switch, argument, caller=channel)
    if not channel.up:
        if leg is not None:
            leg.hangup("ORIGINATOR_CANCEL")
        return
    if leg is not None:
        bridge.pair(channel, leg)
    if channel.times["answered"]:
        channel.set_call_state(CallState.ACTIVE)
    channel.variables["originate_disposition"] = cause
    if leg is None:
        channel.variables["last_bridge_hangup_cause"] = cause
        go_on = channel.variables.get("continue_on_fail", "")
        if not is_true(go_on) and cause not in go_on.upper().split(","):
            channel.hangup(cause)
        return
    channel.answer()
    leg.set_state(State.CS_EXCHANGE_MEDIA)
    await bridge.converse(channel, leg)
    if channel.ready():
        if is_true(channel.variables.get("park_after_bridge", "")):
            channel.set_state(State.CS_PARK)
        elif is_true(channel.variables.get("hangup_after_bridge", "")):
            channel.hangup(leg.cause or "NORMAL_CLEARING")


EAVESDROP_MODES = {"0": 0, "1": 1, "2": 2, "3": 3}


@application("eavesdrop", "three_way")
async def eavesdrop(channel: "Channel", argument: str) -> None:
    """Listen to a leg; digits or MESSAGE events choose who hears the supervisor.

    Its loop doesn't obey `sendmsg` (switch_ivr_async.c, switch_ivr_eavesdrop_session).
    """
    spied = channel.switch.find(argument)
    channel.answer()
    if spied is None or spied is channel:
        return
    spy = Spy(spied, channel)
    for variable, hearer in (("aleg", 1), ("bleg", 2)):
        if is_true(channel.variables.get(f"eavesdrop_whisper_{variable}", "")):
            spy.mode |= hearer
    if channel.variables.get("current_application") == "three_way":
        spy.mode = 3
    channel.spying = spy
    by_digits = channel.variables.get("eavesdrop_enable_dtmf", "true").lower() != "false"
    try:
        while channel.ready() and spied.up and not channel.take_break():
            command, channel.eavesdrop_command = channel.eavesdrop_command, ""
            while not command and channel.digits:
                digit = channel.digits.popleft()
                command = digit if by_digits else ""
            if command == "*":
                break
            if command in EAVESDROP_MODES:
                spy.mode = EAVESDROP_MODES[command]
            await channel.turn(obey=False)
    finally:
        channel.spying = None
        spy.end("")


@application("sched_hangup")
async def sched_hangup(channel: "Channel", argument: str) -> None:
    """`[+]seconds [cause]`."""
    when, _, cause = argument.strip().partition(" ")
    delay = originate.seconds_until(channel.switch, when)
    if delay is not None:
        number = channel.switch.scheduler.add(
            delay,
            channel.uuid,
            "switch_ivr_schedule_hangup",
            lambda: channel.hangup(cause.split(" ")[0] or "ALLOTTED_TIMEOUT"),
        )
        channel.variables["last_sched_id"] = str(number)


@application("sched_transfer")
async def sched_transfer(channel: "Channel", argument: str) -> None:
    """`[+]seconds extension [dialplan [context]]`."""
    when, _, rest = argument.strip().partition(" ")
    delay = originate.seconds_until(channel.switch, when)
    target = rest.split(" ")
    if delay is not None and target[0]:
        number = channel.switch.scheduler.add(
            delay,
            channel.uuid,
            "switch_ivr_schedule_transfer",
            lambda: channel.transfer(*target[:3]) if channel.up else None,
        )
        channel.variables["last_sched_id"] = str(number)


@application("transfer")
async def transfer(channel: "Channel", argument: str) -> None:
    target = argument.split(" ")
    if target[0]:
        channel.transfer(*target[:3])


@application("hash")
async def hash_application(channel: "Channel", argument: str) -> None:
    """`insert/realm/key/value` or `delete/realm/key`."""
    action, _, rest = argument.partition("/")
    realm, _, rest = rest.partition("/")
    key, _, value = rest.partition("/")
    if action == "insert":
        channel.switch.hashes[realm, key] = value
    elif action == "delete":
        channel.switch.hashes.pop((realm, key), None)


@application("hold")
async def hold(channel: "Channel", argument: str) -> None:
    channel.hold()


@application("unhold")
async def unhold(channel: "Channel", argument: str) -> None:
    channel.unhold()
