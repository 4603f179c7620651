"""Rows about contacts that only messaging needs; who they are is in `tenancy/contact_models.py`."""

from datetime import datetime
from typing import Any

from sqlalchemy import BigInteger, ForeignKey, Index, UniqueConstraint, func
from sqlalchemy.orm import Mapped, mapped_column

from irisx.kernel.db import Base, Row
from irisx.tenancy.models import Noun


class ContactList(Noun, Base):
    """A list that messages can be sent to. `public_name`: by which recipients of emails see it,
    join and leave it; None: they don't."""

    PREFIX = "list"
    __tablename__ = "contact_lists"

    tenant_id: Mapped[int] = mapped_column(ForeignKey("tenants.id"), index=True)
    name: Mapped[str]
    description: Mapped[str | None]
    public_name: Mapped[str | None]
    updated_at: Mapped[datetime] = mapped_column(server_default=func.now(), onupdate=func.now())

    __table_args__ = (UniqueConstraint("tenant_id", "name"),)


class ContactListMember(Base):
    __tablename__ = "contact_list_members"

    list_id: Mapped[int] = mapped_column(
        ForeignKey("contact_lists.id", ondelete="CASCADE"), primary_key=True
    )
    contact_id: Mapped[int] = mapped_column(
        ForeignKey("contacts.id", ondelete="CASCADE"), primary_key=True, index=True
    )
    added_at: Mapped[datetime] = mapped_column(server_default=func.now())


class ConsentRecord(Row, Base):
    """One line of the consent ledger, never changed: who allowed or forbade what, and how we know.

    `action`: opt_in or opt_out. `source`: api, import, a message's sid, … `evidence`: the words,
    the form's address, … It stays when the contact goes: it proves what was allowed.
    """

    __tablename__ = "consent_records"

    tenant_id: Mapped[int] = mapped_column(BigInteger)
    contact_id: Mapped[int | None] = mapped_column(BigInteger)
    channel: Mapped[str]
    address: Mapped[str]
    action: Mapped[str]
    source: Mapped[str]
    evidence: Mapped[str | None]

    __table_args__ = (Index("ix_consent_records_address", "tenant_id", "channel", "address", "id"),)


class ContactActivity(Row, Base):
    """Something that happened with a contact beside messages: a call, a note, a merge.

    `key` makes writing it twice harmless.
    """

    __tablename__ = "contact_activities"

    tenant_id: Mapped[int] = mapped_column(BigInteger)
    contact_id: Mapped[int] = mapped_column(ForeignKey("contacts.id", ondelete="CASCADE"))
    kind: Mapped[str]
    key: Mapped[str] = mapped_column(unique=True)
    occurred_at: Mapped[datetime]
    data: Mapped[dict[str, Any]]

    __table_args__ = (Index("ix_contact_activities_contact", "contact_id", "occurred_at", "id"),)
