"""Rows of campaigns. Attempts are partitioned by month (`kernel/partitions.py`)."""

from datetime import datetime
from enum import StrEnum
from typing import Any
from uuid import UUID

from sqlalchemy import BigInteger, ForeignKey, Index, Integer, func, text
from sqlalchemy.orm import Mapped, mapped_column

from irisx.kernel.db import Base, text_enum
from irisx.kernel.ids import call_sid
from irisx.telephony.dialer.pacing import DialMode
from irisx.telephony.dialer.states import AttemptResult, CampaignStatus, ContactStatus
from irisx.tenancy.models import Noun


class Campaign(Noun, Base):
    """A campaign: whom to call, how, and what who answers is connected with.

    One of `queue_id` (whose agents take the calls; `own_queue`: it was made for the campaign),
    `flow` (`flow_3`, run for each answered call) and `message` (an item of audio as in flows,
    played to each). `options`: CampaignOptions. `detection`: the plan of answering-machine
    detection, settled with the options (`amd.plan`); None: nobody is listened to.
    `caller_id`: one of the tenant's numbers. `start_at`: when a scheduled one begins.
    `sandbox`: made with a test key, so all its calls are the sandbox switch's.
    `dialer`: the worker that paces it, until `dialer_until` unless it says more.
    """

    PREFIX = "camp"
    __tablename__ = "campaigns"

    tenant_id: Mapped[int] = mapped_column(ForeignKey("tenants.id"), index=True)
    name: Mapped[str]
    status: Mapped[CampaignStatus] = mapped_column(
        text_enum(CampaignStatus), default=CampaignStatus.DRAFT
    )
    mode: Mapped[DialMode] = mapped_column(text_enum(DialMode))
    caller_id: Mapped[str]
    queue_id: Mapped[int | None] = mapped_column(BigInteger)
    own_queue: Mapped[bool] = mapped_column(default=False)
    flow: Mapped[str | None]
    message: Mapped[dict[str, Any] | None]
    options: Mapped[dict[str, Any]] = mapped_column(default=dict)
    detection: Mapped[dict[str, Any] | None]
    sandbox: Mapped[bool] = mapped_column(default=False)
    start_at: Mapped[datetime | None]
    started_at: Mapped[datetime | None]
    ended_at: Mapped[datetime | None]
    dialer: Mapped[str | None]
    dialer_until: Mapped[datetime | None]
    updated_at: Mapped[datetime] = mapped_column(server_default=func.now(), onupdate=func.now())
    deleted_at: Mapped[datetime | None]

    __table_args__ = (
        Index(
            "ix_campaigns_live",
            "id",
            postgresql_where=text("status IN ('scheduled', 'running')"),
        ),
    )


class CampaignContact(Noun, Base):
    """Somebody to call.

    `numbers`: E.164, the first is the main one; `number`: the one that is called next, `position`
    its index. `place`: where that number lies (`hours.Place`), by which it is known when it may
    be called. `time_zone`, `region`: as given, in place of the prefix's. `priority`: higher first.
    `lottery`: a random number, the order of campaigns that call at random.
    `attempts`: those that count. `attempt_id`: the one that is under way. `agent_id`,
    `reserved_until`: the agent who looks at it in preview.
    """

    PREFIX = "cct"
    __tablename__ = "campaign_contacts"

    tenant_id: Mapped[int] = mapped_column(BigInteger)
    campaign_id: Mapped[int] = mapped_column(ForeignKey("campaigns.id"))
    name: Mapped[str]
    numbers: Mapped[list[str]]
    main_number: Mapped[str]
    position: Mapped[int] = mapped_column(Integer, default=0)
    number: Mapped[str]
    place: Mapped[str]
    time_zone: Mapped[str | None]
    region: Mapped[str | None]
    priority: Mapped[int] = mapped_column(Integer, default=0)
    lottery: Mapped[float] = mapped_column(server_default=func.random())
    data: Mapped[dict[str, Any]] = mapped_column(default=dict)
    status: Mapped[ContactStatus] = mapped_column(
        text_enum(ContactStatus), default=ContactStatus.PENDING
    )
    attempts: Mapped[int] = mapped_column(Integer, default=0)
    next_attempt_at: Mapped[datetime] = mapped_column(server_default=func.now())
    last_attempt_at: Mapped[datetime | None]
    last_result: Mapped[AttemptResult | None] = mapped_column(text_enum(AttemptResult))
    attempt_id: Mapped[UUID | None]
    agent_id: Mapped[int | None] = mapped_column(BigInteger)
    reserved_until: Mapped[datetime | None]
    disposition: Mapped[str | None]
    notes: Mapped[str | None]
    import_id: Mapped[int | None] = mapped_column(BigInteger)

    __table_args__ = (
        Index("uq_campaign_contacts_number", "campaign_id", "main_number", unique=True),
        Index(
            "ix_campaign_contacts_due",
            "campaign_id",
            text("priority DESC"),
            "id",
            postgresql_where=text("status = 'pending'"),
        ),
        Index("ix_campaign_contacts_status", "campaign_id", "status", "id"),
        Index(
            "ix_campaign_contacts_reserved",
            "reserved_until",
            postgresql_where=text("status = 'preview'"),
        ),
    )


class CampaignAttempt(Base):
    """One call of one contact. `id` is the call's, written with it before anything is dialled.

    `result` None: under way. `position`: index of the contact's number. `counted`: whether it is
    an attempt of the contact. `person`: whether a person answered; None while nobody knows.
    `ring_ms`: placing to answer, or to the end without one; `wait_ms`: answer to agent;
    `talk_ms`: agent's answer to the end. `cause`: the switch's. `settled_at`: when the result came.
    """

    __tablename__ = "campaign_attempts"

    id: Mapped[UUID] = mapped_column(primary_key=True)
    started_at: Mapped[datetime] = mapped_column(primary_key=True)
    tenant_id: Mapped[int] = mapped_column(BigInteger)
    campaign_id: Mapped[int] = mapped_column(BigInteger)
    contact_id: Mapped[int] = mapped_column(BigInteger)
    number: Mapped[str]
    position: Mapped[int] = mapped_column(Integer, default=0)
    agent_id: Mapped[int | None] = mapped_column(BigInteger)
    result: Mapped[AttemptResult | None] = mapped_column(text_enum(AttemptResult))
    counted: Mapped[bool] = mapped_column(default=True)
    person: Mapped[bool | None]
    answered_at: Mapped[datetime | None]
    ended_at: Mapped[datetime | None]
    ring_ms: Mapped[int | None] = mapped_column(BigInteger)
    wait_ms: Mapped[int | None] = mapped_column(BigInteger)
    talk_ms: Mapped[int | None] = mapped_column(BigInteger)
    cause: Mapped[str | None]
    settled_at: Mapped[datetime | None]
    disposition: Mapped[str | None]
    notes: Mapped[str | None]

    __table_args__ = (
        Index("ix_campaign_attempts_campaign", "campaign_id", "started_at", "id"),
        Index("ix_campaign_attempts_contact", "contact_id", "started_at"),
        Index("ix_campaign_attempts_number", "tenant_id", "number", "started_at"),
        Index(
            "ix_campaign_attempts_people",
            "campaign_id",
            "started_at",
            postgresql_where=text("result IN ('connected', 'dropped', 'abandoned')"),
        ),
        Index(
            "ix_campaign_attempts_settled",
            "campaign_id",
            "settled_at",
        ),
        Index(
            "ix_campaign_attempts_open",
            "campaign_id",
            postgresql_where=text("result IS NULL"),
        ),
        {"postgresql_partition_by": "RANGE (started_at)"},
    )

    @property
    def call_sid(self) -> str:
        return call_sid(self.id)


class DoNotCall(Noun, Base):
    """A number that is not called: of the platform (no tenant), a tenant, or one campaign."""

    PREFIX = "dnc"
    __tablename__ = "do_not_call"

    tenant_id: Mapped[int | None] = mapped_column(ForeignKey("tenants.id"))
    campaign_id: Mapped[int | None] = mapped_column(BigInteger)
    number: Mapped[str]
    reason: Mapped[str | None]

    __table_args__ = (
        Index(
            "uq_do_not_call_number",
            "number",
            "tenant_id",
            "campaign_id",
            unique=True,
            postgresql_nulls_not_distinct=True,
        ),
        Index("ix_do_not_call_owner", "tenant_id", "campaign_id", "id"),
    )


class ImportStatus(StrEnum):
    QUEUED = "queued"
    RUNNING = "running"
    COMPLETED = "completed"
    FAILED = "failed"


class CampaignImport(Noun, Base):
    """A file of contacts. `location`: where the storage keeps it until it has been read.

    `mapping`: field of a contact -> column of the file. `done`: rows read so far, where the next
    worker goes on. `error`: why it failed as a whole. `next_try_at`: when a worker takes it; while
    one has it, when that one counts as lost.
    """

    PREFIX = "imp"
    __tablename__ = "campaign_imports"

    tenant_id: Mapped[int] = mapped_column(BigInteger)
    campaign_id: Mapped[int] = mapped_column(ForeignKey("campaigns.id"), index=True)
    filename: Mapped[str]
    format: Mapped[str]
    location: Mapped[str | None]
    mapping: Mapped[dict[str, str]]
    default_country: Mapped[str | None]
    status: Mapped[ImportStatus] = mapped_column(
        text_enum(ImportStatus), default=ImportStatus.QUEUED
    )
    size_bytes: Mapped[int] = mapped_column(BigInteger)
    total: Mapped[int | None] = mapped_column(Integer)
    done: Mapped[int] = mapped_column(Integer, default=0)
    added: Mapped[int] = mapped_column(Integer, default=0)
    duplicates: Mapped[int] = mapped_column(Integer, default=0)
    rejected: Mapped[int] = mapped_column(Integer, default=0)
    error: Mapped[str | None]
    next_try_at: Mapped[datetime] = mapped_column(server_default=func.now())
    finished_at: Mapped[datetime | None]

    __table_args__ = (
        Index(
            "ix_campaign_imports_due",
            "next_try_at",
            postgresql_where=text("status IN ('queued', 'running')"),
        ),
    )


class CampaignImportRow(Noun, Base):
    """What is wrong with a cell of a file. `row`: as spreadsheets count, the header is 1."""

    PREFIX = "improw"
    __tablename__ = "campaign_import_rows"

    import_id: Mapped[int] = mapped_column(ForeignKey("campaign_imports.id", ondelete="CASCADE"))
    row: Mapped[int] = mapped_column(Integer)
    field: Mapped[str]
    value: Mapped[str]
    message: Mapped[str]

    __table_args__ = (Index("uq_campaign_import_rows", "import_id", "row", "field", unique=True),)
