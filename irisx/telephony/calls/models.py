"""Rows of calls. Both big tables are partitioned by month (`kernel/partitions.py`)."""

from datetime import datetime
from enum import StrEnum
from typing import Any
from uuid import UUID

from sqlalchemy import BigInteger, ForeignKey, Index, Integer
from sqlalchemy.orm import Mapped, mapped_column

from irisx.kernel.db import Base, Row, text_enum
from irisx.telephony.calls.states import CallStatus, Direction


class Call(Base):
    """A call as its tenant sees it: one customer leg, whatever legs it is bridged to.

    `id` is the channel uuid of the customer's leg; `sid` is `CA` + its hex digits.
    `node`: name of the FreeSWITCH node that holds it; None until an engine takes it.
    `options`: what the engine needs to place it (`digits`, `ring_timeout_s`, `amd`…).
    `duration_ms`: answer to end by the switch's own clock; `bill_seconds`: that, rounded up.
    `reason`: FreeSWITCH's hang-up cause or our own refusal, in words a program can match.
    `stir_shaken`: the Identity header and verstat as received.
    """

    __tablename__ = "calls"

    id: Mapped[UUID] = mapped_column(primary_key=True)
    initiated_at: Mapped[datetime] = mapped_column(primary_key=True)
    tenant_id: Mapped[int] = mapped_column(BigInteger)
    direction: Mapped[Direction] = mapped_column(text_enum(Direction))
    status: Mapped[CallStatus] = mapped_column(text_enum(CallStatus))
    from_number: Mapped[str]
    to_number: Mapped[str]
    caller_name: Mapped[str | None]
    record: Mapped[bool] = mapped_column(default=False)
    amd_enabled: Mapped[bool] = mapped_column(default=False)
    sandbox: Mapped[bool] = mapped_column(default=False)
    metadata_: Mapped[dict[str, Any]] = mapped_column("metadata", default=dict)
    options: Mapped[dict[str, Any]] = mapped_column(default=dict)
    node: Mapped[str | None]
    carrier_id: Mapped[int | None] = mapped_column(BigInteger)
    ringing_at: Mapped[datetime | None]
    answered_at: Mapped[datetime | None]
    ended_at: Mapped[datetime | None]
    duration_ms: Mapped[int | None] = mapped_column(BigInteger)
    bill_seconds: Mapped[int | None] = mapped_column(Integer)
    reason: Mapped[str | None]
    sip_status: Mapped[int | None]
    hangup_by: Mapped[str | None]
    stir_shaken: Mapped[dict[str, Any] | None]

    __table_args__ = (
        Index("ix_calls_tenant", "tenant_id", "initiated_at", "id"),
        Index(
            "ix_calls_live",
            "node",
            postgresql_where="status IN ('initiated', 'ringing', 'in-progress')",
        ),
        Index(
            "ix_calls_live_tenant",
            "tenant_id",
            postgresql_where="status IN ('initiated', 'ringing', 'in-progress')",
        ),
        {"postgresql_partition_by": "RANGE (initiated_at)"},
    )


class CallEvent(Base):
    """One line of a call's timeline. `key` makes writing it twice harmless.

    `type`: call.ringing, leg.bridged, dtmf, play.started, recording.started, …
    """

    __tablename__ = "call_events"

    call_id: Mapped[UUID] = mapped_column(primary_key=True)
    key: Mapped[str] = mapped_column(primary_key=True)
    occurred_at: Mapped[datetime] = mapped_column(primary_key=True)
    type: Mapped[str]
    data: Mapped[dict[str, Any]]

    __table_args__ = ({"postgresql_partition_by": "RANGE (occurred_at)"},)


class CarrierLeg(Base):
    """A leg that takes a place of a carrier with a cap (`calls/capacity.py`).

    The place is free again when the leg is released, at the latest when its call has ended; the
    row stays one more second, since it counts in the carrier's calls per second.
    """

    __tablename__ = "carrier_legs"

    leg_id: Mapped[UUID] = mapped_column(primary_key=True)
    carrier_id: Mapped[int] = mapped_column(
        ForeignKey("carriers.id", ondelete="CASCADE"), primary_key=True
    )
    call_id: Mapped[UUID]
    dialed_at: Mapped[datetime]
    released: Mapped[bool] = mapped_column(default=False)

    __table_args__ = (Index("ix_carrier_legs_carrier", "carrier_id", "dialed_at"),)


class RecordingStatus(StrEnum):
    RECORDING = "recording"
    COMPLETED = "completed"
    FAILED = "failed"
    DELETED = "deleted"


class Recording(Row, Base):
    """A recording of a call's customer leg; `location` is where the storage keeps its bytes.

    `path`: file, relative to the recordings directory, that the switch writes during the call.
    `reason`: why it failed, or why it is not stored yet. `next_try_at`: when a worker looks at it
    (again); while one stores it, when that one counts as lost.
    """

    __tablename__ = "recordings"

    tenant_id: Mapped[int] = mapped_column(ForeignKey("tenants.id"))
    call_id: Mapped[UUID] = mapped_column(index=True)
    path: Mapped[str] = mapped_column(unique=True)
    location: Mapped[str | None]
    status: Mapped[RecordingStatus] = mapped_column(text_enum(RecordingStatus))
    duration_ms: Mapped[int | None] = mapped_column(BigInteger)
    size_bytes: Mapped[int | None] = mapped_column(BigInteger)
    transcription_text: Mapped[str | None]
    transcription_confidence: Mapped[float | None]
    reason: Mapped[str | None]
    next_try_at: Mapped[datetime | None]
    deleted_at: Mapped[datetime | None]

    __table_args__ = (
        Index("ix_recordings_tenant", "tenant_id", "id"),
        Index("ix_recordings_unfinished", "id", postgresql_where="status = 'recording'"),
        Index(
            "ix_recordings_not_erased",
            "id",
            postgresql_where="status = 'deleted' AND location IS NOT NULL",
        ),
    )
