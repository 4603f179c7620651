"""What engine and media process tell each other of taps, over Redis.

A node of the switch has two lists: `irisx:taps:<node>:requests`, read by the media process beside
it, and `irisx:taps:<node>:reports`, read by the engine that holds the node. Neither side is named,
so either may be started again meanwhile. What nobody takes is forgotten after a minute.
"""

import json
import time
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass, field
from typing import Any
from uuid import uuid4

from irisx.kernel.redis import redis

#: The last report of every tap; its data has the `cause`.
ENDED = "ended"
#: The media process was started: it knows nothing of taps that were begun before.
RESTARTED = "restarted"
_KEPT_SECONDS = 60
#: How long a media process that does not renew its sign of life counts as alive.
_ALIVE_SECONDS = 3


@dataclass(frozen=True, slots=True)
class Start:
    """Follow the file `<id>.r8` of the taps directory for `consumer`.

    `node`: whose engine is told; `stereo`: the file has two channels, what the party says and what
    it hears. `at`: epoch s of the request; late ones are not carried out.
    """

    node: str
    call: str
    consumer: str
    args: dict[str, Any]
    stereo: bool = False
    id: str = field(default_factory=lambda: uuid4().hex)
    at: float = field(default_factory=time.time)


@dataclass(frozen=True, slots=True)
class Stop:
    """The switch writes no more: hand on what is there and end."""

    id: str


@dataclass(frozen=True, slots=True)
class Tell:
    """Something that a tap's consumer should know; it is told in the order of the requests."""

    id: str
    type: str
    data: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Report:
    """What the consumer of a tap found out; `at`: epoch s."""

    tap: str
    call: str
    consumer: str
    type: str
    data: dict[str, Any]
    at: float = field(default_factory=time.time)


Request = Start | Stop | Tell


def ask(node: str, request: Request) -> None:
    """Tell the media process beside a node. Raises RedisError."""
    _push(_requests(node), {"verb": type(request).__name__, **asdict(request)})


def requests(nodes: Iterable[str], seconds: float) -> Request | None:
    """The next request, waiting so long at most.

    Raises RedisError; ValueError, KeyError or TypeError for what is no request.
    """
    _, message = _pop(nodes, _requests, seconds)
    if message is None:
        return None
    kinds: dict[str, type[Request]] = {"Start": Start, "Stop": Stop, "Tell": Tell}
    return kinds[message.pop("verb")](**message)


def report(node: str, reports: Iterable[Report]) -> None:
    """Tell the engine that holds a node. Raises RedisError."""
    _push(_reports(node), *map(asdict, reports))


def reports(nodes: Iterable[str], seconds: float) -> tuple[str, Report] | None:
    """The next report, and its node, waiting so long at most. Raises as `requests`."""
    node, message = _pop(nodes, _reports, seconds)
    return None if message is None else (node, Report(**message))


def show_alive(nodes: Iterable[str]) -> None:
    """A media process serves these nodes. Raises RedisError."""
    with redis().pipeline(transaction=False) as pipeline:
        for node in nodes:
            pipeline.set(_alive(node), b"1", ex=_ALIVE_SECONDS)
        pipeline.execute()


def is_alive(node: str) -> bool:
    """Whether a media process serves the node. Raises RedisError."""
    return bool(redis().exists(_alive(node)))


def _push(key: str, *messages: dict[str, Any]) -> None:
    with redis().pipeline() as pipeline:
        pipeline.lpush(key, *map(json.dumps, messages))
        pipeline.expire(key, _KEPT_SECONDS)
        pipeline.execute()


def _pop(
    nodes: Iterable[str], key: Callable[[str], str], seconds: float
) -> tuple[str, dict[str, Any] | None]:
    keys = {key(node): node for node in nodes}
    item = redis().brpop(list(keys), timeout=seconds)
    if item is None:
        return "", None
    message: dict[str, Any] = json.loads(item[1])
    return keys[item[0].decode()], message


def _requests(node: str) -> str:
    return f"irisx:taps:{node}:requests"


def _reports(node: str) -> str:
    return f"irisx:taps:{node}:reports"


def _alive(node: str) -> str:
    return f"irisx:taps:{node}:alive"
