"""Rows of email campaigns."""

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import ARRAY, BigInteger, ForeignKey, Index, Integer, func
from sqlalchemy import text as sql
from sqlalchemy.orm import Mapped, mapped_column

from irisx.kernel.db import Base, Row, text_enum
from irisx.messaging.channels.email.campaigns.states import (
    EmailCampaignStage,
    EmailCampaignStatus,
    RecipientStatus,
)
from irisx.tenancy.models import Noun


class EmailCampaign(Noun, Base):
    """An email to everybody on some lists.

    Its words are a template's, or `subject` with `html`, `text` or both; `words` are those that
    are sent, fixed when it begins. `ab_test`: see `service.AbTest`; `winner`: the variant (a, b)
    that the rest gets, from `decide_at` on. `per_minute`: messages made a minute, as many as were
    due by `paced_at` have been. `next_at`: when a worker is to look at it; None: it need not.
    `error`: why it was paused by itself. `sandbox`: begun with a test key.
    """

    PREFIX = "ecmp"
    __tablename__ = "email_campaigns"

    tenant_id: Mapped[int] = mapped_column(ForeignKey("tenants.id"), index=True)
    name: Mapped[str]
    status: Mapped[EmailCampaignStatus] = mapped_column(
        text_enum(EmailCampaignStatus), default=EmailCampaignStatus.DRAFT
    )
    stage: Mapped[EmailCampaignStage | None] = mapped_column(text_enum(EmailCampaignStage))
    from_: Mapped[str | None] = mapped_column("from_address")
    reply_to: Mapped[str | None]
    subject: Mapped[str | None]
    html: Mapped[str | None]
    text: Mapped[str | None]
    template_id: Mapped[int | None] = mapped_column(BigInteger)
    template_version: Mapped[int | None] = mapped_column(Integer)
    words: Mapped[dict[str, Any] | None]
    variables: Mapped[dict[str, Any]] = mapped_column(default=dict)
    list_ids: Mapped[list[int]] = mapped_column(ARRAY(BigInteger))
    per_minute: Mapped[int | None] = mapped_column(Integer)
    ab_test: Mapped[dict[str, Any] | None]
    require_consent: Mapped[bool] = mapped_column(default=False)
    track_opens: Mapped[bool] = mapped_column(default=True)
    track_clicks: Mapped[bool] = mapped_column(default=True)
    winner: Mapped[str | None]
    decide_at: Mapped[datetime | None]
    sandbox: Mapped[bool] = mapped_column(default=False)
    error: Mapped[str | None]
    send_at: Mapped[datetime | None]
    started_at: Mapped[datetime | None]
    ended_at: Mapped[datetime | None]
    paced_at: Mapped[datetime | None]
    next_at: Mapped[datetime | None]
    updated_at: Mapped[datetime] = mapped_column(server_default=func.now(), onupdate=func.now())

    __table_args__ = (
        Index("ix_email_campaigns_next", "next_at", postgresql_where=sql("next_at IS NOT NULL")),
    )


class EmailCampaignRecipient(Row, Base):
    """A contact of a campaign, written down when it began: once, whatever lists it is on, and so
    is an address. `reason`: why there is no message. `variant`: of those whom two subjects are
    tried on. `contact_id`, `address` None: erased, or (address) the contact has none."""

    __tablename__ = "email_campaign_recipients"

    tenant_id: Mapped[int] = mapped_column(BigInteger)
    campaign_id: Mapped[int] = mapped_column(ForeignKey("email_campaigns.id", ondelete="CASCADE"))
    contact_id: Mapped[int | None] = mapped_column(BigInteger, index=True)
    address: Mapped[str | None]
    status: Mapped[RecipientStatus] = mapped_column(text_enum(RecipientStatus))
    reason: Mapped[str | None]
    variant: Mapped[str | None]
    message_id: Mapped[UUID | None]
    message_created_at: Mapped[datetime | None]

    __table_args__ = (
        Index("uq_email_campaign_recipients_contact", "campaign_id", "contact_id", unique=True),
        Index("uq_email_campaign_recipients_address", "campaign_id", "address", unique=True),
        Index("ix_email_campaign_recipients_status", "campaign_id", "status", "id"),
        Index("ix_email_campaign_recipients_message", "message_id"),
    )
