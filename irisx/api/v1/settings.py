"""`/v1/settings`: what a tenant chooses for itself, and its phone numbers."""

from typing import Any

from pydantic import Field

from irisx.api.http import Router
from irisx.api.numbers import E164, Destination, Number, NumberId, check_destination
from irisx.api.schemas import (
    UNSET,
    Answer,
    Body,
    Name,
    OffsetPagination,
    OffsetQuery,
    Success,
    listed,
)
from irisx.tenancy import numbers, tenants
from irisx.tenancy.access import Caller
from irisx.tenancy.models import PhoneNumber
from irisx.tenancy.settings import TenantSettings

router = Router("Tenant Settings")


class NewNumber(Body):
    number: E164
    name: Name | None = None
    destination: Destination | None = Field(None, description="What an inbound call reaches.")


class NumberChange(Body):
    name: Name | None = UNSET
    destination: Destination | None = UNSET


class Numbers(Answer):
    phone_numbers: list[Number]
    pagination: OffsetPagination


@router.get("/v1/settings", access="settings:read", answer=TenantSettings)
def get_settings(caller: Caller) -> TenantSettings:
    """Get tenant settings."""
    return tenants.settings_of(tenants.get(caller.tenant_id))


@router.put("/v1/settings", access="settings:write", answer=TenantSettings)
def update_settings(caller: Caller, body: TenantSettings) -> TenantSettings:
    """Update settings: those that are left out stay. Some only an administrator changes."""
    changes = body.model_dump(mode="json", exclude_unset=True)
    return tenants.settings_of(tenants.change(caller, caller.tenant_id, settings=changes))


@router.get("/v1/settings/phone-numbers", access="settings:read", answer=Success[Numbers])
def list_phone_numbers(caller: Caller, query: OffsetQuery) -> dict[str, Any]:
    """Phone numbers."""
    rows, total = numbers.list_page(caller.tenant_id, limit=query.limit, offset=query.offset)
    return listed("phone_numbers", rows, query, total)


@router.post("/v1/settings/phone-numbers", access="settings:write", answer=Number, status=201)
def add_phone_number(caller: Caller, body: NewNumber) -> PhoneNumber:
    """Add a phone number."""
    check_destination(caller.tenant_id, body.destination)
    return numbers.add(caller, tenant_id=caller.tenant_id, **body.model_dump())


@router.get("/v1/settings/phone-numbers/<number_id>", access="settings:read", answer=Number)
def get_phone_number(caller: Caller, number_id: NumberId) -> PhoneNumber:
    """Get a phone number."""
    return numbers.get(caller.tenant_id, number_id)


@router.put("/v1/settings/phone-numbers/<number_id>", access="settings:write", answer=Number)
def update_phone_number(caller: Caller, number_id: NumberId, body: NumberChange) -> PhoneNumber:
    """Update a phone number's name or destination."""
    check_destination(caller.tenant_id, body.destination)
    changes = body.model_dump(exclude_unset=True)
    return numbers.change(caller, caller.tenant_id, number_id, **changes)


@router.delete("/v1/settings/phone-numbers/<number_id>", access="settings:write")
def remove_phone_number(caller: Caller, number_id: NumberId) -> None:
    """Remove a phone number."""
    numbers.remove(caller, caller.tenant_id, number_id)
