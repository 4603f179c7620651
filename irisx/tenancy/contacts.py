"""Who is behind an address: what calls and messages alike ask about contacts.

`messaging.contacts` is where contacts are kept; telephony and messaging do not import each other,
so what both need is here.
"""

import re
from collections.abc import Collection
from typing import Any

from sqlalchemy import func, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from irisx.kernel.db import transaction
from irisx.tenancy.contact_models import Contact, ContactIdentity

PHONE = "phone"
EMAIL = "email"

_PHONE = re.compile(r"\+[1-9][0-9]{6,14}")
_EMAIL = re.compile(r"[^@\s]{1,64}@[^@\s]{1,255}")
_KIND = re.compile(r"[a-z][a-z_]{1,31}")
_MAX_ADDRESS = 320
#: Fields of a contact that templates see beside its attributes, and that win over those.
_SHOWN = ("name", "company", "language", "timezone", "tags")


def normalise(kind: str, address: str) -> str:
    """An address in the one form in which it is kept. Raises ValueError."""
    text = address.strip()
    if not _KIND.fullmatch(kind):
        raise ValueError("a kind is a word such as phone, email or telegram")
    if kind == PHONE:
        text = re.sub(r"[\s().-]", "", text)
        if not _PHONE.fullmatch(text):
            raise ValueError("no E.164 number such as +15555550100")
    elif kind == EMAIL:
        text = text.lower()
        if not _EMAIL.fullmatch(text):
            raise ValueError("no e-mail address")
    if not 0 < len(text) <= _MAX_ADDRESS:
        raise ValueError(f"1 to {_MAX_ADDRESS} characters")
    return text


def find(session: Session, tenant_id: int, kind: str, address: str) -> Contact | None:
    """The contact that has an address (in its kept form)."""
    query = (
        select(Contact)
        .join(ContactIdentity, ContactIdentity.contact_id == Contact.id)
        .where(
            ContactIdentity.tenant_id == tenant_id,
            ContactIdentity.kind == kind,
            ContactIdentity.address == address,
        )
    )
    return session.scalar(query)


def ids_of(
    session: Session, tenant_id: int, kind: str, addresses: Collection[str]
) -> dict[str, int]:
    """Keys of the contacts that have these addresses."""
    if not addresses:
        return {}
    query = select(ContactIdentity.address, ContactIdentity.contact_id).where(
        ContactIdentity.tenant_id == tenant_id,
        ContactIdentity.kind == kind,
        ContactIdentity.address.in_(addresses),
    )
    return {address: contact_id for address, contact_id in session.execute(query)}


def find_or_create(
    session: Session, tenant_id: int, kind: str, address: str, name: str | None = None
) -> Contact:
    """The contact of an address; a new one where there is none. A name fills an empty one."""
    # One lock an address: two first messages at the same moment are of one contact.
    key = func.hashtextextended(f"contact {tenant_id} {kind} {address}", 0)
    session.execute(select(func.pg_advisory_xact_lock(key)))
    contact = find(session, tenant_id, kind, address)
    if contact is None:
        contact = Contact(tenant_id=tenant_id, name=name, tags=[], attributes={})
        session.add(contact)
        session.flush()
        session.execute(
            insert(ContactIdentity).values(
                tenant_id=tenant_id, contact_id=contact.id, kind=kind, address=address
            )
        )
    elif contact.name is None:
        contact.name = name
    return contact


def fields_of_caller(tenant_id: int, number: str) -> dict[str, Any]:
    """What a flow's templates know of a caller: `{{ contact.name }}` and the contact's
    attributes; empty for a stranger."""
    with transaction() as session:
        return fields_of(session, tenant_id, number)


def fields_of(session: Session, tenant_id: int, number: str) -> dict[str, Any]:
    """`fields_of_caller` in a transaction that is under way."""
    contact = find(session, tenant_id, PHONE, number)
    if contact is None:
        return {}
    return {**contact.attributes, **shown_fields(contact), "id": contact.public_id}


def shown_fields(contact: Contact) -> dict[str, Any]:
    """The contact's own fields for templates, those that are set."""
    known = {name: getattr(contact, name) for name in _SHOWN}
    return {name: value for name, value in known.items() if value is not None}
