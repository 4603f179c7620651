"""Rows of agent scripts."""

from datetime import datetime
from enum import StrEnum
from typing import Any
from uuid import UUID

from sqlalchemy import BigInteger, ForeignKey, Identity, Index, Integer, UniqueConstraint, func
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column

from irisx.kernel.db import Base, text_enum
from irisx.tenancy.models import Noun


class ScriptType(StrEnum):
    INBOUND = "inbound"
    OUTBOUND = "outbound"


class Script(Noun, Base):
    """A script. `steps`: as `steps.Step`, in order, the first is where it begins.

    `version` grows with each change; a path that was taken names it. Deleted ones keep their row.
    """

    PREFIX = "script"
    __tablename__ = "scripts"

    tenant_id: Mapped[int] = mapped_column(ForeignKey("tenants.id"), index=True)
    name: Mapped[str]
    type: Mapped[ScriptType] = mapped_column(text_enum(ScriptType))
    steps: Mapped[list[dict[str, Any]]] = mapped_column(JSONB)
    variables: Mapped[list[str]]
    version: Mapped[int] = mapped_column(Integer, default=1)
    updated_at: Mapped[datetime] = mapped_column(server_default=func.now(), onupdate=func.now())
    deleted_at: Mapped[datetime | None]


class TargetType(StrEnum):
    QUEUE = "queue"
    CAMPAIGN = "campaign"


class ScriptAssignment(Base):
    """The script of a queue or campaign, which has one at most."""

    __tablename__ = "script_assignments"

    target_type: Mapped[TargetType] = mapped_column(text_enum(TargetType), primary_key=True)
    target_id: Mapped[int] = mapped_column(BigInteger, primary_key=True)
    tenant_id: Mapped[int] = mapped_column(BigInteger)
    script_id: Mapped[int] = mapped_column(ForeignKey("scripts.id", ondelete="CASCADE"), index=True)
    assigned_at: Mapped[datetime] = mapped_column(server_default=func.now())


class ScriptStepTaken(Base):
    """One step of the way that a conversation took. `response`: label of the one that was given.

    `number`: place on the way, from 1.
    """

    __tablename__ = "script_steps_taken"

    id: Mapped[int] = mapped_column(BigInteger, Identity(), primary_key=True)
    tenant_id: Mapped[int] = mapped_column(BigInteger)
    script_id: Mapped[int] = mapped_column(ForeignKey("scripts.id"))
    version: Mapped[int] = mapped_column(Integer)
    call_id: Mapped[UUID]
    number: Mapped[int] = mapped_column(Integer)
    step: Mapped[str]
    response: Mapped[str | None]
    by: Mapped[str]
    at: Mapped[datetime] = mapped_column(server_default=func.now())

    __table_args__ = (UniqueConstraint("call_id", "script_id", "number"),)


Index("ix_script_assignments_tenant", ScriptAssignment.tenant_id)
