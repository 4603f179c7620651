"""Live control: what the API asks of a call that is under way (verbs of the command bus)."""

from collections.abc import Callable
from typing import Any

import gevent
import structlog
from gevent.event import Event as Signal
from sqlalchemy import select

from irisx.kernel.clock import now
from irisx.kernel.db import transaction
from irisx.kernel.errors import Conflict, NotFound, Unavailable, invalid
from irisx.media.client import synthesize
from irisx.telephony.amd import live as amd
from irisx.telephony.bus import Command
from irisx.telephony.calls import connect, consult, handling
from irisx.telephony.calls.forward import leave_queue
from irisx.telephony.calls.live import LiveCall
from irisx.telephony.calls.models import Recording
from irisx.telephony.esl import commands
from irisx.telephony.esl.errors import EslError, UnsafeValue
from irisx.telephony.ivr import runner
from irisx.telephony.supervision import live as supervision
from irisx.telephony.switch import Switch

log = structlog.get_logger()

_END_SECONDS = 2.0
_ROW_SECONDS = 1.0
#: How long FreeSWITCH may hold sound back before it records it: three frames
#: (switch_core_media_bug.c `switch_core_media_bug_read`), and some for a busy machine. A pause that
#: ended at once would show the last of what was said in it.
_HELD_BACK_SECONDS = 0.1
_Args = dict[str, Any]


def carry_out(switch: Switch, call: LiveCall, command: Command) -> dict[str, Any]:
    """Carry out one verb; its answer. Raises IrisxError in the words of the API's client."""
    verb = _VERBS.get(command.verb)
    if verb is None:
        raise NotFound(f"The engine knows no {command.verb!r}.", code="UNKNOWN_COMMAND")
    try:
        result = verb(switch, call, command.args)
    except UnsafeValue as error:
        raise invalid(error.field, error.reason) from error
    except EslError as error:
        raise Unavailable(
            f"The switch did not carry that out: {error}", code="SWITCH_UNAVAILABLE"
        ) from error
    call.note(f"command:{command.id}", now(), f"command.{command.verb}", _told(command.args))
    return result or {}


def _told(args: _Args) -> _Args:
    """Arguments as the timeline shows them: digits may be a card's, paths are our own."""
    return {name: value for name, value in args.items() if name not in ("digits", "path")}


def _end(switch: Switch, call: LiveCall, args: _Args) -> None:
    """Hang up, and answer when the end is in the database: the client reads the row next."""
    call.canceled = call.answered_at is None
    switch.run(
        commands.uuid_kill(call.uuid, "ORIGINATOR_CANCEL" if call.canceled else "NORMAL_CLEARING")
    )
    if call.canceled and call.queued is not None:
        switch.dispatcher.submit(call.uuid, call.queued.cancel)
    with gevent.Timeout(_END_SECONDS, False):
        while not call.over:
            gevent.sleep(0.01)
        written = Signal()
        call.when_written(written.set)
        written.wait()


def _transfer(switch: Switch, call: LiveCall, args: _Args) -> None:
    """Blind: the partner leaves, the customer is connected with somebody else."""
    amd.give_up(switch, call, "transferred")
    runner.leave(switch, call)
    leave_queue(call, "transferred")
    consult.leave(switch, call)
    call.held = False
    call.next_destination = connect.text_of(args["to"])
    switch.run(commands.uuid_transfer_to_park(call.uuid))


def _play(switch: Switch, call: LiveCall, args: _Args) -> None:
    """To the customer alone; in a conversation it is mixed into what the customer hears."""
    path, loops = str(args["path"]), int(args.get("loops", 1))
    if call.partner is not None:
        switch.connection.api(commands.uuid_displace_start(call.uuid, path))
    else:
        switch.execute(call.uuid, *[("playback", commands.source(path))] * loops)


def _say(switch: Switch, call: LiveCall, args: _Args) -> dict[str, Any]:
    speech = synthesize(args["text"], args.get("voice"), args.get("language"))
    _play(switch, call, {"path": str(speech.path)})
    return {"voice": speech.voice, "fallback": speech.fallback, "duration_ms": speech.duration_ms}


def _stop_playback(switch: Switch, call: LiveCall, args: _Args) -> None:
    """In a flow only what plays now: what it has queued is the flow's."""
    switch.run(commands.uuid_break(call.uuid, everything=call.flow is None))


def _dtmf(switch: Switch, call: LiveCall, args: _Args) -> None:
    switch.connection.api(
        commands.uuid_send_dtmf(call.uuid, args["digits"], args.get("duration_ms"))
    )


def _hold(switch: Switch, call: LiveCall, args: _Args) -> None:
    """The customer hears music, the partner nothing."""
    if call.held:
        raise Conflict("The call is on hold already.", code="CALL_ON_HOLD")
    if call.partner is not None:
        consult.part(switch, call)
    elif call.flow is not None:
        raise Conflict("The call is in a flow; transfer it out of it first.", code="IN_FLOW")
    elif call.queued is not None:
        raise Conflict("The call waits in a queue; transfer it out of it first.", code="IN_QUEUE")
    else:
        switch.execute(call.uuid, ("playback", consult.MUSIC))
    call.held = True


def _unhold(switch: Switch, call: LiveCall, args: _Args) -> None:
    if not call.held:
        raise Conflict("The call is not on hold.", code="CALL_NOT_ON_HOLD")
    if call.consulting is not None:
        consult.rejoin(switch, call)
    else:
        switch.run(commands.uuid_break(call.uuid, everything=True))
    call.held = False


def _muted_leg(call: LiveCall, args: _Args) -> str:
    if args.get("leg", "customer") == "customer":
        return call.uuid
    if call.partner is None:
        raise Conflict("Nobody is connected with the customer.", code="NO_PARTNER")
    return call.partner


def _mute(switch: Switch, call: LiveCall, args: _Args) -> None:
    switch.connection.api(commands.uuid_mute(_muted_leg(call, args)))


def _unmute(switch: Switch, call: LiveCall, args: _Args) -> None:
    """Both sides are heard again."""
    for leg in filter(None, (call.uuid, call.partner)):
        switch.connection.api(commands.uuid_unmute(leg))


def _record(switch: Switch, call: LiveCall, args: _Args) -> dict[str, Any]:
    action = args["action"]
    if action == "start":
        if call.recording_path is not None:
            raise Conflict("The call is being recorded already.", code="ALREADY_RECORDING")
        handling.start_recording(switch, call)
        if call.recording_path is None:
            raise Unavailable("The recording could not be started.", code="RECORDING_FAILED")
        return {"recording_id": _recording_id(call.recording_path)}
    path, file = call.recording_path, switch.recording_file(call)
    if path is None or file is None:
        raise Conflict("The call is not being recorded.", code="NOT_RECORDING")
    match action:
        case "pause":
            handling.mask(switch, call, on=True)
            switch.connection.api(commands.uuid_record_mask(call.uuid, file))
        case "resume":
            gevent.sleep(_HELD_BACK_SECONDS)
            switch.connection.api(commands.uuid_record_unmask(call.uuid, file))
            handling.mask(switch, call, on=False)
        case "stop":
            switch.connection.api(commands.uuid_record_stop(call.uuid, file))
    return {"recording_id": _recording_id(path)}


def _recording_id(path: str) -> int | None:
    """The row's id; None where the database does not have it in time: recording goes on."""
    with gevent.Timeout(_ROW_SECONDS, False):
        while True:
            with transaction() as session:
                found = session.scalar(select(Recording.id).where(Recording.path == path))
            if found is not None:
                return found
            gevent.sleep(0.02)
    return None


_Verb = Callable[[Switch, LiveCall, _Args], dict[str, Any] | None]

_VERBS: dict[str, _Verb] = {
    "end": _end,
    "transfer": _transfer,
    "consult": consult.start,
    "consult_complete": consult.complete,
    "consult_cancel": consult.cancel,
    "play": _play,
    "stop_playback": _stop_playback,
    "say": _say,
    "dtmf": _dtmf,
    "hold": _hold,
    "unhold": _unhold,
    "mute": _mute,
    "unmute": _unmute,
    "record": _record,
    "supervise": supervision.supervise,
    "supervise_stop": supervision.stop,
}
