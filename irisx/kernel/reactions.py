"""Reacting to domain events of other rooms: each event once, in order, in batches, in the worker.

The reader's place and what it did about an event are one transaction, so that a crash neither
loses an event nor handles one twice.
"""

from collections.abc import Callable, Sequence

from prometheus_client import Counter
from sqlalchemy import select, text, tuple_
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.exc import InterfaceError, OperationalError
from sqlalchemy.orm import Session

from irisx.kernel.db import transaction
from irisx.kernel.events import DomainEvent
from irisx.kernel.logging import get_logger
from irisx.kernel.reaction_models import EventCursor

log = get_logger(__name__)

BATCH = 100

_failures = Counter("irisx_reaction_failures", "Events that a reader could not handle.", ["reader"])
_XMIN = text("SELECT pg_snapshot_xmin(pg_current_snapshot())::text::bigint")
Handle = Callable[[Session, Sequence[DomainEvent]], None]


def react(name: str, types: Sequence[str], handle: Handle) -> bool:
    """Let `handle` see the next events of these types, in order; True: there may be more.

    `handle` works in the reader's transaction. What it raises undoes what it did; it is given the
    events again one by one then, and the one that it can't handle is logged, counted and holds up
    none of the others. Only a database that is away does.
    """
    with transaction() as session:
        cursor = _place(session, name)
        if cursor is None:
            return False  # another worker is at it
        xmin = session.scalars(_XMIN).one()
        after = tuple_(DomainEvent.xid, DomainEvent.id) > tuple_(cursor.xid, cursor.event_id)
        query = (
            select(DomainEvent)
            .where(after, DomainEvent.xid < xmin, DomainEvent.type.in_(types))
            .order_by(DomainEvent.xid, DomainEvent.id)
            .limit(BATCH)
        )
        events = session.scalars(query).all()
        if events:
            cursor.xid, cursor.event_id = events[-1].xid, events[-1].id
            session.flush()  # outside of what a failure undoes
            if not _handled(session, name, events, handle) and len(events) > 1:
                for event in events:
                    _handled(session, name, [event], handle)
    return len(events) == BATCH


def _place(session: Session, name: str) -> EventCursor | None:
    """Where the reader is, locked; None while another worker has it."""
    query = select(EventCursor).where(EventCursor.name == name)
    found = session.scalar(query.with_for_update(skip_locked=True))
    if found is not None or session.get(EventCursor, name) is not None:
        return found
    fresh = insert(EventCursor).values(name=name, xid=0, event_id=0)
    session.execute(fresh.on_conflict_do_nothing())
    return session.scalar(query.with_for_update(skip_locked=True))


def _handled(session: Session, name: str, events: Sequence[DomainEvent], handle: Handle) -> bool:
    try:
        with session.begin_nested():
            handle(session, events)
    except (OperationalError, InterfaceError):
        raise
    except Exception:
        if len(events) == 1:
            _failures.labels(name).inc()
            [event] = events
            log.exception("reaction_failed", reader=name, event_id=event.id, event_type=event.type)
        return False
    return True
