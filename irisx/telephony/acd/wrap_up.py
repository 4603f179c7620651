"""The work after a call: its code and notes, more time for it, and its end."""

from datetime import timedelta

from sqlalchemy import select
from sqlalchemy.orm import Session

from irisx.kernel.clock import now
from irisx.kernel.db import transaction
from irisx.kernel.errors import Conflict, invalid
from irisx.telephony.acd.models import Queue, QueueCall
from irisx.telephony.acd.options import QueueOptions
from irisx.tenancy import agent_status, agents, audit
from irisx.tenancy.access import Actor
from irisx.tenancy.agent_models import Activity, Agent, AgentStatus

CODE_REQUIRED = "WRAP_UP_CODE_REQUIRED"


def report(
    by: Actor,
    tenant_id: int,
    agent_id: int,
    *,
    code: str | None = None,
    notes: str | None = None,
    extend_seconds: int | None = None,
    done: bool = False,
) -> Agent:
    """What an agent says of the call just had, or of the one that goes on.

    `extend_seconds`: more time from now on; `done`: the next caller may come. Raises Conflict
    NOT_IN_WRAP_UP, or WRAP_UP_CODE_REQUIRED where the queue wants a code first.
    """
    with transaction() as session:
        agent = agents.fetch(session, tenant_id, agent_id, lock=True)
        if agent.activity is None or (agent.activity is Activity.CALL and (done or extend_seconds)):
            raise Conflict("The agent is in no work after a call.", code="NOT_IN_WRAP_UP")
        record, options = _record(session, agent)
        if record is None and (code or notes):
            raise Conflict("That call came by no queue.", code="NOT_IN_WRAP_UP")
        if record is not None and options is not None:
            if code is not None and options.wrap_up_codes and code not in options.wrap_up_codes:
                raise invalid("code", f"none of the queue's: {', '.join(options.wrap_up_codes)}")
            record.wrap_up_code = code or record.wrap_up_code
            record.wrap_up_notes = notes or record.wrap_up_notes
            audit.record(
                session,
                by,
                "agent.wrap_up_reported",
                agent.public_id,
                tenant_id=tenant_id,
                after={"code": record.wrap_up_code, "call": str(record.call_id)},
            )
        if extend_seconds is not None:
            agent.activity_until = now() + timedelta(seconds=extend_seconds)
        if done:
            _require_code(record, options)
            agent_status.take_up(session, agent, None, by=by.name)
    agents.changed(agent)
    return agent


def set_status(
    by: Actor, tenant_id: int, agent_id: int, status: AgentStatus, reason: str | None
) -> Agent:
    """As `agents.set_status`, if no code is wanted first."""
    with transaction() as session:
        agent = agents.fetch(session, tenant_id, agent_id)
        if agent.activity is Activity.WRAP_UP:
            _require_code(*_record(session, agent))
    return agents.set_status(by, tenant_id, agent_id, status, reason)


def _record(session: Session, agent: Agent) -> tuple[QueueCall | None, QueueOptions | None]:
    """The record of the agent's call, and the options of its queue."""
    found = session.execute(
        select(QueueCall, Queue.options)
        .join(Queue, Queue.id == QueueCall.queue_id)
        .where(QueueCall.call_id == agent.activity_call, QueueCall.agent_id == agent.id)
        .order_by(QueueCall.entered_at.desc())
        .limit(1)
    ).one_or_none()
    if found is None:
        return None, None
    return found[0], QueueOptions.model_validate(found[1])


def _require_code(record: QueueCall | None, options: QueueOptions | None) -> None:
    wanted = options is not None and options.wrap_up_code_required
    if wanted and record is not None and record.wrap_up_code is None:
        raise Conflict("Give the call's wrap-up code first.", code=CODE_REQUIRED)
