"""Rows of email: templates in versions, and what recipients did with a message."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import BigInteger, ForeignKey, Identity, Index, Integer, func
from sqlalchemy.orm import Mapped, mapped_column

from irisx.kernel.db import Base, Row
from irisx.tenancy.models import Noun


class EmailTemplate(Noun, Base):
    """A template. `version`: the newest; each change makes a new one."""

    PREFIX = "tpl"
    __tablename__ = "email_templates"

    tenant_id: Mapped[int] = mapped_column(ForeignKey("tenants.id"))
    name: Mapped[str]
    version: Mapped[int] = mapped_column(Integer, default=1)
    updated_at: Mapped[datetime] = mapped_column(server_default=func.now(), onupdate=func.now())

    __table_args__ = (Index("uq_email_templates_name", "tenant_id", "name", unique=True),)


class EmailTemplateVersion(Row, Base):
    """What a template says, for good. `variables`: the names that it uses; of these
    `optional` have a `default` filter wherever they stand."""

    __tablename__ = "email_template_versions"

    template_id: Mapped[int] = mapped_column(ForeignKey("email_templates.id", ondelete="CASCADE"))
    version: Mapped[int] = mapped_column(Integer)
    subject: Mapped[str]
    html: Mapped[str | None]
    text: Mapped[str | None]
    variables: Mapped[list[str]]
    optional: Mapped[list[str]]

    __table_args__ = (Index("uq_email_template_versions", "template_id", "version", unique=True),)


class EmailInbox(Base):
    """How far an account's mailbox is read over IMAP. `mailbox`: host, folder and user; UIDs of
    another one mean nothing. `uid_validity` None: not seen yet. `checked_at`: when it was read
    last; `error`: why it can't be, for the `failures`-th time. `next_at`: when it is read next,
    and while a worker reads it, when that counts as lost."""

    __tablename__ = "email_inboxes"

    account_id: Mapped[int] = mapped_column(
        ForeignKey("provider_accounts.id", ondelete="CASCADE"), primary_key=True
    )
    tenant_id: Mapped[int] = mapped_column(BigInteger, index=True)
    mailbox: Mapped[str] = mapped_column(default="")
    uid_validity: Mapped[int | None] = mapped_column(BigInteger)
    last_uid: Mapped[int] = mapped_column(BigInteger, default=0)
    checked_at: Mapped[datetime | None]
    failures: Mapped[int] = mapped_column(Integer, default=0)
    error: Mapped[str | None]
    next_at: Mapped[datetime] = mapped_column(server_default=func.now(), index=True)


class EmailEngagement(Base):
    """An open, a click or an unsubscription. `machine`: a scanner or a prefetcher did it, as far
    as can be told; rates leave these out."""

    __tablename__ = "email_engagements"

    id: Mapped[int] = mapped_column(BigInteger, Identity(), primary_key=True)
    occurred_at: Mapped[datetime] = mapped_column(primary_key=True)
    tenant_id: Mapped[int] = mapped_column(BigInteger)
    message_id: Mapped[UUID]
    kind: Mapped[str]
    url: Mapped[str | None]
    user_agent: Mapped[str | None]
    machine: Mapped[bool]

    __table_args__ = (
        Index("ix_email_engagements_message", "message_id", "kind"),
        Index("ix_email_engagements_tenant", "tenant_id", "occurred_at"),
        {"postgresql_partition_by": "RANGE (occurred_at)"},
    )
