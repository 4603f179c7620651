"""Rows of WhatsApp: templates as Meta has them."""

from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import ForeignKey, Index, func
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
