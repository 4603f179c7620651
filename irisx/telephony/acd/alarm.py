"""Deadlines: one greenlet that sleeps until the next one, and not at all while there is none."""

import heapq
import time
from collections.abc import Callable
from itertools import count

import gevent
import structlog
from gevent.event import Event as Signal

log = structlog.get_logger()


class Alarm:
    """Calls functions at their time, each in turn; they must not block."""

    def __init__(self) -> None:
        self._due: list[tuple[float, int, Callable[[], None]]] = []
        self._serial = count()
        self._sooner = Signal()
        self._greenlet: gevent.Greenlet | None = None

    def at(self, when: float, then: Callable[[], None]) -> None:
        """`when`: epoch s. It can't be taken back: `then` looks whether it still counts."""
        heapq.heappush(self._due, (when, next(self._serial), then))
        if self._greenlet is None:
            self._greenlet = gevent.spawn(self._run)
        elif self._due[0][0] == when:
            self._sooner.set()

    def stop(self) -> None:
        if self._greenlet is not None:
            self._greenlet.kill(block=False)

    def _run(self) -> None:
        while True:
            self._sooner.clear()
            wait = self._due[0][0] - time.time() if self._due else None
            if wait is None or wait > 0:
                self._sooner.wait(wait)
                continue
            _, _, then = heapq.heappop(self._due)
            try:
                then()
            except Exception:
                log.exception("acd.deadline_failed")
