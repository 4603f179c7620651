"""Text to speech with what is on this machine: hibari (English) and espeak-ng (all else)."""

import json
import re
import shutil
import subprocess
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache, partial
from hashlib import sha256
from pathlib import Path
from typing import Any, Protocol, TypeVar

import gevent
import numpy as np
import soundfile
from numpy.typing import NDArray

T = TypeVar("T")

Audio = NDArray[np.float32]

DEFAULT_LANGUAGE = "en-US"
_LANGUAGE = re.compile(r"[a-z]{2,3}(-[A-Za-z0-9]{2,8})*\Z")
#: A voice named as Google and others do: the language first.
_VOICE_LANGUAGE = re.compile(r"([a-z]{2,3}-[A-Z]{2})-")
_ESPEAK_SECONDS = 20.0


def in_thread(work: Callable[..., T], *arguments: Any) -> T:
    """Do CPU work in a thread of gevent's pool, without holding up the greenlets."""
    result: T = gevent.get_hub().threadpool.apply(work, arguments)
    return result


class SynthesisError(Exception):
    """The text can't be spoken here; the message says what is missing."""


class Synthesizer(Protocol):
    """One engine. A voice's name begins with the engine's."""

    def voice_for(self, language: str) -> str | None:
        """Its voice for a language such as `en-US`; None if it has none or is not installed."""

    def speak(self, text: str, voice: str) -> tuple[Audio, int]:
        """Mono samples in [-1, 1] and their rate in Hz; other greenlets go on meanwhile."""


class Hibari:
    """The wheel `hibari-tts`: English, a small neural model, 130 times faster than speech.

    Only the voice in the wheel is used: others would be downloaded.
    """

    VOICE = "hibari/heart"

    def voice_for(self, language: str) -> str | None:
        return self.VOICE if language.split("-")[0] == "en" and _hibari() is not None else None

    def speak(self, text: str, voice: str) -> tuple[Audio, int]:
        model = _hibari()
        if model is None:
            raise SynthesisError("the wheel hibari-tts, which speaks English, is not installed")
        # A fixed seed: the same text is the same sound.
        return in_thread(partial(model, seed=0), text), model.sample_rate


@lru_cache
def _hibari() -> Any:
    try:
        from hibari import Hibari as Model

        return Model()
    except (ImportError, OSError):
        return None


class Espeak:
    """The program `espeak-ng`, where it is installed: robotic, but a hundred languages."""

    _PREFIX = "espeak-ng/"

    def voice_for(self, language: str) -> str | None:
        if shutil.which("espeak-ng") is None or not _LANGUAGE.match(language):
            return None
        return self._PREFIX + language.lower()

    def speak(self, text: str, voice: str) -> tuple[Audio, int]:
        language = voice.removeprefix(self._PREFIX)
        with tempfile.TemporaryDirectory(prefix="irisx-speech-") as directory:
            path = Path(directory) / "speech.wav"
            # The text goes in by standard input, so it can't be read as an option.
            command = ["espeak-ng", "-v", language, "-w", str(path), "--stdin", "-b", "1"]
            try:
                subprocess.run(  # noqa: S603 - the language matched _LANGUAGE
                    command,
                    input=text.encode(),
                    check=True,
                    capture_output=True,
                    timeout=_ESPEAK_SECONDS,
                )
                samples, rate = soundfile.read(str(path), dtype="float32")
            except (subprocess.SubprocessError, OSError, soundfile.LibsndfileError) as error:
                raise SynthesisError(f"espeak-ng does not speak {language!r}") from error
        return samples, rate


#: A sample below it (of 1) is no sound of a voice.
_SILENT = 0.01
_LEAD_SECONDS, _TAIL_SECONDS = 0.02, 0.15


def trimmed(audio: Audio, rate: int) -> Audio:
    """The speech with little silence around it: a third of a second before each text is heard
    where one waits for an answer, and half a second after it between two sentences."""
    loud = np.flatnonzero(np.abs(audio) > _SILENT)
    if not loud.size:
        return audio
    first = max(int(loud[0]) - int(_LEAD_SECONDS * rate), 0)
    return audio[first : int(loud[-1]) + int(_TAIL_SECONDS * rate)]


ENGINES: tuple[Synthesizer, ...] = (Hibari(), Espeak())


@dataclass(frozen=True)
class Choice:
    """`fallback`: the voice is another one than was asked for."""

    engine: Synthesizer
    voice: str
    fallback: bool


def choose(voice: str | None, language: str | None) -> Choice:
    """The engine and voice for what was asked; a voice's own name chooses it exactly.

    Raises SynthesisError when nothing here speaks the language.
    """
    wanted = language or _language_of(voice) or DEFAULT_LANGUAGE
    for engine in ENGINES:
        if (found := engine.voice_for(wanted)) is not None:
            return Choice(engine, found, fallback=voice not in (None, found))
    raise SynthesisError(f"no voice speaks {wanted!r} here; espeak-ng is not installed")


def _language_of(voice: str | None) -> str | None:
    match = _VOICE_LANGUAGE.match(voice or "")
    return match[1] if match else None


def cache_key(text: str, voice: str) -> str:
    """Name of the file of a text in a local voice."""
    return sha256(json.dumps([voice, text]).encode()).hexdigest()
