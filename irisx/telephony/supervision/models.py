"""Rows of supervision: who was on which call, from when to when."""

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import BigInteger, Index
from sqlalchemy.orm import Mapped, mapped_column

from irisx.kernel.db import Base, text_enum
from irisx.telephony.supervision.state import Mode, Status


class SupervisionRecord(Base):
    """One supervisor's leg on one call. `id`: its channel; `mode`: the last one.

    `reason`: the switch's hang-up cause, or why it never came about.
    """

    __tablename__ = "supervisions"

    id: Mapped[UUID] = mapped_column(primary_key=True)
    tenant_id: Mapped[int] = mapped_column(BigInteger)
    call_id: Mapped[UUID]
    node: Mapped[str]
    supervisor: Mapped[str]
    mode: Mapped[Mode] = mapped_column(text_enum(Mode))
    status: Mapped[Status] = mapped_column(text_enum(Status))
    started_at: Mapped[datetime]
    answered_at: Mapped[datetime | None]
    ended_at: Mapped[datetime | None]
    reason: Mapped[str | None]

    @staticmethod
    def read(columns: dict[str, Any]) -> dict[str, Any]:
        """Columns that had become JSON, as the row takes them."""
        read = columns | {name: UUID(columns[name]) for name in ("id", "call_id")}
        for name in ("started_at", "answered_at", "ended_at"):
            read[name] = read[name] and datetime.fromisoformat(read[name])
        return read

    __table_args__ = (
        Index("ix_supervisions_call", "call_id"),
        Index("ix_supervisions_live", "node", postgresql_where="status <> 'ended'"),
    )
