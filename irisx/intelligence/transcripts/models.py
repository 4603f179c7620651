"""Transcripts of recordings."""

from datetime import datetime
from enum import StrEnum
from typing import Any
from uuid import UUID

from sqlalchemy import BigInteger, Computed, ForeignKey, Index, Integer, func
from sqlalchemy import text as sql
from sqlalchemy.dialects.postgresql import JSONB, TSVECTOR
from sqlalchemy.orm import Mapped, mapped_column

from irisx.kernel.db import Base, Row, text_enum


class TranscriptStatus(StrEnum):
    """QUEUED -> PROCESSING -> COMPLETED or FAILED; back to QUEUED while a provider is away."""

    QUEUED = "queued"
    PROCESSING = "processing"
    COMPLETED = "completed"
    FAILED = "failed"


class Transcript(Row, Base):
    """The transcript of one recording.

    `segments`: utterances in the order of their beginning, as `transcribe.Segment`. `attempts`:
    begun so far. `next_try_at`: when a worker takes it; while one is at it, when that one counts as
    lost. `error`: what went wrong the last time. `redacted`: words that were not kept.
    """

    __tablename__ = "transcripts"

    tenant_id: Mapped[int] = mapped_column(BigInteger, index=True)
    call_id: Mapped[UUID] = mapped_column(index=True)
    recording_id: Mapped[int] = mapped_column(ForeignKey("recordings.id"), unique=True)
    status: Mapped[TranscriptStatus] = mapped_column(
        text_enum(TranscriptStatus), server_default=sql("'queued'")
    )
    attempts: Mapped[int] = mapped_column(Integer, server_default=sql("0"))
    next_try_at: Mapped[datetime] = mapped_column(server_default=func.now())
    error: Mapped[str | None]
    provider: Mapped[str | None]
    model: Mapped[str | None]
    language: Mapped[str | None]
    confidence: Mapped[float | None]
    text: Mapped[str] = mapped_column(server_default=sql("''"))
    segments: Mapped[list[dict[str, Any]]] = mapped_column(JSONB, server_default=sql("'[]'"))
    redacted: Mapped[int] = mapped_column(Integer, server_default=sql("0"))
    completed_at: Mapped[datetime | None]
    words: Mapped[Any] = mapped_column(
        TSVECTOR, Computed("to_tsvector('english', text)", persisted=True)
    )

    __table_args__ = (
        Index(
            "ix_transcripts_due",
            "next_try_at",
            postgresql_where=sql("status IN ('queued', 'processing')"),
        ),
        Index("ix_transcripts_words", "words", postgresql_using="gin"),
    )
