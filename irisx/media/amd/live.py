"""The detector on a live call: a consumer of its tap, which tells the engine what it found out.

Arguments: `settings` (detector), `until_beep`: listen on after the verdict on a machine, until a
message may be left; `audio`: file, below the recordings directory, to keep what was heard in.

Reports: `patient` (the verdict takes longer than the settings say: it rings, or a beep is waited
for), `verdict`, `greeting_over` (with `beep_at_ms` and `beep_end_ms`, null without a beep).
"""

from dataclasses import asdict
from pathlib import Path
from typing import Any

import gevent
import numpy as np
import soundfile

from irisx.kernel.logging import get_logger
from irisx.media.amd.detector import Cause, Detector, Result, Verdict
from irisx.media.amd.frames import RATE, Frame, Samples
from irisx.media.amd.settings import Settings
from irisx.media.synthesis import in_thread
from irisx.media.taps import consumer
from irisx.media.taps.consumer import Consumer, Tap
from irisx.settings import get_settings

log = get_logger(__name__)

CONSUMER = "amd"
PATIENT = "patient"
VERDICT = "verdict"
GREETING_OVER = "greeting_over"


class LiveDetection(Consumer):
    """One call's detection."""

    def __init__(self, tap: Tap, args: dict[str, Any]) -> None:
        self._tap = tap
        self._detector = Detector(Settings.model_validate(args["settings"]))
        self._until_beep = bool(args["until_beep"])
        self._file = args["audio"] and get_settings().recording_path / args["audio"]
        self._kept: list[Samples] = []
        self._verdict: Verdict | None = None
        self._patient = False

    def hear(self, said: Samples, heard: Samples | None) -> None:
        if self._file:
            self._kept.append(said.copy())

    def voice(self, frame: Frame, probability: float) -> None:
        verdict = self._detector.hear(frame, probability)
        if verdict is not None:
            self._tell(verdict)
        elif self._detector.is_patient and not self._patient:
            self._patient = True
            self._tap.report(PATIENT, {})
        if self._verdict is not None:
            self._follow(self._verdict)

    def _tell(self, verdict: Verdict) -> None:
        self._verdict = verdict
        self._tap.report(VERDICT, asdict(verdict))

    def _follow(self, verdict: Verdict) -> None:
        """Listen for the end of a machine's greeting, if a message is to be left after it."""
        awaits = self._until_beep and verdict.result is Result.MACHINE
        if awaits and verdict.cause is not Cause.SIT:
            if not self._detector.greeting_over:
                return
            beep = self._detector.beep
            times = {"beep_at_ms": beep and beep.start, "beep_end_ms": beep and beep.end}
            self._tap.report(GREETING_OVER, times)
        self._tap.close()

    def lost(self, frames: int) -> None:
        """What was skipped may have been the greeting: no verdict rests on the rest."""
        if self._verdict is None and (verdict := self._detector.close()) is not None:
            self._tell(verdict)
        self._tap.close()

    def end(self, cause: consumer.Cause) -> None:
        if self._verdict is None and (verdict := self._detector.close()) is not None:
            self._tell(verdict)
        if self._file and self._kept:
            gevent.spawn(in_thread, _keep, Path(self._file), np.concatenate(self._kept))


def _keep(path: Path, audio: Samples) -> None:
    partial = path.with_name(f".{path.name}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        soundfile.write(str(partial), audio, RATE, format="FLAC", subtype="PCM_16")
        partial.replace(path)
    except (OSError, soundfile.LibsndfileError) as error:
        partial.unlink(missing_ok=True)
        log.error("amd.audio_not_kept", file=str(path), reason=str(error))
