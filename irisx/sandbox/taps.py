"""What is attached to a channel's audio (FreeSWITCH's media bugs), and the ticker that feeds it.

The order of bugs on a channel matters, as in FreeSWITCH: a recording holds the whisper of an
eavesdropper that was attached before it, not of one that came after.
"""

import asyncio
import logging
from typing import TYPE_CHECKING

from irisx.sandbox.media import (
    FRAME_SECONDS,
    SILENCE,
    Clip,
    MediaError,
    Recording,
    Samples,
    Source,
    mix,
    music_on_hold,
)

if TYPE_CHECKING:
    from irisx.sandbox.channel import Channel
    from irisx.sandbox.switch import Switch

log = logging.getLogger(__name__)

HOLD_MUSIC = Clip(music_on_hold(), loop=True)


class Bug:
    """Something attached to a channel's audio."""

    ticking = False

    def __init__(self, channel: "Channel") -> None:
        self.channel = channel
        channel.bugs.append(self)

    def on_read(self, frame: Samples, tick: int) -> Samples:
        """Change what the party says before others hear it."""
        return frame

    def on_write(self, frame: Samples, tick: int) -> Samples:
        """Change what the party hears."""
        return frame

    def tick(self, tick: int) -> None:
        """One 20 ms frame has passed, called when `ticking`."""

    def end(self, cause: str) -> None:
        """Detach."""
        if self in self.channel.bugs:
            self.channel.bugs.remove(self)
            self.channel.fire("MEDIA_BUG_STOP")


class Recorder(Bug):
    """`uuid_record` and `record_session`."""

    ticking = True

    def __init__(
        self,
        channel: "Channel",
        path: str,
        variables: dict[str, str],
        limit: float,
        *,
        session_wide: bool = True,
        threshold: int = 0,
        silence: int = 3,
    ) -> None:
        """Raises MediaError when the file can't be written.

        `limit` in seconds, 0 for none; without `session_wide` it serves the application `record`,
        which `silence` seconds below `threshold` end (0: nothing is silent).
        """

        def on(name: str) -> bool:
            value = variables.get(name, channel.variables.get(name, ""))
            return value.lower() in ("true", "yes", "1", "on")

        stereo = on("RECORD_STEREO") and not on("RECORD_READ_ONLY") and not on("RECORD_WRITE_ONLY")
        self.asked_path = path
        self.path = channel.switch.writable_path(path)
        self.recording = Recording(self.path, stereo=stereo, append=on("RECORD_APPEND"))
        self.session_wide = session_wide
        self.masked = False
        self.sides = (not on("RECORD_WRITE_ONLY"), not on("RECORD_READ_ONLY"))
        self.limit = limit
        self.threshold = threshold
        self.patience = self.quiet_frames_left = round(silence / FRAME_SECONDS)
        channel.variables["silence_hits_exhausted"] = "false"
        channel.pre_answer()
        channel.fire("RECORD_START", {"Record-File-Path": path})
        super().__init__(channel)
        if session_wide:
            channel.fire("MEDIA_BUG_START")

    def tick(self, tick: int) -> None:
        read = written = SILENCE
        if not self.masked:
            read = read_frame(self.channel, tick, self) if self.sides[0] else SILENCE
            written = write_frame(self.channel, tick, self) if self.sides[1] else SILENCE
        try:
            self.recording.write(read, written)
        except MediaError:
            self.end("uri-failure")
            return
        if self.limit and self.recording.samples >= self.limit * 8000:
            self.end("success-maxtime")
        elif self._long_silent(read):
            self.channel.variables["silence_hits_exhausted"] = "true"
            self.end("success-silence")

    def _long_silent(self, frame: Samples) -> bool:
        loudness = abs(frame.astype(int)).mean()
        self.quiet_frames_left -= 1
        if not self.threshold or loudness >= self.threshold:
            self.quiet_frames_left = self.patience
        return self.quiet_frames_left == 0

    def end(self, cause: str) -> None:
        if self not in self.channel.bugs:
            return
        self.channel.bugs.remove(self)
        size = self.recording.close()
        samples = self.recording.samples
        self.channel.variables |= {
            "record_file_size": str(size),
            "record_samples": str(samples),
            "record_seconds": str(samples // 8000),
            "record_ms": str(samples // 8),
        }
        headers = {"Record-File-Path": self.asked_path}
        if self.session_wide:
            headers["Record-Completion-Cause"] = cause
            self.channel.variables["record_completion_cause"] = cause
        self.channel.fire("RECORD_STOP", headers)
        if self.session_wide:
            self.channel.fire("MEDIA_BUG_STOP")
        self.channel.notify()


class Displace(Bug):
    """`uuid_displace`: plays to the party over an application; `mux` keeps the original audio."""

    def __init__(self, channel: "Channel", path: str, source: Source, limit: float, mux: bool):
        super().__init__(channel)
        self.path = path
        self.source = source
        self.mux = mux
        self.limit = limit
        self.start = int(channel.switch.clock.now() / FRAME_SECONDS)
        channel.fire("MEDIA_BUG_START")

    def on_write(self, frame: Samples, tick: int) -> Samples:
        position = max(tick - self.start, 0) * 160
        length = self.source.samples
        if (length is not None and position >= length) or (
            self.limit and position >= self.limit * 8000
        ):
            return frame
        part = self.source.frame(position)
        return mix(frame, part) if self.mux else part


class Spy(Bug):
    """An eavesdropper on this channel; `mode` says who hears the supervisor.

    0 nobody, 1 the partner, 2 the spied party, 3 both.
    """

    def __init__(self, channel: "Channel", supervisor: "Channel") -> None:
        super().__init__(channel)
        self.supervisor = supervisor
        self.mode = 0
        channel.fire("MEDIA_BUG_START")

    def on_read(self, frame: Samples, tick: int) -> Samples:
        return mix(frame, read_frame(self.supervisor, tick)) if self.mode & 1 else frame

    def on_write(self, frame: Samples, tick: int) -> Samples:
        return mix(frame, read_frame(self.supervisor, tick)) if self.mode & 2 else frame

    def end(self, cause: str) -> None:
        super().end(cause)
        self.supervisor.notify()


def read_frame(channel: "Channel", tick: int, before: Bug | None = None) -> Samples:
    """What the party of a channel says, through the bugs attached before `before`."""
    frame = SILENCE
    if channel.up and channel.has_media and not channel.muted["read"] and not channel.held:
        frame = channel.far.frame(tick)
    for bug in channel.bugs:
        if bug is before:
            break
        frame = bug.on_read(frame, tick)
    return frame


def write_frame(channel: "Channel", tick: int, before: Bug | None = None) -> Samples:
    """What the party of a channel hears, through the bugs attached before `before`."""
    frame = _heard(channel, tick)
    for bug in channel.bugs:
        if bug is before:
            break
        frame = bug.on_write(frame, tick)
    return SILENCE if channel.muted["write"] else frame


def _heard(channel: "Channel", tick: int) -> Samples:
    if channel.held:
        return HOLD_MUSIC.frame(tick * 160)
    if channel.playing is not None:
        source, start = channel.playing
        position = int((tick * FRAME_SECONDS - start) / FRAME_SECONDS) * 160
        return source.frame(position) if position >= 0 else SILENCE
    if channel.spying is not None:
        spied = channel.spying.channel
        spy = channel.spying
        return mix(read_frame(spied, tick, spy), write_frame(spied, tick, spy))
    if channel.hears is not None:
        if channel.hears.held and channel.hears is not channel:
            return HOLD_MUSIC.frame(tick * 160)
        return read_frame(channel.hears, tick)
    return SILENCE


async def run_ticker(switch: "Switch") -> None:
    """Every 20 ms of switch time feed the recordings and the legs that want audio.

    A late tick is caught up frame by frame, so that recordings keep their length.
    """
    clock = switch.clock
    done = int(clock.now() / FRAME_SECONDS)
    while True:
        await asyncio.sleep(FRAME_SECONDS / clock.speed)
        until = int(clock.now() / FRAME_SECONDS)
        busy = [
            channel
            for channel in list(switch.channels.values())
            if channel.far.wants_audio or any(bug.ticking for bug in channel.bugs)
        ]
        for tick in range(done, until):
            for channel in busy:
                _feed(channel, tick)
        done = until


def _feed(channel: "Channel", tick: int) -> None:
    try:
        for bug in [bug for bug in channel.bugs if bug.ticking]:
            bug.tick(tick)
        if channel.far.wants_audio and channel.up and channel.has_media:
            channel.far.hear(write_frame(channel, tick))
    except Exception:
        # One broken leg must not silence the others.
        log.exception("%s: audio failed", channel.name)
        channel.hangup("NORMAL_TEMPORARY_FAILURE")
