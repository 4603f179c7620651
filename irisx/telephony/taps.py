"""Live audio of calls to the media process, and what it makes of it back to the call.

The engine's side of `irisx/media/taps`. A tap is of the customer's leg. Which taps a call has
stands in a channel variable, so an engine that takes the call up gets their reports too.
"""

from collections.abc import Callable, Mapping
from typing import Any

import gevent
import structlog
from gevent.event import Event as Signal
from redis import RedisError

from irisx.kernel.errors import Unavailable
from irisx.media.taps import Cause, Report, Start, Stop, Tell, messages
from irisx.settings import get_settings
from irisx.telephony.calls.live import LiveCall
from irisx.telephony.esl import commands
from irisx.telephony.esl.errors import CommandRefused, EslError
from irisx.telephony.esl.wire import Event
from irisx.telephony.switch import Switch

log = structlog.get_logger()

#: `<id>.<consumer>.<epoch ms of its start>` of each tap, joined by `-`.
VARIABLE = "irisx_taps"
_BLOCK_SECONDS = 1.0
#: Pauses (s) after which a tap that the switch refused is tried again.
_REFUSED_PAUSES = (0.02, 0.05, 0.1)
#: By default the switch holds back 64 kB, and half a second of audio before that.
_UNBUFFERED = {
    "enable_file_write_buffering": "false",
    "record_sample_rate": "8000",
    "RECORD_PRE_BUFFER_FRAMES": "1",
    "RECORD_MIN_SEC": "0",
}

#: Takes the reports of a consumer's taps, in the call's own greenlet.
Listener = Callable[[Switch, LiveCall, Report], None]


def start(
    switch: Switch,
    call: LiveCall,
    consumer: str,
    args: dict[str, object],
    *,
    stereo: bool = False,
    limit_s: int = 0,
) -> str:
    """Have `consumer` of the media process listen to the customer's leg; the tap's id.

    `stereo`: it hears what the customer hears too. After `limit_s` the switch itself ends the tap
    (0: with the call). Raises Unavailable (MEDIA_UNAVAILABLE) where no media process serves the
    node, or EslError.
    """
    for pause in _REFUSED_PAUSES:
        try:
            return _start(switch, call, consumer, args, stereo=stereo, limit_s=limit_s)
        except CommandRefused as error:  # a leg that has just answered may not record yet
            log.info("taps.refused", sid=call.sid, reason=str(error))
            gevent.sleep(pause)
    return _start(switch, call, consumer, args, stereo=stereo, limit_s=limit_s)


def _start(
    switch: Switch,
    call: LiveCall,
    consumer: str,
    args: dict[str, object],
    *,
    stereo: bool,
    limit_s: int,
) -> str:
    request = Start(switch.name, call.uuid, consumer, args, stereo)
    side = {"RECORD_STEREO": "true"} if stereo else {"RECORD_READ_ONLY": "true"}
    record = commands.uuid_record_start(
        call.uuid, _file(request.id), limit_s=limit_s, options=side | _UNBUFFERED
    )
    call.taps[request.id] = (consumer, round(request.at * 1000))
    try:
        # The reader first: it removes the file's name even if we die now.
        _ask_to_start(request)
        switch.connection.api(record)
    except (Unavailable, EslError):
        call.taps.pop(request.id, None)
        _ask_to_stop(switch, request.id)
        raise
    _remember(switch, call)
    return request.id


def _ask_to_start(request: Start) -> None:
    try:
        if not messages.is_alive(request.node):
            raise Unavailable("No media process is beside the switch.", code="MEDIA_UNAVAILABLE")
        messages.ask(request.node, request)
    except RedisError as error:
        raise Unavailable(
            "Redis is away, so the media process can't be asked.", code="MEDIA_UNAVAILABLE"
        ) from error


def tell(switch: Switch, tap: str, type: str, data: Mapping[str, Any]) -> None:
    """Tell a tap's consumer something. Raises RedisError."""
    messages.ask(switch.name, Tell(tap, type, dict(data)))


def stop(switch: Switch, call: LiveCall, tap: str) -> None:
    """End a tap; the consumer still gets what was written, and reports its end."""
    switch.run(commands.uuid_record_stop(call.uuid, _file(tap)))


def written(switch: Switch, event: Event) -> None:
    """The switch has ended a recording; if it was a tap's, its reader need not wait for more."""
    root = f"{get_settings().taps_path}/"
    file = event.get("Record-File-Path", "")
    if file.startswith(root):
        _ask_to_stop(switch, file.removeprefix(root).removesuffix(".r8"))


def end_all(switch: Switch, call: LiveCall) -> None:
    """The call is over."""
    for tap in call.taps:
        _ask_to_stop(switch, tap)
    call.taps.clear()


def restore(call: LiveCall, dump: Event) -> None:
    """Know the taps again that a call had when its engine was lost."""
    kept = (dump.variable(VARIABLE) or "").split("-")
    taps = [tap.split(".") for tap in kept if tap.count(".") == 2]
    call.taps = {tap: (consumer, int(at_ms)) for tap, consumer, at_ms in taps}


def serve(
    held: Callable[[], Mapping[str, Switch]], listeners: Mapping[str, Listener], until: Signal
) -> None:
    """Take the media processes' reports for the nodes that are held to their calls."""
    while not until.is_set():
        nodes = held()
        if not nodes:
            until.wait(_BLOCK_SECONDS / 2)
            continue
        try:
            found = messages.reports(nodes, _BLOCK_SECONDS)
        except RedisError as error:
            log.info("taps.redis_away", reason=str(error))
            until.wait(_BLOCK_SECONDS)
            continue
        except (ValueError, KeyError, TypeError) as error:
            log.warning("taps.report_unreadable", reason=repr(error))
            continue
        if found is not None:
            _take(nodes[found[0]], found[1], listeners)


def _take(switch: Switch, report: Report, listeners: Mapping[str, Listener]) -> None:
    if report.type != messages.RESTARTED:
        switch.dispatcher.submit(report.call, _deliver, switch, report, listeners)
        return
    for call in list(switch.calls.values()):
        for tap, (consumer, at_ms) in list(call.taps.items()):
            if at_ms > report.at * 1000:  # asked of the new process already
                continue
            lost = Report(tap, call.uuid, consumer, messages.ENDED, {"cause": Cause.LOST})
            switch.dispatcher.submit(call.uuid, _lose, switch, call, lost, listeners)


def _lose(
    switch: Switch, call: LiveCall, report: Report, listeners: Mapping[str, Listener]
) -> None:
    """The media process that followed the tap is gone; the switch still writes for it."""
    stop(switch, call, report.tap)
    _deliver(switch, report, listeners)


def _deliver(switch: Switch, report: Report, listeners: Mapping[str, Listener]) -> None:
    call = switch.calls.get(report.call)
    if call is None or report.tap not in call.taps:
        return
    if report.type == messages.ENDED:
        call.taps.pop(report.tap, None)
        _remember(switch, call)
        if report.data["cause"] != Cause.STOPPED:
            stop(switch, call, report.tap)
    listener = listeners.get(report.consumer)
    if listener is None:
        log.error("taps.nobody_listens", consumer=report.consumer, sid=call.sid)
    else:
        listener(switch, call, report)


def _remember(switch: Switch, call: LiveCall) -> None:
    value = "-".join(f"{tap}.{name}.{at_ms}" for tap, (name, at_ms) in call.taps.items())
    switch.run(commands.uuid_setvar(call.uuid, VARIABLE, value))


def _ask_to_stop(switch: Switch, tap: str) -> None:
    try:
        messages.ask(switch.name, Stop(tap))
    except RedisError as error:  # the reader sees by itself that nothing comes any more
        log.info("taps.not_stopped", tap=tap, reason=str(error))


def _file(tap: str) -> str:
    return str(get_settings().taps_path / f"{tap}.r8")
