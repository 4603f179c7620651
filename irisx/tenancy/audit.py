"""The audit log: who changed what, written in the transaction of the change."""

import re
from collections.abc import Sequence
from typing import Any

from pydantic_core import to_jsonable_python
from sqlalchemy import inspect, select
from sqlalchemy.orm import Session

from irisx.kernel.db import Base, transaction
from irisx.tenancy.access import Actor
from irisx.tenancy.models import AuditEntry, Noun, Tenant

#: How columns end that hold a secret or its hash; their values are in no audit entry.
_SECRET = ("_hash", "_encrypted")

Snapshot = dict[str, Any]


def snapshot(row: Base | Noun) -> Snapshot:
    """The row's columns as JSON, a secret's only as the fact that there is one."""
    values = {c.key: getattr(row, c.key) for c in inspect(type(row)).column_attrs}
    shown = {k: "[set]" if k.endswith(_SECRET) and v is not None else v for k, v in values.items()}
    return dict(to_jsonable_python(shown))


def created(session: Session, by: Actor, row: Noun) -> None:
    session.flush()  # the row's key is the entry's target
    _of_row(session, by, "created", row, None, snapshot(row))


def updated(session: Session, by: Actor, row: Noun, before: Snapshot) -> None:
    """`before`: the row's snapshot from before the change."""
    session.flush()
    _of_row(session, by, "updated", row, before, snapshot(row))


def deleted(session: Session, by: Actor, row: Noun) -> None:
    _of_row(session, by, "deleted", row, snapshot(row), None)


def _of_row(
    session: Session,
    by: Actor,
    verb: str,
    row: Noun,
    before: Snapshot | None,
    after: Snapshot | None,
) -> None:
    noun = re.sub(r"(?<!^)(?=[A-Z])", "_", type(row).__name__).lower()
    tenant_id = row.id if isinstance(row, Tenant) else getattr(row, "tenant_id", None)
    action = f"{noun}.{verb}"
    record(session, by, action, row.public_id, tenant_id=tenant_id, before=before, after=after)


def record(
    session: Session,
    by: Actor,
    action: str,
    target: str,
    *,
    tenant_id: int | None,
    before: Snapshot | None = None,
    after: Snapshot | None = None,
) -> None:
    """An entry about anything; `action` is `noun.verb`, `target` the public id of the noun."""
    session.add(
        AuditEntry(
            tenant_id=tenant_id,
            actor=by.name,
            action=action,
            target=target,
            ip=by.ip,
            request_id=by.request_id,
            before=before,
            after=after,
        )
    )


def entries(
    tenant_id: int | None, *, before_id: int | None, limit: int, action: str | None = None
) -> Sequence[AuditEntry]:
    """Newest first, of one tenant (None: of all); `before_id` continues a list."""
    query = select(AuditEntry).order_by(AuditEntry.id.desc()).limit(limit)
    if tenant_id is not None:
        query = query.where(AuditEntry.tenant_id == tenant_id)
    if before_id is not None:
        query = query.where(AuditEntry.id < before_id)
    if action is not None:
        query = query.where(AuditEntry.action == action)
    with transaction() as session:
        return session.scalars(query).all()
