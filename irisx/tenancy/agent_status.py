"""An agent's status: what the agent chose, and what an engine has the agent in.

    activity   status
    none       as chosen
    call       busy
    wrap-up    wrap-up

Whoever chooses a status during a call chooses what comes after it; during wrap-up it ends that.
So the two writers, people and engines, never overwrite each other.
"""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.orm import Session

from irisx.kernel import events
from irisx.kernel.clock import isoformat, now
from irisx.kernel.db import transaction
from irisx.kernel.ids import call_sid
from irisx.tenancy.agent_models import Activity, Agent, AgentStatus, AgentStatusChange

STATUS_CHANGED = "agent.status_changed"
#: Who made a change that no person did.
ENGINE = "acd"

_STATUS_OF = {Activity.CALL: AgentStatus.BUSY, Activity.WRAP_UP: AgentStatus.WRAP_UP}


def choose(
    session: Session, agent: Agent, status: AgentStatus, *, reason: str | None, by: str
) -> None:
    """A person (or auto-away) chooses a status. The row must be locked."""
    agent.chosen, agent.chosen_reason = status, reason
    if status is AgentStatus.AVAILABLE:
        agent.missed_offers = 0
    if agent.activity is Activity.WRAP_UP:
        _leave_activity(agent)
    _settle(session, agent, by)


def take_up(
    session: Session,
    agent: Agent,
    activity: Activity | None,
    *,
    call: UUID | None = None,
    until: datetime | None = None,
    by: str = ENGINE,
) -> None:
    """An engine has the agent in a call, in the work after it, or in nothing any more."""
    if activity is None:
        _leave_activity(agent)
    else:
        agent.activity, agent.activity_call, agent.activity_until = activity, call, until
    _settle(session, agent, by)


def _leave_activity(agent: Agent) -> None:
    if agent.activity is not None:
        agent.idle_since = now()
    agent.activity = agent.activity_call = agent.activity_until = None


def _settle(session: Session, agent: Agent, by: str) -> None:
    """Make `status` what follows; a change is kept in the history and told."""
    before = agent.status
    status = _STATUS_OF[agent.activity] if agent.activity is not None else agent.chosen
    reason = agent.chosen_reason if agent.activity is None else None
    if (status, reason) == (before, agent.reason):
        return
    at = now()
    agent.status, agent.reason, agent.status_since = status, reason, at
    change = AgentStatusChange(
        at=at, tenant_id=agent.tenant_id, agent_id=agent.id, status=status, reason=reason, by=by
    )
    session.add(change)
    session.flush()
    events.publish(
        session,
        key=f"{agent.public_id}:status:{change.id}",
        tenant_id=agent.tenant_id,
        type=STATUS_CHANGED,
        data={
            "agent_id": agent.public_id,
            "name": agent.name,
            "status": status.value,
            "previous_status": before.value,
            "reason": reason,
            "call_sid": agent.activity_call and call_sid(agent.activity_call),
            "changed_at": isoformat(at),
        },
        occurred_at=at,
    )


def history(
    tenant_id: int, agent_id: int, *, limit: int, before: tuple[datetime, int] | None
) -> Sequence[AgentStatusChange]:
    """Changes of a status, newest first; `before`: time and id of the last one of a page."""
    query = (
        select(AgentStatusChange)
        .where(AgentStatusChange.tenant_id == tenant_id, AgentStatusChange.agent_id == agent_id)
        .order_by(AgentStatusChange.at.desc(), AgentStatusChange.id.desc())
        .limit(limit)
    )
    if before is not None:
        at, change_id = before
        query = query.where(
            (AgentStatusChange.at < at)
            | ((AgentStatusChange.at == at) & (AgentStatusChange.id < change_id))
        )
    with transaction() as session:
        return session.scalars(query).all()
