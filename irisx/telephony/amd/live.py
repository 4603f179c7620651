"""Detection on a live call: begun at the answer, ended by a verdict, a time limit or a hang-up.

The media process listens (`irisx/media/amd/live.py`) and nobody waits for it: without a verdict
the call goes on as `unknown` at its limit. Stage and limit stand in a channel variable, and the
reports wait in Redis, so an engine that takes the call up goes on.
"""

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Any

import gevent
import structlog
from gevent.event import AsyncResult
from prometheus_client import Counter

from irisx.kernel import template
from irisx.kernel.clock import now
from irisx.kernel.errors import IrisxError
from irisx.media.amd import Result, live
from irisx.media.amd.detector import Cause as Reason
from irisx.media.taps import Report, messages
from irisx.telephony import taps
from irisx.telephony.amd.config import Action, Plan
from irisx.telephony.calls.forward import forward
from irisx.telephony.calls.live import LiveCall
from irisx.telephony.esl import commands
from irisx.telephony.esl.errors import EslError
from irisx.telephony.esl.wire import Event
from irisx.telephony.ivr import prompts, runner
from irisx.telephony.ivr.audio import rendered
from irisx.telephony.switch import Switch

log = structlog.get_logger()

#: `<stage>` or `<stage>.<limit, epoch ms>`.
VARIABLE = "irisx_amd"
EVENT = "call.amd"
#: What a verdict may take beyond the detector's own clocks.
_GRACE_MS = 1_500
#: The longest that ringing after the answer, or a greeting, is listened to (ms).
_PATIENCE_MS = 65_000
#: A greeting that nobody hears any more, since the media process is gone, is given so long (ms).
_BLIND_MS = 10_000
#: The switch itself ends a tap that everybody has forgotten.
_TAP_SECONDS = 150
#: A message that can't be spoken so soon is not left.
_MESSAGE_SECONDS = 5.0

_results = Counter("irisx_amd_results", "Verdicts on live calls.", ["result", "cause"])


class Stage(StrEnum):
    LISTENING = "listening"
    #: A machine: its greeting is heard out.
    AWAITING_BEEP = "awaiting_beep"
    #: The message and the end are queued on the channel.
    LEAVING = "leaving"
    DONE = "done"


#: What may follow what; everything else comes from a late or repeated report and changes nothing.
TRANSITIONS: dict[Stage, frozenset[Stage]] = {
    Stage.LISTENING: frozenset({Stage.AWAITING_BEEP, Stage.LEAVING, Stage.DONE}),
    Stage.AWAITING_BEEP: frozenset({Stage.LEAVING, Stage.DONE}),
    Stage.LEAVING: frozenset({Stage.DONE}),
    Stage.DONE: frozenset(),
}


@dataclass(slots=True)
class Detection:
    """One call's. `limit_ms`: when it is over whoever says nothing (epoch ms)."""

    plan: Plan
    limit_ms: int
    stage: Stage = Stage.LISTENING
    message: "AsyncResult[list[str]]" = field(default_factory=AsyncResult)

    @property
    def holds(self) -> bool:
        """Whether what comes after the answer has to wait."""
        return self.stage is not Stage.DONE

    def advance(self, stage: Stage) -> bool:
        if stage not in TRANSITIONS[self.stage]:
            return False
        self.stage = stage
        return True


def begin(switch: Switch, call: LiveCall) -> None:
    """The call was answered: listen to it."""
    plan = Plan.model_validate(call.options["amd"])
    settings = plan.settings
    listen_ms = settings.initial_silence + settings.total_analysis_time + _GRACE_MS
    detection = _take_up(switch, call, plan, Stage.LISTENING, _epoch_ms() + listen_ms)
    _remember(switch, call, detection)
    args = {
        "settings": settings.model_dump(mode="json"),
        "until_beep": _leaves_message(plan),
        "audio": _audio_path(call, plan),
    }
    try:
        taps.start(switch, call, live.CONSUMER, args, limit_s=_TAP_SECONDS)
    except (IrisxError, EslError) as error:
        log.warning("amd.not_listening", sid=call.sid, reason=str(error))
        _decide(switch, call, detection, _undecided("media_unavailable"), time.time())


def resume(switch: Switch, call: LiveCall, dump: Event) -> None:
    """Go on for an engine that is gone."""
    if "amd" not in call.options or call.amd is not None or call.answered_at is None:
        return
    stage, _, limit = (dump.variable(VARIABLE) or "").partition(".")
    if not stage:
        begin(switch, call)
        return
    plan = Plan.model_validate(call.options["amd"])
    # What was found out meanwhile waits in Redis and comes first.
    limit_ms = max(int(limit or 0), _epoch_ms() + _GRACE_MS)
    _take_up(switch, call, plan, Stage(stage), limit_ms)


def _take_up(switch: Switch, call: LiveCall, plan: Plan, stage: Stage, limit_ms: int) -> Detection:
    detection = call.amd = Detection(plan, limit_ms, stage)
    if stage in (Stage.LISTENING, Stage.AWAITING_BEEP):
        _watch(switch, call, detection)
        if _leaves_message(plan):
            # Spoken while the callee speaks: it is at hand when the beep ends.
            gevent.spawn(_prepare, call, detection)
    return detection


def _leaves_message(plan: Plan) -> bool:
    return plan.action(Result.MACHINE) is Action.LEAVE_VOICEMAIL and plan.message is not None


def _audio_path(call: LiveCall, plan: Plan) -> str | None:
    """Where the audio is kept, below the recordings directory."""
    if not plan.keep_audio:
        return None
    return f"amd/{call.initiated_at:%Y/%m/%d}/{call.tenant_id}/{call.sid}.flac"


# -- time limits ----------------------------------------------------------------------------------


def _watch(switch: Switch, call: LiveCall, detection: Detection) -> None:
    seconds = max(0.0, (detection.limit_ms - _epoch_ms()) / 1000)
    gevent.spawn_later(
        seconds, switch.dispatcher.submit, call.uuid, _limit_reached, switch, call, detection
    )


def _limit_reached(switch: Switch, call: LiveCall, detection: Detection) -> None:
    if call.over or call.amd is not detection:
        return
    if detection.limit_ms > _epoch_ms() + 1:  # moved meanwhile; another timer watches it
        return
    if detection.stage is Stage.LISTENING:
        _decide(switch, call, detection, _undecided("time_limit"), time.time())
    elif detection.stage is Stage.AWAITING_BEEP:
        _leave_message(switch, call, detection, {})


def _extend(switch: Switch, call: LiveCall, detection: Detection, more_ms: int) -> None:
    detection.limit_ms = _epoch_ms() + more_ms
    _remember(switch, call, detection)
    _watch(switch, call, detection)


def _remember(switch: Switch, call: LiveCall, detection: Detection) -> None:
    value = f"{detection.stage}.{detection.limit_ms}"
    switch.run(commands.uuid_setvar(call.uuid, VARIABLE, value))


def _epoch_ms() -> int:
    return round(time.time() * 1000)


# -- what the media process reports ---------------------------------------------------------------


def heard(switch: Switch, call: LiveCall, report: Report) -> None:
    """A report of the call's tap."""
    detection = call.amd
    if not isinstance(detection, Detection):
        return
    match report.type:
        case live.PATIENT if detection.stage is Stage.LISTENING:
            _extend(switch, call, detection, _PATIENCE_MS)
        case live.VERDICT:
            _decide(switch, call, detection, report.data, report.at)
        case live.GREETING_OVER if detection.stage is Stage.AWAITING_BEEP:
            _leave_message(switch, call, detection, report.data)
        case messages.ENDED if detection.stage is Stage.LISTENING:
            log.warning("amd.tap_ended", sid=call.sid, cause=report.data["cause"])
            _decide(switch, call, detection, _undecided("media_unavailable"), report.at)
        case messages.ENDED if detection.stage is Stage.AWAITING_BEEP:
            _extend(switch, call, detection, _BLIND_MS)


def _undecided(cause: str) -> dict[str, Any]:
    return {"result": Result.UNKNOWN, "cause": cause, "confidence": 0.0, "features": {}}


def _decide(
    switch: Switch, call: LiveCall, detection: Detection, verdict: Mapping[str, Any], at: float
) -> None:
    """Act on a verdict, the first one, and write it down."""
    if detection.stage is not Stage.LISTENING:
        return
    result = Result(verdict["result"])
    action = _action(detection.plan, result, verdict["cause"])
    _write(call, detection.plan, verdict, action.value, at)
    match action:
        case Action.CONNECT:
            _go_on(switch, call)
        case Action.HANG_UP:
            switch.run(commands.uuid_kill(call.uuid))
        case Action.FLOW:
            call.next_destination = detection.plan.flow_id
            _go_on(switch, call)
        case Action.LEAVE_VOICEMAIL if verdict.get("beep_end_ms") is not None:
            _leave_message(switch, call, detection, verdict)
        case Action.LEAVE_VOICEMAIL:
            detection.advance(Stage.AWAITING_BEEP)
            _extend(switch, call, detection, _PATIENCE_MS)
    # Last: if the switch is lost before, the limit goes on from here.
    if action is not Action.LEAVE_VOICEMAIL:
        _finish(switch, call, detection)


def _action(plan: Plan, result: Result, cause: str) -> Action:
    """What is done; a message needs words, and somebody's voicemail rather than an intercept."""
    action = plan.action(result)
    if action is Action.LEAVE_VOICEMAIL and (plan.message is None or cause == Reason.SIT):
        return Action.HANG_UP
    return action


def _write(call: LiveCall, plan: Plan, verdict: Mapping[str, Any], action: str, at: float) -> None:
    assert call.answered_at is not None
    result, cause = Result(verdict["result"]), str(verdict["cause"])
    _results.labels(result, cause).inc()
    decided_at = datetime.fromtimestamp(at, UTC)
    shown = {
        "result": result.value,
        "cause": cause,
        "confidence": verdict["confidence"],
        "decided_ms": max(0, round((at - call.answered_at.timestamp()) * 1000)),
        "after_speech_ms": verdict.get("decided_after_speech_ms"),
        "action": action,
    }
    columns = shown | {
        "tenant_id": call.tenant_id,
        "call_id": call.id,
        "mode": plan.settings.mode.value,
        "settings": plan.settings.model_dump(mode="json"),
        "features": verdict["features"],
        "decided_at": decided_at,
        "beep_at_ms": verdict.get("beep_at_ms"),
        "beep_end_ms": verdict.get("beep_end_ms"),
        "sandbox": call.sandbox,
        **_kept_audio(call, plan, decided_at),
    }
    call.amd_decided(columns, shown)


def _kept_audio(call: LiveCall, plan: Plan, decided_at: datetime) -> dict[str, Any]:
    path = _audio_path(call, plan)
    until = decided_at + timedelta(days=plan.audio_retention_days)
    return {"audio_path": path, "audio_until": path and until}


def _finish(switch: Switch, call: LiveCall, detection: Detection) -> None:
    detection.advance(Stage.DONE)
    switch.run(commands.uuid_setvar(call.uuid, VARIABLE, Stage.DONE))


# -- what follows ---------------------------------------------------------------------------------


def _go_on(switch: Switch, call: LiveCall) -> None:
    """Connect with whatever the call was placed for, once its channel is parked."""
    if call.next_destination is None or call.uuid not in call.parked:
        return
    destination, call.next_destination = call.next_destination, None
    dump = _interrupt(switch, call)
    if dump is not None:
        forward(switch, call, destination, dump)


def _interrupt(switch: Switch, call: LiveCall) -> Event | None:
    """Stop the prompts that played meanwhile; the channel, if it is still there.

    Only where something plays: a break on an idle channel would stop what is played next.
    """
    dump = switch.dump(call.uuid)
    if dump is not None and dump.variable("current_application") not in (None, "park"):
        switch.run(commands.uuid_break(call.uuid, everything=True))
    return dump


def _leave_message(
    switch: Switch, call: LiveCall, detection: Detection, beep: Mapping[str, Any]
) -> None:
    """Say the message and hang up; the switch does both by itself."""
    if not detection.advance(Stage.LEAVING):
        return
    data = {name: beep.get(name) for name in ("beep_at_ms", "beep_end_ms")}
    call.amd_beep(data)
    gevent.spawn(_say_message, switch, call, detection, data)


def _say_message(
    switch: Switch, call: LiveCall, detection: Detection, data: dict[str, Any]
) -> None:
    try:
        files = detection.message.get(timeout=_MESSAGE_SECONDS)
    except (gevent.Timeout, prompts.NotThere, template.RenderFailed) as error:
        log.error("amd.no_message", sid=call.sid, reason=str(error))
        call.note("amd_message", now(), "amd.message_failed", {"reason": str(error)})
        files = []
    plays = [("playback", commands.source(file)) for file in files]
    try:
        _interrupt(switch, call)
        switch.execute(call.uuid, *plays, ("hangup", "NORMAL_CLEARING"))
        switch.run(commands.uuid_setvar(call.uuid, VARIABLE, Stage.LEAVING))
    except EslError as error:
        log.info("amd.message_interrupted", sid=call.sid, reason=str(error))
        return
    if plays:
        call.note("amd_message", now(), "amd.message_left", data)


def _prepare(call: LiveCall, detection: Detection) -> None:
    """Have the message's files made."""
    assert detection.plan.message is not None
    values = {**runner.facts(call), "metadata": call.metadata}
    try:
        items = rendered(detection.plan.message.audio, lambda text: template.render(text, values))
        files = [prompts.file_of(item, call.tenant_id, wideband=False) for item in items]
        detection.message.set(files)
    except (prompts.NotThere, template.RenderFailed) as error:
        detection.message.set_exception(error)


def give_up(switch: Switch, call: LiveCall, cause: str) -> None:
    """The call ended, or is taken elsewhere: there will be no verdict, and nothing follows."""
    detection = call.amd
    if not isinstance(detection, Detection) or not detection.holds:
        return
    if detection.stage is Stage.LISTENING:
        _write(call, detection.plan, _undecided(cause), "none", time.time())
    detection.advance(Stage.DONE)
