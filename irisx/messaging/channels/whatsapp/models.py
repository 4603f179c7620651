"""Rows of WhatsApp: templates as Meta has them, and sessions of WAHA accounts."""

from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import ForeignKey, Index, Integer, func
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column

from irisx.kernel.db import Base, text_enum
from irisx.tenancy.models import Noun


class TemplateStatus(StrEnum):
    """Meta's words in lower case; UNKNOWN: one that IRISX does not know."""

    PENDING = "pending"
    APPROVED = "approved"
    REJECTED = "rejected"
    FLAGGED = "flagged"
    PAUSED = "paused"
    DISABLED = "disabled"
    IN_APPEAL = "in_appeal"
    LIMIT_EXCEEDED = "limit_exceeded"
    ARCHIVED = "archived"
    PENDING_DELETION = "pending_deletion"
    DELETED = "deleted"
    UNKNOWN = "unknown"


class StoredTemplate(Noun, Base):
    """A template of a WhatsApp business account (`business_account`: Meta's id of it, empty for
    the sandbox). `components`: its definition. `status_at`: when Meta said the status."""

    PREFIX = "wat"
    __tablename__ = "whatsapp_templates"

    tenant_id: Mapped[int] = mapped_column(ForeignKey("tenants.id"))
    business_account: Mapped[str]
    name: Mapped[str]
    language: Mapped[str]
    category: Mapped[str]
    components: Mapped[list[dict[str, Any]]] = mapped_column(JSONB)
    status: Mapped[TemplateStatus] = mapped_column(text_enum(TemplateStatus))
    status_at: Mapped[datetime]
    rejected_reason: Mapped[str | None]
    reference: Mapped[str | None]
    updated_at: Mapped[datetime] = mapped_column(server_default=func.now(), onupdate=func.now())

    __table_args__ = (
        Index(
            "uq_whatsapp_templates_name",
            "tenant_id",
            "business_account",
            "name",
            "language",
            unique=True,
        ),
    )


class SessionStatus(StrEnum):
    """WAHA's words in lower case. UNREACHABLE: the WAHA server does not answer or refuses us."""

    STOPPED = "stopped"
    STARTING = "starting"
    SCAN_QR_CODE = "scan_qr_code"
    WORKING = "working"
    FAILED = "failed"
    UNREACHABLE = "unreachable"


class WahaSession(Base):
    """The session of a WAHA account. `wanted`: somebody started it, so it is started again
    whenever it ends; `due_at`: when the worker looks at it next; `failures`: in a row."""

    __tablename__ = "waha_sessions"

    account_id: Mapped[int] = mapped_column(
        ForeignKey("provider_accounts.id", ondelete="CASCADE"), primary_key=True
    )
    tenant_id: Mapped[int] = mapped_column(ForeignKey("tenants.id"))
    wanted: Mapped[bool]
    status: Mapped[SessionStatus] = mapped_column(text_enum(SessionStatus))
    status_at: Mapped[datetime]
    failures: Mapped[int] = mapped_column(Integer, default=0)
    due_at: Mapped[datetime]

    __table_args__ = (Index("ix_waha_sessions_due", "due_at"),)
