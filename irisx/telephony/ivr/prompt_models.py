"""Rows of uploaded prompts."""

from datetime import datetime

from sqlalchemy import BigInteger, ForeignKey, Integer, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from irisx.kernel.db import Base
from irisx.tenancy.models import Noun


class SpokenVersion(Base):
    """A published version of a flow whose fixed texts are synthesised."""

    __tablename__ = "ivr_spoken_versions"

    version_id: Mapped[int] = mapped_column(BigInteger, primary_key=True)
    spoken_at: Mapped[datetime]


class Prompt(Noun, Base):
    """Audio that a tenant uploaded; its files are named by tenant and key, never by the tenant.

    `source_format`: what was uploaded, such as MP3; the files are WAV of 8 and 16 kHz.
    """

    PREFIX = "prm"
    __tablename__ = "ivr_prompts"

    tenant_id: Mapped[int] = mapped_column(ForeignKey("tenants.id"))
    name: Mapped[str]
    source_format: Mapped[str]
    duration_ms: Mapped[int] = mapped_column(Integer)
    size_bytes: Mapped[int] = mapped_column(BigInteger)

    __table_args__ = (UniqueConstraint("tenant_id", "name"),)
