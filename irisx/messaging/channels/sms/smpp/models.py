"""Rows of SMPP."""

from sqlalchemy import BigInteger, Index, Integer
from sqlalchemy.orm import Mapped, mapped_column

from irisx.kernel.db import Base, Row


class SmsPart(Row, Base):
    """A part of a long inbound message that waits for the others, which may arrive at another
    worker."""

    __tablename__ = "sms_parts"

    account_id: Mapped[int] = mapped_column(BigInteger)
    source: Mapped[str]
    destination: Mapped[str]
    reference: Mapped[int] = mapped_column(Integer)
    total: Mapped[int] = mapped_column(Integer)
    number: Mapped[int] = mapped_column(Integer)
    text: Mapped[str]

    __table_args__ = (
        Index(
            "uq_sms_parts_part",
            "account_id",
            "source",
            "destination",
            "reference",
            "total",
            "number",
            unique=True,
        ),
        Index("ix_sms_parts_created_at", "created_at"),
    )
