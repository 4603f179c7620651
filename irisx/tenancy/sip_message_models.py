"""Rows by which messaging asks an engine for a SIP MESSAGE."""

from datetime import datetime
from enum import StrEnum
from uuid import UUID

from sqlalchemy import BigInteger, Index, Integer, func
from sqlalchemy.orm import Mapped, mapped_column

from irisx.kernel.db import Base, text_enum


class SipMessageStatus(StrEnum):
    """`asked`: no engine has it. `sending`: an engine does. Then one of: `accepted` (2xx),
    `refused` by every carrier, `unanswered` (it may have arrived), `unroutable`, `unable` (the
    switch can't)."""

    ASKED = "asked"
    SENDING = "sending"
    ACCEPTED = "accepted"
    REFUSED = "refused"
    UNANSWERED = "unanswered"
    UNROUTABLE = "unroutable"
    UNABLE = "unable"


class SipMessage(Base):
    """One attempt at sending a text as SIP MESSAGE; gone as soon as the asker knows its outcome."""

    __tablename__ = "sip_messages"

    message_id: Mapped[UUID] = mapped_column(primary_key=True)
    attempt: Mapped[int] = mapped_column(Integer, primary_key=True)
    tenant_id: Mapped[int] = mapped_column(BigInteger)
    from_number: Mapped[str]
    to_number: Mapped[str]
    body: Mapped[str]
    status: Mapped[SipMessageStatus] = mapped_column(text_enum(SipMessageStatus))
    detail: Mapped[str | None]
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())

    __table_args__ = (Index("ix_sip_messages_asked", "status", "created_at"),)
