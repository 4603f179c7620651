"""Rows of flows and their versions."""

from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import JSON, BigInteger, ForeignKey, Index, Integer, UniqueConstraint, func
from sqlalchemy.orm import Mapped, mapped_column

from irisx.kernel.db import Base, Row, text_enum
from irisx.telephony.ivr import prompt_models, visit_models  # noqa: F401 - this room's other rows
from irisx.tenancy.models import Noun


class VersionStatus(StrEnum):
    """`published`: it was checked and may run calls; which one does, the flow says."""

    DRAFT = "draft"
    PUBLISHED = "published"


class IvrFlow(Noun, Base):
    """A flow. `latest`: number of its newest version; `published`: of the one that new calls get.

    A deleted flow keeps its rows for the calls that are in it.
    """

    PREFIX = "flow"
    __tablename__ = "ivr_flows"

    tenant_id: Mapped[int] = mapped_column(ForeignKey("tenants.id"))
    name: Mapped[str]
    latest: Mapped[int] = mapped_column(Integer)
    published: Mapped[int | None] = mapped_column(Integer)
    updated_at: Mapped[datetime] = mapped_column(server_default=func.now(), onupdate=func.now())
    deleted_at: Mapped[datetime | None]

    __table_args__ = (Index("ix_ivr_flows_tenant", "tenant_id", "id"),)


class IvrFlowVersion(Row, Base):
    """One version of a flow; its document never changes.

    `document`: the flow as it was written (`flow.Flow`). `uses`: ids of prompts and flows that
    it names, so that these can say who needs them.
    """

    __tablename__ = "ivr_flow_versions"

    flow_id: Mapped[int] = mapped_column(ForeignKey("ivr_flows.id"))
    tenant_id: Mapped[int] = mapped_column(BigInteger)
    number: Mapped[int] = mapped_column(Integer)
    status: Mapped[VersionStatus] = mapped_column(text_enum(VersionStatus))
    document: Mapped[dict[str, Any]] = mapped_column(JSON)  # keeps the order of its fields
    uses: Mapped[list[str]]
    author: Mapped[str]
    published_at: Mapped[datetime | None]

    __table_args__ = (UniqueConstraint("flow_id", "number"),)
