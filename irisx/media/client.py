"""How other processes ask the media process for speech."""

import json
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4

from redis import RedisError

from irisx.kernel.errors import Unavailable, invalid
from irisx.kernel.redis import redis

MAX_CHARACTERS = 3000
REQUESTS = "irisx:media:requests"
#: Set by a media process while it serves; nobody waits for one that is away.
ALIVE = "irisx:media:alive"
REPLY = "irisx:media:reply:"
#: Longer than anybody waits for an answer.
EXPIRY_SECONDS = 60
_BLOCK_SECONDS = 1.0


@dataclass(frozen=True)
class SynthesisResult:
    """A spoken text: 16-bit mono WAV of 8 kHz at `path`, of 16 kHz at `wideband_path`.

    `voice`: the one that speaks; `fallback`: it is another than was asked for.
    """

    path: Path
    wideband_path: Path
    voice: str
    fallback: bool
    duration_ms: int


def synthesize(
    text: str, voice: str | None = None, language: str | None = None, timeout: float = 5.0
) -> SynthesisResult:
    """Have a text spoken, waiting `timeout` seconds at most; other greenlets go on.

    Raises ValidationError for an empty or too long text, Unavailable when the media process or
    Redis is away (MEDIA_UNAVAILABLE), is too slow (MEDIA_TIMEOUT), or has no voice for the
    language (SPEECH_UNAVAILABLE).
    """
    text = " ".join(text.split())
    if not text or len(text) > MAX_CHARACTERS:
        raise invalid("text", f"must be 1 to {MAX_CHARACTERS} characters")
    request = {
        "id": uuid4().hex,
        "verb": "synthesize",
        "text": text,
        "voice": voice,
        "language": language,
        "deadline": time.time() + timeout,
    }
    try:
        reply = _ask(request)
    except RedisError as error:
        raise Unavailable(
            "Redis is away, so the media process can't be asked.", code="MEDIA_UNAVAILABLE"
        ) from error
    if "error" in reply:
        raise Unavailable(reply["error"]["message"], code=reply["error"]["code"])
    result = reply["result"]
    return SynthesisResult(
        path=Path(result["path"]),
        wideband_path=Path(result["wideband_path"]),
        voice=result["voice"],
        fallback=result["fallback"],
        duration_ms=result["duration_ms"],
    )


def _ask(request: dict[str, Any]) -> dict[str, Any]:
    if not redis().exists(ALIVE):
        raise Unavailable("The media process is not running.", code="MEDIA_UNAVAILABLE")
    redis().lpush(REQUESTS, json.dumps(request))
    while (left := request["deadline"] - time.time()) > 0:
        item = redis().brpop([REPLY + request["id"]], timeout=min(left, _BLOCK_SECONDS))
        if item is not None:
            reply: dict[str, Any] = json.loads(item[1])
            return reply
    raise Unavailable("The media process did not answer in time.", code="MEDIA_TIMEOUT")
