"""Rows of callbacks, and what may follow what."""

from datetime import datetime
from enum import StrEnum
from typing import Any
from uuid import UUID

from sqlalchemy import BigInteger, ForeignKey, Index, Integer, func, text
from sqlalchemy.orm import Mapped, mapped_column

from irisx.kernel.db import Base, text_enum
from irisx.tenancy.models import Noun


class CallbackStatus(StrEnum):
    SCHEDULED = "scheduled"
    CALLING = "calling"
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELED = "canceled"


#: A transition that is not here is refused, or comes from what was seen before.
TRANSITIONS: dict[CallbackStatus, frozenset[CallbackStatus]] = {
    CallbackStatus.SCHEDULED: frozenset(
        {CallbackStatus.CALLING, CallbackStatus.FAILED, CallbackStatus.CANCELED}
    ),
    CallbackStatus.CALLING: frozenset(
        {CallbackStatus.COMPLETED, CallbackStatus.FAILED, CallbackStatus.SCHEDULED}
    ),
    CallbackStatus.COMPLETED: frozenset(),
    CallbackStatus.FAILED: frozenset(),
    CallbackStatus.CANCELED: frozenset(),
}


class Priority(StrEnum):
    """Who is called first, and how far ahead in the queue (`QUEUE_PRIORITY`)."""

    LOW = "low"
    NORMAL = "normal"
    HIGH = "high"
    URGENT = "urgent"


QUEUE_PRIORITY = {
    Priority.LOW: -10,
    Priority.NORMAL: 0,
    Priority.HIGH: 10,
    Priority.URGENT: 20,
}


class First(StrEnum):
    """Whose phone rings first: with `agent`, the customer is dialled once an agent is there."""

    CUSTOMER = "customer"
    AGENT = "agent"


class Callback(Noun, Base):
    """A customer who is to be called back.

    `scheduled_at`: the time that was promised; `due_at`: when it is tried (again), never earlier.
    `time_zone`: the customer's, None: by the number. `place_at`: since when the customer has waited
    in the queue, whose place is kept. `rank`: its priority as a number, for the order.
    `call_id`: the present or last call, stored with `calling` in one transaction, so that there is
    never a second one. `event_id`: the domain event that asked for it.
    `last_result`: how the last attempt ended; `reason`: why there are no more.
    """

    PREFIX = "cb"
    __tablename__ = "callbacks"

    tenant_id: Mapped[int] = mapped_column(ForeignKey("tenants.id"))
    phone_number: Mapped[str]
    scheduled_at: Mapped[datetime]
    due_at: Mapped[datetime]
    time_zone: Mapped[str | None]
    queue_id: Mapped[int | None] = mapped_column(BigInteger)
    place_at: Mapped[datetime | None]
    priority: Mapped[Priority] = mapped_column(text_enum(Priority), default=Priority.NORMAL)
    first: Mapped[First] = mapped_column(
        text_enum(First), default=First.CUSTOMER, server_default=First.CUSTOMER
    )
    rank: Mapped[int] = mapped_column(Integer, default=0)
    notes: Mapped[str | None]
    metadata_: Mapped[dict[str, Any]] = mapped_column("metadata", default=dict)
    status: Mapped[CallbackStatus] = mapped_column(
        text_enum(CallbackStatus), default=CallbackStatus.SCHEDULED
    )
    attempts: Mapped[int] = mapped_column(Integer, default=0)
    max_attempts: Mapped[int] = mapped_column(Integer, default=3)
    retry_delay_seconds: Mapped[int] = mapped_column(Integer, default=900)
    sandbox: Mapped[bool] = mapped_column(default=False)
    call_id: Mapped[UUID | None]
    last_result: Mapped[str | None]
    reason: Mapped[str | None]
    event_id: Mapped[int | None] = mapped_column(BigInteger, unique=True)
    updated_at: Mapped[datetime] = mapped_column(server_default=func.now(), onupdate=func.now())
    ended_at: Mapped[datetime | None]

    __table_args__ = (
        Index("ix_callbacks_tenant", "tenant_id", "id"),
        Index("ix_callbacks_due", "due_at", postgresql_where=text("status = 'scheduled'")),
        Index("ix_callbacks_calling", "id", postgresql_where=text("status = 'calling'")),
    )
