"""Domain events: what happened, kept in PostgreSQL in the transaction that made it happen.

One row is the outbox entry of webhooks (the worker fans it out to deliveries), the source of
`GET /v1/events`, and what other rooms react to. Event names are the specification's
(`call.completed`) and others of the same form.
"""

from datetime import datetime, timedelta
from typing import Any, cast

from sqlalchemy import BigInteger, Identity, Index, Table, delete, event, func, select, text
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Mapped, Session, mapped_column

from irisx.kernel import clock
from irisx.kernel.db import Base, transaction
from irisx.kernel.jobs import wake

#: What `jobs.wake` is told after a commit with events; its detail is the tenant's id.
TOPIC = "events"
_TENANTS = "irisx_event_tenants"

#: How long an event can be read and replayed; longer than a webhook is retried.
KEPT = timedelta(days=35)
_FORGET_BATCH = 5000


class DomainEvent(Base):
    """One event of a tenant.

    `key` makes publishing idempotent: a second event with the same key is not stored.
    `xid` is the transaction that wrote the row; a reader that pages by (xid, id) below the oldest
    running transaction misses no row that commits late (PostgreSQL `pg_snapshot_xmin`).
    """

    __tablename__ = "domain_events"

    id: Mapped[int] = mapped_column(BigInteger, Identity(), primary_key=True)
    key: Mapped[str] = mapped_column(unique=True)
    tenant_id: Mapped[int] = mapped_column(BigInteger)
    type: Mapped[str]
    data: Mapped[dict[str, Any]]
    occurred_at: Mapped[datetime]
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())
    xid: Mapped[int] = mapped_column(
        BigInteger, server_default=text("(pg_current_xact_id()::text::bigint)")
    )
    dispatched_at: Mapped[datetime | None]

    __table_args__ = (
        Index("ix_domain_events_stream", "tenant_id", "xid", "id"),
        Index("ix_domain_events_order", "xid", "id"),
        Index(
            "ix_domain_events_undispatched",
            "id",
            postgresql_where=text("dispatched_at IS NULL"),
        ),
        # Whoever takes up what one type asks for finds it without reading all others.
        Index(
            "ix_domain_events_requests",
            "id",
            postgresql_where=text("type = 'callback.requested'"),
        ),
    )


_PUBLISH = insert(cast(Table, DomainEvent.__table__)).on_conflict_do_nothing(index_elements=["key"])


def publish(
    session: Session,
    *,
    key: str,
    tenant_id: int,
    type: str,
    data: dict[str, Any],
    occurred_at: datetime,
) -> None:
    """Store an event in the caller's transaction; one with a known key is stored once."""
    row = {"key": key, "tenant_id": tenant_id, "type": type, "data": data}
    publish_many(session, [row | {"occurred_at": occurred_at}])


def publish_many(session: Session, rows: list[dict[str, Any]]) -> None:
    """Store several events (dicts with publish's fields) in one statement."""
    if rows:
        session.connection().execute(_PUBLISH, rows)
        session.info.setdefault(_TENANTS, set()).update(row["tenant_id"] for row in rows)


@event.listens_for(Session, "after_commit")
def _announce(session: Session) -> None:
    for tenant_id in session.info.pop(_TENANTS, ()):
        wake(TOPIC, str(tenant_id))


def forget_old() -> bool:
    """Delete a batch of the events that are older than KEPT; True: there may be more."""
    old = (
        select(DomainEvent.id)
        .where(DomainEvent.created_at < clock.now() - KEPT, DomainEvent.dispatched_at.is_not(None))
        .order_by(DomainEvent.id)
        .limit(_FORGET_BATCH)
    )
    with transaction() as session:
        forgotten = session.execute(
            delete(DomainEvent).where(DomainEvent.id.in_(old)).returning(DomainEvent.id)
        ).all()
    return len(forgotten) == _FORGET_BATCH
