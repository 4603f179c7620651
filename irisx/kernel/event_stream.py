"""A tenant's domain events as they happen, without a gap and resumable at any place.

A row's id is given before its transaction commits, so a reader that pages by id alone would miss
what commits late. Readers page by (xid, id) and stop below the oldest transaction that still
runs: nothing can appear behind them any more.
"""

import time
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple

import gevent
from gevent.event import Event
from sqlalchemy import text

from irisx.kernel.db import transaction
from irisx.kernel.errors import TooManyRequests
from irisx.kernel.events import TOPIC
from irisx.kernel.jobs import listen

BATCH = 200
#: Streams of one tenant in one API process.
MAX_STREAMS = 20
#: A stream ends after this and its reader resumes: a revoked key reads no longer.
MAX_SECONDS = 300.0
#: Without anything to say, something is said in this time, so that proxies keep the stream.
KEEP_ALIVE_SECONDS = 15.0
#: How often a stream looks while Redis is away.
POLL_SECONDS = 1.0
#: How often it looks while an event waits for an older transaction to end.
_HELD_BACK_SECONDS = 0.1


class Position(NamedTuple):
    """A place in the stream: all that sorts behind it is yet to come."""

    xid: int
    id: int


@dataclass(frozen=True)
class StreamedEvent:
    position: Position
    type: str
    occurred_at: datetime
    data: dict[str, Any]


@dataclass(frozen=True)
class Batch:
    """`next`: where to go on. `more`: there is more now. `held_back`: some will be soon."""

    events: Sequence[StreamedEvent]
    next: Position
    more: bool
    held_back: bool


_XMIN = text("SELECT pg_snapshot_xmin(pg_current_snapshot())::text::bigint")
_AFTER = text("""
    SELECT id, xid, type, occurred_at, data
    FROM domain_events
    WHERE tenant_id = :tenant AND (xid, id) > (:xid, :id)
        AND (CAST(:types AS text[]) IS NULL OR type = ANY(:types))
    ORDER BY xid, id LIMIT :limit
""")


def present() -> Position:
    """The place before whatever commits from now on."""
    with transaction() as session:
        return Position(session.scalars(_XMIN).one(), 0)


def read_after(tenant_id: int, position: Position, types: Sequence[str] | None = None) -> Batch:
    """The next events of a tenant (of these types) behind a position."""
    parameters = {
        "tenant": tenant_id,
        "xid": position.xid,
        "id": position.id,
        "types": types and list(types),
        "limit": BATCH,
    }
    with transaction() as session:
        # Before the rows: a transaction that ends in between counts as running still.
        xmin = session.scalars(_XMIN).one()
        rows = session.execute(_AFTER, parameters).all()
    events = [
        StreamedEvent(Position(row.xid, row.id), row.type, row.occurred_at, row.data)
        for row in rows
        if row.xid < xmin
    ]
    if len(rows) == BATCH and events:
        return Batch(events, events[-1].position, more=True, held_back=False)
    # Everything below xmin was seen, also what is of other types.
    seen = max(position, Position(xmin, 0))
    return Batch(events, seen, more=False, held_back=len(rows) > len(events))


class EventStream:
    """One reader's stream: iterate it once, `close` it when the reader has gone."""

    def __init__(
        self,
        streams: "EventStreams",
        tenant_id: int,
        position: Position,
        types: Sequence[str] | None,
    ) -> None:
        self.announced = Event()
        self.tenant_id = tenant_id
        self._streams = streams
        self._position = position
        self._types = types

    def __iter__(self) -> Iterator[StreamedEvent | None]:
        """Events in order; None where there is nothing to say. Ends after MAX_SECONDS."""
        ends_at = time.monotonic() + MAX_SECONDS
        spoke_at = 0.0
        while not self._streams.stopping and time.monotonic() < ends_at:
            self.announced.clear()
            batch = read_after(self.tenant_id, self._position, self._types)
            self._position = batch.next
            if batch.events or time.monotonic() - spoke_at >= KEEP_ALIVE_SECONDS:
                spoke_at = time.monotonic()
                yield from batch.events or (None,)
            if not batch.more and not self._streams.stopping:
                self.announced.wait(self._pause(batch))

    def close(self) -> None:
        self._streams.forget(self)

    def _pause(self, batch: Batch) -> float:
        if batch.held_back:
            return _HELD_BACK_SECONDS
        return KEEP_ALIVE_SECONDS if self._streams.redis_there else POLL_SECONDS


class EventStreams:
    """All streams of one process: they share a subscription to Redis and end together."""

    def __init__(self) -> None:
        self.stopping = False
        self.redis_there = False
        self._open: defaultdict[int, set[EventStream]] = defaultdict(set)
        self._listener: gevent.Greenlet | None = None

    def open(
        self, tenant_id: int, position: Position | None = None, types: Sequence[str] | None = None
    ) -> EventStream:
        """A tenant's events (of these types) behind `position`, or from now on.

        Raises TooManyRequests above MAX_STREAMS of the tenant.
        """
        if len(self._open[tenant_id]) >= MAX_STREAMS:
            raise TooManyRequests(
                f"This tenant has {MAX_STREAMS} event streams open.", code="TOO_MANY_STREAMS"
            )
        if self._listener is None:
            self._listener = gevent.spawn(listen, [TOPIC], self._heard, self._connected)
        stream = EventStream(self, tenant_id, position or present(), types)
        self._open[tenant_id].add(stream)
        return stream

    def forget(self, stream: EventStream) -> None:
        self._open[stream.tenant_id].discard(stream)
        if not self._open[stream.tenant_id]:
            del self._open[stream.tenant_id]

    def stop(self) -> None:
        """End every stream, now and in future."""
        self.stopping = True
        self._announce_all()
        if self._listener is not None:
            self._listener.kill(block=False)

    def _heard(self, topic: str, tenant_id: str) -> None:
        for stream in self._open.get(int(tenant_id), ()):
            stream.announced.set()

    def _connected(self, connected: bool) -> None:
        self.redis_there = connected
        self._announce_all()  # something may have been missed

    def _announce_all(self) -> None:
        for streams in self._open.values():
            for stream in streams:
                stream.announced.set()
