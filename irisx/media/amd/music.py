"""Music on the line: hold music, or music in place of ringing.

Music is loud, tonal, and changes; noise is not tonal, hum and a single tone do not change. On 72
pieces of 8 s of five recordings of hold music, and on lines with white, pink and hum noise, each
of the three numbers below lies between the two with room to spare.
"""

from collections import deque

import numpy as np
from numpy.typing import NDArray

from irisx.media.amd.frames import FRAME, FRAME_MS, Frame

_WINDOW = np.hanning(FRAME).astype(np.float32)
#: From 220 to 3350 Hz, 20 bands of 5 bins.
_BINS = slice(7, 107)
#: Power of a signal of mean square 1 (samples -1…1) under the window, positive frequencies.
_FULL_SCALE = FRAME * float(_WINDOW @ _WINDOW) / 2
_BANDS = 20
_REMEMBERED = 4000 // FRAME_MS
#: Frames that a judgement takes at least: 1 s.
_FEWEST = 1000 // FRAME_MS
#: Band levels are means of so many frames (128 ms): what noise varies by, shrinks.
_MEAN_OF = 4
_LOUD_DB = -50.0
#: Spectral flatness (geometric over arithmetic mean of the powers; 1 is white noise).
_TONAL = 0.15
#: Between the quartiles of a band's levels (dB), mean of all bands: a click or the end of a tone
#: is no change.
_CHANGING_DB = 3.0
_FLOOR = 1e-12


class MusicTracker:
    """Remembers the last four seconds of a stream."""

    def __init__(self) -> None:
        self._levels: deque[float] = deque(maxlen=_REMEMBERED)
        self._flatness: deque[float] = deque(maxlen=_REMEMBERED)
        self._bands: deque[NDArray[np.float32]] = deque(maxlen=_REMEMBERED)

    def add(self, frame: Frame) -> None:
        powers = np.abs(np.fft.rfft(frame * _WINDOW))[_BINS].astype(np.float32) ** 2 + _FLOOR
        self._levels.append(10 * float(np.log10(powers.sum() / _FULL_SCALE)))
        self._flatness.append(float(np.exp(np.log(powers).mean()) / powers.mean()))
        self._bands.append(10 * np.log10(powers.reshape(_BANDS, -1).sum(axis=1)))

    @property
    def is_music(self) -> bool:
        loud = np.array(self._levels) > _LOUD_DB
        if loud.sum() < max(_FEWEST, len(loud) // 2):
            return False
        if np.median(np.array(self._flatness)[loud]) > _TONAL:
            return False
        bands = np.array(self._bands)[loud]
        whole = bands[: len(bands) // _MEAN_OF * _MEAN_OF]
        means = whole.reshape(-1, _MEAN_OF, _BANDS).mean(axis=1)
        low, high = np.percentile(means, [25, 75], axis=0)
        return bool((high - low).mean() > _CHANGING_DB)
