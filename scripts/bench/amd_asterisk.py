"""The yardstick: Asterisk's AMD() written anew from its documented behaviour.

Frames of 20 ms, a fixed threshold on the mean of |sample|. Not checked against a running Asterisk.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

FRAME_MS = 20
FRAME = 8 * FRAME_MS


@dataclass(frozen=True)
class Preset:
    """Times in ms; `silence_threshold` is the mean of |sample| of 16 bits."""

    initial_silence: int
    greeting: int
    after_greeting_silence: int
    total_analysis_time: int
    minimum_word_length: int
    between_words_silence: int
    maximum_words: int
    silence_threshold: int
    maximum_word_length: int = 5000


PRESETS = {
    "Asterisk stock": Preset(2500, 1500, 800, 5000, 100, 50, 2, 256),
    "Asterisk VICIdial": Preset(2000, 2000, 1000, 5000, 120, 50, 4, 256),
    "Asterisk Wombat": Preset(2500, 1500, 300, 5000, 120, 50, 4, 384),
}


class Amd:
    """The state of one detection."""

    def __init__(self, preset: Preset) -> None:
        self._preset = preset
        self._in_silence = False
        self._initial_silence = True
        self._greeting = False
        self._silence = self._voice_run = self._voice_total = self._words = 0

    def hear(self, frame: NDArray[np.int16]) -> str | None:
        """The result that this frame leads to, if it does."""
        if np.abs(frame.astype(np.int32)).mean() < self._preset.silence_threshold:
            self._silence += FRAME_MS
            return self._on_silence()
        return self._on_voice()

    def _on_silence(self) -> str | None:
        preset = self._preset
        if self._silence >= preset.between_words_silence:
            self._in_silence = True
            self._voice_run = 0
        if self._initial_silence and self._silence >= preset.initial_silence:
            return "machine"
        if self._greeting and self._silence >= preset.after_greeting_silence:
            return "human"
        return None

    def _on_voice(self) -> str | None:
        preset = self._preset
        self._voice_run += FRAME_MS
        self._voice_total += FRAME_MS
        is_word = self._voice_run >= preset.minimum_word_length
        if is_word and self._in_silence:
            self._words += 1
            self._in_silence = False
        if (
            self._voice_run >= preset.maximum_word_length
            or self._words > preset.maximum_words
            or (self._greeting and self._voice_total >= preset.greeting)
        ):
            return "machine"
        if self._voice_total >= preset.minimum_word_length:
            self._silence = 0
        if is_word and not self._greeting:
            self._initial_silence = False
            self._greeting = True
        return None


def classify(samples: NDArray[np.int16], preset: Preset) -> tuple[str, int]:
    """Result (human, machine, unknown) and the ms from the answer at which it was there."""
    amd = Amd(preset)
    heard = 0
    for frame in samples[: len(samples) // FRAME * FRAME].reshape(-1, FRAME):
        heard += FRAME_MS
        if heard >= preset.total_analysis_time:
            break
        if result := amd.hear(frame):
            return result, heard
    return "unknown", heard
