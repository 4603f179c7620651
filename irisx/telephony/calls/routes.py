"""The routes of a number as an engine sees them: from the database, or from memory without it."""

from uuid import UUID

import structlog
from sqlalchemy import select
from sqlalchemy.exc import OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from irisx.kernel.db import transaction
from irisx.telephony.calls.capacity import carrier_usage, take_carrier
from irisx.telephony.calls.routing import Route, Usage, choose_routes
from irisx.tenancy.models import Carrier, Tenant
from irisx.tenancy.settings import TenantSettings

log = structlog.get_logger()

_carriers: list[Carrier] = []
_settings: dict[int, TenantSettings] = {}


def routes_to(number: str, tenant_id: int, *, sandbox: bool) -> list[Route]:
    """Carriers for an E.164 number, best first.

    With the database away: by the carriers and settings last seen, without their caps.
    """
    usage: dict[int, Usage] = {}
    try:
        with transaction() as session:
            _carriers[:] = session.scalars(select(Carrier).where(Carrier.enabled)).all()
            tenant = session.get_one(Tenant, tenant_id)
            _settings[tenant_id] = TenantSettings.model_validate(tenant.settings)
            usage = carrier_usage(session)
    except (OperationalError, PoolTimeout) as error:
        log.warning("routes.from_memory", error=str(error)[:200])
    settings = _settings.get(tenant_id, TenantSettings())
    return choose_routes(number, settings, _carriers, usage, sandbox=sandbox)


def take_place(carrier_id: int, leg: UUID, call_id: UUID) -> bool:
    """A place of the carrier for a leg (capacity.take_carrier).

    With the database away nobody can count: the call is let through.
    """
    try:
        return take_carrier(carrier_id, leg, call_id)
    except (OperationalError, PoolTimeout) as error:
        log.warning("routes.caps_unknown", error=str(error)[:200])
        return True
