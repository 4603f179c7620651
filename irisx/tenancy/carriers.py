"""Carriers: the SIP trunks of the platform.

The table is the truth. Each change is told on `CHANGES`, so that engines tell their FreeSWITCH
at once; one that missed it reads the table when it connects to a node.
"""

import json
from collections.abc import Sequence
from decimal import Decimal
from typing import Any, TypedDict, Unpack

import structlog
from redis import RedisError
from sqlalchemy import select
from sqlalchemy.exc import IntegrityError

from irisx.kernel.crypto import encrypt
from irisx.kernel.db import transaction
from irisx.kernel.errors import Conflict, invalid
from irisx.kernel.redis import redis
from irisx.tenancy import audit, rows
from irisx.tenancy.access import Actor
from irisx.tenancy.models import Carrier

log = structlog.get_logger(__name__)

#: Redis channel; a message is JSON: `change` created | updated | deleted, `gateway`, `id`.
CHANGES = "irisx:carriers"


class CarrierFields(TypedDict, total=False):
    """What a carrier is made of; `Carrier` says what each means."""

    name: str
    host: str
    port: int
    transport: str
    username: str | None
    password: str | None
    register: bool
    prefixes: list[str]
    priority: int
    cost: Decimal
    max_cps: int | None
    max_concurrent: int | None
    enabled: bool
    sandbox: bool


def create(by: Actor, **fields: Unpack[CarrierFields]) -> Carrier:
    """Raises Conflict NAME_TAKEN."""
    row = Carrier()
    _apply(row, fields)
    try:
        with transaction() as session:
            session.add(row)
            audit.created(session, by, row)
    except IntegrityError:
        raise _name_taken(fields["name"]) from None
    _announce("created", row)
    return row


def get(carrier_id: int) -> Carrier:
    with transaction() as session:
        return rows.fetch(session, Carrier, carrier_id, tenant_id=None)


def list_page(*, limit: int, offset: int) -> tuple[Sequence[Carrier], int]:
    with transaction() as session:
        return rows.page(session, select(Carrier), limit=limit, offset=offset)


def list_enabled() -> Sequence[Carrier]:
    with transaction() as session:
        return session.scalars(select(Carrier).where(Carrier.enabled).order_by(Carrier.id)).all()


def change(by: Actor, carrier_id: int, **fields: Unpack[CarrierFields]) -> Carrier:
    """Set the given fields."""
    try:
        with transaction() as session:
            row = rows.fetch(session, Carrier, carrier_id, tenant_id=None, lock=True)
            before = audit.snapshot(row)
            _apply(row, fields)
            audit.updated(session, by, row, before)
    except IntegrityError:
        raise _name_taken(fields["name"]) from None
    _announce("updated", row)
    return row


def delete(by: Actor, carrier_id: int) -> None:
    """Calls that are on it go on."""
    with transaction() as session:
        row = rows.fetch(session, Carrier, carrier_id, tenant_id=None, lock=True)
        audit.deleted(session, by, row)
        session.delete(row)
    _announce("deleted", row)


def _apply(row: Carrier, fields: CarrierFields) -> None:
    values: dict[str, Any] = {**fields}
    if "password" in values:
        password = values.pop("password")
        values["password_encrypted"] = encrypt(password) if password else None
    rows.assign(row, values)
    if row.register and not (row.username and row.password_encrypted):
        raise invalid("register", "needs a username and a password")


def _name_taken(name: str) -> Conflict:
    return Conflict(f"There is a carrier named {name!r}.", code="NAME_TAKEN")


def _announce(change: str, row: Carrier) -> None:
    message = {"change": change, "gateway": row.gateway, "id": row.id}
    try:
        redis().publish(CHANGES, json.dumps(message))
    except RedisError as error:
        log.warning("engines were not told of a carrier", error=str(error), **message)
