"""The channel of a call in a flow: what is queued on it, waited for, and kept for another engine.

Whatever needs no decision is queued on the channel under event-lock, all that has gathered in one
write, and never waited for; only a verb whose answer decides something waits. What is queued the
switch carries out with or without an engine. In front of each such write goes the position, so
that the channel itself says how far it has been told to go.
"""

from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from datetime import datetime
from typing import Any, TypeVar

import gevent
import structlog
from gevent.event import AsyncResult
from pydantic import TypeAdapter

from irisx.kernel.clock import now
from irisx.settings import get_settings
from irisx.telephony.calls.live import LiveCall
from irisx.telephony.esl import commands
from irisx.telephony.esl.connection import UNHEARD, Execution
from irisx.telephony.esl.errors import ChannelGone, CommandRefused
from irisx.telephony.esl.wire import Event
from irisx.telephony.ivr import prompts
from irisx.telephony.ivr.audio import Audio
from irisx.telephony.ivr.flow import Node
from irisx.telephony.ivr.position import DONE, VARIABLE, Kept
from irisx.telephony.ivr.scope import Scope
from irisx.telephony.ivr.step import CallEnded, TimeLimit
from irisx.telephony.switch import Switch

log = structlog.get_logger()

Answer = TypeVar("Answer")
App = tuple[str, str]

#: What play_and_get_digits plays where it wants a prompt and has none: one frame, not fewer.
NOTHING = "silence_stream://20"

#: What a channel in a flow is told first: `a.wav!b.wav` is played without a gap (one of 250 ms is
#: the default), and a digit ends it as a whole. `file_string://` would cost 20 ms and more a file.
PLAYS_LISTS = {"playback_delimiter": "!", "playback_sleep_val": "0"}


class LiveChannel:
    """One call's customer leg. Its subclass LiveStep has the verbs.

    `answer`: the channel is to be answered first, and told PLAYS_LISTS. `back`: after an engine was
    lost, the channel as it was when all that had been queued was done; None in a flow that begins.
    """

    def __init__(
        self,
        switch: Switch,
        call: LiveCall,
        scope: Scope,
        kept: Kept,
        *,
        answer: bool = False,
        back: Event | None = None,
    ) -> None:
        self._switch = switch
        self._call = call
        self._scope = scope
        self._kept = kept
        self._first = [commands.uuid_answer(call.uuid)] if answer else []
        self._untold = dict(PLAYS_LISTS) if back is None else {}
        self._back = back
        self._replayed = deque(kept.answers if back else ())
        self._skip = kept.queued if back else 0
        self._pending: list[tuple[list[str], bool]] = []
        self._interrupted_by: str | None = None
        self._tail: Execution | None = None
        self._deadline: datetime | None = None
        self._events = 0
        self._node: Node | None = None
        self._heard: list[tuple[int, str]] = []
        self._heard_until = 0
        self._bridge: AsyncResult[str] = AsyncResult()

    # -- what the switch tells ------------------------------------------------------------------

    def digit(self, event: Event) -> None:
        """The caller pressed a key; one that no gather took is kept for the next."""
        if event.sequence > self._heard_until:
            self._heard.append((event.sequence, event.get("DTMF-Digit", "")))

    def bridge_ended(self, cause: str) -> None:
        """Ringing somebody, or the conversation, is over."""
        self._bridge.set(cause)

    # -- replay ---------------------------------------------------------------------------------

    def _answered(self, kind: type[Answer]) -> Answer | None:
        """What the verb answered before the engine was lost, if it had."""
        if not self._replayed:
            return None
        return TypeAdapter(kind).validate_python(self._replayed.popleft())

    def _answer(self, answer: Answer) -> Answer:
        """Keep what a verb answers; the next write takes it to the channel."""
        raw: Any = answer if isinstance(answer, str) else asdict(answer)  # type: ignore[call-overload]
        self._kept.answers.append(raw)
        self._kept.queued = self._kept.target = self._skip = 0
        self._kept.waiting = False
        self._back = None
        return answer

    def _ended_meanwhile(self) -> Event | None:
        """The channel, where the wait that was under way ended without an engine."""
        back = self._back
        ended = back is not None and back.variable(DONE) == str(self._kept.wait)
        return back if ended and self._kept.waiting else None

    # -- the queue ------------------------------------------------------------------------------

    def _files(self, audio: Sequence[Audio]) -> list[str]:
        """What to play for each item; one that isn't there is left out, and said to be missing."""
        if self._pending and not all(map(prompts.is_at_hand, audio)):
            self._queue([])  # the caller hears what there is while the rest is made
        return prompts_of(self, audio)

    def missing(self, reason: str) -> None:
        """A prompt can't be played: the call goes on without it."""
        log.error("ivr.prompt_missing", sid=self._call.sid, reason=reason)
        key = f"prompt:{self._kept.position.steps}:{self._kept.queued}"
        self._call.note(key, now(), "prompt.missing", {"reason": reason})

    @property
    def tenant_id(self) -> int:
        return self._call.tenant_id

    @property
    def wideband(self) -> bool:
        return self._kept.wideband

    def _queue(self, apps: Sequence[App]) -> list[Execution]:
        """Hand everything that waits, then `apps`, to the switch in one write."""
        self._take_heard()
        variables = {**self._untold, VARIABLE: self._kept.encode()}
        played: list[App] = []
        for files, barge_in in _joined(self._pending):
            terminators = "any" if barge_in else "none"
            if terminators != self._interrupted_by:
                self._interrupted_by = terminators
                if played:
                    played.append(multiset({"playback_terminators": terminators}))
                else:
                    variables["playback_terminators"] = terminators
            played.append(("playback", sound_of(files)))
        self._pending.clear()
        steps = [multiset(variables), *played, *apps]
        first, self._first, self._untold = self._first, [], {}
        try:
            executions = self._switch.connection.execute_all(self._call.uuid, steps, first=first)
        except (ChannelGone, CommandRefused) as gone:  # refused: there is no such channel any more
            raise CallEnded from gone
        for (name, _), execution in zip(steps, executions, strict=True):
            if name not in UNHEARD:
                self._tail = execution
        return executions

    def _begin(self, before: Sequence[App], application: str, argument: str) -> list[Execution]:
        """Queue the application whose end is to be waited for: the last but one of the answer."""
        self._kept.wait += 1
        self._kept.waiting = True
        done = multiset({DONE: str(self._kept.wait)})
        return self._queue([*before, (application, argument), done])

    def _drain(self) -> None:
        """Wait until the channel has done what it was told (setting variables takes no time)."""
        if self._tail is not None:
            self._wait(self._tail)
            self._tail = None

    def _wait(self, execution: Execution) -> Event:
        try:
            with self._limited():
                ended = execution.wait(get_settings().max_call_seconds)
        except ChannelGone as gone:
            raise CallEnded from gone
        except TimeLimit:
            self._stop()
            raise
        self._tail = None if execution is self._tail else self._tail
        if ended.get("Answer-State") == "hangup":  # it ended because the caller left
            raise CallEnded
        return ended

    def _stop(self) -> None:
        """End what the channel does and all that is queued on it."""
        self._switch.run(commands.uuid_break(self._call.uuid, everything=True))
        if self._call.ringing_leg is not None:
            self._switch.run(commands.uuid_kill(self._call.ringing_leg, "ORIGINATOR_CANCEL"))
        self._tail = None
        self._interrupted_by = None

    @contextmanager
    def _limited(self) -> Iterator[None]:
        """Raises TimeLimit when the node's time is over."""
        if self._deadline is None:
            yield
            return
        left = max(0.001, (self._deadline - now()).total_seconds())
        with gevent.Timeout(left, TimeLimit()):
            yield

    def _take_heard(self) -> None:
        self._kept.typed += "".join(digit for _, digit in self._heard)
        self._heard.clear()


def multiset(variables: Mapping[str, str]) -> App:
    return "multiset", commands.assignments(variables)


def prompts_of(channel: LiveChannel, audio: Sequence[Audio]) -> list[str]:
    """The files of the items that are there."""
    files = []
    for item in audio:
        try:
            files.append(prompts.file_of(item, channel.tenant_id, wideband=channel.wideband))
        except prompts.NotThere as error:
            channel.missing(str(error))
    return files


def sound_of(files: Sequence[str]) -> str:
    if not files:
        return NOTHING
    return "!".join(files)


def _joined(pending: Sequence[tuple[list[str], bool]]) -> Iterator[tuple[list[str], bool]]:
    """Neighbours that a digit stops, or does not, as one."""
    files: list[str] = []
    for index, (more, barge_in) in enumerate(pending):
        files = files + more
        if index + 1 == len(pending) or pending[index + 1][1] != barge_in:
            yield files, barge_in
            files = []
