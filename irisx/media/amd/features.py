"""What was said when: the timeline that the decision is made of."""

import math
from bisect import insort
from dataclasses import dataclass

import numpy as np

from irisx.media.amd.frames import FRAME_MS, Frame

_SPEECH = 0.5
#: What is this much quieter than the loudest speech (dB) is somebody in the background.
_BACKGROUND_DB = 20.0
#: The talker stands out from the line's noise and from a babble of voices by so much (dB). Noise
#: is what a fifth of all frames do not reach: any talker breathes that often.
_NOISE_SHARE = 5
_ABOVE_NOISE_DB = 6.0
#: This close to the loudest speech (dB) it is the talker, whatever the noise.
_TALKER_DB = 8.0
#: Frames over which a level is measured.
_LEVEL_FRAMES = 3
#: Less than this many frames of speech is a click.
_SHORTEST = 3
_FLOOR = 1e-9


@dataclass(frozen=True, slots=True)
class Speech:
    """The speech until now, in ms; `start` and `end` count from the answer."""

    start: int
    end: int
    #: Speech in all, pauses left out.
    voiced: int
    #: Since the talker's last speech, and since anybody's, however far away.
    pause: int
    quiet: int
    words: int
    longest_pause: int


class Timeline:
    """Collects the frames of a stream.

    The talker's loudest speech and the noise of the line set the level that speech must reach, so
    the floor follows the line; what was taken for speech before is judged again when it moves.
    """

    def __init__(self, minimum_word_ms: int, between_words_ms: int) -> None:
        self._minimum_word_ms = minimum_word_ms
        self._between_words_ms = between_words_ms
        self._powers = [0.0] * (_LEVEL_FRAMES - 1)
        self._spoken: list[int] = []
        #: Levels of the frames of speech, and of all frames in order of level (dB).
        self._levels: list[float] = []
        self._sorted: list[float] = []
        self._frames = 0

    @property
    def now(self) -> int:
        """ms of audio seen."""
        return self._frames * FRAME_MS

    def add(self, frame: Frame, probability: float) -> None:
        self._powers = [*self._powers[1 - _LEVEL_FRAMES :], float(frame @ frame) / len(frame)]
        level = 10 * math.log10(sum(self._powers) / _LEVEL_FRAMES + _FLOOR)
        insort(self._sorted, level)
        if probability > _SPEECH:
            self._spoken.append(self._frames)
            self._levels.append(level)
        self._frames += 1

    def speech(self) -> Speech | None:
        """The speech until now; None while there is none."""
        if len(self._spoken) < _SHORTEST:
            return None
        levels = np.array(self._levels)
        loudest = levels.max()
        noise = self._sorted[self._frames // _NOISE_SHARE]
        floor = max(loudest - _BACKGROUND_DB, min(noise + _ABOVE_NOISE_DB, loudest - _TALKER_DB))
        talker = np.array(self._spoken)[levels > floor]
        if len(talker) < _SHORTEST:
            return None
        pauses = (np.diff(talker) - 1) * FRAME_MS
        words = np.split(talker, np.flatnonzero(pauses >= self._between_words_ms) + 1)
        start, last = int(talker[0]), int(talker[-1])
        return Speech(
            start=start * FRAME_MS,
            end=(last + 1) * FRAME_MS,
            voiced=len(talker) * FRAME_MS,
            pause=self.now - (last + 1) * FRAME_MS,
            quiet=self.now - (self._spoken[-1] + 1) * FRAME_MS,
            words=sum(len(word) * FRAME_MS >= self._minimum_word_ms for word in words),
            longest_pause=int(pauses.max(initial=0)),
        )
