"""Speech to text: what a recognizer is, and the local one."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from irisx.intelligence.errors import NotConfigured
from irisx.intelligence.local.host import RECOGNITION
from irisx.settings import get_settings

#: Mono samples of 16 bits.
Samples = NDArray[np.int16]

#: The longest piece that a recognizer is given.
MAX_SECONDS = 30.0


@dataclass(frozen=True)
class Word:
    """`start_ms`, `end_ms`: from the beginning of what was given; `confidence`: 0 to 1."""

    text: str
    start_ms: int
    end_ms: int
    confidence: float | None


@dataclass(frozen=True)
class Recognized:
    """`text` is empty where nothing was said. `confidence`: mean of the words', as the model has
    them, not calibrated; None where the provider tells none."""

    text: str
    words: Sequence[Word]
    confidence: float | None
    language: str | None


class Recognizer(Protocol):
    """`provider` and `model` go into transcripts and usage rows."""

    provider: str
    model: str

    def recognize(
        self, samples: Samples, rate: int, *, language: str | None = None, timeout: float
    ) -> Recognized:
        """What is said in at most MAX_SECONDS of sound of `rate` Hz. `language`: such as `en`.

        Raises ProviderError.
        """


class LocalRecognizer:
    """faster-whisper with the weights of IRISX_WHISPER_MODEL, in a process of its own."""

    provider = "local"

    def __init__(self, weights: Path) -> None:
        self.model = f"whisper:{weights.name}"
        self._weights = weights

    @classmethod
    def configured(cls) -> "LocalRecognizer":
        """Raises NotConfigured."""
        weights = get_settings().whisper_model
        if weights is None:
            raise NotConfigured(
                "Speech can't be recognized: set IRISX_WHISPER_MODEL to a directory with a "
                "faster-whisper model, or configure a provider with a transcription model."
            )
        if not (weights / "model.bin").is_file():
            raise NotConfigured(f"IRISX_WHISPER_MODEL: there is no model.bin in {weights}.")
        return cls(weights)

    def recognize(
        self, samples: Samples, rate: int, *, language: str | None = None, timeout: float
    ) -> Recognized:
        reply = RECOGNITION.ask(
            {
                "verb": "recognize",
                "weights": str(self._weights),
                "rate": rate,
                "language": language,
            },
            samples.astype("<i2").tobytes(),
            timeout=timeout,
        )
        return recognized(reply)


def recognized(reply: dict[str, Any]) -> Recognized:
    """A model process's answer."""
    words = [Word(**word) for word in reply["words"]]
    return Recognized(reply["text"], words, mean_confidence(words), reply["language"])


def mean_confidence(words: Sequence[Word]) -> float | None:
    """Of the words that have one."""
    known = [word.confidence for word in words if word.confidence is not None]
    return round(sum(known) / len(known), 3) if known else None
