"""The worker's look at every wallboard: what changed is told, and alerts are raised and cleared.

A wallboard's row is locked while it is looked at, so every change and every crossing of a threshold
is told once, however many workers there are.
"""

from datetime import datetime, timedelta
from typing import Any
from uuid import uuid4

from sqlalchemy import func, literal, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from irisx.kernel import events
from irisx.kernel.clock import isoformat, now
from irisx.kernel.db import transaction
from irisx.kernel.ids import public_id
from irisx.telephony.acd.models import Queue
from irisx.telephony.wallboard.config import Alert, Metric, WallboardConfig
from irisx.telephony.wallboard.figures import Board, Figures, board
from irisx.telephony.wallboard.models import Wallboard

UPDATED, ALERT = "wallboard.updated", "wallboard.alert"
BATCH = 50
#: Where nothing is pushed, alerts are looked at so often (s).
_ALERTS_EVERY = 5


def watch() -> bool:
    """Look at the wallboards that are due; True: there may be more."""
    with transaction() as session:
        _add_new(session)
        due = session.scalars(
            select(Wallboard)
            .where(Wallboard.look_at <= func.now())
            .order_by(Wallboard.look_at)
            .limit(BATCH)
            .with_for_update(skip_locked=True)
        ).all()
        for row in due:
            _look(session, row)
    return len(due) == BATCH


def _add_new(session: Session) -> None:
    """Tenants who have queues and no wallboard yet."""
    known = select(Wallboard.tenant_id)
    missing = (
        select(
            Queue.tenant_id,
            literal({}, Wallboard.config.type),
            literal({}, Wallboard.pushed.type),
            literal([], Wallboard.raised.type),
        )
        .where(Queue.deleted_at.is_(None), Queue.tenant_id.not_in(known))
        .distinct()
    )
    columns = ["tenant_id", "config", "pushed", "raised"]
    session.execute(insert(Wallboard).from_select(columns, missing).on_conflict_do_nothing())


def _look(session: Session, row: Wallboard) -> None:
    config = WallboardConfig.model_validate(row.config)
    found = board(session, row.tenant_id, config)
    if config.push_seconds is not None:
        shown = view(found)
        if shown != row.pushed:
            row.pushed = shown
            _tell(session, row.tenant_id, UPDATED, shown | {"at": isoformat(found.at)}, found.at)
    raised = list(row.raised)
    for alert in config.alerts:
        _check(session, row.tenant_id, alert, found, raised)
    ids = {alert.id for alert in config.alerts}
    row.raised = [each for each in raised if each in ids]
    row.look_at = now() + timedelta(seconds=config.push_seconds or _ALERTS_EVERY)


def view(found: Board) -> dict[str, Any]:
    """The wallboard as it is pushed. A wait that goes on is no change by itself."""
    return _lasting(found.total) | {
        "queues": [
            {"id": public_id(Queue.PREFIX, each.queue.id), "name": each.queue.name} | _lasting(each)
            for each in found.queues
            if each.queue is not None
        ]
    }


def _lasting(figures: Figures) -> dict[str, Any]:
    return {name: value for name, value in figures.view().items() if name != Metric.LONGEST_WAIT}


def _check(session: Session, tenant_id: int, alert: Alert, found: Board, raised: list[str]) -> None:
    """Raise or clear an alert; what has no value (yet) changes nothing."""
    figures = _watched(alert, found)
    value = None if figures is None else figures.view()[alert.metric]
    if value is None or alert.holds(value) is (alert.id in raised):
        return
    if alert.id in raised:
        raised.remove(alert.id)
    else:
        raised.append(alert.id)
    data = alert.model_dump(mode="json") | {
        "state": "raised" if alert.id in raised else "cleared",
        "value": value,
    }
    _tell(session, tenant_id, ALERT, data, found.at)


def _watched(alert: Alert, found: Board) -> Figures | None:
    if alert.queue_id is None:
        return found.total
    return next(
        (
            each
            for each in found.queues
            if each.queue and public_id(Queue.PREFIX, each.queue.id) == alert.queue_id
        ),
        None,
    )


def _tell(session: Session, tenant_id: int, type: str, data: dict[str, Any], at: datetime) -> None:
    events.publish(
        session, key=f"{type}:{uuid4()}", tenant_id=tenant_id, type=type, data=data, occurred_at=at
    )
