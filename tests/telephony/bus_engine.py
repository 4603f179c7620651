"""An engine's side of the command bus for tests: it answers what it is told, and remembers."""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import gevent
from gevent.event import Event

from irisx.kernel.redis import redis
from irisx.telephony import bus
from irisx.telephony.bus import Command


@dataclass
class BusEngine:
    """`received`: commands in order. `answer`: makes the answer of each, or raises."""

    received: list[Command] = field(default_factory=list)
    answer: Callable[[Command], dict[str, Any]] = lambda command: {}

    def handle(self, command: Command) -> dict[str, Any]:
        self.received.append(command)
        return self.answer(command)


@contextmanager
def serving(node: str = "fs1", engine_id: str = "engine-1") -> Iterator[BusEngine]:
    """An engine that holds the node's lease and serves its commands."""
    engine = BusEngine()
    redis().set(f"irisx:node:{node}", json.dumps({"engine": engine_id, "fence": 1}))
    server = gevent.spawn(bus.serve, engine_id, engine.handle, Event())
    try:
        yield engine
    finally:
        server.kill()
