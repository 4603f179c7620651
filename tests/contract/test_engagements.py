"""Agents have one capacity over all: in a call that no queue gave them they are busy for queues."""

from collections.abc import Iterator
from uuid import UUID

import pytest
from sqlalchemy import func, select

from irisx.kernel.db import transaction
from irisx.tenancy import agents
from irisx.tenancy.access import SYSTEM
from irisx.tenancy.agent_models import Agent, AgentStatus, AgentWork
from irisx.tenancy.models import PhoneNumber, Tenant
from tests.contract import acd
from tests.contract.rig import ALSO_STAYS, RINGS, STAYS, Line, Machine, Rig
from tests.contract.test_queues import LONG_MS, end_all
from tests.contract.test_recovery import EngineProcess, engine_process, restart
from tests.waiting import wait_until

DIRECT = "+15550002000"


def call_directly(line: Line, agent: Agent) -> UUID:
    """Somebody calls the agent's own number; the call."""
    called = line.destination(DIRECT, {"type": "agent", "id": agent.public_id})
    line.call_in(called, caller="+15550008000", hold_ms=LONG_MS)
    row = wait_until(lambda: next((r for r in line.rows() if r.to_number == DIRECT), None))
    assert row is not None
    return row.id


def pieces_of_work(agent: Agent) -> int:
    with transaction() as session:
        mine = select(func.count()).where(AgentWork.agent_id == agent.id)
        return session.scalar(mine) or 0


def test_a_direct_call_keeps_the_queue_waiting(line: Rig) -> None:
    ann = acd.agent(line, line.far_end(STAYS, calls=2))
    queue = acd.queue(line, ann)
    direct = call_directly(line, ann)
    busy = acd.wait_status(line, ann, "busy")
    assert busy.activity_call == direct
    assert pieces_of_work(ann) == 1
    line.call_in(acd.NUMBER, hold_ms=LONG_MS)
    acd.wait_record(queue, "waiting")
    room = line.engine.center._rooms[line.tenant.id]
    assert room.matcher.free(queue) == 0
    assert acd.offers(queue) == []
    line.command(direct, "end")
    assert acd.wait_record(queue, "talking").agent_id == ann.id
    end_all(line)
    acd.wait_status(line, ann, "available")
    wait_until(lambda: pieces_of_work(ann) == 0)


def test_who_answers_a_direct_call_is_rung_for_the_queue_no_more(line: Rig) -> None:
    ann = acd.agent(line, line.far_end(RINGS))
    queue = acd.queue(line, ann)
    line.call_in(acd.NUMBER, hold_ms=LONG_MS)
    acd.wait_offers(queue, None)
    wait_until(lambda: len(line.switch_channels()) == 2)
    contact = {"type": "number", "phone_number": line.far_end(ALSO_STAYS)}
    agents.change(SYSTEM, line.tenant.id, ann.id, contact=contact)  # who picks up another phone
    call_directly(line, ann)
    acd.wait_status(line, ann, "busy")
    acd.wait_offers(queue, "withdrawn")
    wait_until(lambda: len(line.switch_channels()) == 3)
    assert acd.records(queue)[0].status.value == "waiting"
    end_all(line)
    acd.wait_status(line, ann, "available")


def test_a_colleague_who_is_consulted_is_busy(line: Rig) -> None:
    ann = acd.agent(line, line.far_end(STAYS))
    bob = acd.agent(line, line.far_end(ALSO_STAYS), status=AgentStatus.AVAILABLE)
    queue = acd.queue(line, ann)
    line.call_in(acd.NUMBER, hold_ms=LONG_MS)
    call_id = acd.wait_record(queue, "talking").call_id
    line.command(call_id, "consult", to={"type": "agent", "id": bob.public_id})
    assert acd.wait_status(line, bob, "busy").activity_call == call_id
    line.wait_line(call_id, "consult.connected")
    line.command(call_id, "consult_complete")  # the customer is bob's now
    acd.wait_status(line, ann, "available")
    assert acd.now_(line, bob).status is AgentStatus.BUSY
    line.command(call_id, "end")
    acd.wait_status(line, bob, "available")


@pytest.fixture
def mortal(running_switch: Machine, tenant: Tenant, number: PhoneNumber) -> Iterator[Line]:
    with Line.on(running_switch, tenant, number.number) as made:
        yield made


@pytest.fixture
def engine(running_switch: Machine, mortal: Line) -> Iterator[EngineProcess]:
    with engine_process(running_switch) as started:
        yield started


def test_a_direct_call_outlives_an_engine_and_so_does_its_agent_s_state(
    mortal: Line, engine: EngineProcess
) -> None:
    ann = acd.agent(mortal, mortal.far_end(STAYS))
    direct = call_directly(mortal, ann)
    acd.wait_status(mortal, ann, "busy")
    restart(engine)
    queue = acd.queue(mortal, ann)
    mortal.call_in(acd.NUMBER, hold_ms=LONG_MS)
    acd.wait_record(queue, "waiting")
    assert acd.offers(queue) == []
    assert acd.now_(mortal, ann).status is AgentStatus.BUSY
    mortal.command(direct, "end")
    acd.wait_status(mortal, ann, "available")
