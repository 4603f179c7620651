"""What an engine that is gone has left in the rows: callers and agents of calls that have ended."""

from collections.abc import Iterable
from datetime import datetime
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.orm import Session

from irisx.kernel.clock import now
from irisx.kernel.db import transaction
from irisx.telephony.acd.models import QueueCall, QueueCallStatus
from irisx.telephony.calls.models import Call
from irisx.telephony.calls.states import ENDED
from irisx.tenancy import agent_status
from irisx.tenancy.agent_models import Activity, Agent

_LIVE = (QueueCallStatus.WAITING, QueueCallStatus.TALKING)


def tenants_with_work() -> list[int]:
    """Tenants of whom an engine has to look after callers or agents at once."""
    with transaction() as session:
        waiting = select(QueueCall.tenant_id).where(QueueCall.status.in_(_LIVE))
        engaged = select(Agent.tenant_id).where(Agent.activity.is_not(None))
        return list(session.scalars(waiting.union(engaged)))


def settle(tenant_id: int, live: Iterable[UUID]) -> None:
    """End the records of calls that have ended, and set their agents free.

    `live`: calls that this engine has.
    """
    with transaction() as session:
        mine = list(live)
        records = session.scalars(
            select(QueueCall).where(
                QueueCall.tenant_id == tenant_id,
                QueueCall.status.in_(_LIVE),
                QueueCall.call_id.not_in(mine),
            )
        ).all()
        agents = session.scalars(
            select(Agent)
            .where(
                Agent.tenant_id == tenant_id,
                Agent.activity == Activity.CALL,
                Agent.activity_call.not_in(mine),
            )
            .with_for_update()
        ).all()
        ends = _ends(
            session,
            {record.call_id for record in records}
            | {a.activity_call for a in agents if a.activity_call},
        )
        for record in records:
            if record.call_id in ends:
                _end(record, ends[record.call_id])
        for agent in agents:
            if agent.activity_call in ends:
                agent_status.take_up(session, agent, None)


def _ends(session: Session, calls: Iterable[UUID]) -> dict[UUID, datetime]:
    """When those of the calls that are over ended."""
    found = session.execute(
        select(Call.id, Call.ended_at).where(Call.id.in_(list(calls)), Call.status.in_(list(ENDED)))
    )
    return {call_id: ended_at or now() for call_id, ended_at in found}


def _end(record: QueueCall, at: datetime) -> None:
    waited = record.status is QueueCallStatus.WAITING
    record.status = QueueCallStatus.ABANDONED if waited else QueueCallStatus.COMPLETED
    record.ended_at = at
    if waited:
        record.left_at = at
        record.wait_ms = _ms(record.entered_at, at)
    elif record.answered_at is not None:
        record.talk_ms = _ms(record.answered_at, at)


def _ms(start: datetime, end: datetime) -> int:
    return max(0, round((end - start).total_seconds() * 1000))
