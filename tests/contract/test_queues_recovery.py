"""The engine is killed with callers who wait, ring and talk: nobody is lost, forgotten or rung
twice."""

from collections.abc import Iterator

import pytest

from irisx.telephony.acd import queues
from irisx.telephony.acd.queues import Membership
from irisx.tenancy import agents
from irisx.tenancy.access import SYSTEM
from irisx.tenancy.agent_models import AgentStatus
from irisx.tenancy.models import PhoneNumber, Tenant
from tests.contract import acd
from tests.contract.rig import ALSO_STAYS, RINGS, STAYS, Line, Machine
from tests.contract.test_recovery import EngineProcess, engine_process
from tests.waiting import wait_until

LONG_MS = 60_000


@pytest.fixture
def line(running_switch: Machine, tenant: Tenant, number: PhoneNumber) -> Iterator[Line]:
    with Line.on(running_switch, tenant, number.number) as made:
        yield made


@pytest.fixture
def engine(running_switch: Machine, line: Line) -> Iterator[EngineProcess]:
    with engine_process(running_switch) as started:
        yield started


def test_callers_keep_their_order_and_agents_their_state(line: Line, engine: EngineProcess) -> None:
    ann = acd.agent(line, line.far_end(STAYS))  # will talk
    queue = acd.queue(line, ann)
    line.call_in(acd.NUMBER, caller="+15550009000", hold_ms=LONG_MS)
    talking = acd.wait_record(queue, "talking")
    bob = acd.agent(line, line.far_end(RINGS))  # will be rung
    cat = acd.agent(line, line.far_end(ALSO_STAYS), status=None)
    _join(line, queue, ann.id, bob.id, cat.id)
    for index in (1, 2, 3):
        line.call_in(acd.NUMBER, caller=f"+1555000900{index}", hold_ms=LONG_MS)
        acd.wait_record(queue, "waiting", count=index)
    wait_until(lambda: len(acd.offers(queue)) == 2)
    rung = acd.offers(queue)[1]
    # FreeSWITCH's list of channels is late by some 200 ms.
    wait_until(lambda: len(line.switch_channels()) == 6)
    before = set(line.switch_channels())

    engine.kill()
    engine.start()
    agents.set_status(SYSTEM, line.tenant.id, cat.id, AgentStatus.AVAILABLE, None)
    wait_until(lambda: len(acd.offers(queue)) == 3)
    third = acd.wait_offers(queue, "answered", None, "answered")[2]
    assert third.agent_id == cat.id
    second = acd.wait_record(queue, "talking", count=2)
    assert second.number == "+15550009002"  # the first of those for whom nobody was rung yet
    assert before <= set(line.switch_channels())
    assert acd.now_(line, ann).status is AgentStatus.BUSY
    assert rung.agent_id == bob.id

    line.command(talking.call_id, "end")
    acd.wait_record(queue, "completed")
    acd.wait_status(line, ann, "available", timeout=20)
    for row in acd.records(queue):
        if row.ended_at is None:
            line.command(row.call_id, "end")
    wait_until(lambda: not line.switch_channels())
    wait_until(lambda: all(row.ended_at for row in acd.records(queue)))
    acd.wait_status(line, cat, "available")
    # Bob's offer was made by one engine and ended by another: it is one, and over.
    wait_until(lambda: all(offer.outcome for offer in acd.offers(queue)))


def test_what_ended_while_no_engine_was_there_is_settled(line: Line, engine: EngineProcess) -> None:
    ann = acd.agent(line, line.far_end(STAYS))
    queue = acd.queue(line, ann)
    line.call_in(acd.NUMBER, caller="+15550009000", hold_ms=3000)
    acd.wait_record(queue, "talking")
    line.call_in(acd.NUMBER, caller="+15550009001", hold_ms=1500)
    acd.wait_record(queue, "waiting")
    engine.kill()
    wait_until(lambda: not line.switch_channels())
    engine.start()
    assert acd.wait_record(queue, "completed").talk_ms is not None
    assert acd.wait_record(queue, "abandoned").wait_ms is not None
    acd.wait_status(line, ann, "available")


def _join(line: Line, queue_id: int, *members: int) -> None:
    joined = [Membership(agent_id) for agent_id in members]
    queues.change(SYSTEM, line.tenant.id, queue_id, agents=joined)
