"""A callback on a switch: the customer's phone rings once, whoever dies meanwhile."""

from collections.abc import Iterator
from typing import Any

import pytest
from sqlalchemy import select

from irisx.kernel.clock import now
from irisx.kernel.db import transaction
from irisx.telephony.callbacks import placing
from irisx.telephony.callbacks.models import Callback, CallbackStatus
from irisx.tenancy import agents
from irisx.tenancy.access import SYSTEM
from irisx.tenancy.agent_models import AgentStatus
from irisx.tenancy.models import PhoneNumber, Tenant
from tests.contract import acd
from tests.contract.rig import ANSWERS, BUSY, REJECTS, RINGS, STAYS, Line, Machine
from tests.contract.test_recovery import EngineProcess, engine_process, restart
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


# -- the agent first -------------------------------------------------------------------------------


def agent_first(line: Line, customer: str, queue: int, **columns: Any) -> Callback:
    """A callback of which the agent is rung first, placed."""
    values = {"scheduled_at": now(), "due_at": now(), "time_zone": zone_at(12), "first": "agent"}
    with transaction() as session:
        row = Callback(
            tenant_id=line.tenant.id,
            phone_number=customer,
            queue_id=queue,
            sandbox=line.sandbox,
            **values | columns,
        )
        session.add(row)
    placing.place_due()
    return row


def settled(row: Callback, *statuses: CallbackStatus) -> Callback:
    def reached() -> Callback | None:
        placing.settle()
        with transaction() as session:
            found = session.get_one(Callback, row.id)
        return found if found.status in statuses else None

    found = wait_until(reached, 20)
    assert found is not None
    return found


def attempts(line: Line) -> int:
    return line.timeline(line.rows()[0].id).count("call.attempted")


def test_the_agent_is_rung_first_and_then_the_customer(line: Line, engine: EngineProcess) -> None:
    rejects, takes = acd.agent(line, line.far_end(REJECTS)), acd.agent(line, line.far_end(STAYS))
    queue = acd.queue(line, rejects, takes)
    row = agent_first(line, line.far_end(ANSWERS), queue)
    talking = acd.wait_record(queue, "talking", "completed")
    assert talking.agent_id == takes.id
    _, answered = acd.wait_offers(queue, "rejected", "answered")
    [call] = line.rows()
    assert call.answered_at is not None and answered.at < call.answered_at
    assert settled(row, CallbackStatus.COMPLETED).attempts == 1
    assert attempts(line) == 1
    acd.wait_status(line, takes, "available")
    wait_until(lambda: not line.switch_channels())


def test_a_customer_who_is_busy_sets_the_agent_free(line: Line, engine: EngineProcess) -> None:
    ann = acd.agent(line, line.far_end(STAYS))
    queue = acd.queue(line, ann)
    row = agent_first(line, line.far_end(BUSY), queue)
    again = settled(row, CallbackStatus.SCHEDULED)
    assert (again.attempts, again.last_result) == (1, "busy")
    tried = acd.wait_record(queue, "exited")
    assert tried.reason == "busy"
    wait_until(lambda: not line.switch_channels())
    acd.wait_status(line, ann, "available")


def test_no_agent_no_call(line: Line, engine: EngineProcess) -> None:
    """The last agent has gone since the callback was placed."""
    ann = acd.agent(line, line.far_end(STAYS))
    queue = acd.queue(line, ann, options={"no_agents_seconds": 0})
    customer = line.far_end(ANSWERS)
    engine.kill()
    row = agent_first(line, customer, queue)
    agents.set_status(SYSTEM, line.tenant.id, ann.id, AgentStatus.OFFLINE, None)
    engine.start()
    later = settled(row, CallbackStatus.SCHEDULED)
    assert (later.attempts, later.last_result) == (0, None)
    assert (attempts(line), line.rows()[0].reason) == (0, "NO_AGENT")


def test_an_engine_that_is_killed_while_the_customer_is_rung(
    line: Line, engine: EngineProcess
) -> None:
    ann = acd.agent(line, line.far_end(STAYS))
    queue = acd.queue(line, ann)
    row = agent_first(line, line.far_end(RINGS), queue, max_attempts=1)
    call_id = wait_until(line.rows, 20)[0].id
    line.wait_status(call_id, "ringing")
    wait_until(lambda: len(line.switch_channels()) == 2)
    before = set(line.switch_channels())
    restart(engine)
    wait_until(lambda: set(line.switch_channels()) == before)
    assert acd.now_(line, ann).status is AgentStatus.BUSY
    line.command(call_id, "end")
    wait_until(lambda: not line.switch_channels())
    assert settled(row, CallbackStatus.FAILED).last_result == "canceled"
    assert attempts(line) == 1
    acd.wait_offers(queue, "caller-left")
    acd.wait_status(line, ann, "available")
