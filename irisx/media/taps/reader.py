"""The reader: follows the files of all taps of the media process and feeds their consumers.

One greenlet, 50 turns a second. A turn takes from each file what is new, cuts it into frames of
20 ms and hands them on; then the voice model judges the frames of all taps together, which takes
a quarter of the time that one after the other would.
"""

import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import gevent
import numpy as np
from gevent.event import Event
from prometheus_client import Counter, Gauge

from irisx.kernel.logging import get_logger
from irisx.media.amd.frames import RATE, Frame, Framer
from irisx.media.amd.voice import VoiceModel, probabilities
from irisx.media.taps.consumer import Cause, Consumer, Samples, Tap
from irisx.media.taps.files import GrowingFile
from irisx.media.taps.messages import ENDED, Report, Start, Tell

log = get_logger(__name__)

TURN_SECONDS = 0.02
#: Samples of a frame that consumers get: 20 ms.
SAMPLES = RATE // 50
#: A file that is not there after so long will not come.
NO_FILE_SECONDS = 5.0
#: The switch writes silence too; a file that does not grow for so long is no call's any more.
STALLED_SECONDS = 10.0
#: Frames of one tap in one turn: one that has fallen behind catches up, and the others go on.
_MOST_FRAMES = 25
#: More than this (frames) behind is no live audio any more: the reader skips to the present.
_FAR_BEHIND = 250
_FORGET_EVERY_SECONDS = 5.0

_taps = Gauge("irisx_taps", "Live audio taps.", multiprocess_mode="livesum")
_backlog = Gauge(
    "irisx_tap_backlog_frames",
    "Frames of 20 ms that wait in the files of all taps.",
    multiprocess_mode="livesum",
)
_lost = Counter("irisx_tap_lost_frames", "Frames of 20 ms skipped since the reader was behind.")
_late = Counter("irisx_tap_late_turns", "Turns of the reader that took longer than 20 ms.")
_ended = Counter("irisx_taps_ended", "Taps that ended, by cause.", ["cause"])

#: Makes the consumer of a tap from the engine's arguments.
MakeConsumer = Callable[[Tap, dict[str, Any]], Consumer]


class _Followed:
    """A tap, its file and its consumer."""

    def __init__(self, tap: Tap, consumer: Consumer, directory: Path) -> None:
        self.tap = tap
        self.consumer = consumer
        self.path = directory / f"{tap.id}.r8"
        self.stopped = False
        self.pending: list[Frame] = []
        self.model = VoiceModel()
        self.unread = 0
        self._channels = 2 if tap.request.stereo else 1
        self._frame_bytes = SAMPLES * self._channels * 2
        self._file: GrowingFile | None = None
        self._grew_at = time.monotonic()
        self._framer = Framer()

    def turn(self) -> Cause | None:
        """Hand on what is new; why the tap is over, if it is."""
        if self._file is None and not self._open():
            late = time.monotonic() - self._grew_at > NO_FILE_SECONDS
            return Cause.NO_FILE if late or self.stopped else None
        assert self._file is not None
        self._skip_to_the_present(self._file)
        frames = min(self._file.unread // self._frame_bytes, _MOST_FRAMES)
        if frames:
            self._grew_at = time.monotonic()
            self._hand_on(np.frombuffer(self._file.read(frames * self._frame_bytes), "<i2"))
        self.unread = self._file.unread // self._frame_bytes
        if self.tap.closed:
            return Cause.CLOSED
        if self.stopped and not frames and not self.unread:
            return Cause.STOPPED
        stalled = time.monotonic() - self._grew_at > STALLED_SECONDS
        return Cause.STALLED if stalled else None

    def _open(self) -> bool:
        """Once there is audio in it: the switch opens a file twice before it writes."""
        try:
            if self.path.stat().st_size:
                self._file = GrowingFile(self.path)
        except FileNotFoundError:
            return False
        return self._file is not None

    def _skip_to_the_present(self, file: GrowingFile) -> None:
        behind = file.unread // self._frame_bytes
        if behind > _FAR_BEHIND:
            file.skip(behind * self._frame_bytes)
            _lost.inc(behind)
            log.warning("tap.behind", tap=self.tap.id, call=self.tap.request.call, frames=behind)
            self.consumer.lost(behind)

    def _hand_on(self, audio: Samples) -> None:
        sides = audio.reshape(-1, SAMPLES, self._channels)
        for frame in sides:
            if self.tap.closed:
                return
            self.consumer.hear(frame[:, 0], frame[:, 1] if self._channels == 2 else None)
        self.pending += self._framer.cut(sides[:, :, 0])

    def close(self) -> None:
        if self._file is not None:
            self._file.close()
        self.path.unlink(missing_ok=True)


class Taps:
    """All taps of this process. `tell` takes a node and a report to it, and must not wait."""

    def __init__(
        self,
        consumers: Mapping[str, MakeConsumer],
        directory: Path,
        tell: Callable[[str, Report], None],
    ) -> None:
        self._consumers = consumers
        self._directory = directory
        self._tell = tell
        self._followed: dict[str, _Followed] = {}
        self._something = Event()
        self._strangers: set[Path] = set()

    def start(self, request: Start) -> None:
        """Begin to follow a tap; what can't be is reported as ended."""
        tap = Tap(request, self._tell)
        try:
            if time.time() - request.at > NO_FILE_SECONDS:
                raise ValueError("the request is too old")
            consumer = self._consumers[request.consumer](tap, request.args)
        except Exception:
            log.exception("tap.not_started", tap=request.id, consumer=request.consumer)
            tap.report(ENDED, {"cause": Cause.FAILED})
            return
        self._followed[request.id] = _Followed(tap, consumer, self._directory)
        self._something.set()

    def stop(self, tap_id: str) -> None:
        """End a tap when all that is in its file was handed on."""
        if (followed := self._followed.get(tap_id)) is not None:
            followed.stopped = True

    def tell(self, request: Tell) -> None:
        """Hand on what the engine tells a tap's consumer."""
        if (followed := self._followed.get(request.id)) is not None:
            self._guarded(followed, lambda: followed.consumer.told(request.type, request.data))

    def run(self) -> None:
        """Follow the taps, for ever; run it in a greenlet."""
        due = time.monotonic()
        while True:
            self._something.wait()
            self.turn()
            due += TURN_SECONDS
            behind = time.monotonic() - due
            if behind > 0:
                _late.inc()
                due += behind
            gevent.sleep(max(-behind, 0.0))
            if not self._followed:
                self._something.clear()
                due = time.monotonic()

    def turn(self) -> None:
        """Hand on what is new in all files."""
        for followed in list(self._followed.values()):
            self._guarded(followed, followed.turn)
        self._judge()
        _taps.set(len(self._followed))
        _backlog.set(sum(followed.unread for followed in self._followed.values()))

    def _judge(self) -> None:
        """Is what was said speech? One frame of every tap at a time, until all are judged."""
        while waiting := [each for each in self._followed.values() if each.pending]:
            frames = [followed.pending.pop(0) for followed in waiting]
            judged = probabilities([followed.model for followed in waiting], frames)
            for followed, frame, probability in zip(waiting, frames, judged, strict=True):

                def voice(
                    consumer: Consumer = followed.consumer,
                    frame: Frame = frame,
                    probability: float = probability,
                ) -> None:
                    consumer.voice(frame, probability)

                self._guarded(followed, voice)

    def _guarded(self, followed: _Followed, step: Callable[[], Cause | None]) -> None:
        try:
            cause = step()
        except Exception:
            log.exception("tap.failed", tap=followed.tap.id, call=followed.tap.request.call)
            cause = Cause.FAILED
        if cause is not None:
            self._end(followed, cause)

    def _end(self, followed: _Followed, cause: Cause) -> None:
        self._followed.pop(followed.tap.id, None)
        followed.close()
        _ended.labels(cause).inc()
        try:
            followed.consumer.end(cause)
        except Exception:
            log.exception("tap.end_failed", tap=followed.tap.id)
        followed.tap.report(ENDED, {"cause": cause})

    def end_all(self) -> None:
        """The process ends."""
        for followed in list(self._followed.values()):
            self._end(followed, Cause.LOST)

    def forget_strangers(self) -> None:
        """Remove, for ever, files that nobody follows: their reader or their engine was killed.

        Those that were there a while ago already: a new one's request may be on its way.
        """
        while True:
            found = set(self._directory.glob("*.r8"))
            found -= {followed.path for followed in self._followed.values()}
            for path in found & self._strangers:
                log.info("tap.left_behind", file=path.name)
                path.unlink(missing_ok=True)
            self._strangers = found
            gevent.sleep(_FORGET_EVERY_SECONDS)
