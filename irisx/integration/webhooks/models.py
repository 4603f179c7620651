"""Rows of webhooks. Deliveries and attempts are partitioned by month (`kernel/partitions.py`)."""

from datetime import datetime
from enum import StrEnum

from sqlalchemy import BigInteger, ForeignKey, Identity, Index, Integer, func, text
from sqlalchemy.orm import Mapped, mapped_column

from irisx.kernel.db import Base, text_enum
from irisx.tenancy.models import Noun


class DisabledReason(StrEnum):
    """Why a webhook was switched off by us; None in its row: it is on, or its tenant did it."""

    GONE = "gone"
    FAILING = "failing"


class Webhook(Noun, Base):
    """A subscription: events that match `events` (names, or `*`) are posted to `url`.

    `previous_secret_encrypted` signs beside the current one until `previous_secret_until`.
    """

    PREFIX = "whk"
    __tablename__ = "webhooks"

    tenant_id: Mapped[int] = mapped_column(ForeignKey("tenants.id"), index=True)
    url: Mapped[str]
    events: Mapped[list[str]]
    enabled: Mapped[bool]
    disabled_reason: Mapped[DisabledReason | None] = mapped_column(text_enum(DisabledReason))
    secret_encrypted: Mapped[str]
    previous_secret_encrypted: Mapped[str | None]
    previous_secret_until: Mapped[datetime | None]
    updated_at: Mapped[datetime] = mapped_column(server_default=func.now(), onupdate=func.now())


class DeliveryStatus(StrEnum):
    """PENDING until an attempt succeeds, the schedule is exhausted, or the webhook goes."""

    PENDING = "pending"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELED = "canceled"


class WebhookDelivery(Base):
    """One event on its way to one webhook.

    `subject`: the call (or other thing) it is about; deliveries of one subject go out in order.
    `attempts`: begun so far. `next_attempt_at`: when the next one is due; while one is under way,
    when it counts as lost with its worker.
    """

    __tablename__ = "webhook_deliveries"

    id: Mapped[int] = mapped_column(BigInteger, Identity(), primary_key=True)
    created_at: Mapped[datetime] = mapped_column(primary_key=True, server_default=func.now())
    tenant_id: Mapped[int] = mapped_column(BigInteger)
    webhook_id: Mapped[int] = mapped_column(BigInteger)
    event_id: Mapped[int] = mapped_column(BigInteger)
    event_type: Mapped[str]
    subject: Mapped[str]
    status: Mapped[DeliveryStatus] = mapped_column(text_enum(DeliveryStatus))
    attempts: Mapped[int] = mapped_column(Integer, default=0)
    next_attempt_at: Mapped[datetime] = mapped_column(server_default=func.now())

    __table_args__ = (
        Index(
            "ix_webhook_deliveries_due",
            "next_attempt_at",
            "id",
            postgresql_where=text("status = 'pending'"),
        ),
        Index("ix_webhook_deliveries_webhook", "webhook_id", "created_at"),
        {"postgresql_partition_by": "RANGE (created_at)"},
    )


class WebhookAttempt(Base):
    """One request of a delivery and what came back; `status` None: no answer, see `error`."""

    __tablename__ = "webhook_attempts"

    id: Mapped[int] = mapped_column(BigInteger, Identity(), primary_key=True)
    created_at: Mapped[datetime] = mapped_column(primary_key=True, server_default=func.now())
    tenant_id: Mapped[int] = mapped_column(BigInteger)
    webhook_id: Mapped[int] = mapped_column(BigInteger)
    delivery_id: Mapped[int] = mapped_column(BigInteger)
    event_id: Mapped[int] = mapped_column(BigInteger)
    event_type: Mapped[str]
    number: Mapped[int] = mapped_column(Integer)
    success: Mapped[bool]
    status: Mapped[int | None] = mapped_column(Integer)
    duration_ms: Mapped[int] = mapped_column(Integer)
    response_head: Mapped[str | None]
    error: Mapped[str | None]

    __table_args__ = (
        Index("ix_webhook_attempts_webhook", "webhook_id", "created_at", "id"),
        {"postgresql_partition_by": "RANGE (created_at)"},
    )
