"""How far each reader of domain events has come."""

from sqlalchemy import BigInteger
from sqlalchemy.orm import Mapped, mapped_column

from irisx.kernel.db import Base


class EventCursor(Base):
    """The place of a reader in the order of (xid, id): everything up to it is handled."""

    __tablename__ = "event_cursors"

    name: Mapped[str] = mapped_column(primary_key=True)
    xid: Mapped[int] = mapped_column(BigInteger, default=0)
    event_id: Mapped[int] = mapped_column(BigInteger, default=0)
