"""What the API does for supervisors: which calls there are, and getting onto one."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import func, select

from irisx.kernel.db import transaction
from irisx.kernel.ids import call_sid
from irisx.telephony import bus
from irisx.telephony.calls import connect, destinations, service
from irisx.telephony.calls.destinations import Destination
from irisx.telephony.calls.models import Call
from irisx.telephony.calls.states import ENDED
from irisx.telephony.supervision import rows
from irisx.telephony.supervision.models import SupervisionRecord
from irisx.telephony.supervision.state import Mode
from irisx.tenancy import audit
from irisx.tenancy.access import Caller


@dataclass(frozen=True, slots=True)
class Watched:
    """A live call and who supervises it."""

    call: Call
    supervisors: Sequence[SupervisionRecord]


def live_calls(tenant_id: int, *, limit: int, offset: int) -> tuple[list[Watched], int]:
    """Calls that have not ended, oldest first, and how many there are."""
    mine = select(Call).where(Call.tenant_id == tenant_id, Call.status.not_in(list(ENDED)))
    with transaction() as session:
        calls = session.scalars(
            mine.order_by(Call.initiated_at, Call.id).limit(limit).offset(offset)
        ).all()
        total = session.scalar(select(func.count()).select_from(mine.subquery())) or 0
        found = rows.of_calls(session, [call.id for call in calls])
    watched = [Watched(call, [row for row in found if row.call_id == call.id]) for call in calls]
    return watched, total


def supervise(
    caller: Caller, sid: str, mode: Mode, supervisor: Destination, field: str
) -> dict[str, Any]:
    """Have somebody on a call in a mode; who is not there yet is rung.

    Raises Conflict (CALL_NOT_ACTIVE, NO_PARTNER, CONSULT_UNDER_WAY, NO_ROUTE) and what
    `destinations.resolve` raises about `field`.
    """
    call = service.active_call(caller.tenant_id, sid)
    destinations.resolve(supervisor, caller.tenant_id, field)
    return _ask(caller, call, "supervise", supervisor, {"mode": mode.value})


def stop(caller: Caller, sid: str, supervisor: Destination) -> dict[str, Any]:
    """A supervisor leaves the call. Raises Conflict (NOT_SUPERVISING, NO_PARTNER)."""
    call = service.active_call(caller.tenant_id, sid)
    return _ask(caller, call, "supervise_stop", supervisor, {})


def _ask(
    caller: Caller, call: Call, verb: str, supervisor: Destination, args: dict[str, Any]
) -> dict[str, Any]:
    """The audit entry comes first: what could not be audited is not done."""
    who = connect.text_of(supervisor.model_dump())
    action = f"call.{args.get('mode', 'supervision_stopped')}"
    with transaction() as session:
        audit.record(
            session,
            caller,
            action,
            call_sid(call.id),
            tenant_id=caller.tenant_id,
            after={"supervisor": who},
        )
    return bus.request(call, verb, args | {"supervisor": who})
