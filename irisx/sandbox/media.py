"""Audio at 8 kHz in 20 ms frames of 160 samples: sources, the mix of a channel, recordings.

Nothing is computed for a channel that nobody listens to: sources are read by position, not by a
running pump, and only recordings, eavesdroppers and real SIP legs ask for frames.
"""

import functools
import os
import re
import stat
from pathlib import Path
from typing import IO, Any, Protocol

import numpy as np
import numpy.typing as npt
import soundfile
import soxr

RATE = 8000
FRAME = 160
FRAME_SECONDS = FRAME / RATE

Samples = npt.NDArray[np.int16]

SILENCE: Samples = np.zeros(FRAME, dtype=np.int16)
SILENCE.flags.writeable = False


class MediaError(Exception):
    """A file or stream that can't be played or recorded."""


class Source(Protocol):
    """Audio by position. `samples` is the length, None when it never ends."""

    samples: int | None

    def frame(self, position: int) -> Samples: ...


class Clip:
    """Audio in memory, perhaps repeated for ever."""

    def __init__(self, data: Samples, *, loop: bool = False) -> None:
        self.data = data
        self.loop = loop and len(data) > 0
        self.samples = None if self.loop else len(data)

    def frame(self, position: int) -> Samples:
        """The 160 samples from `position`; silence behind the end."""
        if self.loop:
            # Not take(mode="wrap"): it steps down from a far position length by length.
            wrapped: Samples = self.data[np.arange(position, position + FRAME) % len(self.data)]
            return wrapped
        part = self.data[position : position + FRAME]
        if len(part) == FRAME:
            return part
        return np.concatenate([part, SILENCE[len(part) :]])


class Quiet:
    """Silence of a length, in memory of none."""

    def __init__(self, samples: int | None) -> None:
        self.samples = samples

    def frame(self, position: int) -> Samples:
        return SILENCE


def mix(first: Samples, second: Samples) -> Samples:
    """The sum of two frames, clipped."""
    total = first.astype(np.int32) + second
    clipped: Samples = np.clip(total, -32768, 32767).astype(np.int16)
    return clipped


def tone(seconds: float, *frequencies: float, level: float = 0.3) -> Samples:
    """Sine tones added up; `level` is the peak, 1.0 is full scale."""
    time = np.arange(int(seconds * RATE)) / RATE
    wave = sum(np.sin(2 * np.pi * frequency * time) for frequency in frequencies)
    scale = level * 32767 / max(len(frequencies), 1)
    return np.asarray(wave * scale, dtype=np.int16)


_TONE = re.compile(r"%\((\d+),(\d+),([\d.,]+)\)")
_TONE_LOOPS = re.compile(r"(?:^|;)loops=(-?\d+)")


def tone_stream(script: str) -> Source:
    """Teletone script: `%(on ms,off ms,Hz,…)` segments and `;loops=N` (-1 for ever).

    Raises MediaError when the script has no segment.
    """
    parts = [
        piece
        for on, off, hertz in _TONE.findall(script)
        for piece in (
            tone(int(on) / 1000, *[float(part) for part in hertz.split(",") if part]),
            np.zeros(int(off) * RATE // 1000, dtype=np.int16),
        )
    ]
    if not parts or sum(map(len, parts)) > 600 * RATE:
        raise MediaError(f"tone script not understood: {script[:80]}")
    loops = int(found[1]) if (found := _TONE_LOOPS.search(script)) else 1
    data = np.concatenate(parts)
    if loops < 0:
        return Clip(data, loop=True)
    return Clip(np.tile(data, min(max(loops, 1), 1000)))


@functools.lru_cache(maxsize=128)
def _load(path: str, modified: float) -> Samples:
    if path.endswith((".r8", ".raw")):
        return np.fromfile(path, dtype="<i2")
    data, rate = soundfile.read(path, dtype="float32", always_2d=True)
    mono = data.mean(axis=1)
    if rate != RATE:
        mono = soxr.resample(mono, rate, RATE)
    return np.asarray(np.clip(mono * 32767, -32768, 32767), dtype=np.int16)


def load_file(path: str) -> Samples:
    """Samples of a regular audio file (.r8 and .raw are headerless). Raises MediaError."""
    try:
        status = Path(path).stat()
        if not stat.S_ISREG(status.st_mode):
            raise MediaError(f"not a regular file: {path}")
        return _load(path, status.st_mtime)
    except (OSError, ValueError, soundfile.SoundFileError) as error:
        raise MediaError(str(error)) from error


@functools.cache
def music_on_hold() -> Samples:
    """Eight seconds of a soft arpeggio."""
    notes = (262, 330, 392, 523, 440, 349, 294, 247)
    return np.concatenate([tone(1.0, note, note * 2, level=0.12) for note in notes])


def open_source(path: str) -> Source:
    """What a file argument of playback names. Raises MediaError for anything unknown.

    Leading `{…}` parameters are dropped; a path with an unknown scheme is refused.
    """
    path = re.sub(r"^\{[^}]*\}", "", path.strip())
    scheme, separator, rest = path.partition("://")
    if not separator:
        return Clip(load_file(path))
    if scheme == "silence_stream":
        millis = rest.split(",")[0]
        if not re.fullmatch(r"-?\d{1,9}", millis):
            raise MediaError(f"bad silence: {rest[:40]}")
        return Quiet(None if int(millis) < 0 else int(millis) * RATE // 1000)
    if scheme == "tone_stream":
        return tone_stream(rest)
    if scheme == "local_stream":
        return Clip(music_on_hold(), loop=True)
    if scheme == "file_string":
        return join([open_source(part) for part in rest.split("!") if part])
    raise MediaError(f"no such stream: {scheme}")


def join(sources: list[Source]) -> Source:
    """Sources one behind the other; behind one that never ends nothing is heard."""
    if len(sources) == 1:
        return sources[0]
    parts = []
    for source in sources:
        if source.samples is None:
            raise MediaError("an endless stream inside a file_string")
        frames = [source.frame(at) for at in range(0, source.samples, FRAME)]
        parts.append(np.concatenate([*frames, SILENCE[:0]])[: source.samples])
    return Clip(np.concatenate([*parts, SILENCE[:0]]))


class Recording:
    """A recording file: `.wav` through libsndfile, `.r8` and `.raw` headerless.

    Headerless files are written unbuffered and may be FIFOs that a reader already holds open.
    """

    def __init__(self, path: str, *, stereo: bool = False, append: bool = False) -> None:
        """Open the file. Raises MediaError."""
        self.path = path
        self.channels = 2 if stereo else 1
        self.samples = 0
        self._raw: IO[bytes] | None = None
        self._sound: Any = None
        try:
            if path.endswith((".r8", ".raw")):
                self._raw = os.fdopen(_raw_descriptor(path, append), "wb", buffering=0)
            else:
                mode = "r+" if append and Path(path).exists() else "w"
                self._sound = soundfile.SoundFile(
                    path, mode, **({} if mode == "r+" else self._wav_format())
                )
                self._sound.seek(0, soundfile.SEEK_END)
        except (OSError, ValueError, TypeError, soundfile.SoundFileError) as error:
            raise MediaError(str(error)) from error

    def _wav_format(self) -> dict[str, Any]:
        return {"samplerate": RATE, "channels": self.channels, "subtype": "PCM_16"}

    def write(self, read: Samples, written: Samples) -> None:
        """Append a frame: what the party said on the left, what it heard on the right.

        Mono recordings hold the sum. Raises MediaError when a reader has gone.
        """
        data = np.column_stack((read, written)) if self.channels == 2 else mix(read, written)
        self.samples += len(read)
        try:
            if self._raw is not None:
                self._raw.write(data.astype("<i2").tobytes())
            else:
                self._sound.write(data)
        except (OSError, soundfile.SoundFileError) as error:
            raise MediaError(str(error)) from error

    def close(self) -> int:
        """Close the file and return its size in bytes."""
        if self._raw is not None:
            self._raw.close()
        else:
            self._sound.close()
        file = Path(self.path)
        return file.stat().st_size if file.exists() else 0


def _raw_descriptor(path: str, append: bool) -> int:
    """A FIFO without a reader is refused (ENXIO) where FreeSWITCH would hang."""
    if Path(path).is_fifo():
        return os.open(path, os.O_WRONLY | os.O_NONBLOCK)
    return os.open(path, os.O_WRONLY | os.O_CREAT | (os.O_APPEND if append else os.O_TRUNC), 0o640)
