"""The audit log: who changed what, written in the transaction of the change."""

from collections.abc import Iterable
from typing import Any

from pydantic_core import to_jsonable_python
from sqlalchemy import inspect, select
from sqlalchemy.orm import Session

from irisx.kernel.db import Base, transaction
from irisx.tenancy.access import Actor
from irisx.tenancy.models import AuditEntry

#: Columns that hold a secret or its hash; their values are in no audit entry.
_SECRET = frozenset({"password_hash", "token_hash", "key_hash", "password_encrypted"})


def snapshot(row: Base) -> dict[str, Any]:
    """The row's columns as JSON, a secret's only as the fact that there is one."""
    values = {c.key: getattr(row, c.key) for c in inspect(type(row)).column_attrs}
    shown = {k: "[set]" if k in _SECRET and v is not None else v for k, v in values.items()}
    return dict(to_jsonable_python(shown))


def record(
    session: Session,
    by: Actor,
    action: str,
    target: str,
    *,
    tenant_id: int | None,
    before: dict[str, Any] | None = None,
    after: dict[str, Any] | None = None,
) -> None:
    """Add an entry; `action` is `noun.verb`, `target` the public id of what was changed."""
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
) -> Iterable[AuditEntry]:
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
