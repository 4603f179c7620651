"""Events of one call in order, calls side by side, the reader never delayed."""

from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from operator import itemgetter
from typing import Any

import gevent
import structlog

from irisx.telephony.esl.wire import Event

BACKLOG_ALARM = 500

log = structlog.get_logger(__name__)

_Item = tuple[int, Callable[..., object], tuple[Any, ...]]


class Dispatcher:
    """Runs `handler(event)` in the greenlet of the event's call.

    `call_of(event)` names the call (or None: what concerns no call has a greenlet of its own). A
    call's greenlet lives while there is something to do and ends after it, so that nothing is left
    of a call that is over, whether or not its end was ever seen.

    FreeSWITCH's threads may send two events of a channel in the wrong order (switch_event.c).
    Those that wait together are handled by Event-Sequence; later ones are not waited for, hence
    a handler takes every order.
    """

    def __init__(
        self, handler: Callable[[Event], object], call_of: Callable[[Event], str | None]
    ) -> None:
        self._handler = handler
        self._call_of = call_of
        self._queues: dict[str | None, deque[_Item]] = {}
        self._held: list[Event] | None = None

    @contextmanager
    def holding(self) -> Iterator[None]:
        """Inside, events are put aside; afterwards they are queued behind what was submitted.

        So that what the switch says in answer to a question, and what it tells after that, come to
        a call in this order. Inside another one it changes nothing.
        """
        if self._held is not None:
            yield
            return
        self._held = []
        try:
            yield
        finally:
            held, self._held = self._held, None
            for event in held:
                self.dispatch(event)

    def dispatch(self, event: Event) -> None:
        """Queue an event for its call. Never blocks."""
        if self._held is not None:
            self._held.append(event)
            return
        self._put(self._call_of(event), event.sequence, self._handler, (event,))

    def submit(self, call_id: str, function: Callable[..., object], *arguments: Any) -> None:
        """Run a function in the call's greenlet, after what is queued there. Never blocks."""
        waiting = self._queues.get(call_id)
        self._put(call_id, waiting[-1][0] if waiting else 0, function, arguments)

    @property
    def active(self) -> int:
        """Calls that have something to do right now."""
        return len(self._queues)

    def _put(
        self, call_id: str | None, order: int, function: Callable[..., object], arguments: Any
    ) -> None:
        queue = self._queues.get(call_id)
        if queue is None:
            queue = self._queues[call_id] = deque()
            gevent.spawn(self._run, call_id, queue)
        queue.append((order, function, arguments))
        if len(queue) % BACKLOG_ALARM == 0:
            log.warning("call.backlog", call_id=call_id, waiting=len(queue))

    def _run(self, call_id: str | None, queue: deque[_Item]) -> None:
        try:
            while queue:
                batch = sorted(queue, key=itemgetter(0))
                queue.clear()
                for _, function, arguments in batch:
                    try:
                        function(*arguments)
                    except Exception:
                        log.exception("call.handler_failed", call_id=call_id)
        finally:
            del self._queues[call_id]
