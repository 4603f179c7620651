"""Do-not-call lists: the platform's, a tenant's, a campaign's. A number on one is not called."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from sqlalchemy import ColumnElement, delete, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from irisx.kernel.db import transaction
from irisx.kernel.errors import NotFound
from irisx.telephony.dialer import campaigns
from irisx.telephony.dialer.models import DoNotCall
from irisx.tenancy import audit, rows
from irisx.tenancy.access import Actor


@dataclass(frozen=True, slots=True)
class Owner:
    """Whose list: without a tenant the platform's, with a campaign that one's."""

    tenant_id: int | None
    campaign_id: int | None = None

    def rows(self) -> tuple[ColumnElement[bool], ColumnElement[bool]]:
        return (
            DoNotCall.tenant_id.is_not_distinct_from(self.tenant_id),
            DoNotCall.campaign_id.is_not_distinct_from(self.campaign_id),
        )


def add(by: Actor, owner: Owner, numbers: Sequence[str], reason: str | None) -> int:
    """Put E.164 numbers on a list; how many were not on it before."""
    with transaction() as session:
        _require_campaign(session, owner)
        new = store(session, owner, numbers, reason)
        audit.record(
            session,
            by,
            "do_not_call.added",
            _name(owner),
            tenant_id=owner.tenant_id,
            after={"numbers": len(numbers), "new": new, "reason": reason},
        )
    return new


def store(session: Session, owner: Owner, numbers: Iterable[str], reason: str | None) -> int:
    values = [
        {
            "tenant_id": owner.tenant_id,
            "campaign_id": owner.campaign_id,
            "number": number,
            "reason": reason,
        }
        for number in numbers
    ]
    if not values:
        return 0
    added = insert(DoNotCall).values(values).on_conflict_do_nothing().returning(DoNotCall.id)
    return len(session.execute(added).all())


def list_page(
    owner: Owner, *, limit: int, offset: int, number: str | None = None
) -> tuple[Sequence[DoNotCall], int]:
    query = select(DoNotCall).where(*owner.rows())
    if number is not None:
        query = query.where(DoNotCall.number == number)
    with transaction() as session:
        _require_campaign(session, owner)
        return rows.page(session, query, limit=limit, offset=offset)


def remove(by: Actor, owner: Owner, entry_id: int) -> None:
    with transaction() as session:
        _require_campaign(session, owner)
        mine = (DoNotCall.id == entry_id, *owner.rows())
        number = session.scalar(delete(DoNotCall).where(*mine).returning(DoNotCall.number))
        if number is None:
            raise NotFound("There is no dnc with this id.")
        audit.record(
            session,
            by,
            "do_not_call.removed",
            _name(owner),
            tenant_id=owner.tenant_id,
            before={"number": number},
        )


def listed(
    session: Session, tenant_id: int, campaign_id: int, numbers: Iterable[str]
) -> frozenset[str]:
    """Those of the numbers that are on a list that counts for the campaign."""
    found = select(DoNotCall.number).where(
        DoNotCall.number.in_(list(numbers)),
        DoNotCall.tenant_id.is_(None) | (DoNotCall.tenant_id == tenant_id),
        DoNotCall.campaign_id.is_(None) | (DoNotCall.campaign_id == campaign_id),
    )
    return frozenset(session.scalars(found))


def _require_campaign(session: Session, owner: Owner) -> None:
    if owner.tenant_id is not None and owner.campaign_id is not None:
        campaigns.fetch(session, owner.tenant_id, owner.campaign_id)


def _name(owner: Owner) -> str:
    if owner.campaign_id is not None:
        return f"camp_{owner.campaign_id}"
    return "tenant" if owner.tenant_id is not None else "platform"
