"""Caps of tenants and carriers, counted in PostgreSQL under a row lock.

The lock makes counting and taking one step over every process and machine, so a cap holds exactly.
Only calls that come in are there already and take no lock (`has_room`).
"""

import time
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import timedelta
from uuid import UUID

from sqlalchemy import ColumnElement, bindparam, delete, func, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from irisx.kernel.db import reading, transaction
from irisx.kernel.errors import TooManyRequests
from irisx.telephony.calls.models import Call, CarrierLeg
from irisx.telephony.calls.routing import Usage, is_full
from irisx.telephony.calls.states import LIVE, Direction
from irisx.tenancy.models import Carrier, Tenant
from irisx.tenancy.settings import TenantSettings

_SECOND = timedelta(seconds=1)

# Made once: to build such a statement costs more than to run it.
_LIVE_CALLS = (
    select(func.count())
    .select_from(Call)
    .where(Call.tenant_id == bindparam("tenant"), Call.status.in_(LIVE))
)
_COUNT_AFTER_SECONDS = 1.0


@dataclass(slots=True)
class _Counted:
    """Calls that a tenant had `at` (monotonic s), and those that this engine took since."""

    at: float
    calls: int
    taken: int = 0


_counted: dict[int, _Counted] = {}


def lock_tenant(session: Session, tenant_id: int) -> Tenant:
    """The tenant's row, locked until the transaction ends; readers are not held up."""
    return session.get_one(Tenant, tenant_id, with_for_update={"key_share": True})


def has_room(tenant_id: int, most: int) -> bool:
    """Whether the tenant may have one inbound call more, which it has then.

    Calls are counted again after a second, and as soon as a quarter of the room that there was is
    used: close to the limit for each call, far from it not for hundreds.
    """
    counted = _counted.get(tenant_id)
    at = time.monotonic()
    if (
        counted is None
        or at - counted.at > _COUNT_AFTER_SECONDS
        or counted.taken * 4 >= most - counted.calls
    ):
        with reading() as connection:
            calls = connection.execute(_LIVE_CALLS, {"tenant": tenant_id}).scalar_one()
        counted = _counted[tenant_id] = _Counted(at, calls)
    counted.taken += 1
    return counted.calls + counted.taken <= most


def check_tenant(
    session: Session, tenant_id: int, settings: TenantSettings, *, sandbox: bool
) -> None:
    """Raises TooManyRequests when one more call would break a cap of the tenant.

    The tenant's row must be locked and the call be inserted in the same transaction. Calls on the
    sandbox and real ones are counted apart.
    """
    calls = select(func.count()).where(Call.tenant_id == tenant_id, Call.sandbox == sandbox)
    started = calls.where(
        Call.direction == Direction.OUTBOUND, Call.initiated_at > func.clock_timestamp() - _SECOND
    )
    live = calls.where(Call.status.in_(LIVE))
    cps, concurrent = session.execute(
        select(started.scalar_subquery(), live.scalar_subquery())
    ).one()
    if concurrent >= settings.max_concurrent_calls:
        raise TooManyRequests(
            f"The tenant has {concurrent} calls at this time; its setting max_concurrent_calls "
            f"allows {settings.max_concurrent_calls}.",
            code="CONCURRENT_CALLS_EXCEEDED",
        )
    if cps >= settings.max_cps:
        raise TooManyRequests(
            f"The tenant started {cps} calls in the last second; its setting max_cps allows "
            f"{settings.max_cps}.",
            code="CALLS_PER_SECOND_EXCEEDED",
            headers={"Retry-After": "1"},
        )


def carrier_usage(session: Session) -> dict[int, Usage]:
    """What the carriers with a cap carry now, by carrier id."""
    rows = session.execute(
        select(
            CarrierLeg.carrier_id,
            func.count().filter(_recent()),
            func.count().filter(_occupied()),
        ).group_by(CarrierLeg.carrier_id)
    )
    return {carrier: Usage(cps, concurrent) for carrier, cps, concurrent in rows}


def take_carrier(carrier_id: int, leg_id: UUID, call_id: UUID) -> bool:
    """Take a place of the carrier for a leg that is about to be dialled; False if it is full.

    `leg_id`: the leg's channel; with the next carrier that is tried it leaves the one before.
    `call_id`: the call that the leg belongs to: when that has ended, the place is free even if
    nobody released it.
    """
    with transaction() as session:
        carrier = session.get(Carrier, carrier_id, with_for_update={"key_share": True})
        if carrier is None or not carrier.enabled:
            return False
        if carrier.max_cps is None and carrier.max_concurrent is None:
            return True
        session.execute(
            delete(CarrierLeg).where(CarrierLeg.carrier_id == carrier_id, ~_recent(), ~_occupied())
        )
        session.execute(update(CarrierLeg).where(CarrierLeg.leg_id == leg_id).values(released=True))
        usage = carrier_usage(session).get(carrier_id)
        if usage is not None and is_full(carrier, usage):
            return False
        taken = insert(CarrierLeg).values(
            leg_id=leg_id,
            carrier_id=carrier_id,
            call_id=call_id,
            dialed_at=func.clock_timestamp(),
        )
        session.execute(
            taken.on_conflict_do_update(
                index_elements=["leg_id", "carrier_id"],
                set_={"dialed_at": taken.excluded.dialed_at, "released": False},
            )
        )
        return True


def release_carrier(leg_ids: Iterable[UUID]) -> None:
    """Give back the places of legs that have ended; others are ignored."""
    with transaction() as session:
        session.execute(
            update(CarrierLeg).where(CarrierLeg.leg_id.in_(list(leg_ids))).values(released=True)
        )


def _recent() -> ColumnElement[bool]:
    return CarrierLeg.dialed_at > func.clock_timestamp() - _SECOND


def _occupied() -> ColumnElement[bool]:
    live = select(Call.id).where(Call.id == CarrierLeg.call_id, Call.status.in_(LIVE))
    return ~CarrierLeg.released & live.exists()
