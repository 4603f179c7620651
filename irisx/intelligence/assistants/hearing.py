"""The ear of a conversation: a caller's audio, and the turns in it with their times."""

from datetime import datetime, timedelta

import numpy as np

from irisx.intelligence.assistants.listening import Change, Listener, Phase
from irisx.intelligence.recognition import MAX_SECONDS
from irisx.kernel.clock import now
from irisx.media.amd.frames import RATE
from irisx.media.taps.consumer import Samples

#: What is taken along from before the first loud frame: words begin faintly.
_BEFORE_MS = 320
_MOST_SAMPLES = int(MAX_SECONDS * RATE)
_TICK_FRAMES = 8


class Ear:
    """It keeps the last MAX_SECONDS of audio, and hears turns once `listen` was called."""

    def __init__(self) -> None:
        self.speech_began_at: datetime | None = None
        self.speech_ended_at: datetime | None = None
        self._listener: Listener | None = None
        self._audio = bytearray()
        self._dropped = 0
        self._offset = 0
        self._start = 0
        self._judged = 0

    def listen(self, end_of_turn_ms: int) -> None:
        """From now on turns are heard."""
        self._listener = Listener(end_of_turn_ms)
        self._offset = self._heard

    @property
    def _heard(self) -> int:
        """Samples of the whole stream so far."""
        return self._dropped + len(self._audio) // 2

    def hear(self, said: Samples) -> None:
        """The next samples, of 16 bits and 8 kHz."""
        self._audio += said.astype("<i2").tobytes()
        excess = len(self._audio) // 2 - _MOST_SAMPLES
        if excess > RATE:  # a second at a time
            del self._audio[: excess * 2]
            self._dropped += excess

    def judge(self, probability: float) -> Change | None:
        """How likely the next 32 ms are speech; what changes with them."""
        if self._listener is None:
            return None
        self._judged += 1
        change = self._listener.hear(probability)
        if change is None:
            return None
        at = now() - timedelta(milliseconds=self._listener.now_ms - change.speech_ms)
        if change.began:
            self._start = self._offset + (change.speech_ms - _BEFORE_MS) * RATE // 1000
            self.speech_began_at = at
        elif change.phase is not Phase.SPEAKING:
            self.speech_ended_at = at
        return change

    @property
    def ticks(self) -> bool:
        """True some four times a second, while audio comes."""
        return self._judged % _TICK_FRAMES == 0

    def utterance(self) -> Samples:
        """What was said from the turn's beginning until now, its last MAX_SECONDS at most."""
        first = max(self._start - self._dropped, 0)
        return np.frombuffer(bytes(self._audio[first * 2 :][-_MOST_SAMPLES * 2 :]), "<i2")
