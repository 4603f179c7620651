"""Rows of rules."""

from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

from sqlalchemy import ForeignKey, Integer, func
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column

from irisx.kernel.db import Base, text_enum
from irisx.messaging.states import Direction
from irisx.tenancy.models import Noun


class Trigger(StrEnum):
    """MISSED: the call ended without an answer. ENDED: it had been answered."""

    MISSED = "missed"
    ENDED = "ended"


class CallRule(Noun, Base):
    """A message that follows calls. Of a tenant's rules, by `position`, the first that fits a call
    sends its message; no call is followed by two.

    Conditions: `direction` None, `numbers` (ours) and `statuses` empty: any.
    `repeat_after_minutes`: nobody gets another message of a rule before. `text`: a template
    (kernel/template.py); `whatsapp_template`: name, language and the templates of its body's
    parameters.
    """

    PREFIX = "rule"
    __tablename__ = "call_rules"

    tenant_id: Mapped[int] = mapped_column(ForeignKey("tenants.id"), index=True)
    name: Mapped[str]
    enabled: Mapped[bool] = mapped_column(default=True)
    position: Mapped[int] = mapped_column(Integer, default=100)
    trigger: Mapped[Trigger] = mapped_column(text_enum(Trigger))
    direction: Mapped[Direction | None] = mapped_column(text_enum(Direction))
    numbers: Mapped[list[str]]
    statuses: Mapped[list[str]]
    channel: Mapped[str]
    sender: Mapped[str | None]
    text: Mapped[str | None]
    whatsapp_template: Mapped[dict[str, Any] | None] = mapped_column(JSONB(none_as_null=True))
    repeat_after_minutes: Mapped[int] = mapped_column(Integer, default=60)
    updated_at: Mapped[datetime] = mapped_column(server_default=func.now(), onupdate=func.now())

    @property
    def pause(self) -> timedelta:
        return timedelta(minutes=self.repeat_after_minutes)
