"""Signals made for the tests: tones by their standards, speech by the product's synthesiser."""

from functools import lru_cache

import numpy as np
import soxr
from hypothesis import strategies as st
from numpy.typing import NDArray

from irisx.media.amd.frames import RATE, Samples
from irisx.media.synthesis import Hibari

Wave = NDArray[np.float64]


def silence(seconds: float) -> Wave:
    return np.zeros(round(seconds * RATE))


def noise(seconds: float, db: float, seed: int = 1) -> Wave:
    """White noise of a level below full scale."""
    generator = np.random.default_rng(seed)
    return generator.standard_normal(round(seconds * RATE)) * 10 ** (db / 20)


def tone(seconds: float, *hz: float, db: float = -15.0) -> Wave:
    time = np.arange(round(seconds * RATE)) / RATE
    return sum((np.sin(2 * np.pi * f * time) for f in hz), np.zeros(len(time))) * 10 ** (db / 20)


def pcm(*parts: Wave) -> Samples:
    """One signal of 16 bits; clipped, as a line would."""
    samples: Samples = np.clip(np.concatenate(parts) * 32768, -32768, 32767).astype(np.int16)
    return samples


@lru_cache(maxsize=8)
def speech(text: str) -> Wave:
    """The text, spoken at about -20 dBFS, without silence around it."""
    audio, rate = Hibari().speak(text, Hibari.VOICE)
    wave: Wave = soxr.resample(np.asarray(audio, np.float64), rate, RATE)
    loud = np.flatnonzero(np.abs(wave) > 0.02 * np.abs(wave).max())
    spoken: Wave = wave[loud[0] : loud[-1]]
    return spoken * (0.1 / float(np.sqrt(np.mean(spoken**2))))


chunk_sizes = st.lists(st.integers(0, 3000), min_size=1, max_size=40)
