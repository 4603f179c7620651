"""Connections that are kept between messages: opening one costs more than a message does."""

import time
from collections.abc import Callable, Hashable, Iterator
from contextlib import contextmanager
from typing import Generic, TypeVar

from irisx.messaging.provider import FailureKind, SendFailed

Connection = TypeVar("Connection")

IDLE_SECONDS = 30.0
_FRESH_SECONDS = 2.0
#: After these the connection is as it was before the message.
_HARMLESS = frozenset({FailureKind.REJECTED})


class Connections(Generic[Connection]):
    """`alive` asks a connection that has been idle; `close` ends one."""

    def __init__(
        self, alive: Callable[[Connection], bool], close: Callable[[Connection], None]
    ) -> None:
        self._alive = alive
        self._close = close
        self._idle: dict[Hashable, list[tuple[float, Connection]]] = {}

    @contextmanager
    def lent(self, key: Hashable, connect: Callable[[], Connection]) -> Iterator[Connection]:
        """A connection of `key` for one message; kept after it unless something went wrong."""
        connection = self._kept(key) or connect()
        try:
            yield connection
        except SendFailed as failure:
            if failure.kind in _HARMLESS:
                self._keep(key, connection)
            else:
                self._close(connection)
            raise
        except BaseException:
            self._close(connection)
            raise
        self._keep(key, connection)

    def _kept(self, key: Hashable) -> Connection | None:
        self._close_old()
        while waiting := self._idle.get(key):
            since, connection = waiting.pop()
            if time.monotonic() - since < _FRESH_SECONDS or self._alive(connection):
                return connection
            self._close(connection)
        return None

    def _keep(self, key: Hashable, connection: Connection) -> None:
        self._idle.setdefault(key, []).append((time.monotonic(), connection))

    def _close_old(self) -> None:
        oldest = time.monotonic() - IDLE_SECONDS
        stale = []
        for key, waiting in list(self._idle.items()):
            stale += [connection for since, connection in waiting if since < oldest]
            self._idle[key] = [each for each in waiting if each[0] >= oldest]
            if not self._idle[key]:
                del self._idle[key]
        for connection in stale:  # closing waits for the network: other greenlets run meanwhile
            self._close(connection)
