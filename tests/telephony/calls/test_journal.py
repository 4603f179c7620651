"""What many calls do at one time is written in one batch, and one faulty change stops nobody."""

from datetime import timedelta
from pathlib import Path
from uuid import uuid4

import pytest
from sqlalchemy import select

from irisx.kernel.clock import now
from irisx.kernel.db import transaction
from irisx.telephony.acd.models import QueueCall, QueueCallStatus
from irisx.telephony.acd.records import QueueRecord
from irisx.telephony.calls.journal import Change, Journal, write
from irisx.telephony.calls.models import Call
from irisx.telephony.calls.states import CallStatus, Direction
from irisx.tenancy.models import Tenant


@pytest.fixture
def journal(tmp_path: Path) -> Journal:
    return Journal(tmp_path / "spool" / "calls.jsonl")


def inserted(tenant: Tenant) -> Change:
    call_id, at = uuid4(), now()
    columns = {
        "id": call_id,
        "initiated_at": at,
        "tenant_id": tenant.id,
        "direction": Direction.INBOUND,
        "status": CallStatus.INITIATED,
        "from_number": "+15550001111",
        "to_number": "+15550002222",
    }
    return Change(call_id, at, tenant.id, insert=columns)


def updated(change: Change, **columns: object) -> Change:
    return Change(change.call_id, change.initiated_at, change.tenant_id, update=columns)


def status_of(change: Change) -> CallStatus:
    with transaction() as session:
        return session.query(Call).filter_by(id=change.call_id).one().status


def test_the_same_change_of_several_calls_is_one_batch(journal: Journal, tenant: Tenant) -> None:
    calls = [inserted(tenant) for _ in range(3)]
    for call in calls:
        journal.record(call)
        journal.record(updated(call, status="ringing"))
    journal.start()
    assert journal.flush(15)
    assert {status_of(call) for call in calls} == {CallStatus.RINGING}


def test_the_first_end_of_a_call_stands(journal: Journal, tenant: Tenant) -> None:
    call = inserted(tenant)
    journal.start()
    for change in (call, updated(call, status="busy"), updated(call, status="completed")):
        journal.record(change)
        assert journal.flush(15)
    assert status_of(call) is CallStatus.BUSY


@pytest.mark.parametrize("faulty", [{"from_number": None}, {"no_such_column": 1}])
def test_a_change_that_cannot_be_written_is_set_aside_alone(
    journal: Journal, tenant: Tenant, tmp_path: Path, faulty: dict[str, object]
) -> None:
    good, bad = inserted(tenant), inserted(tenant)
    for change in (good, bad, updated(bad, **faulty), updated(good, status="ringing")):
        journal.record(change)
    journal.start()
    assert journal.flush(15)
    assert status_of(good) is CallStatus.RINGING
    assert str(bad.call_id) in (tmp_path / "spool" / "calls.rejected").read_text()


def test_rows_of_a_queue_survive_the_spool_and_are_written_over(tenant: Tenant) -> None:
    entered = now()
    record = QueueRecord(
        id=uuid4(),
        entered_at=entered,
        tenant_id=tenant.id,
        queue_id=1,
        call_id=uuid4(),
        number="+15550009999",
        priority=0,
        place_at=entered,
    )
    change = Change(record.call_id, entered, tenant.id)
    change.rows.append((QueueCall.__tablename__, record.columns))
    read = Change.from_json(change.to_json())
    assert read.rows == [(QueueCall.__tablename__, {**record.columns, "status": "waiting"})]
    assert record.advance(QueueCallStatus.TALKING, entered + timedelta(seconds=3))
    assert not record.advance(QueueCallStatus.ABANDONED, entered)  # too late
    later = Change(record.call_id, entered, tenant.id)
    later.rows.append((QueueCall.__tablename__, record.columns))
    with transaction() as session:
        write(session, [read, later, later])
    with transaction() as session:
        row = session.scalars(select(QueueCall)).one()
    assert (row.status, row.wait_ms) == (QueueCallStatus.TALKING, 3000)
