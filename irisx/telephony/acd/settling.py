"""What an engine that is gone has left in the rows: callers and agents of calls that have ended."""

from collections.abc import Collection
from datetime import datetime
from uuid import UUID

from sqlalchemy import delete, select

from irisx.kernel.clock import now
from irisx.kernel.db import transaction
from irisx.telephony.acd import roster
from irisx.telephony.acd.models import QueueCall, QueueCallStatus
from irisx.telephony.calls.models import Call
from irisx.telephony.calls.states import ENDED
from irisx.tenancy import agent_status
from irisx.tenancy.agent_models import Activity, Agent, AgentWork

_LIVE = (QueueCallStatus.WAITING, QueueCallStatus.TALKING)


def tenants_with_work() -> list[int]:
    """Tenants of whom an engine has to look after callers or agents at once."""
    with transaction() as session:
        waiting = select(QueueCall.tenant_id).where(QueueCall.status.in_(_LIVE))
        engaged = select(Agent.tenant_id).where(Agent.activity.is_not(None))
        return list(session.scalars(waiting.union(engaged)))


def settle(tenant_id: int, live: Collection[UUID]) -> bool:
    """End the records of calls that have ended, and set their agents free; whether there were any.

    `live`: calls that this engine has.
    """
    with transaction() as session:
        records = [
            (record, call)
            for record, call in session.execute(
                select(QueueCall, Call)
                .join(Call, Call.id == QueueCall.call_id)
                .where(
                    QueueCall.tenant_id == tenant_id,
                    QueueCall.status.in_(_LIVE),
                    Call.status.in_(list(ENDED)),
                )
            )
            if record.call_id not in live
        ]
        engaged = session.scalars(
            select(Agent)
            .join(Call, Call.id == Agent.activity_call)
            .where(
                Agent.tenant_id == tenant_id,
                Agent.activity == Activity.CALL,
                Call.status.in_(list(ENDED)),
            )
            .with_for_update(of=Agent)
        )
        agents = [agent for agent in engaged if agent.activity_call not in live]
        for record, call in records:
            _end(record, call)
        for agent in agents:
            session.execute(
                delete(AgentWork).where(
                    AgentWork.agent_id == agent.id, AgentWork.channel == roster.VOICE
                )
            )
            agent_status.take_up(session, agent, None)
        return bool(records or agents)


def _end(record: QueueCall, call: Call) -> None:
    at, waited = call.ended_at or now(), record.status is QueueCallStatus.WAITING
    record.status = QueueCallStatus.ABANDONED if waited else QueueCallStatus.COMPLETED
    if waited and call.options.get("agent_first") and call.answered_at is None:
        record.status, record.reason = QueueCallStatus.EXITED, call.status.value  # never there
    record.ended_at = at
    if waited:
        record.left_at = at
        record.wait_ms = _ms(record.entered_at, at)
    elif record.answered_at is not None:
        record.talk_ms = _ms(record.answered_at, at)


def _ms(start: datetime, end: datetime) -> int:
    return max(0, round((end - start).total_seconds() * 1000))
