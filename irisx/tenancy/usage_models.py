"""Rows of usage, partitioned by month."""

from datetime import datetime

from sqlalchemy import BigInteger, Index
from sqlalchemy.orm import Mapped, mapped_column

from irisx.kernel.db import Base


class UsageRecord(Base):
    """Something billable that happened. `key` and `occurred_at` make recording it idempotent.

    `kind`: sms (quantity: segments), email, whatsapp, … (messages), storage (bytes), … `subject`:
    the public id of what was used, such as a message's sid.
    """

    __tablename__ = "usage_records"

    key: Mapped[str] = mapped_column(primary_key=True)
    occurred_at: Mapped[datetime] = mapped_column(primary_key=True)
    tenant_id: Mapped[int] = mapped_column(BigInteger)
    kind: Mapped[str]
    quantity: Mapped[int] = mapped_column(BigInteger)
    subject: Mapped[str]

    __table_args__ = (
        Index("ix_usage_records_tenant", "tenant_id", "kind", "occurred_at"),
        {"postgresql_partition_by": "RANGE (occurred_at)"},
    )
