"""One conversation on a call: its tap, what it has the switch play, and how it ends.

Which conversation it is and how far it has been played stands in a channel variable, so an engine
that takes the call up goes on with it, and a media process too that has been started again.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

import gevent
import structlog
from gevent.event import AsyncResult
from redis import RedisError

from irisx.kernel.clock import isoformat, now
from irisx.kernel.errors import Unavailable
from irisx.media.taps import Cause, Report, messages
from irisx.settings import get_settings
from irisx.telephony import taps
from irisx.telephony.calls import connect
from irisx.telephony.calls.live import LiveCall
from irisx.telephony.esl import commands
from irisx.telephony.esl.connection import Execution
from irisx.telephony.esl.errors import CommandRefused, EslError
from irisx.telephony.esl.wire import Event
from irisx.telephony.switch import Switch

log = structlog.get_logger()

#: The consumer's name in the media process.
CONSUMER = "assistant"
#: `<talk>.<assistant>.<play>`: the conversation, who talks, and which playback began last; and
#: which was queued last.
VARIABLE = "irisx_assistant"
_QUEUED = "irisx_assistant_queued"
#: An application that changes nothing: when it is done, so is all that was queued before it.
BARRIER = ("unset", "irisx_assistant_back")
#: Outcomes that decide what comes next.
FAILED = "failed"
TRANSFERRED = "transferred"
_WIDEBAND_HZ = 16_000
#: Seconds without a media process after which the conversation has failed.
_AWAY_SECONDS = 6.0
_LOOK_SECONDS = 1.0
_AGAIN_SECONDS = 0.3


@dataclass(frozen=True, slots=True)
class Ended:
    """How it ended. `outcome`: as assistants/models.py of `intelligence` has it. `destination`: who
    takes the caller over, if anybody; `summary`: for that person, `whisper`: the same as a file."""

    outcome: str
    reason: str = ""
    destination: dict[str, str] | None = None
    summary: str | None = None
    whisper: str | None = None
    session: str | None = None


class Talk:
    """A conversation of a call with an assistant (`asst_3`).

    `context`: what a flow tells the assistant; `escalates`: the flow takes callers over.
    `back`: the channel, where an engine was lost; what was queued on it is played meanwhile.
    """

    def __init__(
        self,
        switch: Switch,
        call: LiveCall,
        assistant: str,
        *,
        context: str | None = None,
        max_seconds: int | None = None,
        escalates: bool = False,
        back: Event | None = None,
    ) -> None:
        self._switch = switch
        self._call = call
        self._assistant = assistant
        self._options = {"context": context, "max_seconds": max_seconds, "escalates": escalates}
        kept = parse(back.variable(VARIABLE) if back is not None else None)
        self._resumed = kept is not None and kept[1] == assistant
        self._name, self._begun, self._play = uuid4().hex, 0, 0
        if back is not None and kept is not None and self._resumed:
            queued = back.variable(_QUEUED) or ""
            self._name, _, self._begun = kept
            self._play = max(self._begun, int(queued) if queued.isdigit() else 0)
        self._tap: str | None = None
        self._wideband = False
        self._playing: dict[int, gevent.Greenlet] = {}
        self._end: AsyncResult[Ended] = AsyncResult()

    def run(self) -> Ended:
        """Talk, on an answered channel, until it is over. A greenlet that waits here may be
        killed."""
        self._call.talk = self
        try:
            dump = self._switch.dump(self._call.uuid)
            rate = dump.get("Channel-Read-Codec-Rate", "") if dump is not None else ""
            self._wideband = rate.isdigit() and int(rate) >= _WIDEBAND_HZ
            if self._resumed:
                self._playing[self._play] = gevent.spawn(self._follow_queued)
            else:
                first = (("set", "playback_terminators=none"), self._known(0))
                self._switch.execute(self._call.uuid, *first)
                self._switch.run(commands.uuid_setvar(self._call.uuid, _QUEUED, "0"))
            return self._wait()
        finally:
            for greenlet in self._playing.values():
                greenlet.kill(block=False)
            if self._call.talk is self:  # else another run goes on with the conversation
                self._call.talk = None
                if self._tap in self._call.taps:
                    taps.stop(self._switch, self._call, self._tap)

    def _known(self, play: int) -> tuple[str, str]:
        """What the channel does just before a playback, so that it says itself how far it is."""
        return "set", f"{VARIABLE}={self._name}.{self._assistant}.{play}"

    # -- its tap ------------------------------------------------------------------------------

    def _listen(self) -> None:
        """Have the media process talk, or go on with it: an engine's end does not end a tap."""
        known = [tap for tap, (consumer, _) in self._call.taps.items() if consumer == CONSUMER]
        if self._resumed and known:
            self._tap = known[0]
            self._tell("attached", {"play": self._begun - 1})
        else:
            self._start()

    def _start(self) -> None:
        arguments: dict[str, object] = {
            "talk": self._name,
            "tenant_id": self._call.tenant_id,
            "assistant_id": int(self._assistant.partition("_")[2]),
            "call_id": self._call.uuid,
            "caller": self._call.customer_number,
            **self._options,
        }
        self._tap = taps.start(self._switch, self._call, CONSUMER, arguments)

    def _wait(self) -> Ended:
        """Its end; a media process that is away for too long is one."""
        listened_at = now()
        while True:
            try:
                if self._tap is None:
                    self._listen()
                if messages.is_alive(self._switch.name):
                    listened_at = now()
            except (Unavailable, CommandRefused, RedisError) as error:
                log.warning("assistant.waits", sid=self._call.sid, reason=str(error))
            if (now() - listened_at).total_seconds() > _AWAY_SECONDS:
                return Ended(FAILED, "nobody listens: the media process is away")
            ended: Ended | None = self._end.wait(_LOOK_SECONDS if self._tap else _AGAIN_SECONDS)
            if ended is not None:
                return ended

    # -- what it wants ------------------------------------------------------------------------

    def reported(self, report: Report) -> None:
        """The tap's consumer wants something, or is gone."""
        if report.tap != (self._tap or report.tap):  # it may report before `start` returns
            return
        match report.type:
            case "play":
                path = report.data["wideband_path" if self._wideband else "path"]
                self._queue(int(report.data["play"]), str(path))
            case "stop":
                self._stop()
            case "end":
                self._end.set(Ended(**report.data))
            case messages.ENDED:
                self._lost(report.data["cause"])

    def _lost(self, cause: str) -> None:
        self._tap = None
        if cause != Cause.LOST:  # another media process could do no better
            self._end.set(Ended(FAILED, f"the tap ended: {cause}"))

    def _queue(self, play: int, path: str) -> None:
        if play <= self._play:
            return  # told again: another engine had it
        self._play = play
        steps = [self._known(play), ("playback", commands.source(path))]
        began, ended = self._switch.connection.execute_all(self._call.uuid, steps)
        self._playing[play] = gevent.spawn(self._follow, play, began, ended)
        self._switch.run(commands.uuid_setvar(self._call.uuid, _QUEUED, str(play)))

    def _follow(self, play: int, began: Execution, ended: Execution) -> None:
        try:
            at = began.wait(get_settings().max_call_seconds).timestamp
            self._tell("began", {"play": play, "at": isoformat(at)})
            ended.wait(get_settings().max_call_seconds)
            self._tell("played", {"play": play})
        except EslError as error:  # the call is over, or another engine takes it up
            log.debug("assistant.playback_lost", sid=self._call.sid, reason=str(error))
        self._playing.pop(play, None)

    def _follow_queued(self) -> None:
        """What the engine before had queued: an application after it runs when all is played."""
        last = self._play
        try:
            after = self._switch.connection.execute(self._call.uuid, *BARRIER)
            after.wait(get_settings().max_call_seconds)
        except EslError as error:
            log.debug("assistant.playback_lost", sid=self._call.sid, reason=str(error))
        else:
            for play in range(self._begun, last + 1):
                self._tell("played", {"play": play})
        self._playing.pop(last, None)

    def _stop(self) -> None:
        """End what plays, and what was to be played after it."""
        if self._playing:
            for greenlet in self._playing.values():
                greenlet.kill(block=False)
            self._playing.clear()
            self._switch.run(commands.uuid_break(self._call.uuid, everything=True))

    def _tell(self, type: str, data: Mapping[str, Any]) -> None:
        """Tell the conversation; while Redis is away it is tried again."""
        while self._tap is not None:
            try:
                taps.tell(self._switch, self._tap, type, data)
            except RedisError as error:
                log.info("assistant.not_told", sid=self._call.sid, reason=str(error))
                gevent.sleep(_AGAIN_SECONDS)
            else:
                return


def hand_over(switch: Switch, call: LiveCall, ended: Ended, destination: Mapping[str, Any]) -> None:
    """Connect the caller with who takes over; the summary stands in the call's metadata."""
    if ended.summary:
        told = {"session_id": ended.session, "reason": ended.reason, "summary": ended.summary}
        call.metadata = {**call.metadata, "assistant": told}
        call.change(metadata=call.metadata)
    call.next_destination = connect.text_of(dict(destination))
    call.next_whisper = ended.whisper
    switch.run(commands.uuid_transfer_to_park(call.uuid))


def parse(value: str | None) -> tuple[str, str, int] | None:
    """The talk, the assistant and the last playback that a channel's variable names."""
    parts = (value or "").split(".")
    if len(parts) != 3 or not parts[2].isdigit():
        return None
    return parts[0], parts[1], int(parts[2])


def reported(switch: Switch, call: LiveCall, report: Report) -> None:
    """A report of an assistant's tap (`taps.Listener`)."""
    if call.talk is not None:
        call.talk.reported(report)
