"""What a node can do on a live call (`step.Step`), and what a walk through flows needs of it."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import structlog
from gevent.event import AsyncResult
from gevent.event import Event as Signal
from sqlalchemy.exc import SQLAlchemyError

from irisx.kernel import template
from irisx.kernel.clock import isoformat, now
from irisx.telephony.acd.entering import Entering
from irisx.telephony.assistants.talk import TRANSFERRED, Talk
from irisx.telephony.assistants.talk import VARIABLE as VARIABLE_OF_TALK
from irisx.telephony.assistants.talk import hand_over as hand_over_call
from irisx.telephony.calls import connect
from irisx.telephony.calls.live import Ringing
from irisx.telephony.esl import commands
from irisx.telephony.esl.errors import EslError
from irisx.telephony.esl.wire import Event
from irisx.telephony.ivr import prompts, tenant_http, versions, visits
from irisx.telephony.ivr.audio import Audio
from irisx.telephony.ivr.flow import Flow, Node
from irisx.telephony.ivr.live_channel import (
    NOTHING,
    App,
    LiveChannel,
    multiset,
    prompts_of,
    sound_of,
)
from irisx.telephony.ivr.nodes.ai_agent import ROOM as AI_AGENT
from irisx.telephony.ivr.nodes.ai_agent import TRANSFER
from irisx.telephony.ivr.nodes.base import FAILED, NEXT, TIME_LIMIT
from irisx.telephony.ivr.nodes.queue import ROOM as QUEUE
from irisx.telephony.ivr.scope import Scope
from irisx.telephony.ivr.step import (
    Digits,
    Gathering,
    HandOver,
    HttpAnswer,
    HttpRequest,
    Recorded,
    RecordingRequest,
    TimeLimit,
    TransferOutcome,
    Transferred,
    TransferRequest,
)
from irisx.telephony.ivr.walk import Position, Version
from irisx.tenancy import numbers, signing

log = structlog.get_logger()

_BEEP = "tone_stream://%(400,0,1000)"
_DIGITS = "irisx_flow_digits"
_ANY_DIGITS = "[0-9A-D*#]+"
#: Energy of a frame, as `record` counts it; a quiet voice has some 1000.
_SILENT_BELOW = 200
_OUTCOMES = {
    "SUCCESS": TransferOutcome.COMPLETED,
    "USER_BUSY": TransferOutcome.BUSY,
    "NO_ANSWER": TransferOutcome.NO_ANSWER,
    "NO_USER_RESPONSE": TransferOutcome.NO_ANSWER,
    "ALLOTTED_TIMEOUT": TransferOutcome.NO_ANSWER,
    "PROGRESS_TIMEOUT": TransferOutcome.NO_ANSWER,
}
#: How a conversation ended -> how its node is left; any other end is an ordinary one.
_TALKED = {"escalated": TRANSFER, "limit": TRANSFER, "failed": FAILED}


class LiveStep(LiveChannel):
    """One call: the verbs on its channel. `left` is called with each node that is done."""

    # -- the walk -------------------------------------------------------------------------------

    @property
    def scope(self) -> Scope:
        return self._scope

    def version(self, version_id: int) -> Flow:
        return versions.patiently(lambda: versions.flow_of(version_id))

    def published(self, flow_id: str) -> Version | None:
        return versions.patiently(lambda: versions.published(self._call.tenant_id, flow_id))

    def entered(self, position: Position, node: Node) -> None:
        self._node = node
        self._events = 0
        depth = len(position.callers)
        if self._back is not None:  # the node that ran when the engine was lost
            self._scope.variables = dict(self._kept.variables)
        else:
            kept = self._kept
            kept.position = position
            kept.variables = dict(self._scope.variables)
            kept.entries = [*kept.entries[:depth], (position.steps, _microseconds(now()))]
            kept.answers, kept.queued, kept.target, kept.waiting = [], 0, 0, False
        self._deadline = None
        if node.time_limit is not None:
            self._deadline = self._entered_at(depth) + timedelta(seconds=node.time_limit)

    def left(self, position: Position, node: Node, outcome: str) -> None:
        self._back = None
        self._skip = 0
        self._replayed.clear()
        depth = len(position.callers)
        visits.record(
            self._call,
            position,
            node,
            step=self._kept.entries[depth][0],
            entered_at=self._entered_at(depth),
            outcome=outcome,
        )

    def dropped(self, outcome: str) -> None:
        """The flow ended in the present node, and not by its own doing."""
        position = self._kept.position
        for depth, place in enumerate((*position.callers, position.place)):
            node = self.version(place.version).node(place.node) if self._node else None
            if node is not None:
                at = replace(position, place=place, callers=position.callers[:depth])
                self.left(at, node, outcome)

    def _entered_at(self, depth: int) -> datetime:
        return datetime.fromtimestamp(self._kept.entries[depth][1] / 1_000_000, UTC)

    def hang_up(self, cause: str) -> None:
        self._queue([("hangup", commands.hangup_cause(cause))])

    # -- verbs that don't wait ------------------------------------------------------------------

    def now(self) -> datetime:
        text = self._answered(str) or self._answer(isoformat(now()))
        return datetime.fromisoformat(text)

    def render(self, text: str) -> str:
        # The time of the node's beginning: the same when it is run again.
        entered_at = self._entered_at(len(self._kept.position.callers))
        return template.render(text, {**self._scope.values, "now": entered_at})

    def play(self, audio: Sequence[Audio], *, barge_in: bool = True) -> None:
        if self._replayed:
            return
        if self._skip:
            self._skip -= 1
            return
        files = self._files(audio)
        self._kept.queued += 1
        if files:
            self._pending.append((files, barge_in))

    def raise_event(self, type: str, data: Mapping[str, Any]) -> None:
        self._events += 1
        key = f"{self._kept.position.steps}.{self._events}"
        facts = {"key": key, "call_sid": self._call.sid, "sandbox": self._call.sandbox}
        self._call.tell(type, {**data, **facts})

    def explain(self, reason: str) -> None:
        node = self._node.id if self._node else None
        log.debug("ivr.decided", sid=self._call.sid, node=node, reason=reason)

    # -- verbs that wait ------------------------------------------------------------------------

    def gather(self, audio: Sequence[Audio], how: Gathering) -> Digits:
        answer = self._answered(Digits)
        if answer is not None:
            return answer
        ended = self._ended_meanwhile()
        if ended is None:
            ended = self._gather(audio, how)
        return self._answer(_digits(ended, how))

    def _gather(self, audio: Sequence[Audio], how: Gathering) -> Event:
        files = self._files(audio)
        if not how.barge_in:
            self._pending.append((files, False))
            files = []
        elif how.typed_ahead:
            # Played inside the gather, a prompt loses no digit that is typed into it.
            while self._pending and self._pending[-1][1]:
                files = self._pending.pop()[0] + files
        if self._pending:
            self._queue([])
        self._drain()
        argument = commands.gather(
            minimum=how.min_digits,
            maximum=how.max_digits,
            tries=1,
            timeout_ms=how.timeout_ms,
            terminators=_terminators(how),
            prompt=sound_of(files),
            invalid_prompt=NOTHING,
            variable=_DIGITS,
            pattern=_ANY_DIGITS,
            digit_timeout_ms=how.digit_timeout_ms,
        )
        self._take_heard()
        typed, self._kept.typed = self._kept.typed, ""
        before: list[App] = [("unset", "read_terminator_used")]
        if not how.typed_ahead:
            before.append(("flush_dtmf", ""))
        elif typed:
            before.append(("queue_dtmf", typed))
        *_, started, asked, _ = self._begin(before, "play_and_get_digits", argument)
        if how.typed_ahead:
            self._hand_on(self._wait(started))
        ended = self._wait(asked)
        self._heard_until = ended.sequence
        self._heard = [heard for heard in self._heard if heard[0] > ended.sequence]
        return ended

    def _hand_on(self, started: Event) -> None:
        """Digits that the park loop took just before the gather began belong to it."""
        missed = "".join(digit for sequence, digit in self._heard if sequence < started.sequence)
        if missed:
            self._switch.run(commands.uuid_recv_dtmf(self._call.uuid, missed))

    def record(self, audio: Sequence[Audio], request: RecordingRequest) -> Recorded:
        answer = self._answered(Recorded)
        if answer is not None:
            return answer
        ended = self._ended_meanwhile()
        wait = self._kept.wait if ended is not None else self._kept.wait + 1
        file = visits.recording_file(self._call, wait)
        if ended is None:
            ended = self._record(audio, request, file)
        recorded = _recorded(ended, request, file.stem)
        return self._answer(recorded)

    def _record(self, audio: Sequence[Audio], request: RecordingRequest, file: Any) -> Event:
        files = self._files(audio)
        if files:
            self._pending.append((files, True))
        beep = [("playback", _BEEP)] if request.beep else []
        file.parent.mkdir(parents=True, exist_ok=True)
        if request.mailbox is not None:
            visits.message(self._call, file, request)
        argument = commands.record(
            str(file),
            limit_s=request.max_seconds,
            threshold=_SILENT_BELOW if request.silence_s else 0,
            silence_s=request.silence_s or 1,
        )
        how = {
            "record_ms": "",
            # Phones that send nothing in silence would leave gaps, and the recording too short.
            "record_fill_cng": "true",
            "playback_terminators": request.terminators or "none",
        }
        *_, asked, _ = self._begin([*beep, multiset(how)], "record", argument)
        self._interrupted_by = None
        return self._wait(asked)

    def transfer(self, request: TransferRequest) -> Transferred:
        answer = self._answered(Transferred)
        if answer is not None:
            return answer
        whisper, music = prompts_of(self, request.whisper), prompts_of(self, request.music)
        if request.record and self._call.recording_path is None:
            self._start_recording()
        tried = Transferred(TransferOutcome.FAILED)
        began = now()
        for index in range(self._kept.target, len(request.targets)):
            ringing = Ringing(
                seconds=request.ring_seconds,
                caller_id=self._own_number(request.caller_id),
                whisper=sound_of(whisper) if whisper else None,
                music=sound_of(music) if music else None,
            )
            cause = self._connect(connect.text_of(request.targets[index].model_dump()), ringing)
            outcome = _OUTCOMES.get(cause, TransferOutcome.FAILED)
            seconds = (now() - began).total_seconds()
            tried = Transferred(outcome, cause, index, seconds)
            if outcome is TransferOutcome.COMPLETED:
                break
            self._kept.target = index + 1
        return self._answer(tried)

    def _own_number(self, number: str | None) -> str | None:
        """A number to show, if it is the tenant's: nobody shows another's."""
        if number is None:
            return None
        try:
            row = numbers.find_by_e164(number)
        except SQLAlchemyError as error:
            log.warning("ivr.caller_id_unknown", sid=self._call.sid, error=str(error)[:200])
            return None
        return number if row is not None and row.tenant_id == self._call.tenant_id else None

    def _start_recording(self) -> None:
        try:
            self._call.recording_path = self._switch.start_recording(self._call, now())
        except (EslError, OSError) as error:
            log.error("ivr.recording_failed", sid=self._call.sid, error=str(error))

    def _connect(self, destination: str, ringing: Ringing) -> str:
        """Ring one destination, and stay until it is over; the switch's cause."""
        self._bridge = AsyncResult()
        self._call.ringing = ringing
        back, self._back = self._back, None
        if back is not None and back.variable("originate_disposition"):
            connect.attempt_ended(self._switch, self._call, back)
        else:
            self._kept.waiting = True
            self._queue([("unset", "originate_disposition")])
            connect.connect(self._switch, self._call, destination)
        try:
            with self._limited():
                cause = self._bridge.get()
        except TimeLimit:
            self._stop()
            raise
        return str(cause)

    def http(self, request: HttpRequest) -> HttpAnswer:
        answer = self._answered(HttpAnswer)
        if answer is not None:
            return answer
        if self._pending:
            self._queue([])
        with self._limited():
            # The same for every try, another engine's too: the tenant's program can tell.
            key = f"{self._call.sid}.{self._kept.position.steps}.{len(self._kept.answers)}"
            secret = signing.secret(self._call.tenant_id)
            return self._answer(tenant_http.ask(request, key, secret))

    def hand_over(self, hand_over: HandOver) -> str:
        answer = self._answered(str)
        if answer is not None:
            return answer
        if hand_over.room == AI_AGENT:
            return self._answer(self._talk(hand_over))
        if hand_over.room == QUEUE:
            return self._answer(self._wait_in(hand_over))
        self.explain(f"the room {hand_over.room} is not there yet")
        return FAILED

    def _wait_in(self, hand_over: HandOver) -> str:
        """Until a queue gives the call back; its outcome."""
        center = self._switch.center
        assert center is not None  # every engine's switch has one
        outcome: AsyncResult[str] = AsyncResult()
        queued, self._back = self._call.queued, None
        if queued is not None:  # since before the engine was lost
            queued.attach(outcome.set)
        else:
            self._queue([])
            self._drain()
            rate = prompts.WIDEBAND_HZ if self._kept.wideband else prompts.NARROWBAND_HZ
            entering = Entering(
                priority=hand_over.options.get("priority", 0),
                max_wait=hand_over.options.get("max_wait"),
                returns=True,
                back=outcome.set,
            )
            center.enter(self._switch, self._call, hand_over.target, entering, str(rate))
        try:
            with self._limited():
                reached: str = outcome.get()
        except TimeLimit:
            if self._call.queued is not None:
                self._call.queued.leave(TIME_LIMIT)
            raise
        self._interrupted_by = None
        return reached

    def _talk(self, hand_over: HandOver) -> str:
        """Until an assistant has talked with the caller; how that ended."""
        back, self._back = self._back, None
        if back is None:
            self._queue([])
            self._drain()
        talk = Talk(
            self._switch,
            self._call,
            hand_over.target,
            context=hand_over.options["instructions"],
            max_seconds=hand_over.options["max_seconds"],
            escalates=True,
            back=back,
        )
        try:
            with self._limited():
                ended = talk.run()
        except TimeLimit:
            self._stop()
            raise
        self._interrupted_by = None
        self._untold[VARIABLE_OF_TALK] = ""
        self.explain(f"{ended.outcome} {ended.reason}".strip())
        if ended.outcome == TRANSFERRED and ended.destination is not None:
            hand_over_call(self._switch, self._call, ended, ended.destination)
            Signal().wait()  # until the call is taken out of the flow
        return _TALKED.get(ended.outcome, NEXT)


def _terminators(how: Gathering) -> str:
    # One digit that is a terminator too is dropped by the switch without a word (switch_ivr_read).
    return "none" if how.max_digits == 1 or not how.terminators else how.terminators


def _digits(ended: Event, how: Gathering) -> Digits:
    digits = ended.variable(_DIGITS) or ""
    if how.max_digits == 1 and digits and digits in how.terminators:
        return Digits("", digits)
    return Digits(digits, ended.variable("read_terminator_used") or None)


def _recorded(ended: Event, request: RecordingRequest, name: str) -> Recorded:
    milliseconds = ended.variable("record_ms") or "0"
    seconds = int(milliseconds) / 1000 if milliseconds.isdigit() else 0.0
    if ended.variable("playback_terminator_used"):
        reason = "terminator"
    elif ended.variable("silence_hits_exhausted") == "true":
        reason = "silence"
    else:
        reason = "limit" if seconds else "failed"
    return Recorded(name if seconds >= request.min_seconds and seconds else None, seconds, reason)


def _microseconds(at: datetime) -> int:
    return round(at.timestamp() * 1_000_000)
