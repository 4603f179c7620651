"""Phone numbers (DIDs): whose they are and what a call to one reaches."""

from collections.abc import Mapping, Sequence
from typing import Any, TypedDict, Unpack

from sqlalchemy import select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from irisx.kernel.db import transaction
from irisx.kernel.errors import Conflict, invalid
from irisx.kernel.ids import row_key
from irisx.tenancy import audit, rows
from irisx.tenancy.access import Actor
from irisx.tenancy.agent_models import Agent
from irisx.tenancy.assistant_models import VoiceAssistant
from irisx.tenancy.models import DestinationType, PhoneNumber, SipAccount, Tenant, TenantStatus


class NumberFields(TypedDict, total=False):
    """What may be changed of a number. `destination`: as PhoneNumber says."""

    name: str | None
    destination: Mapping[str, Any] | None


def add(
    by: Actor,
    *,
    tenant_id: int | None,
    number: str,
    name: str | None = None,
    destination: Mapping[str, Any] | None = None,
) -> PhoneNumber:
    """A new number of a tenant, or of the pool. Raises Conflict NUMBER_TAKEN."""
    row = PhoneNumber(number=number, tenant_id=tenant_id, name=name)
    try:
        with transaction() as session:
            _require_tenant(session, tenant_id)
            row.destination = _checked(session, tenant_id, destination)
            session.add(row)
            audit.created(session, by, row)
    except IntegrityError:
        raise Conflict(f"{number} is taken already.", code="NUMBER_TAKEN") from None
    return row


def get(tenant_id: int | None, number_id: int) -> PhoneNumber:
    with transaction() as session:
        return rows.fetch(session, PhoneNumber, number_id, tenant_id=tenant_id)


def list_page(
    tenant_id: int | None, *, limit: int, offset: int
) -> tuple[Sequence[PhoneNumber], int]:
    """A tenant's numbers; None: all of the platform."""
    query = select(PhoneNumber)
    if tenant_id is not None:
        query = query.where(PhoneNumber.tenant_id == tenant_id)
    with transaction() as session:
        return rows.page(session, query, limit=limit, offset=offset)


def find_by_e164(number: str) -> PhoneNumber | None:
    with transaction() as session:
        return session.scalar(select(PhoneNumber).where(PhoneNumber.number == number))


def change(
    by: Actor, tenant_id: int | None, number_id: int, **fields: Unpack[NumberFields]
) -> PhoneNumber:
    """Set the given fields."""
    with transaction() as session:
        row = rows.fetch(session, PhoneNumber, number_id, tenant_id=tenant_id, lock=True)
        before = audit.snapshot(row)
        values: dict[str, Any] = {**fields}
        if "destination" in fields:
            values["destination"] = _checked(session, row.tenant_id, fields["destination"])
        rows.assign(row, values)
        audit.updated(session, by, row, before)
    return row


def assign(by: Actor, number_id: int, tenant_id: int | None) -> PhoneNumber:
    """Give a number to a tenant, or back to the pool. Its destination was the old owner's."""
    with transaction() as session:
        _require_tenant(session, tenant_id)
        row = rows.fetch(session, PhoneNumber, number_id, tenant_id=None, lock=True)
        if row.tenant_id != tenant_id:
            _refuse_default_caller_id(session, row)
            before = audit.snapshot(row)
            row.tenant_id = tenant_id
            row.destination = None
            audit.updated(session, by, row, before)
    return row


def remove(by: Actor, tenant_id: int | None, number_id: int) -> None:
    """Raises Conflict NUMBER_IN_USE while it is the tenant's default caller id."""
    with transaction() as session:
        row = rows.fetch(session, PhoneNumber, number_id, tenant_id=tenant_id, lock=True)
        _refuse_default_caller_id(session, row)
        audit.deleted(session, by, row)
        session.delete(row)


def _refuse_default_caller_id(session: Session, row: PhoneNumber) -> None:
    owner = session.get(Tenant, row.tenant_id) if row.tenant_id is not None else None
    if owner is not None and owner.settings.get("default_caller_id") == row.number:
        raise Conflict(
            f"{row.number} is the default_caller_id of its tenant.", code="NUMBER_IN_USE"
        )


def _require_tenant(session: Session, tenant_id: int | None) -> None:
    if tenant_id is None:
        return
    tenant = session.get(Tenant, tenant_id)
    if tenant is None or tenant.status is TenantStatus.DELETED:
        raise invalid("tenant_id", "there is no such tenant")


def _checked(
    session: Session, tenant_id: int | None, destination: Mapping[str, Any] | None
) -> dict[str, Any] | None:
    """The destination, if what it names is the tenant's."""
    if destination is None:
        return None
    if tenant_id is None:
        raise invalid("destination", "a number without a tenant reaches nobody")
    if destination["type"] == DestinationType.AGENT:
        person = str(destination["id"])
        model = SipAccount if person.startswith(f"{SipAccount.PREFIX}_") else Agent
        mine = select(model.id).filter_by(tenant_id=tenant_id, id=row_key(model.PREFIX, person))
        if model is Agent:
            mine = mine.where(Agent.deleted_at.is_(None))
        if session.scalar(mine) is None:
            raise invalid("destination.id", f"there is no agent {person}")
    if destination["type"] == DestinationType.ASSISTANT:
        assistant_id = row_key(VoiceAssistant.PREFIX, str(destination["id"]))
        ours = select(VoiceAssistant).filter_by(tenant_id=tenant_id, id=assistant_id)
        if session.scalar(ours) is None:
            raise invalid("destination.id", f"there is no assistant {destination['id']}")
    return dict(destination)
