"""Rows of conversations with voice assistants: each as a session, each exchange as a turn."""

from datetime import datetime
from enum import StrEnum
from typing import Any
from uuid import UUID

from sqlalchemy import BigInteger, ForeignKey, Index, Integer, UniqueConstraint
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column

from irisx.kernel.db import Base, Row, text_enum
from irisx.kernel.ids import call_sid
from irisx.tenancy.models import Noun


class Medium(StrEnum):
    CALL = "call"
    TEXT = "text"


class Outcome(StrEnum):
    """How a conversation ended; None in its row: it goes on.

    `completed`: the assistant said goodbye. `hung_up`: the caller left. `escalated`: a person is
    needed. `transferred`: a tool connects the caller with somebody. `limit`: it took too many turns
    or too long. `silence`: the caller said nothing. `failed`: what it needs was not there.
    """

    COMPLETED = "completed"
    HUNG_UP = "hung_up"
    ESCALATED = "escalated"
    TRANSFERRED = "transferred"
    LIMIT = "limit"
    SILENCE = "silence"
    FAILED = "failed"


class AssistantSession(Noun, Base):
    """A conversation. `config`: the assistant as it was when it began (`config.Config`).

    `talk`: what the engine calls it, on a call. `caller`: the number of who calls. `context`: what
    a flow told the assistant of this call. `collected`: what the caller was asked for, by the
    tools' names. `summary`: for the person who takes the caller over.
    """

    PREFIX = "asn"
    __tablename__ = "assistant_sessions"

    tenant_id: Mapped[int] = mapped_column(ForeignKey("tenants.id"))
    assistant_id: Mapped[int] = mapped_column(BigInteger)
    medium: Mapped[Medium] = mapped_column(text_enum(Medium))
    talk: Mapped[str | None] = mapped_column(unique=True)
    call_id: Mapped[UUID | None] = mapped_column(index=True)
    caller: Mapped[str | None]
    config: Mapped[dict[str, Any]]
    context: Mapped[str | None]
    collected: Mapped[dict[str, str]] = mapped_column(default=dict)
    outcome: Mapped[Outcome | None] = mapped_column(text_enum(Outcome))
    reason: Mapped[str | None]
    destination: Mapped[dict[str, Any] | None]
    summary: Mapped[str | None]
    ended_at: Mapped[datetime | None]

    @property
    def call_sid(self) -> str | None:
        return call_sid(self.call_id) if self.call_id is not None else None

    __table_args__ = (Index("ix_assistant_sessions_assistant", "tenant_id", "assistant_id", "id"),)


class AssistantTurn(Row, Base):
    """One exchange: what the caller said, if anything, and what the assistant answered.

    `answer`: of an interrupted one, the sentences that were begun. `sources`: what of the
    knowledge base it rests on. `actions`: tools that it used, with what came of them.
    Times are None where that step was not reached (a text test has no speech): the caller's
    speech from `speech_began_at` to `speech_ended_at`, `recognized_at`, the model's first
    words at `first_words_at`, the first audio on the call at `first_audio_at`, the last at
    `ended_at`.
    """

    __tablename__ = "assistant_turns"

    session_id: Mapped[int] = mapped_column(ForeignKey("assistant_sessions.id", ondelete="CASCADE"))
    number: Mapped[int] = mapped_column(Integer)
    heard: Mapped[str | None]
    confidence: Mapped[float | None]
    answer: Mapped[str]
    interrupted: Mapped[bool] = mapped_column(default=False)
    sources: Mapped[list[dict[str, Any]]] = mapped_column(JSONB, default=list)
    actions: Mapped[list[dict[str, Any]]] = mapped_column(JSONB, default=list)
    error: Mapped[str | None]
    speech_began_at: Mapped[datetime | None]
    speech_ended_at: Mapped[datetime | None]
    recognized_at: Mapped[datetime | None]
    first_words_at: Mapped[datetime | None]
    first_audio_at: Mapped[datetime | None]
    ended_at: Mapped[datetime | None]

    __table_args__ = (UniqueConstraint("session_id", "number"),)
