"""A contact centre on a contract rig: queues, agents with phones, and what became of callers."""

from typing import Any

from sqlalchemy import select

from irisx.kernel.db import transaction
from irisx.telephony.acd import queues
from irisx.telephony.acd.models import QueueCall, QueueOffer, Strategy
from irisx.telephony.acd.options import QueueOptions
from irisx.telephony.acd.queues import Membership
from irisx.tenancy import agents
from irisx.tenancy.access import SYSTEM
from irisx.tenancy.agent_models import Agent, AgentStatus
from tests.contract.rig import Line
from tests.waiting import wait_until

#: What the queue of a scenario is called by.
NUMBER = "+15550003000"


def queue(line: Line, *members: Agent, number: str = NUMBER, **fields: Any) -> int:
    """A queue that `number` leads to; its key. `options` are the queue's."""
    values = {
        "name": number,
        "strategy": Strategy.LONGEST_IDLE,
        "music_on_hold": "default",
        "skills_required": [],
        **fields,
    }
    values["options"] = QueueOptions.model_validate(values.get("options", {}))
    tenant_id = line.tenant.id
    joined = [Membership(agent.id) for agent in members]
    view = queues.create(SYSTEM, tenant_id, agents=joined, **values)
    line.destination(number, {"type": "queue", "id": view.row.public_id})
    return view.row.id


def agent(
    line: Line, number: str, *, status: AgentStatus | None = AgentStatus.AVAILABLE, **fields: Any
) -> Agent:
    """An agent who is reached by a telephone number, where somebody may or may not be."""
    contact = {"type": "number", "phone_number": number}
    row = agents.create(SYSTEM, line.tenant.id, name=number, contact=contact, **fields)
    if status is not None:
        agents.set_status(SYSTEM, line.tenant.id, row.id, status, None)
    return row


def now_(line: Line, row: Agent) -> Agent:
    return agents.get(line.tenant.id, row.id)


def wait_status(line: Line, row: Agent, status: str, timeout: float = 15) -> Agent:
    def reached() -> Agent | None:
        found = now_(line, row)
        return found if found.status.value == status else None

    found = wait_until(reached, timeout)
    assert isinstance(found, Agent)
    return found


def records(queue_id: int) -> list[QueueCall]:
    with transaction() as session:
        mine = select(QueueCall).where(QueueCall.queue_id == queue_id)
        return list(session.scalars(mine.order_by(QueueCall.entered_at)))


def offers(queue_id: int) -> list[QueueOffer]:
    with transaction() as session:
        mine = select(QueueOffer).where(QueueOffer.queue_id == queue_id)
        return list(session.scalars(mine.order_by(QueueOffer.at)))


def wait_record(queue_id: int, *statuses: str, count: int = 1, timeout: float = 20) -> QueueCall:
    """The last of `count` records that have one of the statuses."""

    def reached() -> list[QueueCall] | None:
        found = [row for row in records(queue_id) if row.status.value in statuses]
        return found if len(found) >= count else None

    try:
        found = wait_until(reached, timeout)
    except AssertionError as error:
        raise AssertionError(f"{statuses}: {[vars(row) for row in records(queue_id)]}") from error
    assert found
    return found[-1]


def wait_offers(queue_id: int, *outcomes: str | None, timeout: float = 20) -> list[QueueOffer]:
    """All offers, once they have ended so (None: the agent is being rung)."""

    def reached() -> list[QueueOffer] | None:
        found = offers(queue_id)
        return (
            found
            if [row.outcome and row.outcome.value for row in found] == list(outcomes)
            else None
        )

    found = wait_until(reached, timeout)
    assert found is not None
    return found
