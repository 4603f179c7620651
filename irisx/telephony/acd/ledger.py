"""What an engine writes of agents, in order, behind the calls' back.

A call never waits for the database here; while it is away the changes wait. An engine that is
killed meanwhile loses no agent: who talks to whom stands in the switch, and `center` writes it
again when it takes the calls up.
"""

from collections import deque
from collections.abc import Callable

import gevent
import structlog
from gevent.event import Event as Signal
from sqlalchemy.exc import InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.orm import Session

from irisx.kernel.db import transaction

log = structlog.get_logger()

_RETRY_SECONDS = 0.5
_Change = Callable[[Session], object]


class Ledger:
    """Changes that wait, and the greenlet that writes them while there are any."""

    def __init__(self) -> None:
        self._changes: deque[_Change] = deque()
        self._written = Signal()
        self._written.set()

    def add(self, change: _Change) -> None:
        """Returns at once; `change` is run in a transaction of its own, after those before it."""
        self._changes.append(change)
        if self._written.is_set():
            self._written.clear()
            gevent.spawn(self._run)

    def flush(self, timeout: float) -> bool:
        """Wait until all is written; False if it was not in `timeout` seconds."""
        return bool(self._written.wait(timeout))

    def _run(self) -> None:
        while self._changes:
            try:
                with transaction() as session:
                    self._changes[0](session)
            except (OperationalError, InterfaceError, PoolTimeout) as error:
                log.warning("acd.ledger_waits", waiting=len(self._changes), error=str(error)[:200])
                gevent.sleep(_RETRY_SECONDS)
                continue
            except Exception:
                log.exception("acd.change_refused")
            self._changes.popleft()
        self._written.set()
