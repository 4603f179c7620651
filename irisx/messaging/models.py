"""Rows of the pipeline. Messages and exchanges are partitioned by month (kernel/partitions)."""

from datetime import datetime
from enum import StrEnum
from typing import Any
from uuid import UUID

from sqlalchemy import ARRAY, BigInteger, ForeignKey, Identity, Index, Integer, func, text
from sqlalchemy.orm import Mapped, mapped_column

from irisx.kernel.db import Base, Row, text_enum
from irisx.messaging.states import Category, Direction, MessageStatus
from irisx.tenancy.models import Noun


class ProviderAccount(Noun, Base):
    """A tenant's account with a provider of one channel.

    `settings` and the encrypted credentials: as the provider's models say. `senders`: what it may
    send from; empty: anything. `priority`: lower is tried first. `max_per_second`: of all workers
    together. `paused_until`: the provider asked us to wait (`Retry-After`); `demoted_until`: it
    failed too often, the other accounts come first. `token`: names it in its receiver's path.
    """

    PREFIX = "acct"
    __tablename__ = "provider_accounts"

    tenant_id: Mapped[int] = mapped_column(ForeignKey("tenants.id"), index=True)
    channel: Mapped[str]
    provider: Mapped[str]
    name: Mapped[str]
    settings: Mapped[dict[str, Any]]
    credentials_encrypted: Mapped[str]
    senders: Mapped[list[str]]
    priority: Mapped[int] = mapped_column(Integer, default=100)
    max_per_second: Mapped[int | None] = mapped_column(Integer)
    enabled: Mapped[bool] = mapped_column(default=True)
    token: Mapped[str] = mapped_column(unique=True)
    paused_until: Mapped[datetime | None]
    demoted_until: Mapped[datetime | None]
    updated_at: Mapped[datetime] = mapped_column(server_default=func.now(), onupdate=func.now())


class Message(Base):
    """One message, sent or received. `id`'s hex digits after the channel's prefix are its sid.

    `content`: what of it only its channel understands (a template, an HTML part). `account_id`
    None: the sandbox. `reference`: the provider's id of it. `origin`: api, bulk, ivr, rule,
    conversation, … `segments`: parts that are billed.
    """

    __tablename__ = "messages"

    id: Mapped[UUID] = mapped_column(primary_key=True)
    created_at: Mapped[datetime] = mapped_column(primary_key=True, server_default=func.now())
    tenant_id: Mapped[int] = mapped_column(BigInteger)
    channel: Mapped[str]
    direction: Mapped[Direction] = mapped_column(text_enum(Direction))
    status: Mapped[MessageStatus] = mapped_column(text_enum(MessageStatus))
    category: Mapped[Category] = mapped_column(text_enum(Category), default=Category.TRANSACTIONAL)
    from_address: Mapped[str]
    to_address: Mapped[str]
    body: Mapped[str]
    media_urls: Mapped[list[str]] = mapped_column(default=list)
    content: Mapped[dict[str, Any]] = mapped_column(default=dict)
    metadata_: Mapped[dict[str, Any]] = mapped_column("metadata", default=dict)
    segments: Mapped[int] = mapped_column(Integer, default=1)
    origin: Mapped[str]
    sandbox: Mapped[bool]
    provider: Mapped[str]
    account_id: Mapped[int | None] = mapped_column(BigInteger)
    reference: Mapped[str | None]
    contact_id: Mapped[int | None] = mapped_column(BigInteger)
    conversation_id: Mapped[int | None] = mapped_column(BigInteger)
    error_code: Mapped[str | None]
    error_message: Mapped[str | None]
    send_at: Mapped[datetime | None]
    expires_at: Mapped[datetime | None]
    sent_at: Mapped[datetime | None]
    delivered_at: Mapped[datetime | None]
    read_at: Mapped[datetime | None]
    failed_at: Mapped[datetime | None]

    __table_args__ = (
        Index("ix_messages_tenant", "tenant_id", "channel", "created_at", "id"),
        Index("ix_messages_to", "tenant_id", "to_address", "created_at"),
        Index("ix_messages_conversation", "conversation_id", "created_at"),
        Index("ix_messages_contact", "contact_id", "created_at"),
        Index("ix_messages_reference", "account_id", "reference"),
        {"postgresql_partition_by": "RANGE (created_at)"},
    )


class QueueEntry(Base):
    """A message that is ours to send, written in the transaction that accepted it.

    `due_at`: when it may go; while a worker has it, when it counts as lost with that worker.
    `handed`: an attempt began, and what came of it is not written down. `lane`: the account, or
    the tenant's sandbox as minus the tenant's id; a lane has a rate. `tried`: accounts that failed
    in this round. `pinned`: an attempt of doubtful outcome is repeated on its own account only.
    """

    __tablename__ = "message_queue"

    message_id: Mapped[UUID] = mapped_column(primary_key=True)
    message_created_at: Mapped[datetime]
    tenant_id: Mapped[int] = mapped_column(BigInteger)
    lane: Mapped[int] = mapped_column(BigInteger)
    account_id: Mapped[int | None] = mapped_column(BigInteger)
    due_at: Mapped[datetime]
    attempts: Mapped[int] = mapped_column(Integer, default=0)
    handed: Mapped[bool] = mapped_column(default=False)
    pinned: Mapped[bool] = mapped_column(default=False)
    tried: Mapped[list[int]] = mapped_column(ARRAY(BigInteger), default=list)

    __table_args__ = (Index("ix_message_queue_due", "due_at", "message_id"),)


class MessageExchange(Base):
    """What was said between us and a provider about one message, secrets taken out.

    `kind`: attempt, receipt, inbound, or check (we did not send, `error` says why).
    """

    __tablename__ = "message_exchanges"

    id: Mapped[int] = mapped_column(BigInteger, Identity(), primary_key=True)
    created_at: Mapped[datetime] = mapped_column(primary_key=True)
    tenant_id: Mapped[int] = mapped_column(BigInteger)
    message_id: Mapped[UUID]
    account_id: Mapped[int | None] = mapped_column(BigInteger)
    provider: Mapped[str]
    kind: Mapped[str]
    number: Mapped[int | None] = mapped_column(Integer)
    request: Mapped[dict[str, Any]]
    response: Mapped[dict[str, Any] | None]
    error: Mapped[str | None]
    fault: Mapped[bool] = mapped_column(default=False)
    duration_ms: Mapped[int | None] = mapped_column(Integer)

    __table_args__ = (
        Index("ix_message_exchanges_message", "message_id", "id"),
        Index("ix_message_exchanges_account", "account_id", "created_at"),
        {"postgresql_partition_by": "RANGE (created_at)"},
    )


class ReceivedKey(Base):
    """What a provider has told us before: told twice, it counts once."""

    __tablename__ = "received_keys"

    account_id: Mapped[int] = mapped_column(BigInteger, primary_key=True)
    key: Mapped[str] = mapped_column(primary_key=True)
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())

    __table_args__ = (Index("ix_received_keys_created_at", "created_at"),)


class UnreadPart(Noun, Base):
    """A part of a provider's request that was not understood, secrets taken out; `reason`: why."""

    PREFIX = "unr"
    __tablename__ = "unread_parts"

    account_id: Mapped[int] = mapped_column(ForeignKey("provider_accounts.id", ondelete="CASCADE"))
    reason: Mapped[str]
    part: Mapped[str]

    __table_args__ = (Index("ix_unread_parts_account", "account_id", "id"),)


class EarlyReceipt(Row, Base):
    """A receipt that came before the provider's answer told us the message's reference."""

    __tablename__ = "early_receipts"

    account_id: Mapped[int] = mapped_column(BigInteger)
    reference: Mapped[str]
    receipt: Mapped[dict[str, Any]]
    exchange: Mapped[dict[str, Any]]

    __table_args__ = (Index("ix_early_receipts_reference", "account_id", "reference"),)


class Suppression(Noun, Base):
    """An address that gets nothing of a channel. `reason`: opt_out, bounce, complaint, manual."""

    PREFIX = "sup"
    __tablename__ = "suppressions"

    tenant_id: Mapped[int] = mapped_column(ForeignKey("tenants.id"))
    channel: Mapped[str]
    address: Mapped[str]
    reason: Mapped[str]
    source: Mapped[str]

    __table_args__ = (
        Index("uq_suppressions_address", "tenant_id", "channel", "address", unique=True),
    )


class MediaStatus(StrEnum):
    """`pending`: a provider has it still, the worker fetches it. `failed`: it could not be had."""

    PENDING = "pending"
    STORED = "stored"
    FAILED = "failed"
    DELETED = "deleted"


class MediaFile(Noun, Base):
    """A file that came with a message or was uploaded for one; its bytes are in the storage.

    `account_id` None: the sandbox. `reference`: the provider's id of it. `source_url`: where the
    provider gives it out, if it needs no id. `due_at`: when the worker tries next.
    """

    PREFIX = "med"
    __tablename__ = "media_files"

    tenant_id: Mapped[int] = mapped_column(ForeignKey("tenants.id"), index=True)
    channel: Mapped[str]
    account_id: Mapped[int | None] = mapped_column(BigInteger)
    message_id: Mapped[UUID | None] = mapped_column(index=True)
    reference: Mapped[str | None]
    source_url: Mapped[str | None]
    kind: Mapped[str]
    content_type: Mapped[str]
    filename: Mapped[str | None]
    size_bytes: Mapped[int | None] = mapped_column(BigInteger)
    status: Mapped[MediaStatus] = mapped_column(text_enum(MediaStatus))
    location: Mapped[str | None]
    reason: Mapped[str | None]
    attempts: Mapped[int] = mapped_column(Integer, default=0)
    due_at: Mapped[datetime | None]

    __table_args__ = (Index("ix_media_files_due", "due_at"),)


class SandboxHappening(Row, Base):
    """What the sandbox provider will tell about a message: a receipt, or the recipient's reply."""

    __tablename__ = "sandbox_happenings"

    message_id: Mapped[UUID]
    message_created_at: Mapped[datetime]
    due_at: Mapped[datetime]
    status: Mapped[str | None]
    error_code: Mapped[str | None]
    reply: Mapped[str | None]

    __table_args__ = (Index("ix_sandbox_happenings_due", "due_at", text("id")),)
