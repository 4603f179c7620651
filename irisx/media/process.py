"""The media process: CPU work beside the switch. It speaks texts and follows live audio taps.

Texts: requests come as JSON on a list and are answered on a list of their own that expires. What
nobody waits for any more is dropped. CPU work runs in threads and children, so that the process
goes on answering. Taps: `irisx/media/taps/`.
"""

import json
import signal
import time
from typing import Any

import gevent
from gevent.event import Event
from gevent.lock import BoundedSemaphore
from gevent.pool import Pool
from redis import RedisError

from irisx.kernel import health
from irisx.kernel.logging import get_logger
from irisx.kernel.redis import redis
from irisx.media import cache
from irisx.media.amd import live
from irisx.media.client import ALIVE, EXPIRY_SECONDS, MAX_CHARACTERS, REPLY, REQUESTS
from irisx.media.synthesis import Choice, SynthesisError, cache_key, choose, in_thread, trimmed
from irisx.media.taps.reader import MakeConsumer
from irisx.media.taps.service import TapService

log = get_logger(__name__)

#: Requests under way; further ones wait in Redis until their deadline.
MAX_RUNNING = 100
#: Texts that are spoken at one time: a CPU each.
MAX_SPEAKING = 2
_BLOCK_SECONDS = 1
_ALIVE_SECONDS = 5
_PRUNE_SECONDS = 600.0


#: Who listens to taps, by the name that the engine asks for.
CONSUMERS: dict[str, MakeConsumer] = {live.CONSUMER: live.LiveDetection}


class Media:
    """Serves requests until `stop`."""

    def __init__(self) -> None:
        self._stopping = Event()
        self._requests = Pool(MAX_RUNNING)
        self._places = BoundedSemaphore(MAX_SPEAKING)
        self._speaking: dict[str, BoundedSemaphore] = {}

    def stop(self) -> None:
        self._stopping.set()

    def run(self) -> None:
        """Take requests; Redis may go away and come back."""
        helpers = [gevent.spawn(self._prune), gevent.spawn(TapService(CONSUMERS).run)]
        while not self._stopping.is_set():
            if not self._requests.wait_available(timeout=_BLOCK_SECONDS):
                continue
            try:
                redis().set(ALIVE, "1", ex=_ALIVE_SECONDS)
                item = redis().brpop([REQUESTS], timeout=_BLOCK_SECONDS)
            except RedisError as error:
                log.warning("redis is away; nobody can ask", reason=str(error))
                self._stopping.wait(_BLOCK_SECONDS)
                continue
            if item is not None:
                self._requests.spawn(self._answer, item[1])
        gevent.killall(helpers)
        self._requests.join(timeout=1.0)

    def _answer(self, text: bytes) -> None:
        try:
            request = json.loads(text)
            if time.time() > request["deadline"]:
                return
            reply = self._carry_out(request)
            with redis().pipeline() as pipeline:
                pipeline.lpush(REPLY + request["id"], json.dumps(reply))
                pipeline.expire(REPLY + request["id"], EXPIRY_SECONDS)
                pipeline.execute()
        except (ValueError, KeyError, TypeError) as error:
            log.warning("not a request", reason=repr(error))
        except RedisError as error:
            log.warning("an answer was lost: redis is away", reason=str(error))

    def _carry_out(self, request: dict[str, Any]) -> dict[str, Any]:
        try:
            if request["verb"] != "synthesize":
                raise SynthesisError(f"there is no verb {request['verb']!r}")
            return {"result": self._synthesize(request)}
        except SynthesisError as error:
            return _error("SPEECH_UNAVAILABLE", f"Speech is not available: {error}.")
        except OSError as error:
            log.error("speech can't be stored", reason=str(error))
            return _error("SPEECH_UNAVAILABLE", f"Speech can't be stored: {error.strerror}.")
        except Exception:
            log.exception("speech failed")
            return _error("SPEECH_UNAVAILABLE", "Speech failed; the media process's log says why.")

    def _synthesize(self, request: dict[str, Any]) -> dict[str, Any]:
        text = str(request["text"])
        if len(text) > MAX_CHARACTERS:
            raise SynthesisError(f"the text is longer than {MAX_CHARACTERS} characters")
        choice = choose(request["voice"], request["language"])
        key = cache_key(text, choice.voice)
        # The same text asked for twice at once is spoken once.
        with self._speaking.setdefault(key, BoundedSemaphore()):
            try:
                speech = cache.find(key) or self._speak(choice, text, key)
            finally:
                self._speaking.pop(key, None)
        return {
            "path": str(speech.path),
            "wideband_path": str(speech.wideband_path),
            "voice": choice.voice,
            "fallback": choice.fallback,
            "duration_ms": speech.duration_ms,
        }

    def _speak(self, choice: Choice, text: str, key: str) -> cache.Speech:
        with self._places:
            audio, rate = choice.engine.speak(text, choice.voice)
            if not audio.size:
                raise SynthesisError("the text holds nothing that can be spoken")
            return in_thread(cache.store, key, trimmed(audio, rate), rate)

    def _prune(self) -> None:
        while True:
            try:
                in_thread(cache.prune)
            except OSError as error:
                log.warning("spoken texts can't be pruned", reason=str(error))
            gevent.sleep(_PRUNE_SECONDS)


def _error(code: str, message: str) -> dict[str, Any]:
    return {"error": {"code": code, "message": message}}


def main() -> None:
    """Serve until SIGTERM or SIGINT."""
    media = Media()
    for number in (signal.SIGTERM, signal.SIGINT):
        gevent.signal_handler(number, media.stop)
    health.announce_ready("media")
    media.run()
