"""Rows that a process keeps in memory until PostgreSQL says that they changed.

Triggers notify of every change of the tables in `FOLLOWED`, whoever made it, when it is committed.
What `kept` has read stays for as long as `follow` listens and hears nothing; where nobody listens,
everything is read each time.
"""

from collections.abc import Callable, Hashable
from contextlib import suppress
from typing import Any, TypeVar

import gevent
from gevent.socket import wait_read
from sqlalchemy import text
from sqlalchemy.exc import SQLAlchemyError

from irisx.kernel.db import reading
from irisx.kernel.logging import get_logger

log = get_logger(__name__)

T = TypeVar("T")

#: Tables with the trigger `tell_change` (migrations/versions/*_followed_tables.py).
FOLLOWED = ("tenants", "phone_numbers", "ivr_flows")
CHANNEL = "irisx_changed"
#: The server is asked so often whether it is still there, and believed gone after so long (s).
_TICK_SECONDS = 1.0
_SILENT_SECONDS = 3.0
_AGAIN_SECONDS = 1.0


class _Kept:
    def __init__(self) -> None:
        self.values: dict[Hashable, Any] = {}
        self.listening = False
        self.changes = 0

    def forget(self) -> None:
        self.changes += 1
        self.values.clear()


_kept = _Kept()


def kept(key: Hashable, read: Callable[[], T | None]) -> T | None:
    """What `read` says of rows of FOLLOWED: from memory, if nothing changed since. None is asked
    for again each time."""
    found: T | None = _kept.values.get(key)
    if found is not None:
        return found
    changes = _kept.changes
    value = read()
    if value is not None and _kept.listening and changes == _kept.changes:
        _kept.values[key] = value
    return value


def follow() -> None:
    """Listen, for ever: run it in a greenlet."""
    while True:
        try:
            _listen()
        except (SQLAlchemyError, OSError, gevent.Timeout) as error:
            log.info("changes are not heard; rows are read each time", reason=str(error)[:200])
        gevent.sleep(_AGAIN_SECONDS)


def _listen() -> None:
    ping = text("SELECT")
    with reading() as connection:
        try:
            connection.execute(text(f"LISTEN {CHANNEL}"))
            raw: Any = connection.connection.driver_connection
            _kept.listening = True
            while True:
                with suppress(TimeoutError):
                    wait_read(raw.fileno(), _TICK_SECONDS, TimeoutError())
                with gevent.Timeout(_SILENT_SECONDS):
                    connection.execute(ping)  # what was told comes with the answer
                if raw.notifies:
                    raw.notifies.clear()
                    _kept.forget()
        finally:
            _kept.listening = False
            _kept.forget()
            connection.invalidate()  # nobody else may get one that listens
