"""Rows of wallboards."""

from datetime import datetime
from typing import Any

from sqlalchemy import ForeignKey, Index, func
from sqlalchemy.orm import Mapped, mapped_column

from irisx.kernel.db import Base


class Wallboard(Base):
    """A tenant's wallboard. `config`: WallboardConfig.

    `pushed`: the object that was told last; `raised`: ids of the alerts that hold.
    `look_at`: when a worker looks at it (again).
    """

    __tablename__ = "wallboards"

    tenant_id: Mapped[int] = mapped_column(
        ForeignKey("tenants.id", ondelete="CASCADE"), primary_key=True
    )
    config: Mapped[dict[str, Any]] = mapped_column(default=dict)
    pushed: Mapped[dict[str, Any]] = mapped_column(default=dict)
    raised: Mapped[list[str]] = mapped_column(default=list)
    look_at: Mapped[datetime] = mapped_column(server_default=func.now())
    updated_at: Mapped[datetime] = mapped_column(server_default=func.now())

    __table_args__ = (Index("ix_wallboards_look_at", "look_at"),)
