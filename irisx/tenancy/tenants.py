"""Tenants: their life and their settings."""

from collections.abc import Mapping, Sequence
from typing import Any

from pydantic import ValidationError as PydanticError
from sqlalchemy import select
from sqlalchemy.orm import Session

from irisx.kernel.db import transaction
from irisx.kernel.errors import Detail, Forbidden, NotFound, ValidationError, invalid
from irisx.tenancy import api_keys, audit, rows
from irisx.tenancy.access import Actor, Caller
from irisx.tenancy.models import PhoneNumber, Tenant, TenantStatus
from irisx.tenancy.settings import ADMIN_ONLY, TenantSettings


def create(by: Actor, *, name: str, settings: Mapping[str, Any] | None = None) -> Tenant:
    """A new, active tenant; `settings` by the names of TenantSettings."""
    row = Tenant(name=name, settings={})
    with transaction() as session:
        session.add(row)
        session.flush()
        _set_settings(session, by, row, settings or {})
        audit.created(session, by, row)
    return row


def get(tenant_id: int) -> Tenant:
    """The tenant, active or suspended; NotFound for a deleted one."""
    with transaction() as session:
        return _fetch(session, tenant_id)


def require_active(tenant_id: int) -> Tenant:
    """The tenant; Forbidden TENANT_INACTIVE unless it is active."""
    with transaction() as session:
        row = session.get(Tenant, tenant_id)
    if row is None or row.status is not TenantStatus.ACTIVE:
        raise Forbidden("This tenant is not active.", code="TENANT_INACTIVE")
    return row


def settings_of(tenant: Tenant) -> TenantSettings:
    return TenantSettings.model_validate(tenant.settings)


def list_page(
    *, limit: int, offset: int, status: TenantStatus | None = None
) -> tuple[Sequence[Tenant], int]:
    """All but the deleted, unless `status` asks for those."""
    query = select(Tenant).where(
        Tenant.status == status if status else Tenant.status != TenantStatus.DELETED
    )
    with transaction() as session:
        return rows.page(session, query, limit=limit, offset=offset)


def change(
    by: Actor, tenant_id: int, *, name: str | None = None, settings: Mapping[str, Any] | None = None
) -> Tenant:
    """Set the name, and those settings that are given."""
    with transaction() as session:
        row = _fetch(session, tenant_id, lock=True)
        before = audit.snapshot(row)
        if name is not None:
            row.name = name
        _set_settings(session, by, row, settings or {})
        audit.updated(session, by, row, before)
    return row


def set_status(by: Actor, tenant_id: int, status: TenantStatus) -> Tenant:
    """Suspend, activate or delete. Nothing of a tenant that is not active can be used.

    Rows of a deleted tenant are kept; nothing brings it back.
    """
    with transaction() as session:
        row = _fetch(session, tenant_id, lock=True)
        before = audit.snapshot(row)
        row.status = status
        audit.updated(session, by, row, before)
    api_keys.forget_cached()
    return row


def _fetch(session: Session, tenant_id: int, *, lock: bool = False) -> Tenant:
    row = rows.fetch(session, Tenant, tenant_id, tenant_id=None, lock=lock)
    if row.status is TenantStatus.DELETED:
        raise NotFound("There is no ten with this id.")
    return row


def _set_settings(session: Session, by: Actor, row: Tenant, changes: Mapping[str, Any]) -> None:
    current = TenantSettings.model_validate(row.settings).model_dump(mode="json")
    try:
        wanted = TenantSettings.model_validate(current | dict(changes))
    except PydanticError as error:
        raise _faulty(error) from None
    stored = wanted.model_dump(mode="json")
    if isinstance(by, Caller):
        _refuse_admin_only(current, stored)
    number = wanted.default_caller_id
    if number is not None and number != current["default_caller_id"]:
        mine = select(PhoneNumber).filter_by(tenant_id=row.id, number=number)
        if session.scalar(mine) is None:
            raise invalid("default_caller_id", "is not a number of this tenant")
    row.settings = stored


def _refuse_admin_only(current: Mapping[str, Any], wanted: Mapping[str, Any]) -> None:
    faults: list[Detail] = [
        {"field": name, "message": "only an administrator can change this"}
        for name in sorted(ADMIN_ONLY)
        if wanted[name] != current[name]
    ]
    if faults:
        names = ", ".join(fault["field"] for fault in faults)
        raise Forbidden(
            f"Only an administrator can change {names}.", code="ADMIN_ONLY_SETTING", details=faults
        )


def _faulty(error: PydanticError) -> ValidationError:
    faults: list[Detail] = [
        {"field": ".".join(map(str, item["loc"])), "message": item["msg"]}
        for item in error.errors(include_url=False, include_context=False)
    ]
    return ValidationError("The settings are not valid.", details=faults)
