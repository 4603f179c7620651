"""The rows of voice assistants: numbers and flows lead to them, `irisx/intelligence` runs them."""

from datetime import datetime
from typing import Any

from sqlalchemy import ForeignKey, func
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column

from irisx.kernel.db import Base
from irisx.tenancy.models import Noun


class VoiceAssistant(Noun, Base):
    """Who talks with callers, and how.

    `knowledge_base_id`: what its answers rest on. `escalation`: the destination, as PhoneNumber
    has it, of calls that a person must take. `limits`, `silence`, `listening`,
    `phrases` and `tools`: as `irisx/intelligence/assistants/config.py` describes them.
    """

    PREFIX = "asst"
    __tablename__ = "voice_assistants"

    tenant_id: Mapped[int] = mapped_column(ForeignKey("tenants.id"), index=True)
    name: Mapped[str]
    language: Mapped[str]
    voice: Mapped[str | None]
    personality: Mapped[str]
    greeting: Mapped[str]
    instructions: Mapped[str | None]
    knowledge_base_id: Mapped[int | None]
    capabilities: Mapped[list[str]]
    escalation_triggers: Mapped[list[str]]
    escalation: Mapped[dict[str, Any] | None]
    limits: Mapped[dict[str, Any]]
    silence: Mapped[dict[str, Any]]
    listening: Mapped[dict[str, Any]]
    phrases: Mapped[dict[str, Any]]
    tools: Mapped[list[dict[str, Any]]] = mapped_column(JSONB)
    updated_at: Mapped[datetime] = mapped_column(server_default=func.now(), onupdate=func.now())
