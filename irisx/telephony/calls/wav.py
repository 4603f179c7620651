"""WAV files as a recorder leaves them: measured, and mended if it died before it closed them."""

import os
import struct
from dataclasses import dataclass
from pathlib import Path

import soundfile

_MAX_SIZE = 2**32 - 1


@dataclass(frozen=True)
class Measured:
    """`error`: why the file can't be a recording, else None."""

    duration_ms: int = 0
    size_bytes: int = 0
    error: str | None = None


def measure(path: Path) -> Measured:
    """Length and size of a sound file."""
    try:
        mend(path)
        size = path.stat().st_size
        info = soundfile.info(str(path))
    except (OSError, soundfile.LibsndfileError) as error:
        return Measured(error=f"the file is no recording: {error}")
    if info.frames == 0:
        return Measured(error="the file holds no sound; the disk may have been full")
    return Measured(round(info.frames * 1000 / info.samplerate), size)


def mend(path: Path) -> None:
    """Set the sizes in a WAV header right (RIFF, Multimedia Programming Interface 1.0).

    A recorder writes them when it closes the file; of one that was killed they are 0, or those of
    a moment before. A file that is no WAV is left alone.
    """
    with path.open("r+b") as file:
        length = os.fstat(file.fileno()).st_size
        riff, _, wave = struct.unpack("<4sI4s", file.read(12).ljust(12, b"\0"))
        if (riff, wave) != (b"RIFF", b"WAVE"):
            return
        while len(chunk := file.read(8)) == 8:
            name, size = struct.unpack("<4sI", chunk)
            place = file.tell()
            if name == b"data":
                present = min(length - place, _MAX_SIZE - place)
                # Smaller and not 0: another chunk follows, as in every file that was closed.
                if size == 0 or size > present:
                    _write_size(file.fileno(), place - 4, present)
                    _write_size(file.fileno(), 4, place + present - 8)
                return
            file.seek(size + size % 2, os.SEEK_CUR)


def _write_size(descriptor: int, place: int, size: int) -> None:
    os.pwrite(descriptor, struct.pack("<I", size), place)
