"""What each event of the switch does to its call: one table, one function an event.

Events come in the call's own greenlet, in order as a rule, but late, repeated and reordered ones
are ordinary: every function may run twice or too late.
"""

from collections.abc import Callable
from uuid import UUID

import structlog

from irisx.kernel.jobs import wake
from irisx.settings import get_settings
from irisx.telephony import taps
from irisx.telephony.amd import live as amd
from irisx.telephony.calls import capacity, connect, consult, engaged, inbound
from irisx.telephony.calls.ended import Ended
from irisx.telephony.calls.forward import forward
from irisx.telephony.calls.live import LiveCall, channel_time, end_of, event_key
from irisx.telephony.calls.states import Direction
from irisx.telephony.esl import commands
from irisx.telephony.esl.errors import CommandRefused, EslError
from irisx.telephony.esl.wire import Event
from irisx.telephony.supervision import live as supervision
from irisx.telephony.switch import Switch

log = structlog.get_logger()


def handle(switch: Switch, event: Event) -> None:
    """Take one event of a channel to its call."""
    channel = event.uuid
    if channel is None:
        return
    call = switch.legs.get(channel) or _newly_known(switch, event, channel)
    if call is None:
        if event.name == "CHANNEL_PARK":
            _nobodys(switch, event, channel)
        elif event.name == "CHANNEL_HANGUP_COMPLETE":
            switch.forget_unknown_end(channel)
        return
    handler = (_CUSTOMER if channel == call.uuid else _OTHER_LEG).get(event.name)
    if handler is None:
        return
    try:
        handler(switch, call, event)
    except CommandRefused as refusal:
        if not refusal.channel_gone:
            raise
        log.info("call.hung_up_meanwhile", sid=call.sid, after=event.name)  # its end is told next


def _nobodys(switch: Switch, event: Event, channel: str) -> None:
    """A parked channel of no call: a caller whom nobody took yet, or a leg of a call that is
    over, which nobody will fetch."""
    if event.variable("irisx_leg") == supervision.LEG:
        switch.run(commands.uuid_kill(channel))
    elif event.variable("irisx_direction") == "inbound":
        inbound.take(switch, event)


def _newly_known(switch: Switch, event: Event, channel: str) -> LiveCall | None:
    """A leg that the switch made for a call of ours."""
    call = switch.calls.get(event.variable("irisx_call_id") or "")
    if call is not None and event.name != "CHANNEL_HANGUP_COMPLETE":
        switch.legs[channel] = call
    return call


# -- the customer's leg ---------------------------------------------------------------------------


def _created(switch: Switch, call: LiveCall, event: Event) -> None:
    call.leg_seen = True


def _ringing(switch: Switch, call: LiveCall, event: Event) -> None:
    call.ring(event.timestamp, event_key(event))


def _answered(switch: Switch, call: LiveCall, event: Event) -> None:
    at = channel_time(event, "Answered") or event.timestamp
    if call.answer(at, event_key(event)):
        began(switch, call)


def began(switch: Switch, call: LiveCall) -> None:
    """What an answered call gets at once: its longest duration, its recording, its listener."""
    if call.direction is Direction.OUTBOUND:
        limit = get_settings().max_call_seconds
        switch.run(commands.sched_hangup(call.uuid, limit))
    if call.record and call.recording_path is None:
        start_recording(switch, call)
    if "amd" in call.options and call.amd is None:
        amd.begin(switch, call)


def start_recording(switch: Switch, call: LiveCall) -> None:
    """Begin a recording; a failure is told in the timeline and does not touch the call."""
    assert call.answered_at is not None
    try:
        call.recording_path = switch.start_recording(call, call.answered_at)
    except (EslError, OSError) as error:
        log.error("call.recording_failed", sid=call.sid, error=str(error))
        call.note(
            f"recording_failed:{call.recordings}",
            call.answered_at,
            "recording.failed",
            {"reason": str(error)},
        )


def mask(switch: Switch, call: LiveCall, *, on: bool) -> None:
    """Whether what is said and pressed now is to be written nowhere; the channel keeps it."""
    call.masked = on
    switch.run(commands.uuid_setvar(call.uuid, "irisx_masked", "true" if on else ""))


def _parked(switch: Switch, call: LiveCall, event: Event) -> None:
    """Nothing connects the customer's leg now: is there somebody to connect it with?"""
    call.parked.add(call.uuid)
    if call.awaits_verdict:
        return
    destination = call.next_destination
    call.next_destination = None
    if destination is not None:
        forward(switch, call, destination, event)
    elif call.queued is not None:
        call.queued.parked()


def _bridged(switch: Switch, call: LiveCall, event: Event) -> None:
    other = event.get("Bridge-B-Unique-ID") or event.get("Other-Leg-Unique-ID")
    if other == call.uuid:
        other = event.get("Bridge-A-Unique-ID")
    call.partner = other or None
    if other:
        switch.legs[other] = call
    call.parked -= {call.uuid, other or ""}
    number = event.get("Other-Leg-Destination-Number", "")
    data = {"with": number, "leg": other}
    call.note(event_key(event), event.timestamp, "call.bridged", data)
    supervision.follow(switch, call)
    if call.queued is not None and other:
        call.queued.bridged(other, event.timestamp)


def _unbridged(switch: Switch, call: LiveCall, event: Event) -> None:
    call.partner = None
    call.note(event_key(event), event.timestamp, "call.unbridged")
    supervision.follow(switch, call)


def _executed(switch: Switch, call: LiveCall, event: Event) -> None:
    match event.get("Application"):
        case "bridge":
            connect.attempt_ended(switch, call, event)
        case "playback":
            data = {"result": event.get("Application-Response", "")}
            call.note(event_key(event), event.timestamp, "playback.ended", data)


def _digit(switch: Switch, call: LiveCall, event: Event) -> None:
    digit = "" if call.masked else event.get("DTMF-Digit", "")
    data = {"digit": digit, "duration": event.get("DTMF-Duration", "")}
    call.note(event_key(event), event.timestamp, "dtmf.received", data)
    if call.queued is not None and call.queued.waiting:
        call.queued.digit(event)
    elif call.flow is not None:
        call.flow.digit(event)


def _recording_started(switch: Switch, call: LiveCall, event: Event) -> None:
    path = _relative(event)
    if path is not None:
        call.recording_started(path, event.timestamp, event_key(event))


def _recording_stopped(switch: Switch, call: LiveCall, event: Event) -> None:
    path = _relative(event)
    if path is None:
        taps.written(switch, event)
        return
    if call.recording_path == path:
        call.recording_path = None
        switch.run(commands.uuid_setvar(call.uuid, "irisx_recording", ""))
        if call.masked:
            mask(switch, call, on=False)
    call.note(event_key(event), event.timestamp, "recording.stopped", {"path": path})
    call.when_written(lambda: wake("recordings.finish"))


def _relative(event: Event) -> str | None:
    """A recording's path below the recordings directory; None for taps and others."""
    root = f"{get_settings().recording_path}/"
    file = event.get("Record-File-Path", "")
    return file.removeprefix(root) if file.startswith(root) else None


def _noted(type: str) -> Callable[[Switch, LiveCall, Event], None]:
    def note(switch: Switch, call: LiveCall, event: Event) -> None:
        call.note(event_key(event), event.timestamp, type)

    return note


def _hung_up(switch: Switch, call: LiveCall, event: Event) -> None:
    end = end_of(event)
    if call.placing and end.answered_at is None and call.answered_at is None:
        # An attempt of several: who places the call decides what it means.
        switch.legs.pop(call.uuid, None)
        call.attempt_end.set(end)
        return
    finish(switch, call, end)


def finish(switch: Switch, call: LiveCall, end: Ended) -> None:
    """The customer's leg is gone and the call over."""
    call.finish(end)
    if call.queued is not None:
        call.queued.end(end.ended_at)
    for leg in list(call.agents):
        engaged.over(switch, call, leg)
    if call.flow is not None:
        call.flow.end()
    amd.give_up(switch, call, "hung_up")
    taps.end_all(switch, call)
    supervision.end(switch, call)
    for channel, owner in list(switch.legs.items()):
        if owner is call:
            switch.drop(channel)
    switch.calls.pop(call.uuid, None)

    def settled() -> None:
        switch.forget_end(call.uuid)
        if call.recordings:
            wake("recordings.finish")

    call.when_written(settled)
    consult.leave(switch, call)


# -- other legs of the call -----------------------------------------------------------------------


def _other_answered(switch: Switch, call: LiveCall, event: Event) -> None:
    call.note(event_key(event), event.timestamp, "leg.answered")
    engaged.began(switch, call, event)


def _other_parked(switch: Switch, call: LiveCall, event: Event) -> None:
    call.parked.add(event["Unique-ID"])
    supervision.parked(switch, call, event)
    if call.queued is not None:
        call.queued.leg_parked(event["Unique-ID"])


def _other_left(switch: Switch, call: LiveCall, event: Event) -> None:
    channel = event["Unique-ID"]
    switch.drop(channel)
    call.parked.discard(channel)
    if call.partner == channel:
        call.partner = None
    consult.left(switch, call, event)
    engaged.over(switch, call, channel)
    cause = event.get("Hangup-Cause", "")
    call.note(event_key(event), event.timestamp, "leg.ended", {"leg": channel, "cause": cause})
    supervision.left(switch, call, channel, cause)
    if call.queued is not None:
        call.queued.leg_left(channel, cause, channel_time(event, "Hangup") or event.timestamp)
    switch.forget_end(channel)
    if channel in call.carrier_legs:
        capacity.release_carrier([UUID(channel)])


_Handler = Callable[[Switch, LiveCall, Event], None]

_CUSTOMER: dict[str, _Handler] = {
    "CHANNEL_ORIGINATE": _created,
    "CHANNEL_PROGRESS": _ringing,
    "CHANNEL_PROGRESS_MEDIA": _ringing,
    "CHANNEL_ANSWER": _answered,
    "CHANNEL_PARK": _parked,
    "CHANNEL_BRIDGE": _bridged,
    "CHANNEL_UNBRIDGE": _unbridged,
    "CHANNEL_EXECUTE_COMPLETE": _executed,
    "CHANNEL_HANGUP_COMPLETE": _hung_up,
    "CHANNEL_HOLD": _noted("call.held"),
    "CHANNEL_UNHOLD": _noted("call.unheld"),
    "DTMF": _digit,
    "RECORD_START": _recording_started,
    "RECORD_STOP": _recording_stopped,
}

_OTHER_LEG: dict[str, _Handler] = {
    "CHANNEL_ORIGINATE": engaged.began,
    "CHANNEL_PROGRESS": _noted("leg.ringing"),
    "CHANNEL_PROGRESS_MEDIA": _noted("leg.ringing"),
    "CHANNEL_ANSWER": _other_answered,
    "CHANNEL_PARK": _other_parked,
    "CHANNEL_HOLD": _noted("leg.held"),
    "CHANNEL_UNHOLD": _noted("leg.unheld"),
    "CHANNEL_HANGUP_COMPLETE": _other_left,
}
