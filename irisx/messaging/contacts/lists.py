"""Lists of contacts."""

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import delete, func, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from irisx.kernel.db import transaction
from irisx.kernel.errors import Conflict, invalid
from irisx.messaging.contacts.models import ContactList, ContactListMember
from irisx.tenancy import audit, rows
from irisx.tenancy.access import Actor
from irisx.tenancy.contact_models import Contact


@dataclass(frozen=True)
class ListView:
    row: ContactList
    contacts: int


def create(
    by: Actor,
    tenant_id: int,
    name: str,
    description: str | None,
    public_name: str | None = None,
) -> ListView:
    """Raises Conflict LIST_EXISTS."""
    row = ContactList(
        tenant_id=tenant_id, name=name, description=description, public_name=public_name
    )
    try:
        with transaction() as session:
            session.add(row)
            audit.created(session, by, row)
    except IntegrityError:
        raise _taken(name) from None
    return ListView(row, 0)


def get(tenant_id: int, list_id: int) -> ListView:
    with transaction() as session:
        row = rows.fetch(session, ContactList, list_id, tenant_id=tenant_id)
        return ListView(row, _counts(session, [row.id]).get(row.id, 0))


def list_page(tenant_id: int, *, limit: int, offset: int) -> tuple[list[ListView], int]:
    mine = select(ContactList).where(ContactList.tenant_id == tenant_id)
    with transaction() as session:
        found, total = rows.page(session, mine, limit=limit, offset=offset)
        counts = _counts(session, [row.id for row in found])
    return [ListView(row, counts.get(row.id, 0)) for row in found], total


def change(by: Actor, tenant_id: int, list_id: int, **fields: str | None) -> ListView:
    """Set name, description or public_name."""
    try:
        with transaction() as session:
            row = rows.fetch(session, ContactList, list_id, tenant_id=tenant_id, lock=True)
            before = audit.snapshot(row)
            rows.assign(row, dict(fields))
            audit.updated(session, by, row, before)
            session.refresh(row)
            return ListView(row, _counts(session, [row.id]).get(row.id, 0))
    except IntegrityError:
        raise _taken(str(fields.get("name"))) from None


def remove(by: Actor, tenant_id: int, list_id: int) -> None:
    """The list goes, its contacts stay."""
    with transaction() as session:
        row = rows.fetch(session, ContactList, list_id, tenant_id=tenant_id, lock=True)
        audit.deleted(session, by, row)
        session.delete(row)


def add(by: Actor, tenant_id: int, list_id: int, contact_ids: Sequence[int]) -> ListView:
    """Put contacts on a list; one that is on it stays so."""
    with transaction() as session:
        row = rows.fetch(session, ContactList, list_id, tenant_id=tenant_id, lock=True)
        mine = select(Contact.id).where(Contact.tenant_id == tenant_id, Contact.id.in_(contact_ids))
        if unknown := set(contact_ids) - set(session.scalars(mine)):
            names = ", ".join(f"con_{key}" for key in sorted(unknown))
            raise invalid("contact_ids", f"there are no contacts {names}")
        put_on(session, row.id, contact_ids)
        audit.record(session, by, "contact_list.extended", row.public_id, tenant_id=tenant_id)
        return ListView(row, _counts(session, [row.id]).get(row.id, 0))


def take_off(by: Actor, tenant_id: int, list_id: int, contact_id: int) -> None:
    """Take a contact off a list. Raises NotFound if it is not the tenant's."""
    with transaction() as session:
        row = rows.fetch(session, ContactList, list_id, tenant_id=tenant_id, lock=True)
        contact = rows.fetch(session, Contact, contact_id, tenant_id=tenant_id)
        session.execute(
            delete(ContactListMember).where(
                ContactListMember.list_id == row.id, ContactListMember.contact_id == contact.id
            )
        )
        audit.record(session, by, "contact_list.shortened", row.public_id, tenant_id=tenant_id)


def put_on(session: Session, list_id: int, contact_ids: Sequence[int]) -> None:
    """In the caller's transaction; both must be of one tenant."""
    if contact_ids:
        values = [{"list_id": list_id, "contact_id": key} for key in dict.fromkeys(contact_ids)]
        session.execute(insert(ContactListMember).values(values).on_conflict_do_nothing())


def _counts(session: Session, ids: Sequence[int]) -> dict[int, int]:
    query = (
        select(ContactListMember.list_id, func.count())
        .where(ContactListMember.list_id.in_(ids))
        .group_by(ContactListMember.list_id)
    )
    return {key: count for key, count in session.execute(query)}


def _taken(name: str) -> Conflict:
    return Conflict(f"There is a list with the name {name!r}.", code="LIST_EXISTS")
