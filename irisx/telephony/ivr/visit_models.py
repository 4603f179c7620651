"""Rows of what happened in flows: nodes passed, messages left."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import BigInteger, ForeignKey, Index, Integer
from sqlalchemy.orm import Mapped, mapped_column

from irisx.kernel.db import Base
from irisx.tenancy.models import Noun


class Visit(Base):
    """A call in a node: entered, and left by an outcome (`hung-up`: the call ended there).

    `step`: the how manieth node of the call it was.
    """

    __tablename__ = "ivr_visits"

    call_id: Mapped[UUID] = mapped_column(primary_key=True)
    step: Mapped[int] = mapped_column(Integer, primary_key=True)
    entered_at: Mapped[datetime] = mapped_column(primary_key=True)
    tenant_id: Mapped[int] = mapped_column(BigInteger)
    version_id: Mapped[int] = mapped_column(BigInteger)
    node: Mapped[str]
    node_type: Mapped[str]
    left_at: Mapped[datetime]
    outcome: Mapped[str]

    __table_args__ = (
        Index("ix_ivr_visits_version", "version_id", "entered_at"),
        {"postgresql_partition_by": "RANGE (entered_at)"},
    )


class Message(Noun, Base):
    """A voicemail message; its sound is the recording of the same path.

    What is shorter than `min_ms` is no message. `mailbox`: whose it is, as the flow says.
    `announced_at`: when it was found to be whole, and its event published; None: not yet.
    """

    PREFIX = "vm"
    __tablename__ = "ivr_messages"

    tenant_id: Mapped[int] = mapped_column(ForeignKey("tenants.id"))
    call_id: Mapped[UUID]
    mailbox: Mapped[str]
    path: Mapped[str] = mapped_column(unique=True)
    min_ms: Mapped[int] = mapped_column(Integer)
    from_number: Mapped[str]
    announced_at: Mapped[datetime | None]
    heard_at: Mapped[datetime | None]

    __table_args__ = (
        Index("ix_ivr_messages_mailbox", "tenant_id", "mailbox", "id"),
        Index("ix_ivr_messages_new", "id", postgresql_where="announced_at IS NULL"),
    )
