"""A callback on a switch: the customer's phone rings once, whoever dies meanwhile."""

from collections.abc import Iterator

import pytest
from sqlalchemy import select

from irisx.kernel.clock import now
from irisx.kernel.db import transaction
from irisx.telephony.callbacks import placing
from irisx.telephony.callbacks.models import Callback, CallbackStatus
from irisx.tenancy.models import PhoneNumber, Tenant
from tests.contract.rig import ANSWERS, Line, Machine
from tests.contract.test_recovery import EngineProcess, engine_process
from tests.telephony.callbacks.test_placing import zone_at
from tests.waiting import wait_until


@pytest.fixture
def line(running_switch: Machine, tenant: Tenant, number: PhoneNumber) -> Iterator[Line]:
    with Line.on(running_switch, tenant, number.number) as made:
        yield made


@pytest.fixture
def engine(running_switch: Machine, line: Line) -> Iterator[EngineProcess]:
    with engine_process(running_switch) as started:
        yield started


def test_a_customer_is_called_back_once_although_the_engine_is_killed(
    line: Line, engine: EngineProcess
) -> None:
    with transaction() as session:
        callback = Callback(
            tenant_id=line.tenant.id,
            phone_number=line.far_end(ANSWERS),
            scheduled_at=now(),
            due_at=now(),
            time_zone=zone_at(12),
            sandbox=line.sandbox,
        )
        session.add(callback)
    placing.place_due()
    wait_until(lambda: line.rows()[0].node is not None)
    engine.kill()
    placing.place_due()
    engine.start()
    [call] = line.rows()
    line.wait_status(call.id, "completed", timeout=30)
    assert line.timeline(call.id).count("call.attempted") == 1
    placing.settle()
    with transaction() as session:
        done = session.scalars(select(Callback)).one()
    assert (done.status, done.attempts) == (CallbackStatus.COMPLETED, 1)
