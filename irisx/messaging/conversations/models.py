"""Rows of conversations."""

from datetime import datetime
from enum import StrEnum

from sqlalchemy import BigInteger, ForeignKey, Index, Integer, func
from sqlalchemy.orm import Mapped, mapped_column

from irisx.kernel.db import Base, text_enum
from irisx.tenancy.models import Noun


class ConversationStatus(StrEnum):
    """`snoozed` opens again at `snoozed_until`; any but `open` opens when the customer writes."""

    OPEN = "open"
    PENDING = "pending"
    SNOOZED = "snoozed"
    RESOLVED = "resolved"


class Conversation(Noun, Base):
    """All messages between one address of the tenant and one outside, by one channel.

    `thread`: where a channel has several between the same two (an e-mail thread); else empty.
    `window_expires_at`: until then free text may be sent; None: always. `unread`: inbound messages
    since somebody last answered or marked it read.
    """

    PREFIX = "conv"
    __tablename__ = "conversations"

    tenant_id: Mapped[int] = mapped_column(ForeignKey("tenants.id"))
    channel: Mapped[str]
    our_address: Mapped[str]
    their_address: Mapped[str]
    thread: Mapped[str] = mapped_column(default="")
    contact_id: Mapped[int | None] = mapped_column(BigInteger, index=True)
    status: Mapped[ConversationStatus] = mapped_column(text_enum(ConversationStatus))
    snoozed_until: Mapped[datetime | None]
    assignee: Mapped[str | None]
    labels: Mapped[list[str]] = mapped_column(default=list)
    sandbox: Mapped[bool]
    unread: Mapped[int] = mapped_column(Integer, default=0)
    last_message_at: Mapped[datetime]
    last_inbound_at: Mapped[datetime | None]
    window_expires_at: Mapped[datetime | None]
    updated_at: Mapped[datetime] = mapped_column(server_default=func.now(), onupdate=func.now())

    __table_args__ = (
        Index(
            "uq_conversations_addresses",
            "tenant_id",
            "channel",
            "our_address",
            "their_address",
            "thread",
            unique=True,
        ),
        Index("ix_conversations_recent", "tenant_id", "last_message_at", "id"),
        Index("ix_conversations_snoozed", "snoozed_until"),
    )


class ConversationNote(Noun, Base):
    """What a person writes down for the others; the customer never sees it."""

    PREFIX = "note"
    __tablename__ = "conversation_notes"

    tenant_id: Mapped[int] = mapped_column(BigInteger)
    conversation_id: Mapped[int] = mapped_column(
        ForeignKey("conversations.id", ondelete="CASCADE"), index=True
    )
    author: Mapped[str]
    text: Mapped[str]
