"""Rows of queues: what they are, who works in them, and what every caller met there."""

from datetime import datetime
from enum import StrEnum
from typing import Any
from uuid import UUID

from sqlalchemy import BigInteger, ForeignKey, Index, Integer, func, text
from sqlalchemy.orm import Mapped, mapped_column

from irisx.kernel.db import Base, text_enum
from irisx.tenancy.models import Noun


class Strategy(StrEnum):
    """Which of the agents who may have a caller is rung (`matching.py`)."""

    ROUND_ROBIN = "round-robin"
    LEAST_OCCUPIED = "least-occupied"
    SKILLS_BASED = "skills-based"
    PRIORITY = "priority"
    RING_ALL = "ring-all"
    LONGEST_IDLE = "longest-idle"


class Queue(Noun, Base):
    """A queue. `options`: QueueOptions. `max_wait_time`: s, None: for ever.

    `music_on_hold`: `default`, or an uploaded prompt (`prm_3`) that is repeated.
    `priority`: callers of a queue with a higher one are served first, whichever waits longer.
    `skill_levels`: lowest level of a required skill, where it is more than 1.
    Deleted ones keep their row: records of calls name it.
    """

    PREFIX = "queue"
    __tablename__ = "queues"

    tenant_id: Mapped[int] = mapped_column(ForeignKey("tenants.id"), index=True)
    name: Mapped[str]
    strategy: Mapped[Strategy] = mapped_column(text_enum(Strategy))
    max_wait_time: Mapped[int | None] = mapped_column(Integer)
    music_on_hold: Mapped[str]
    skills_required: Mapped[list[str]]
    skill_levels: Mapped[dict[str, Any]] = mapped_column(default=dict)
    priority: Mapped[int] = mapped_column(Integer, default=0)
    options: Mapped[dict[str, Any]] = mapped_column(default=dict)
    updated_at: Mapped[datetime] = mapped_column(server_default=func.now(), onupdate=func.now())
    deleted_at: Mapped[datetime | None]

    __table_args__ = (
        Index(
            "uq_queues_name",
            "tenant_id",
            "name",
            unique=True,
            postgresql_where=text("deleted_at IS NULL"),
        ),
    )


class QueueMember(Base):
    """An agent of a queue. `tier` n is rung once callers have waited for it (1: at once).

    `level`: within the tier, lower ones first where the strategy is `priority`.
    """

    __tablename__ = "queue_members"

    queue_id: Mapped[int] = mapped_column(
        ForeignKey("queues.id", ondelete="CASCADE"), primary_key=True
    )
    agent_id: Mapped[int] = mapped_column(
        ForeignKey("agents.id", ondelete="CASCADE"), primary_key=True, index=True
    )
    tier: Mapped[int] = mapped_column(Integer, default=1)
    level: Mapped[int] = mapped_column(Integer, default=1)


class QueueCallStatus(StrEnum):
    """Where a caller is, or how the wait ended (`states.py` has the transitions)."""

    WAITING = "waiting"
    TALKING = "talking"
    COMPLETED = "completed"
    ABANDONED = "abandoned"
    OVERFLOWED = "overflowed"
    EXITED = "exited"
    CALLBACK = "callback"
    LOST = "lost"


class QueueCall(Base):
    """One caller in one queue, from entering it to the end of the work after the call.

    `call_id`: the caller's call; `number`: the caller's. `place_at`: the time by which the order
    is, earlier than `entered_at` for a caller who came back. `left_at`: the end of the wait.
    `reason`: why it overflowed (wait, full, no-agents, closed), which key was pressed, or the
    switch's cause. `to`: where it went. `offers`: rung agents so far.
    `estimated_ms`: the wait that was expected at entering.
    `talk_ms`, `wrap_ms`: the agent's; `wrap_up_code`, `wrap_up_notes`: what the agent said of it.
    """

    __tablename__ = "queue_calls"

    id: Mapped[UUID] = mapped_column(primary_key=True)
    entered_at: Mapped[datetime] = mapped_column(primary_key=True)
    tenant_id: Mapped[int] = mapped_column(BigInteger)
    queue_id: Mapped[int] = mapped_column(BigInteger)
    call_id: Mapped[UUID]
    number: Mapped[str]
    priority: Mapped[int] = mapped_column(Integer, default=0)
    place_at: Mapped[datetime]
    status: Mapped[QueueCallStatus] = mapped_column(text_enum(QueueCallStatus))
    reason: Mapped[str | None]
    to: Mapped[str | None]
    offers: Mapped[int] = mapped_column(Integer, default=0)
    agent_id: Mapped[int | None] = mapped_column(BigInteger)
    estimated_ms: Mapped[int | None] = mapped_column(BigInteger)
    answered_at: Mapped[datetime | None]
    left_at: Mapped[datetime | None]
    ended_at: Mapped[datetime | None]
    wait_ms: Mapped[int | None] = mapped_column(BigInteger)
    talk_ms: Mapped[int | None] = mapped_column(BigInteger)
    wrap_ms: Mapped[int | None] = mapped_column(BigInteger)
    wrap_up_code: Mapped[str | None]
    wrap_up_notes: Mapped[str | None]

    __table_args__ = (
        Index("ix_queue_calls_queue", "queue_id", "entered_at", "id"),
        Index("ix_queue_calls_agent", "agent_id", "entered_at", "id"),
        Index("ix_queue_calls_call", "call_id"),
        Index("ix_queue_calls_number", "queue_id", "number", "left_at"),
        Index(
            "ix_queue_calls_live",
            "queue_id",
            postgresql_where=text("status IN ('waiting', 'talking')"),
        ),
        {"postgresql_partition_by": "RANGE (entered_at)"},
    )


class OfferOutcome(StrEnum):
    """How an offer to an agent ended. None in a row: the agent is being rung."""

    ANSWERED = "answered"
    NO_ANSWER = "no-answer"
    BUSY = "busy"
    REJECTED = "rejected"
    UNREACHABLE = "unreachable"
    CALLER_LEFT = "caller-left"
    LOST_RACE = "lost-race"
    WITHDRAWN = "withdrawn"


class QueueOffer(Base):
    """An agent was rung for a caller. `id`: the channel uuid of the agent's leg."""

    __tablename__ = "queue_offers"

    id: Mapped[UUID] = mapped_column(primary_key=True)
    at: Mapped[datetime] = mapped_column(primary_key=True)
    tenant_id: Mapped[int] = mapped_column(BigInteger)
    queue_id: Mapped[int] = mapped_column(BigInteger)
    queue_call_id: Mapped[UUID]
    agent_id: Mapped[int] = mapped_column(BigInteger)
    outcome: Mapped[OfferOutcome | None] = mapped_column(text_enum(OfferOutcome))
    ended_at: Mapped[datetime | None]

    __table_args__ = (
        Index("ix_queue_offers_agent", "agent_id", "at"),
        Index("ix_queue_offers_queue", "queue_id", "at"),
        {"postgresql_partition_by": "RANGE (at)"},
    )
