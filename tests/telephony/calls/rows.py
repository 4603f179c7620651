"""Rows of calls for tests."""

from datetime import datetime
from uuid import uuid4

from irisx.kernel.clock import now
from irisx.kernel.db import transaction
from irisx.telephony.calls.models import Call
from irisx.telephony.calls.states import CallStatus, Direction
from irisx.tenancy.access import Caller
from irisx.tenancy.models import Tenant


def caller(tenant: Tenant, *, test: bool = False) -> Caller:
    return Caller(name="key_1", tenant_id=tenant.id, permissions=frozenset({"*"}), test=test)


def store_call(tenant: Tenant, *, initiated_at: datetime | None = None, **columns: object) -> Call:
    """A stored call of the tenant: answered, on the node fs1, if the columns say nothing else."""
    defaults = {
        "direction": Direction.OUTBOUND,
        "status": CallStatus.IN_PROGRESS,
        "from_number": "+15550001000",
        "to_number": "+15555559999",
        "node": "fs1",
    }
    call = Call(
        id=uuid4(), tenant_id=tenant.id, initiated_at=initiated_at or now(), **defaults | columns
    )
    with transaction() as session:
        session.add(call)
    return call
