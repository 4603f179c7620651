"""The consent ledger: every opt-in and opt-out with its source, and what it means for sending."""

from collections.abc import Sequence

from sqlalchemy import select
from sqlalchemy.dialects.postgresql import distinct_on
from sqlalchemy.orm import Session

from irisx.kernel.db import transaction
from irisx.kernel.errors import invalid
from irisx.messaging import suppressions
from irisx.messaging.channels import channel as channel_of
from irisx.messaging.contacts.models import ConsentRecord
from irisx.tenancy import audit, contacts, rows
from irisx.tenancy.access import Actor
from irisx.tenancy.contact_models import Contact, ContactIdentity

OPT_IN = "opt_in"
OPT_OUT = "opt_out"
MAX_SHOWN = 500


def note(
    session: Session,
    tenant_id: int,
    channel: str,
    address: str,
    action: str,
    *,
    source: str,
    evidence: str | None = None,
) -> ConsentRecord:
    """Write a line. An opt-out suppresses the address, an opt-in ends an opt-out (and no other
    suppression)."""
    contact = contacts.find(session, tenant_id, channel_of(channel).identity, address)
    record = ConsentRecord(
        tenant_id=tenant_id,
        contact_id=contact.id if contact else None,
        channel=channel,
        address=address,
        action=action,
        source=source,
        evidence=evidence,
    )
    session.add(record)
    key = (tenant_id, channel, address)
    if action == OPT_OUT:
        suppressions.suppress(session, *key, reason="opt_out", source=source)
    elif suppressions.suppressed(session, [key]).get(key) == "opt_out":
        suppressions.release(session, *key)
    return record


def opted_in(
    session: Session, tenant_id: int, channel: str, addresses: Sequence[str]
) -> frozenset[str]:
    """Of the addresses those whose last line says so."""
    last = (
        select(ConsentRecord.address, ConsentRecord.action)
        .ext(distinct_on(ConsentRecord.address))
        .where(
            ConsentRecord.tenant_id == tenant_id,
            ConsentRecord.channel == channel,
            ConsentRecord.address.in_(addresses),
        )
        .order_by(ConsentRecord.address, ConsentRecord.id.desc())
    )
    return frozenset(address for address, action in session.execute(last) if action == OPT_IN)


def record(
    by: Actor, tenant_id: int, contact_id: int, channel: str, action: str, evidence: str | None
) -> list[ConsentRecord]:
    """What a program or a person says about a contact: a line for each address of the channel."""
    kind = channel_of(channel).identity
    with transaction() as session:
        row = rows.fetch(session, Contact, contact_id, tenant_id=tenant_id)
        mine = select(ContactIdentity.address).filter_by(contact_id=row.id, kind=kind)
        addresses = session.scalars(mine).all()
        if not addresses:
            raise invalid("channel", f"the contact has no {kind}, which {channel} reaches")
        lines = [
            note(session, tenant_id, channel, address, action, source=by.name, evidence=evidence)
            for address in addresses
        ]
        audit.record(session, by, f"contact.{action}", row.public_id, tenant_id=tenant_id)
        session.flush()
    return lines


def ledger(tenant_id: int, contact_id: int) -> Sequence[ConsentRecord]:
    """A contact's lines, newest first."""
    with transaction() as session:
        row = rows.fetch(session, Contact, contact_id, tenant_id=tenant_id)
        return of_contact(session, row)


def of_contact(session: Session, row: Contact) -> Sequence[ConsentRecord]:
    mine = select(ConsentRecord).filter_by(tenant_id=row.tenant_id, contact_id=row.id)
    return session.scalars(mine.order_by(ConsentRecord.id.desc()).limit(MAX_SHOWN)).all()
