"""Spoken texts as WAV files under `home/speech`: each text is spoken once, the oldest go first."""

import os
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soundfile
import soxr

from irisx.kernel.logging import get_logger
from irisx.media.synthesis import Audio
from irisx.settings import get_settings

log = get_logger(__name__)

NARROWBAND_HZ = 8000
WIDEBAND_HZ = 16_000
MAX_BYTES = 512 * 1024 * 1024
#: A file used so lately may be about to be played.
_IN_USE_SECONDS = 600.0


@dataclass(frozen=True)
class Speech:
    """A spoken text: 16-bit mono WAV at 8 kHz and at 16 kHz."""

    path: Path
    wideband_path: Path
    duration_ms: int


def find(key: str) -> Speech | None:
    """The files of a key, marked as used now; None if it was not spoken yet."""
    narrow, wide = _paths(key)
    try:
        for path in (wide, narrow):
            os.utime(path)
        info = soundfile.info(str(narrow))
    except (OSError, soundfile.LibsndfileError):
        return None
    return Speech(narrow, wide, round(info.frames * 1000 / info.samplerate))


def store(key: str, audio: Audio, rate: int) -> Speech:
    """Write both files, each complete or not at all."""
    for path, wanted in zip(_paths(key), (NARROWBAND_HZ, WIDEBAND_HZ), strict=True):
        samples = soxr.resample(audio, rate, wanted)
        path.parent.mkdir(parents=True, exist_ok=True)
        partial = path.with_name(f".{path.name}.{os.getpid()}")
        try:
            clipped = np.clip(samples, -1.0, 1.0)
            soundfile.write(str(partial), clipped, wanted, subtype="PCM_16", format="WAV")
            partial.replace(path)
        finally:
            partial.unlink(missing_ok=True)
    speech = find(key)
    if speech is None:
        raise OSError(f"{_paths(key)[0]} was written and is not there")
    return speech


def prune(limit: int = MAX_BYTES) -> int:
    """Delete the files that were used longest ago until all are below `limit` bytes; how many."""
    files = []
    for path in _root().glob("*/*.wav"):
        with suppress(FileNotFoundError):
            state = path.stat()
            files.append((state.st_mtime, state.st_size, path))
    total = sum(size for _, size, _ in files)
    deleted = 0
    for used_at, size, path in sorted(files):
        if total <= limit or used_at > time.time() - _IN_USE_SECONDS:
            break
        path.unlink(missing_ok=True)
        total -= size
        deleted += 1
    if deleted:
        log.info("spoken texts forgotten", files=deleted)
    return deleted


def _root() -> Path:
    return get_settings().home / "speech"


def _paths(key: str) -> tuple[Path, Path]:
    directory = _root() / key[:2]
    return directory / f"{key}-8000.wav", directory / f"{key}-16000.wav"
