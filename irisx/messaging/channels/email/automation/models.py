"""Rows of email automation."""

from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import ARRAY, BigInteger, ForeignKey, Index, Integer, func, text
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column

from irisx.kernel.db import Base, Row, text_enum
from irisx.tenancy.models import Noun


class EmailRunStatus(StrEnum):
    """`stopped`: before the last step, `reason` says why."""

    ACTIVE = "active"
    COMPLETED = "completed"
    STOPPED = "stopped"


class EmailWorkflow(Noun, Base):
    """A workflow, or a `rule`. `version`: the newest; contacts finish with that which they began
    with. `trigger`: as `steps.Trigger`. `reentry`: a contact may come in again and again.
    `active_since` None: nobody comes in, and those who are in stay where they are.
    `polled_at`: when the list of its trigger was read last."""

    PREFIX = "eaw"
    __tablename__ = "email_workflows"

    tenant_id: Mapped[int] = mapped_column(ForeignKey("tenants.id"), index=True)
    name: Mapped[str]
    rule: Mapped[bool] = mapped_column(default=False)
    trigger: Mapped[dict[str, Any]]
    version: Mapped[int] = mapped_column(Integer, default=1)
    reentry: Mapped[bool] = mapped_column(default=False)
    active_since: Mapped[datetime | None]
    polled_at: Mapped[datetime | None]
    updated_at: Mapped[datetime] = mapped_column(server_default=func.now(), onupdate=func.now())


class EmailWorkflowVersion(Row, Base):
    """The steps of a workflow, for good: as `steps.Step`, each with its id."""

    __tablename__ = "email_workflow_versions"

    workflow_id: Mapped[int] = mapped_column(ForeignKey("email_workflows.id", ondelete="CASCADE"))
    version: Mapped[int] = mapped_column(Integer)
    steps: Mapped[list[dict[str, Any]]] = mapped_column(ARRAY(JSONB()))

    __table_args__ = (Index("uq_email_workflow_versions", "workflow_id", "version", unique=True),)


class EmailWorkflowRun(Row, Base):
    """A contact in a workflow. `key` lets it in once. `position`: index of its next step, `due_at`
    when that is to be done. `calling`: that is a webhook; `attempts`: of it. `context`: `event`
    (what let it in), `emails` (ids of messages by step). `sandbox`: let in with a test key."""

    __tablename__ = "email_workflow_runs"

    tenant_id: Mapped[int] = mapped_column(BigInteger)
    workflow_id: Mapped[int] = mapped_column(ForeignKey("email_workflows.id", ondelete="CASCADE"))
    version_id: Mapped[int] = mapped_column(
        ForeignKey("email_workflow_versions.id", ondelete="CASCADE")
    )
    contact_id: Mapped[int] = mapped_column(
        ForeignKey("contacts.id", ondelete="CASCADE"), index=True
    )
    key: Mapped[str]
    status: Mapped[EmailRunStatus] = mapped_column(
        text_enum(EmailRunStatus), default=EmailRunStatus.ACTIVE
    )
    reason: Mapped[str | None]
    position: Mapped[int] = mapped_column(Integer, default=0)
    due_at: Mapped[datetime | None]
    calling: Mapped[bool] = mapped_column(default=False)
    attempts: Mapped[int] = mapped_column(Integer, default=0)
    context: Mapped[dict[str, Any]] = mapped_column(default=dict)
    sandbox: Mapped[bool] = mapped_column(default=False)
    ended_at: Mapped[datetime | None]

    __table_args__ = (
        Index("uq_email_workflow_runs_key", "workflow_id", "key", unique=True),
        Index("ix_email_workflow_runs_due", "due_at", postgresql_where=text("due_at IS NOT NULL")),
        Index("ix_email_workflow_runs_workflow", "workflow_id", "id"),
    )


class EmailWorkflowStep(Row, Base):
    """A step that was done, in the transaction that moved its contact on: each once."""

    __tablename__ = "email_workflow_steps"

    run_id: Mapped[int] = mapped_column(ForeignKey("email_workflow_runs.id", ondelete="CASCADE"))
    position: Mapped[int] = mapped_column(Integer)
    step_id: Mapped[str]
    type: Mapped[str]
    outcome: Mapped[str]

    __table_args__ = (Index("uq_email_workflow_steps", "run_id", "position", unique=True),)
