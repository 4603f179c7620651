"""What is heard in a recording."""

import io
from pathlib import Path

import numpy as np
import soundfile


def level(path: Path, hertz: float, channel: int = 0, begin: float = 0.0, end: float = 0.0) -> int:
    """The amplitude of a tone between two times in s (`end` 0: to the end), 32767 is full scale."""
    data, rate = soundfile.read(path, dtype="float64", always_2d=True)
    part = data[int(begin * rate) : int(end * rate) or None, channel]
    wave = np.exp(-2j * np.pi * hertz * np.arange(len(part)) / rate)
    return int(2 * abs((part * wave).sum()) / max(len(part), 1) * 32767)


def loudness(path: Path, channel: int = 0, begin: float = 0.0, end: float = 0.0) -> int:
    """Root mean square between two times."""
    data, rate = soundfile.read(path, dtype="float64", always_2d=True)
    part = data[int(begin * rate) : int(end * rate) or None, channel]
    return int(np.sqrt((part**2).mean()) * 32767) if len(part) else 0


def seconds(path: Path) -> float:
    return float(soundfile.info(path).duration)


def ulaw_tone(hertz: float) -> bytes:
    """One second of a tone, raw PCMU at 8000 Hz: its end goes on with its beginning."""
    wave = 0.3 * np.sin(2 * np.pi * hertz * np.arange(8000) / 8000)
    file = io.BytesIO()
    soundfile.write(file, wave, 8000, format="RAW", subtype="ULAW")
    return file.getvalue()
