"""A supervisor's record: kept on disk while the database is away, and ended once."""

from uuid import UUID, uuid4

from sqlalchemy import select

from irisx.kernel.clock import now
from irisx.kernel.db import transaction
from irisx.telephony.calls.journal import Change, write
from irisx.telephony.supervision.models import SupervisionRecord
from irisx.telephony.supervision.state import Mode, Status, Supervision
from irisx.tenancy.models import Tenant


def change_of(tenant: Tenant, call_id: UUID, supervision: Supervision) -> Change:
    more = {"node": "fs1", "tenant_id": tenant.id, "call_id": call_id}
    return Change(call_id, now(), tenant.id, supervision=supervision.columns() | more)


def test_it_survives_the_spool_and_its_end_stands(tenant: Tenant) -> None:
    call_id, leg = uuid4(), Supervision(str(uuid4()), "sip_3", Mode.LISTEN)
    first = change_of(tenant, call_id, leg)
    leg.answered_at, leg.mode = now(), Mode.BARGE
    answered = change_of(tenant, call_id, leg)
    leg.ended_at, leg.reason = now(), "NORMAL_CLEARING"
    ended = change_of(tenant, call_id, leg)
    for change in (first, answered, ended, answered):  # a spool that is written twice
        again = Change.from_json(change.to_json())
        assert again == change
        with transaction() as session:
            write(session, [again])
    with transaction() as session:
        row = session.scalars(select(SupervisionRecord)).one()
    assert (row.mode, row.status, row.reason) == (Mode.BARGE, Status.ENDED, "NORMAL_CLEARING")
