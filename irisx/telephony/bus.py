"""The command bus: requests of the API to the engine that holds a call, over Redis.

A command lives as long as the one who asked waits for its answer. Nothing is kept here that must
not be lost: what was not answered was not acknowledged, and an engine carries out no command whose
deadline is past.

Keys: `irisx:node:<node>` (the engine's lease, JSON with `engine`), `irisx:engine:<engine>:commands`
(list of JSON commands), `irisx:reply:<id>` (list of one answer), `irisx:calls:new` (list of wakes).
"""

import json
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from http import HTTPStatus
from typing import Any, Self
from uuid import UUID, uuid4

import structlog
from gevent.event import Event
from gevent.pool import Pool
from redis import RedisError

from irisx.kernel.errors import IrisxError, Unavailable
from irisx.kernel.redis import redis
from irisx.telephony.calls.models import Call

log = structlog.get_logger()

#: Commands that one engine carries out at a time; further ones wait in Redis.
MAX_RUNNING = 100
_NEW_CALLS = "irisx:calls:new"
#: Wakes that are kept while no engine listens; one is enough to make it look at the table.
_MAX_WAKES = 100
#: Seconds of one blocking read: less than the client's socket timeout.
_BLOCK_SECONDS = 1
_REPLY_SECONDS = 30
#: Longer than what an engine itself waits for: speech is made in 5 s, legs come apart in 3 s.
_TIMEOUT_SECONDS = 8.0
_AWAY_SECONDS = 0.5
_KINDS = {kind.status: kind for kind in IrisxError.__subclasses__()}


@dataclass(frozen=True, slots=True)
class Command:
    """What the API asks of an engine. `deadline_ms`: epoch ms after which nobody waits for it."""

    id: str
    verb: str
    call_id: UUID
    args: dict[str, Any]
    deadline_ms: int

    def encode(self) -> str:
        return json.dumps(asdict(self) | {"call_id": str(self.call_id)})

    @classmethod
    def decode(cls, text: bytes) -> Self:
        """Raises ValueError, KeyError or TypeError if it is no command."""
        raw = json.loads(text)
        return cls(**raw | {"call_id": UUID(raw["call_id"])})

    @property
    def expired(self) -> bool:
        return time.time() * 1000 > self.deadline_ms


def request(
    call: Call, verb: str, args: dict[str, Any] | None = None, *, timeout: float = _TIMEOUT_SECONDS
) -> dict[str, Any]:
    """Have the engine that holds the call carry out `verb`; its answer within `timeout` seconds.

    Raises the IrisxError that the engine answered with, or Unavailable: REDIS_UNAVAILABLE,
    ENGINE_UNAVAILABLE (nothing was done), ENGINE_TIMEOUT (it may have been done).
    """
    deadline_ms = int((time.time() + timeout) * 1000)
    command = Command(uuid4().hex, verb, call.id, args or {}, deadline_ms)
    try:
        reply = _ask(call.node, command)
    except RedisError as error:
        raise Unavailable(
            "Redis is away, so the engine can't be asked.", code="REDIS_UNAVAILABLE"
        ) from error
    if "error" in reply:
        raise _revive(reply["error"])
    result: dict[str, Any] = reply["result"]
    return result


def _ask(node: str | None, command: Command) -> dict[str, Any]:
    queue = _queue_of(node)
    if queue is None:
        raise Unavailable("No engine holds this call at the moment.", code="ENGINE_UNAVAILABLE")
    text = command.encode()
    redis().lpush(queue, text)
    while not command.expired:
        item = redis().brpop([_reply_key(command.id)], timeout=_BLOCK_SECONDS)
        if item is not None:
            reply: dict[str, Any] = json.loads(item[1])
            return reply
        taker = _queue_of(node)
        # The engine died and another has the node. What nobody took from its queue was not done.
        if taker not in (None, queue) and redis().lrem(queue, 1, text):
            redis().lpush(taker, text)
            queue = taker
    if redis().lrem(queue, 1, text):
        raise Unavailable("The engine takes no commands.", code="ENGINE_UNAVAILABLE")
    raise Unavailable(
        "The engine did not answer in time; whether it did what was asked is not known.",
        code="ENGINE_TIMEOUT",
    )


def _queue_of(node: str | None) -> str | None:
    """Where the engine that holds the node listens; None while none does."""
    lease = redis().get(f"irisx:node:{node}") if node else None
    return None if lease is None else _commands_key(json.loads(lease)["engine"])


def serve(
    engine_id: str, handler: Callable[[Command], dict[str, Any]], stop: Event, *, grace: float = 5.0
) -> None:
    """Carry out this engine's commands, each in a greenlet, until `stop` is set.

    Then the commands under way have `grace` seconds to end. The handler's dict is the answer, its
    IrisxError is raised where the request was made, any other exception is logged and answered
    with INTERNAL_ERROR. Redis may go away and come back.
    """
    queue = _commands_key(engine_id)
    running = Pool(MAX_RUNNING)
    away = False
    while not stop.is_set():
        if not running.wait_available(timeout=_BLOCK_SECONDS):
            continue
        try:
            item = redis().brpop([queue], timeout=_BLOCK_SECONDS)
        except RedisError as error:
            if not away:
                log.warning("bus.redis_away", engine=engine_id, error=str(error))
            away = True
            stop.wait(_AWAY_SECONDS)
            continue
        if away:
            log.info("bus.redis_back", engine=engine_id)
            away = False
        if item is not None:
            running.spawn(_carry_out, item[1], handler)
    running.join(timeout=grace)


def _carry_out(text: bytes, handler: Callable[[Command], dict[str, Any]]) -> None:
    try:
        command = Command.decode(text)
    except (ValueError, KeyError, TypeError):
        log.exception("bus.command_unreadable", text=text[:200])
        return
    if command.expired:
        log.warning("bus.command_expired", verb=command.verb, call_id=str(command.call_id))
        return
    try:
        answer: dict[str, Any] = {"result": handler(command)}
    except IrisxError as error:
        answer = {"error": {"status": error.status, **error.body()}}
    except Exception:
        log.exception("bus.command_failed", verb=command.verb, call_id=str(command.call_id))
        failure = IrisxError("The engine failed to carry out the command; its log says why.")
        answer = {"error": {"status": failure.status, **failure.body()}}
    key = _reply_key(command.id)
    try:
        redis().pipeline().lpush(key, json.dumps(answer)).expire(key, _REPLY_SECONDS).execute()
    except RedisError as error:
        log.warning("bus.reply_lost", verb=command.verb, error=str(error))


def _revive(error: dict[str, Any]) -> IrisxError:
    """The error as the engine raised it."""
    kind = _KINDS.get(HTTPStatus(error["status"]), IrisxError)
    return kind(error["message"], code=error["code"], details=error["details"])


def wake_dialer() -> None:
    """Tell an engine that a call waits to be placed. Without it the engine's own look finds it."""
    try:
        redis().pipeline().lpush(_NEW_CALLS, b"1").ltrim(_NEW_CALLS, 0, _MAX_WAKES).execute()
    except RedisError as error:
        log.warning("bus.wake_lost", error=str(error))


def wait_for_new_calls(stop: Event) -> None:
    """Return when a call may wait to be placed, after a second at the latest.

    Without Redis that second is the engine's polling interval.
    """
    try:
        redis().brpop([_NEW_CALLS], timeout=_BLOCK_SECONDS)
    except RedisError:
        stop.wait(_BLOCK_SECONDS)


def _commands_key(engine_id: str) -> str:
    return f"irisx:engine:{engine_id}:commands"


def _reply_key(command_id: str) -> str:
    return f"irisx:reply:{command_id}"
