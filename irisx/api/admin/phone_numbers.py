"""`/admin/phone-numbers`: all numbers of the platform."""

from typing import Any

from pydantic import Field

from irisx.api.auth import ADMIN
from irisx.api.http import Router
from irisx.api.numbers import Number, NumberId, TenantId
from irisx.api.schemas import Answer, Body, OffsetPagination, OffsetQuery, Success, listed
from irisx.api.v1.settings import NewNumber, NumberChange
from irisx.tenancy import numbers
from irisx.tenancy.access import Admin
from irisx.tenancy.models import PhoneNumber

router = Router("Phone Number Management")


class ProvisionedNumber(NewNumber):
    tenant_id: TenantId | None = Field(None, description="null: in the pool.")


class Assignment(Body):
    tenant_id: TenantId | None = Field(description="null: back to the pool.")


class AdminNumber(Number):
    tenant_id: TenantId | None


class AdminNumbers(Answer):
    phone_numbers: list[AdminNumber]
    pagination: OffsetPagination


@router.get("/admin/phone-numbers", access=ADMIN, answer=Success[AdminNumbers])
def admin_list_phone_numbers(query: OffsetQuery) -> dict[str, Any]:
    """All phone numbers."""
    rows, total = numbers.list_page(None, limit=query.limit, offset=query.offset)
    return listed("phone_numbers", rows, query, total)


@router.post("/admin/phone-numbers", access=ADMIN, answer=AdminNumber, status=201)
def admin_provision_phone_number(caller: Admin, body: ProvisionedNumber) -> PhoneNumber:
    """Provision a number."""
    return numbers.add(caller, **body.model_dump())


@router.get("/admin/phone-numbers/<number_id>", access=ADMIN, answer=AdminNumber)
def admin_get_phone_number(number_id: NumberId) -> PhoneNumber:
    """Get a number."""
    return numbers.get(None, number_id)


@router.put("/admin/phone-numbers/<number_id>", access=ADMIN, answer=AdminNumber)
def admin_update_phone_number(
    caller: Admin, number_id: NumberId, body: NumberChange
) -> PhoneNumber:
    """Update a number."""
    return numbers.change(caller, None, number_id, **body.model_dump(exclude_unset=True))


@router.delete("/admin/phone-numbers/<number_id>", access=ADMIN)
def admin_release_phone_number(caller: Admin, number_id: NumberId) -> None:
    """Release a number."""
    numbers.remove(caller, None, number_id)


@router.post("/admin/phone-numbers/<number_id>/assign", access=ADMIN, answer=AdminNumber)
def admin_assign_phone_number(caller: Admin, number_id: NumberId, body: Assignment) -> PhoneNumber:
    """Assign a number to a tenant. Its destination is forgotten: it was the old tenant's."""
    return numbers.assign(caller, number_id, body.tenant_id)
