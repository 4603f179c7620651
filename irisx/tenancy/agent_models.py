"""Rows of agents: people who take calls and conversations. Rooms meet in them, hence tenancy."""

from datetime import datetime
from enum import StrEnum
from typing import Any
from uuid import UUID

from sqlalchemy import BigInteger, CheckConstraint, ForeignKey, Identity, Index, Integer, func, text
from sqlalchemy.orm import Mapped, mapped_column

from irisx.kernel.db import Base, text_enum
from irisx.tenancy.models import Noun


class AgentStatus(StrEnum):
    """The specification's five values."""

    AVAILABLE = "available"
    BUSY = "busy"
    AWAY = "away"
    OFFLINE = "offline"
    WRAP_UP = "wrap-up"


class Activity(StrEnum):
    """What an engine has an agent in, whatever the agent chose: a call, and the work after it."""

    CALL = "call"
    WRAP_UP = "wrap-up"


class ContactType(StrEnum):
    """How an agent is reached. `webrtc` registers as `sip` does, over secure WebSocket."""

    SIP = "sip"
    WEBRTC = "webrtc"
    NUMBER = "number"


class Agent(Noun, Base):
    """A person of a tenant who takes calls and conversations.

    `chosen`, `chosen_reason`: the status that the agent (or a supervisor) chose; it counts while
    there is no `activity`, which is the engine's. `status`, `reason`: what follows from both
    (`agent_status.py` alone sets them). `activity_call`: the call of the activity;
    `activity_until`: when wrap-up ends by itself; None: by the agent's `done`.
    `capacity`: pieces of work (a call, a conversation) at a time, over all queues and channels.
    `skills`: name -> level 1 to 10. `wrap_up_seconds`: in place of the queue's.
    `missed_offers`: in a row. Deleted ones keep their row: what they did names it.
    """

    PREFIX = "agent"
    __tablename__ = "agents"

    tenant_id: Mapped[int] = mapped_column(ForeignKey("tenants.id"), index=True)
    user_id: Mapped[int | None] = mapped_column(ForeignKey("users.id", ondelete="SET NULL"))
    name: Mapped[str]
    contact_type: Mapped[ContactType] = mapped_column(text_enum(ContactType))
    sip_account_id: Mapped[int | None] = mapped_column(
        ForeignKey("sip_accounts.id", ondelete="SET NULL"), index=True
    )
    phone_number: Mapped[str | None]
    capacity: Mapped[int] = mapped_column(Integer, default=1)
    skills: Mapped[dict[str, Any]] = mapped_column(default=dict)
    wrap_up_seconds: Mapped[int | None] = mapped_column(Integer)
    missed_offers: Mapped[int] = mapped_column(Integer, default=0)
    chosen: Mapped[AgentStatus] = mapped_column(text_enum(AgentStatus), default=AgentStatus.OFFLINE)
    chosen_reason: Mapped[str | None]
    activity: Mapped[Activity | None] = mapped_column(text_enum(Activity))
    activity_call: Mapped[UUID | None]
    activity_until: Mapped[datetime | None]
    status: Mapped[AgentStatus] = mapped_column(text_enum(AgentStatus), default=AgentStatus.OFFLINE)
    reason: Mapped[str | None]
    status_since: Mapped[datetime] = mapped_column(server_default=func.now())
    idle_since: Mapped[datetime | None]
    updated_at: Mapped[datetime] = mapped_column(server_default=func.now(), onupdate=func.now())
    deleted_at: Mapped[datetime | None]

    __table_args__ = (
        Index(
            "uq_agents_user_id", "user_id", unique=True, postgresql_where=text("deleted_at IS NULL")
        ),
        CheckConstraint("capacity BETWEEN 1 AND 100", name="capacity"),
    )

    @property
    def contact(self) -> dict[str, Any]:
        """How the agent is reached."""
        return {
            "type": self.contact_type,
            "sip_account_id": self.sip_account_id,
            "phone_number": self.phone_number,
        }

    @property
    def next_status(self) -> AgentStatus | None:
        """What follows the activity that goes on."""
        return None if self.activity is None else self.chosen

    @property
    def wrap_up_until(self) -> datetime | None:
        """When wrap-up ends by itself; None: there is none, or it waits for a code."""
        return self.activity_until if self.activity is Activity.WRAP_UP else None


class AgentStatusChange(Base):
    """One change of an agent's status; how long it lasted says the next one.

    `by`: who made it, as in the audit log; `acd` for an engine.
    """

    __tablename__ = "agent_status_changes"

    id: Mapped[int] = mapped_column(BigInteger, Identity(), primary_key=True)
    at: Mapped[datetime] = mapped_column(primary_key=True)
    tenant_id: Mapped[int] = mapped_column(BigInteger)
    agent_id: Mapped[int] = mapped_column(BigInteger)
    status: Mapped[AgentStatus] = mapped_column(text_enum(AgentStatus))
    reason: Mapped[str | None]
    by: Mapped[str]

    __table_args__ = (
        Index("ix_agent_status_changes_agent", "agent_id", "at", "id"),
        {"postgresql_partition_by": "RANGE (at)"},
    )


class AgentWork(Base):
    """A piece of work that an agent has: it takes one of the agent's capacity.

    `channel`: `voice`, `chat`, `whatsapp`…; `reference`: the call's or conversation's id.
    """

    __tablename__ = "agent_work"

    agent_id: Mapped[int] = mapped_column(
        ForeignKey("agents.id", ondelete="CASCADE"), primary_key=True
    )
    channel: Mapped[str] = mapped_column(primary_key=True)
    reference: Mapped[str] = mapped_column(primary_key=True)
    began_at: Mapped[datetime] = mapped_column(server_default=func.now())
