"""Rows of contacts: whom a tenant's calls and messages are with, whatever the channel."""

from datetime import datetime
from typing import Any

from sqlalchemy import BigInteger, ForeignKey, Identity, Index, func
from sqlalchemy.orm import Mapped, mapped_column

from irisx.kernel.db import Base
from irisx.tenancy.models import Noun


class Contact(Noun, Base):
    """A person (or company) outside. `attributes`: fields of the tenant's own."""

    PREFIX = "con"
    __tablename__ = "contacts"

    tenant_id: Mapped[int] = mapped_column(ForeignKey("tenants.id"))
    name: Mapped[str | None]
    company: Mapped[str | None]
    language: Mapped[str | None]
    timezone: Mapped[str | None]
    tags: Mapped[list[str]] = mapped_column(default=list)
    attributes: Mapped[dict[str, Any]] = mapped_column(default=dict)
    updated_at: Mapped[datetime] = mapped_column(server_default=func.now(), onupdate=func.now())

    __table_args__ = (Index("ix_contacts_tenant", "tenant_id", "id"),)


class ContactIdentity(Base):
    """One address of a contact. `kind`: phone (E.164; calls, SMS, WhatsApp), email, telegram, …

    An address of a kind belongs to one contact of a tenant.
    """

    __tablename__ = "contact_identities"

    id: Mapped[int] = mapped_column(BigInteger, Identity(), primary_key=True)
    tenant_id: Mapped[int] = mapped_column(BigInteger)
    contact_id: Mapped[int] = mapped_column(
        ForeignKey("contacts.id", ondelete="CASCADE"), index=True
    )
    kind: Mapped[str]
    address: Mapped[str]

    __table_args__ = (
        Index("uq_contact_identities_address", "tenant_id", "kind", "address", unique=True),
    )
