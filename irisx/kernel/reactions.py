"""Reacting to domain events of other rooms: each event once, in order, in the worker.

The reader's place and what it did about an event are one transaction, so that a crash neither
loses an event nor handles one twice.
"""

from collections.abc import Callable, Sequence

from prometheus_client import Counter
from sqlalchemy import select, text
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
_NEXT = text("""
    SELECT id FROM domain_events
    WHERE (xid, id) > (:xid, :id) AND xid < :xmin AND type = ANY(:types)
    ORDER BY xid, id LIMIT :limit
""")

Handle = Callable[[Session, DomainEvent], None]


def react(name: str, types: Sequence[str], handle: Handle) -> bool:
    """Let `handle` see the next events of these types; True: there may be more.

    `handle` works in the reader's transaction. What it raises undoes what it did, is logged and
    counted, and does not hold up the events behind it; only a database that is away does.
    """
    with transaction() as session:
        fresh = insert(EventCursor).values(name=name, xid=0, event_id=0)
        session.execute(fresh.on_conflict_do_nothing())
        query = select(EventCursor).where(EventCursor.name == name)
        cursor = session.scalar(query.with_for_update(skip_locked=True))
        if cursor is None:
            return False  # another worker is at it
        xmin = session.scalars(_XMIN).one()
        place = {"xid": cursor.xid, "id": cursor.event_id, "xmin": xmin}
        found = session.scalars(_NEXT, place | {"types": list(types), "limit": BATCH}).all()
        events = {
            event.id: event
            for event in session.scalars(select(DomainEvent).where(DomainEvent.id.in_(found)))
        }
        for event_id in found:
            event = events[event_id]
            _handle(session, name, event, handle)
            cursor.xid, cursor.event_id = event.xid, event.id
    return len(found) == BATCH


def _handle(session: Session, name: str, event: DomainEvent, handle: Handle) -> None:
    try:
        with session.begin_nested():
            handle(session, event)
    except (OperationalError, InterfaceError):
        raise
    except Exception:
        _failures.labels(name).inc()
        log.exception("reaction_failed", reader=name, event_id=event.id, event_type=event.type)
