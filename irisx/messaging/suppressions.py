"""Addresses that get nothing: opt-outs, bounces, complaints, and what a tenant enters itself."""

from collections.abc import Iterable, Sequence

from sqlalchemy import delete, select, tuple_
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from irisx.kernel.db import transaction
from irisx.messaging.models import Suppression
from irisx.tenancy import audit, rows
from irisx.tenancy.access import Actor

Key = tuple[int, str, str]


def suppressed(session: Session, keys: Iterable[Key]) -> dict[Key, str]:
    """Of (tenant, channel, address) those that are suppressed, with the reason."""
    wanted = set(keys)
    if not wanted:
        return {}
    key = tuple_(Suppression.tenant_id, Suppression.channel, Suppression.address)
    found = session.scalars(select(Suppression).where(key.in_(wanted)))
    return {(row.tenant_id, row.channel, row.address): row.reason for row in found}


def suppress(
    session: Session, tenant_id: int, channel: str, address: str, *, reason: str, source: str
) -> None:
    """From now on the address gets nothing. The first reason stays."""
    row = {
        "tenant_id": tenant_id,
        "channel": channel,
        "address": address,
        "reason": reason,
        "source": source,
    }
    session.execute(insert(Suppression).values(row).on_conflict_do_nothing())


def release(session: Session, tenant_id: int, channel: str, address: str) -> None:
    """The address may get messages again."""
    session.execute(
        delete(Suppression).where(
            Suppression.tenant_id == tenant_id,
            Suppression.channel == channel,
            Suppression.address == address,
        )
    )


def list_page(
    tenant_id: int, *, channel: str | None, address: str | None, limit: int, offset: int
) -> tuple[Sequence[Suppression], int]:
    mine = select(Suppression).where(Suppression.tenant_id == tenant_id)
    if channel is not None:
        mine = mine.where(Suppression.channel == channel)
    if address is not None:
        mine = mine.where(Suppression.address == address)
    with transaction() as session:
        return rows.page(session, mine, limit=limit, offset=offset)


def add(by: Actor, tenant_id: int, channel: str, address: str) -> Suppression:
    """What a person enters; entering it twice changes nothing."""
    with transaction() as session:
        suppress(session, tenant_id, channel, address, reason="manual", source=by.name)
        query = select(Suppression).filter_by(tenant_id=tenant_id, channel=channel, address=address)
        row = session.scalars(query).one()
        audit.created(session, by, row)
    return row


def remove(by: Actor, tenant_id: int, suppression_id: int) -> None:
    with transaction() as session:
        row = rows.fetch(session, Suppression, suppression_id, tenant_id=tenant_id, lock=True)
        audit.deleted(session, by, row)
        session.delete(row)
