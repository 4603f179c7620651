"""What a tenant does with its contacts."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypedDict, Unpack

from sqlalchemy import Select, delete, exists, func, or_, select, update
from sqlalchemy.orm import Session

from irisx.kernel import clock
from irisx.kernel.db import transaction
from irisx.kernel.errors import Conflict, Detail, ValidationError, invalid
from irisx.messaging.channels.email.automation.models import EmailWorkflowRun
from irisx.messaging.contacts.models import (
    ConsentRecord,
    ContactActivity,
    ContactList,
    ContactListMember,
)
from irisx.messaging.conversations.models import Conversation
from irisx.messaging.models import Message
from irisx.tenancy import audit, contacts, rows
from irisx.tenancy.access import Actor
from irisx.tenancy.contact_models import Contact, ContactIdentity

MAX_IDENTITIES = 50


@dataclass(frozen=True)
class ContactView:
    """A contact with its addresses."""

    row: Contact
    identities: Sequence[ContactIdentity]


class Fields(TypedDict, total=False):
    """What may be set of a contact; `identities` are (kind, address), all of them."""

    name: str | None
    company: str | None
    language: str | None
    timezone: str | None
    tags: Sequence[str]
    attributes: Mapping[str, Any]
    identities: Sequence[tuple[str, str]]


def create(by: Actor, tenant_id: int, **fields: Unpack[Fields]) -> ContactView:
    """A new contact. Raises Conflict IDENTITY_TAKEN for an address that another one has."""
    with transaction() as session:
        row = Contact(tenant_id=tenant_id, tags=[], attributes={})
        session.add(row)
        session.flush()
        apply(session, row, fields)
        audit.created(session, by, row)
        session.refresh(row)
        return view(session, row)


def get(tenant_id: int, contact_id: int) -> ContactView:
    with transaction() as session:
        return view(session, rows.fetch(session, Contact, contact_id, tenant_id=tenant_id))


def change(by: Actor, tenant_id: int, contact_id: int, **fields: Unpack[Fields]) -> ContactView:
    """Set the given fields."""
    with transaction() as session:
        row = rows.fetch(session, Contact, contact_id, tenant_id=tenant_id, lock=True)
        before = audit.snapshot(row)
        apply(session, row, fields)
        audit.updated(session, by, row, before)
        session.refresh(row)
        return view(session, row)


def remove(by: Actor, tenant_id: int, contact_id: int) -> None:
    """The contact goes; its messages stay, and are of nobody known. See `subject.erase`."""
    with transaction() as session:
        row = rows.fetch(session, Contact, contact_id, tenant_id=tenant_id, lock=True)
        _hand_over(session, row.id, None)
        audit.deleted(session, by, row)
        session.delete(row)


def merge(by: Actor, tenant_id: int, contact_id: int, duplicate_id: int) -> ContactView:
    """Everything of `duplicate_id` becomes the other's, and fills what that one lacks."""
    if contact_id == duplicate_id:
        raise invalid("contact_id", "a contact can't be merged with itself")
    with transaction() as session:
        pair = [
            rows.fetch(session, Contact, key, tenant_id=tenant_id, lock=True)
            for key in sorted((contact_id, duplicate_id))  # one order, so that no two wait
        ]
        row, duplicate = sorted(pair, key=lambda each: each.id != contact_id)
        before = audit.snapshot(row)
        for name in ("name", "company", "language", "timezone"):
            if getattr(row, name) is None:
                setattr(row, name, getattr(duplicate, name))
        row.tags = list(dict.fromkeys([*row.tags, *duplicate.tags]))
        row.attributes = {**duplicate.attributes, **row.attributes}
        _hand_over(session, duplicate.id, row.id)
        audit.deleted(session, by, duplicate)
        session.flush()
        session.expire(duplicate)
        session.delete(duplicate)
        audit.updated(session, by, row, before)
        session.refresh(row)
        return view(session, row)


def list_page(
    tenant_id: int,
    *,
    search: str | None,
    tag: str | None,
    list_id: int | None,
    limit: int,
    offset: int,
) -> tuple[list[ContactView], int]:
    """Contacts, oldest first. `search`: part of a name, a company or an address."""
    query = select(Contact).where(Contact.tenant_id == tenant_id)
    if search is not None:
        query = query.where(_matches(search))
    if tag is not None:
        query = query.where(Contact.tags.contains([tag]))
    with transaction() as session:
        if list_id is not None:
            require_list(session, tenant_id, list_id)
            query = _of_list(query, list_id)
        found, total = rows.page(session, query, limit=limit, offset=offset)
        addresses = _identities(session, [row.id for row in found])
    return [ContactView(row, addresses.get(row.id, [])) for row in found], total


def activities(
    tenant_id: int, contact_id: int, *, limit: int, offset: int
) -> tuple[Sequence[ContactActivity], int]:
    """Calls and notes of a contact, newest first."""
    with transaction() as session:
        row = rows.fetch(session, Contact, contact_id, tenant_id=tenant_id)
        mine = select(ContactActivity).filter_by(contact_id=row.id)
        newest = mine.order_by(ContactActivity.occurred_at.desc(), ContactActivity.id.desc())
        total = session.scalar(select(func.count()).select_from(mine.subquery())) or 0
        return session.scalars(newest.limit(limit).offset(offset)).all(), total


def note(by: Actor, tenant_id: int, contact_id: int, text: str) -> ContactActivity:
    """Write a note about a contact."""
    moment = clock.now()
    with transaction() as session:
        row = rows.fetch(session, Contact, contact_id, tenant_id=tenant_id)
        line = ContactActivity(
            tenant_id=tenant_id,
            contact_id=row.id,
            kind="note",
            key=f"note:{row.id}:{moment.isoformat()}:{by.request_id}",
            occurred_at=moment,
            data={"text": text, "by": by.name},
        )
        session.add(line)
    return line


def require_list(session: Session, tenant_id: int, list_id: int) -> None:
    """Raises ValidationError about `list_id` unless the tenant has it."""
    if session.scalar(select(ContactList.id).filter_by(tenant_id=tenant_id, id=list_id)) is None:
        raise invalid("list_id", "there is no such list")


def apply(session: Session, row: Contact, fields: Fields) -> None:
    """Set fields of a stored contact, its addresses too."""
    values: dict[str, Any] = {**fields}
    identities = values.pop("identities", None)
    for name, value in values.items():
        setattr(row, name, list(value) if name == "tags" else value)
    if identities is not None:
        _set_identities(session, row, normalised(identities))


def normalised(identities: Sequence[tuple[str, str]]) -> list[tuple[str, str]]:
    """Addresses in their kept form, each once. Raises ValidationError that names every fault."""
    faults: list[Detail] = []
    found: list[tuple[str, str]] = []
    for index, (kind, address) in enumerate(identities):
        try:
            found.append((kind, contacts.normalise(kind, address)))
        except ValueError as error:
            faults.append({"field": f"identities.{index}", "message": str(error)})
    if faults:
        raise ValidationError(f"{faults[0]['field']}: {faults[0]['message']}", details=faults)
    return list(dict.fromkeys(found))


def view(session: Session, row: Contact) -> ContactView:
    return ContactView(row, _identities(session, [row.id]).get(row.id, []))


def _set_identities(session: Session, row: Contact, wanted: Sequence[tuple[str, str]]) -> None:
    for kind, address in wanted:
        other = contacts.find(session, row.tenant_id, kind, address)
        if other is not None and other.id != row.id:
            raise Conflict(
                f"{address} is an address of {other.public_id}; merge the two.",
                code="IDENTITY_TAKEN",
            )
    session.execute(delete(ContactIdentity).where(ContactIdentity.contact_id == row.id))
    session.add_all(
        ContactIdentity(tenant_id=row.tenant_id, contact_id=row.id, kind=kind, address=address)
        for kind, address in wanted
    )
    session.flush()


def _hand_over(session: Session, contact_id: int, other_id: int | None) -> None:
    """What points at a contact points at another one, or at nobody."""
    for model in (Message, Conversation, ConsentRecord):
        session.execute(
            update(model).where(model.contact_id == contact_id).values(contact_id=other_id)
        )
    if other_id is None:
        return
    for owned in (ContactIdentity, ContactActivity, EmailWorkflowRun):
        session.execute(
            update(owned).where(owned.contact_id == contact_id).values(contact_id=other_id)
        )
    already = select(ContactListMember.list_id).where(ContactListMember.contact_id == other_id)
    session.execute(
        update(ContactListMember)
        .where(
            ContactListMember.contact_id == contact_id, ContactListMember.list_id.not_in(already)
        )
        .values(contact_id=other_id)
    )


def _matches(search: str) -> Any:
    pattern = "%" + search.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_") + "%"
    address = exists().where(
        ContactIdentity.contact_id == Contact.id, ContactIdentity.address.ilike(pattern)
    )
    return or_(Contact.name.ilike(pattern), Contact.company.ilike(pattern), address)


def _of_list(query: Select[Contact], list_id: int) -> Select[Contact]:
    member = exists().where(
        ContactListMember.contact_id == Contact.id, ContactListMember.list_id == list_id
    )
    return query.where(member)


def _identities(session: Session, ids: Sequence[int]) -> dict[int, list[ContactIdentity]]:
    query = select(ContactIdentity).where(ContactIdentity.contact_id.in_(ids))
    found: dict[int, list[ContactIdentity]] = {}
    for row in session.scalars(query.order_by(ContactIdentity.id)):
        found.setdefault(row.contact_id, []).append(row)
    return found
