"""The detector on recordings."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import soundfile
import soxr

from irisx.media.amd.detector import Detector, Verdict
from irisx.media.amd.frames import RATE, Samples
from irisx.media.amd.settings import Settings

#: Of a longer recording only the beginning is heard: the beep comes before.
_MOST_SECONDS = 90


class UnreadableRecording(Exception):
    """The file can't be read as audio; the message says why."""


def read(path: Path) -> Samples:
    """The recording's beginning at 8 kHz, channels mixed. Raises UnreadableRecording."""
    try:
        with path.open("rb") as opened, soundfile.SoundFile(opened) as file:
            rate = file.samplerate
            audio = file.read(_MOST_SECONDS * rate, dtype="float32", always_2d=True).mean(axis=1)
    except OSError as error:
        raise UnreadableRecording(f"{path}: {error.strerror}") from error
    except soundfile.SoundFileError as error:
        raise UnreadableRecording(f"{path}: not WAV, FLAC or other audio") from error
    if rate != RATE:
        audio = soxr.resample(audio, rate, RATE)
    samples: Samples = np.clip(np.nan_to_num(audio) * 32768, -32768, 32767).astype(np.int16)
    return samples


def classify(samples: Samples, settings: Settings) -> Verdict:
    """The verdict on a whole recording; the beep is looked for to its end."""
    detector = Detector(settings)
    verdict = detector.feed(samples) or detector.close()
    assert verdict is not None
    if detector.beep is None:
        return verdict
    return replace(verdict, beep_at_ms=detector.beep.start, beep_end_ms=detector.beep.end)
