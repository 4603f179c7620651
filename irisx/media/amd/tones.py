"""Tones beside the speech: beep, special information tones, fax, ringing."""

from collections import deque
from dataclasses import dataclass
from enum import StrEnum
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from irisx.media.amd.frames import FRAME, FRAME_MS, RATE, Frame

_WINDOW = np.hanning(FRAME).astype(np.float32)
_HZ_PER_BIN = RATE / FRAME
#: Below 200 Hz is hum.
_FIRST_BIN = 7
#: Half the width of a tone's peak under the window, in bins.
_PEAK = 2
#: Share of a frame's energy that a tone has.
_PURITY = 0.6
#: Weaker than this (mean square of samples -1…1) is silence.
_WEAKEST = 1e-6
_SAME_HZ = 12.0
#: Noise of 5 dB SNR and codecs made for speech move the level of a tone by as much.
_SAME_DB = 6.0
#: Frames that a tone lasts at least: 128 ms.
_SHORTEST = 4
#: How far the frames of a tone that a machine makes are from its frequency, as a median (Hz); noise
#: moves those of a long one further, but no voice keeps to one frequency for so long.
_STEADY_HZ = 3.0
_LONG_MS = 400
#: A voice may hold a note as well as a machine for less than this.
_SUNG_MS = 250

#: Nominal frequencies of the special information tones (ITU-T E.180, Telcordia GR-1162), Hz.
_SIT = ((900, 1000), (1360, 1440), (1760, 1800))
_SIT_GAP_MS = 160
#: Called fax: CED and ANSam, 2100 ± 15 Hz (ITU-T T.30, V.8), with phase reversals in ANSam.
_CED_HZ = (2075.0, 2125.0)
_CED_FRAMES, _CED_OF = 13, 20
#: Calling fax: CNG, 1100 ± 38 Hz for 0.5 s ± 15 % (ITU-T T.30).
_CNG_HZ = (1062.0, 1138.0)
_CNG_MS = (400, 620)
#: Voicemail beeps; the answer tone of a fax lies above.
_BEEP_HZ = (350.0, 2050.0)
#: Ringing tones lie here in all countries of ITU-T E.180's list that use one or two of them.
_RING_HZ = (340.0, 510.0)
_RING_FRAMES = 12


class Signal(StrEnum):
    SIT = "sit"
    CED = "fax_ced"
    CNG = "fax_cng"


@dataclass(frozen=True, slots=True)
class Tone:
    """A steady tone: start and end in ms from the answer, ± half a frame (16 ms)."""

    hz: float
    start: int
    end: int
    #: How far its frames are from `hz`, as a median (Hz).
    spread: float

    @property
    def _is_steady(self) -> bool:
        return self.spread < _STEADY_HZ or self.end - self.start >= _LONG_MS

    @property
    def is_beep(self) -> bool:
        """Whether a voicemail could mark with it that it records."""
        return self._is_steady and _within(self.hz, _BEEP_HZ)

    @property
    def is_voice(self) -> bool:
        """Whether a voice could have made it."""
        return not self._is_steady or self.end - self.start < _SUNG_MS


@dataclass(slots=True)
class _Run:
    """Frames of one frequency and level; one of them may be lost between two others."""

    first: int
    frequencies: list[float]
    level: float
    #: The frame after the last that belongs to it.
    end: int

    @property
    def hz(self) -> float:
        return float(np.median(self.frequencies))

    @property
    def is_tone(self) -> bool:
        return len(self.frequencies) >= _SHORTEST

    @property
    def forgives(self) -> bool:
        """Whether it may lack one more frame: one of three."""
        lacking = self.end - self.first - len(self.frequencies)
        return len(self.frequencies) >= 2 * (lacking + 1)

    def tone(self) -> Tone:
        spread = float(np.median(np.abs(np.array(self.frequencies) - self.hz)))
        return Tone(self.hz, self.first * FRAME_MS, self.end * FRAME_MS, spread)

    def take(self, at: int, hz: float, level: float) -> bool:
        """Whether the frame belongs to it."""
        if abs(hz - self.hz) >= _SAME_HZ or abs(level - self.level) >= _SAME_DB:
            return False
        self.frequencies.append(hz)
        self.level = max(self.level, level)
        self.end = at + 1
        return True


class ToneTracker:
    """Follows the tones of a stream, frame by frame."""

    def __init__(self) -> None:
        self.tones: list[Tone] = []
        self._frames = 0
        self._run: _Run | None = None
        #: What began at a frame that the run lacks.
        self._next: _Run | None = None
        self._answer_tone: deque[bool] = deque(maxlen=_CED_OF)
        self._ringing = 0
        self.last_ring: int | None = None

    @property
    def sounding(self) -> bool:
        """A tone long enough to be one has begun and is not over."""
        return self._run is not None and self._run.is_tone

    def add(self, frame: Frame) -> Tone | None:
        """Look at the next frame; the tone that it ended, if it ended one."""
        spectrum = np.abs(np.fft.rfft(frame * _WINDOW)).astype(np.float32) ** 2
        spectrum[:_FIRST_BIN] = 0
        total = float(spectrum.sum())
        peak = int(spectrum.argmax())
        strong = total > _WEAKEST * FRAME * FRAME / 8
        share = _around(spectrum, peak) / total if strong else 0.0
        hz = _frequency(spectrum, peak) if share > _PURITY else 0.0
        self._answer_tone.append(_CED_HZ[0] < hz < _CED_HZ[1])
        self._follow_ringing(spectrum, total, strong)
        ended = self._follow(hz, 10 * float(np.log10(total + 1e-12)))
        self._frames += 1
        return ended

    def signal(self) -> Signal | None:
        """The signal that the tones until now make, if they make one."""
        if sum(self._answer_tone) >= _CED_FRAMES:
            return Signal.CED
        if self._is_sit():
            return Signal.SIT
        if self.tones and _within(self.tones[-1].hz, _CNG_HZ):
            tone = self.tones[-1]
            if _CNG_MS[0] <= tone.end - tone.start <= _CNG_MS[1]:
                return Signal.CNG
        return None

    def _is_sit(self) -> bool:
        last = self.tones[-3:]
        return (
            len(last) == 3
            and all(_within(tone.hz, band) for tone, band in zip(last, _SIT, strict=True))
            and all(b.start - a.end < _SIT_GAP_MS for a, b in pairwise(last))
        )

    def _follow(self, hz: float, level: float) -> Tone | None:
        run, at = self._run, self._frames
        if run is not None and run.take(at, hz, level):
            self._next = None
            return None
        if self._next is None or not self._next.take(at, hz, level):
            self._next = _Run(at, [hz], level, at + 1) if hz else None
        if run is not None and at == run.end and run.forgives:
            return None  # a lost packet, if it goes on
        self._run, self._next = self._next, None
        if run is None or not run.is_tone:
            return None
        self.tones.append(run.tone())
        return self.tones[-1]

    def _follow_ringing(self, spectrum: NDArray[np.float32], total: float, strong: bool) -> None:
        low, high = (round(hz / _HZ_PER_BIN) for hz in _RING_HZ)
        rings = strong and float(spectrum[low - 1 : high + 2].sum()) > 0.9 * total
        self._ringing = self._ringing + 1 if rings else 0
        if self._ringing >= _RING_FRAMES:
            self.last_ring = (self._frames + 1) * FRAME_MS


def _within(hz: float, band: tuple[float, float]) -> bool:
    return band[0] <= hz <= band[1]


def _around(spectrum: NDArray[np.float32], peak: int) -> float:
    return float(spectrum[max(peak - _PEAK, 0) : peak + _PEAK + 1].sum())


def _frequency(spectrum: NDArray[np.float32], peak: int) -> float:
    """The peak's frequency between the bins, by a parabola through its logarithms."""
    if not 0 < peak < len(spectrum) - 1:
        return peak * _HZ_PER_BIN
    left, top, right = np.log(spectrum[peak - 1 : peak + 2] + 1e-12)
    bend = left - 2 * top + right
    return (peak + (0.5 * (left - right) / bend if bend else 0.0)) * _HZ_PER_BIN
