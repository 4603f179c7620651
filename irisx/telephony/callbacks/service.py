"""What the API does with callbacks. Placing and settling is the worker's (`placing.py`)."""

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from irisx.kernel.db import transaction
from irisx.kernel.errors import Conflict, invalid
from irisx.kernel.ids import public_id
from irisx.kernel.jobs import wake
from irisx.telephony import bus
from irisx.telephony.acd.models import Queue
from irisx.telephony.callbacks import placing
from irisx.telephony.callbacks.models import (
    QUEUE_PRIORITY,
    Callback,
    CallbackStatus,
    First,
    Priority,
)
from irisx.telephony.callbacks.progress import finish, tell
from irisx.telephony.calls import capacity
from irisx.telephony.calls.service import on_sandbox
from irisx.tenancy import audit, rows
from irisx.tenancy.access import Caller
from irisx.tenancy.barring import check_destination
from irisx.tenancy.settings import TenantSettings

#: What wakes the worker; without it a callback is placed a second later.
TOPIC = "callbacks"


def create(caller: Caller, fields: Mapping[str, Any]) -> Callback:
    """Schedule a callback. Raises ValidationError about `queue_id`, Forbidden
    (DESTINATION_NOT_ALLOWED)."""
    row = Callback(
        tenant_id=caller.tenant_id, sandbox=on_sandbox(caller), due_at=fields["scheduled_at"]
    )
    with transaction() as session:
        _assign(session, row, fields)
        session.add(row)
        audit.created(session, caller, row)
        tell(session, row, "scheduled")
    wake(TOPIC)
    return row


def get(tenant_id: int, callback_id: int) -> Callback:
    with transaction() as session:
        return rows.fetch(session, Callback, callback_id, tenant_id=tenant_id)


def list_page(
    tenant_id: int, *, limit: int, offset: int, status: CallbackStatus | None, queue_id: int | None
) -> tuple[Sequence[Callback], int]:
    query = select(Callback).where(Callback.tenant_id == tenant_id)
    if status is not None:
        query = query.where(Callback.status == status)
    if queue_id is not None:
        query = query.where(Callback.queue_id == queue_id)
    with transaction() as session:
        return rows.page(session, query, limit=limit, offset=offset)


def change(caller: Caller, callback_id: int, fields: Mapping[str, Any]) -> Callback:
    """Set the given fields of a callback that is still to come. Raises as `create`, Conflict
    (CALLBACK_NOT_SCHEDULED)."""
    with transaction() as session:
        row = _scheduled(session, caller.tenant_id, callback_id)
        before = audit.snapshot(row)
        _assign(session, row, fields)
        if "scheduled_at" in fields:
            row.due_at = row.scheduled_at
        audit.updated(session, caller, row, before)
    wake(TOPIC)
    return row


def cancel(caller: Caller, callback_id: int) -> None:
    """Raises Conflict (CALLBACK_NOT_SCHEDULED) once it is being called, or over."""
    with transaction() as session:
        row = _scheduled(session, caller.tenant_id, callback_id)
        before = audit.snapshot(row)
        finish(session, row, CallbackStatus.CANCELED, reason="canceled")
        audit.updated(session, caller, row, before)


def execute(caller: Caller, callback_id: int) -> Callback:
    """Call now, whatever the hours: a person of the tenant decides that.

    Raises Conflict (CALLBACK_NOT_SCHEDULED), ValidationError about `from`, TooManyRequests.
    """
    with transaction() as session:
        tenant = capacity.lock_tenant(session, caller.tenant_id)
        row = _scheduled(session, caller.tenant_id, callback_id)
        before = audit.snapshot(row)
        placing.place(session, row, TenantSettings.model_validate(tenant.settings))
        audit.updated(session, caller, row, before)
    bus.wake_dialer()
    return row


def _scheduled(session: Session, tenant_id: int, callback_id: int) -> Callback:
    row = rows.fetch(session, Callback, callback_id, tenant_id=tenant_id, lock=True)
    if row.status is not CallbackStatus.SCHEDULED:
        raise Conflict(
            f"The callback is {row.status.value}; this needs one that is scheduled.",
            code="CALLBACK_NOT_SCHEDULED",
        )
    return row


def _require_queue(session: Session, tenant_id: int, queue_id: int) -> None:
    mine = select(Queue.id).where(
        Queue.tenant_id == tenant_id, Queue.id == queue_id, Queue.deleted_at.is_(None)
    )
    if session.scalar(mine) is None:
        raise invalid("queue_id", f"there is no {public_id(Queue.PREFIX, queue_id)}")


def _assign(session: Session, row: Callback, fields: Mapping[str, Any]) -> None:
    values = dict(fields)
    queue_id = values.get("queue_id")
    if queue_id is not None:
        _require_queue(session, row.tenant_id, queue_id)
    if "phone_number" in values:
        tenant = capacity.lock_tenant(session, row.tenant_id)
        check_destination(values["phone_number"], TenantSettings.model_validate(tenant.settings))
    if "metadata" in values:
        values["metadata_"] = values.pop("metadata")
    rows.assign(row, values)
    if row.first is First.AGENT and row.queue_id is None:
        raise invalid("first", "an agent can be rung first only with a queue_id")
    row.rank = QUEUE_PRIORITY[row.priority or Priority.NORMAL]
