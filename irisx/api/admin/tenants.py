"""`/admin/tenants`: the customers of the platform."""

from typing import Any

from pydantic import Field

from irisx.api.auth import ADMIN
from irisx.api.http import Router
from irisx.api.numbers import TenantId
from irisx.api.schemas import (
    UNSET,
    Answer,
    Body,
    Name,
    OffsetPagination,
    OffsetQuery,
    Success,
    Timestamp,
    listed,
)
from irisx.api.v1.api_keys import IssuedKey, NewKey, issued_answer
from irisx.tenancy import api_keys, tenants
from irisx.tenancy.access import Admin
from irisx.tenancy.models import Tenant as TenantRow
from irisx.tenancy.models import TenantStatus
from irisx.tenancy.settings import TenantSettings

router = Router("Tenant Management")


class NewTenant(Body):
    name: Name
    settings: TenantSettings = Field(default_factory=TenantSettings)


class TenantChange(Body):
    name: Name = UNSET
    settings: TenantSettings = UNSET


class TenantQuery(OffsetQuery):
    status: TenantStatus | None = Field(None, description="Default: all but the deleted.")


class Tenant(Answer):
    id: TenantId
    name: str
    status: TenantStatus
    settings: TenantSettings
    created_at: Timestamp
    updated_at: Timestamp


class Tenants(Answer):
    tenants: list[Tenant]
    pagination: OffsetPagination


@router.get("/admin/tenants", access=ADMIN, answer=Success[Tenants])
def admin_list_tenants(query: TenantQuery) -> dict[str, Any]:
    """List tenants."""
    rows, total = tenants.list_page(limit=query.limit, offset=query.offset, status=query.status)
    return listed("tenants", rows, query, total)


@router.post("/admin/tenants", access=ADMIN, answer=Tenant, status=201)
def admin_create_tenant(caller: Admin, body: NewTenant) -> TenantRow:
    """Create a tenant."""
    settings = body.settings.model_dump(mode="json", exclude_unset=True)
    return tenants.create(caller, name=body.name, settings=settings)


@router.get("/admin/tenants/<tenant_id>", access=ADMIN, answer=Tenant)
def admin_get_tenant(tenant_id: TenantId) -> TenantRow:
    """Get a tenant."""
    return tenants.get(tenant_id)


@router.put("/admin/tenants/<tenant_id>", access=ADMIN, answer=Tenant)
def admin_update_tenant(caller: Admin, tenant_id: TenantId, body: TenantChange) -> TenantRow:
    """Update a tenant: its name, and those settings that are given."""
    changes = body.model_dump(mode="json", exclude_unset=True)
    return tenants.change(caller, tenant_id, **changes)


@router.delete("/admin/tenants/<tenant_id>", access=ADMIN)
def admin_delete_tenant(caller: Admin, tenant_id: TenantId) -> None:
    """Delete a tenant: nothing of it works any more, its records are kept."""
    tenants.set_status(caller, tenant_id, TenantStatus.DELETED)


@router.post("/admin/tenants/<tenant_id>/suspend", access=ADMIN, answer=Tenant)
def admin_suspend_tenant(caller: Admin, tenant_id: TenantId) -> TenantRow:
    """Suspend a tenant: its keys are refused and its numbers do not answer."""
    return tenants.set_status(caller, tenant_id, TenantStatus.SUSPENDED)


@router.post("/admin/tenants/<tenant_id>/activate", access=ADMIN, answer=Tenant)
def admin_activate_tenant(caller: Admin, tenant_id: TenantId) -> TenantRow:
    """Activate a suspended tenant."""
    return tenants.set_status(caller, tenant_id, TenantStatus.ACTIVE)


@router.post("/admin/tenants/<tenant_id>/api-keys", access=ADMIN, answer=IssuedKey, status=201)
def admin_create_api_key(caller: Admin, tenant_id: TenantId, body: NewKey) -> dict[str, Any]:
    """Create an API key of a tenant: a new tenant's first."""
    tenants.get(tenant_id)
    return issued_answer(api_keys.create(caller, tenant_id, **dict(body)))
