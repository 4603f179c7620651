"""Rows of answering-machine detection."""

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import BigInteger, ForeignKey, Index
from sqlalchemy.orm import Mapped, mapped_column

from irisx.kernel.db import Base, text_enum
from irisx.media.amd import AmdMode, Result
from irisx.tenancy.models import Noun


class AmdConfig(Base):
    """A tenant's settings, as far as it has made any: the fields of `config.AmdSettings`."""

    __tablename__ = "amd_configs"

    tenant_id: Mapped[int] = mapped_column(ForeignKey("tenants.id"), primary_key=True)
    given: Mapped[dict[str, Any]] = mapped_column(default=dict)


class AmdResult(Noun, Base):
    """What was decided about one answered call, and what was done.

    `decided_ms`: from the answer by the wall clock; `after_speech_ms`: from the first speech, and
    `beep_at_ms`, `beep_end_ms`: from the tap's first sample, by the audio. `settings`: the
    detector's. `label`: what it was, as a person says. `audio_path`: file below the recordings
    directory that the media process keeps what it heard in; `audio_location`: where the storage
    has it; `audio_until`: when it is erased.
    """

    PREFIX = "amd"
    __tablename__ = "amd_results"

    tenant_id: Mapped[int] = mapped_column(ForeignKey("tenants.id"))
    call_id: Mapped[UUID] = mapped_column(unique=True)
    result: Mapped[Result] = mapped_column(text_enum(Result))
    cause: Mapped[str]
    confidence: Mapped[float]
    mode: Mapped[AmdMode] = mapped_column(text_enum(AmdMode))
    settings: Mapped[dict[str, Any]]
    features: Mapped[dict[str, Any]]
    decided_at: Mapped[datetime]
    decided_ms: Mapped[int] = mapped_column(BigInteger)
    after_speech_ms: Mapped[int | None] = mapped_column(BigInteger)
    beep_at_ms: Mapped[int | None] = mapped_column(BigInteger)
    beep_end_ms: Mapped[int | None] = mapped_column(BigInteger)
    action: Mapped[str]
    sandbox: Mapped[bool]
    label: Mapped[Result | None] = mapped_column(text_enum(Result))
    label_note: Mapped[str | None]
    labeled_at: Mapped[datetime | None]
    audio_path: Mapped[str | None]
    audio_location: Mapped[str | None]
    audio_until: Mapped[datetime | None]

    __table_args__ = (
        Index("ix_amd_results_tenant", "tenant_id", "decided_at", "id"),
        Index(
            "ix_amd_results_audio",
            "audio_until",
            postgresql_where="audio_path IS NOT NULL OR audio_location IS NOT NULL",
        ),
    )
