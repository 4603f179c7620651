"""A tenant's wallboard: its figures, its configuration, and what is told of it."""

from typing import Any

from sqlalchemy import select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from irisx.kernel.clock import now
from irisx.kernel.db import transaction
from irisx.kernel.errors import invalid
from irisx.kernel.ids import public_id, row_key
from irisx.telephony.acd.models import Queue
from irisx.telephony.wallboard.config import WallboardConfig
from irisx.telephony.wallboard.figures import Board, board
from irisx.telephony.wallboard.models import Wallboard
from irisx.tenancy import audit
from irisx.tenancy.access import Actor


def read(tenant_id: int) -> Board:
    with transaction() as session:
        return board(session, tenant_id, _config(session, tenant_id))


def config(tenant_id: int) -> WallboardConfig:
    with transaction() as session:
        return _config(session, tenant_id)


def configure(by: Actor, tenant_id: int, wanted: WallboardConfig) -> WallboardConfig:
    """Replace the configuration. Raises ValidationError about a queue that is not there."""
    values: dict[str, Any] = wanted.model_dump(mode="json")
    with transaction() as session:
        for place, alert in enumerate(wanted.alerts):
            if alert.queue_id is not None and not _has_queue(session, tenant_id, alert.queue_id):
                raise invalid(f"alerts.{place}.queue_id", f"there is no {alert.queue_id}")
        before = _config(session, tenant_id).model_dump(mode="json")
        statement = insert(Wallboard).values(
            tenant_id=tenant_id, config=values, pushed={}, raised=[], look_at=now()
        )
        session.execute(
            statement.on_conflict_do_update(
                index_elements=["tenant_id"],
                set_={"config": values, "look_at": now(), "updated_at": now()},
            )
        )
        audit.record(
            session,
            by,
            "wallboard.configured",
            public_id("ten", tenant_id),
            tenant_id=tenant_id,
            before=before,
            after=values,
        )
    return wanted


def _config(session: Session, tenant_id: int) -> WallboardConfig:
    stored = session.scalar(select(Wallboard.config).where(Wallboard.tenant_id == tenant_id))
    return WallboardConfig.model_validate(stored or {})


def _has_queue(session: Session, tenant_id: int, queue_id: str) -> bool:
    mine = select(Queue.id).where(
        Queue.tenant_id == tenant_id,
        Queue.id == row_key(Queue.PREFIX, queue_id),
        Queue.deleted_at.is_(None),
    )
    return session.scalar(mine) is not None
