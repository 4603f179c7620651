"""Rows of a tenant's AI: its settings, and what it has used."""

from datetime import datetime

from sqlalchemy import BigInteger, ForeignKey, Identity, Index, Integer, func, text
from sqlalchemy.orm import Mapped, mapped_column

from irisx.kernel.db import Base


class AiConfig(Base):
    """A tenant's own provider and its choices; a tenant without a row has the defaults.

    `base_url`: of an OpenAI-style interface. A capability whose model is None is the platform's.
    `transcribe_since`: recordings made since then are all transcribed; None: on demand only.
    `redact`: kinds of numbers that transcripts do not keep (`transcripts/redaction.py`).
    """

    __tablename__ = "ai_configs"

    tenant_id: Mapped[int] = mapped_column(
        ForeignKey("tenants.id"), primary_key=True, autoincrement=False
    )
    base_url: Mapped[str | None]
    api_key_encrypted: Mapped[str | None]
    chat_model: Mapped[str | None]
    embedding_model: Mapped[str | None]
    transcription_model: Mapped[str | None]
    instructions: Mapped[str | None]
    monthly_token_limit: Mapped[int | None] = mapped_column(BigInteger)
    transcribe_since: Mapped[datetime | None]
    redact: Mapped[list[str]] = mapped_column(server_default=text("'{}'"))
    translation_provider: Mapped[str | None]
    translation_url: Mapped[str | None]
    translation_key_encrypted: Mapped[str | None]
    translation_target: Mapped[str | None]
    updated_at: Mapped[datetime] = mapped_column(server_default=func.now(), onupdate=func.now())

    @property
    def transcribe_recordings(self) -> bool:
        return self.transcribe_since is not None


class AiUsage(Base):
    """One use of a model: what `/v1/usage/ai` and the monthly limit add up.

    `prompt_tokens`, `completion_tokens`: as the provider counted them; None where it did not.
    `audio_seconds`: of sound that was recognized. `error`: the code of what went wrong.
    """

    __tablename__ = "ai_usage"

    id: Mapped[int] = mapped_column(BigInteger, Identity(), primary_key=True)
    created_at: Mapped[datetime] = mapped_column(primary_key=True, server_default=func.now())
    tenant_id: Mapped[int] = mapped_column(BigInteger)
    task: Mapped[str]
    provider: Mapped[str]
    model: Mapped[str]
    prompt_tokens: Mapped[int | None] = mapped_column(Integer)
    completion_tokens: Mapped[int | None] = mapped_column(Integer)
    characters_in: Mapped[int] = mapped_column(Integer, server_default=text("0"))
    characters_out: Mapped[int] = mapped_column(Integer, server_default=text("0"))
    audio_seconds: Mapped[float | None]
    duration_ms: Mapped[int] = mapped_column(Integer)
    error: Mapped[str | None]

    __table_args__ = (
        Index("ix_ai_usage_tenant", "tenant_id", "created_at"),
        {"postgresql_partition_by": "RANGE (created_at)"},
    )
