"""Agents: who they are and how they are reached; their work over all channels."""

from collections.abc import Mapping, Sequence
from typing import Any, TypedDict, Unpack

from sqlalchemy import delete, func, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from irisx.kernel.clock import now
from irisx.kernel.db import transaction
from irisx.kernel.errors import Conflict, NotFound, invalid
from irisx.kernel.ids import public_id
from irisx.kernel.jobs import wake
from irisx.tenancy import agent_status, audit, rows
from irisx.tenancy.access import Actor
from irisx.tenancy.agent_models import (
    Activity,
    Agent,
    AgentStatus,
    AgentWork,
    ContactType,
)
from irisx.tenancy.models import SipAccount, User

#: `jobs.wake` topic of agents that changed; its detail is `tenant:agent`, both row keys.
TOPIC = "agents"


class AgentFields(TypedDict, total=False):
    """What may be changed of an agent. `contact`: type, and sip_account_id or phone_number."""

    name: str
    user_id: int | None
    contact: Mapping[str, Any]
    capacity: int
    skills: Mapping[str, int]
    wrap_up_seconds: int | None


def create(by: Actor, tenant_id: int, **fields: Unpack[AgentFields]) -> Agent:
    """Raises ValidationError about user or SIP account, Conflict AGENT_EXISTS."""
    row = Agent(tenant_id=tenant_id)
    try:
        with transaction() as session:
            _assign(session, row, fields)
            session.add(row)
            audit.created(session, by, row)
    except IntegrityError:
        raise _taken() from None
    changed(row)
    return row


def get(tenant_id: int, agent_id: int) -> Agent:
    with transaction() as session:
        return fetch(session, tenant_id, agent_id)


def list_page(
    tenant_id: int, *, limit: int, offset: int, status: AgentStatus | None = None
) -> tuple[Sequence[Agent], int]:
    query = select(Agent).where(Agent.tenant_id == tenant_id, Agent.deleted_at.is_(None))
    if status is not None:
        query = query.where(Agent.status == status)
    with transaction() as session:
        return rows.page(session, query, limit=limit, offset=offset)


def change(by: Actor, tenant_id: int, agent_id: int, **fields: Unpack[AgentFields]) -> Agent:
    """Set the given fields."""
    try:
        with transaction() as session:
            row = fetch(session, tenant_id, agent_id, lock=True)
            before = audit.snapshot(row)
            _assign(session, row, fields)
            audit.updated(session, by, row, before)
    except IntegrityError:
        raise _taken() from None
    changed(row)
    return row


def delete_agent(by: Actor, tenant_id: int, agent_id: int) -> None:
    """Raises Conflict AGENT_IN_CALL during a call."""
    with transaction() as session:
        row = fetch(session, tenant_id, agent_id, lock=True)
        if row.activity is Activity.CALL:
            raise Conflict("The agent is in a call.", code="AGENT_IN_CALL")
        agent_status.choose(session, row, AgentStatus.OFFLINE, reason="deleted", by=by.name)
        before = audit.snapshot(row)
        row.deleted_at = now()
        audit.record(
            session, by, "agent.deleted", row.public_id, tenant_id=tenant_id, before=before
        )
    changed(row)


def set_status(
    by: Actor, tenant_id: int, agent_id: int, status: AgentStatus, reason: str | None
) -> Agent:
    """What the agent is from now on, or after the call that goes on."""
    with transaction() as session:
        row = fetch(session, tenant_id, agent_id, lock=True)
        before = audit.snapshot(row)
        agent_status.choose(session, row, status, reason=reason, by=by.name)
        audit.record(
            session,
            by,
            "agent.status_set",
            row.public_id,
            tenant_id=tenant_id,
            before={"status": before["status"], "reason": before["reason"]},
            after={"status": status.value, "reason": reason},
        )
    changed(row)
    return row


def fetch(session: Session, tenant_id: int, agent_id: int, *, lock: bool = False) -> Agent:
    """The tenant's agent; NotFound also of one that was deleted."""
    row = rows.fetch(session, Agent, agent_id, tenant_id=tenant_id, lock=lock)
    if row.deleted_at is not None:
        raise NotFound("There is no agent with this id.")
    return row


def changed(row: Agent) -> None:
    """Tell whoever routes to agents. After the commit."""
    wake(TOPIC, f"{row.tenant_id}:{row.id}")


def _taken() -> Conflict:
    return Conflict("This user is an agent already.", code="AGENT_EXISTS")


def _assign(session: Session, row: Agent, fields: AgentFields) -> None:
    values: dict[str, Any] = {**fields}
    user_id = values.get("user_id")
    if user_id is not None:
        _require(session, User, "user_id", row.tenant_id, user_id)
    contact = values.pop("contact", None)
    if contact is not None:
        account_id = contact.get("sip_account_id")
        if account_id is not None:
            _require(session, SipAccount, "contact.sip_account_id", row.tenant_id, account_id)
        row.contact_type = ContactType(contact["type"])
        row.sip_account_id, row.phone_number = account_id, contact.get("phone_number")
    rows.assign(row, values)


def _require(
    session: Session, model: type[User] | type[SipAccount], field: str, tenant_id: int, key: int
) -> None:
    mine = select(model.id).where(model.tenant_id == tenant_id, model.id == key)
    if session.scalar(mine) is None:
        raise invalid(field, f"there is no {public_id(model.PREFIX, key)}")


# -- work ------------------------------------------------------------------------------------------


def take_work(tenant_id: int, agent_id: int, channel: str, reference: str) -> bool:
    """Give an available agent a piece of work of another channel than voice.

    False if the agent has no room for it (or is not available). The same piece twice is one.
    """
    with transaction() as session:
        agent = fetch(session, tenant_id, agent_id, lock=True)
        mine = AgentWork.agent_id == agent_id
        if session.get(AgentWork, (agent_id, channel, reference)) is not None:
            return True
        has = session.scalar(select(func.count()).where(mine)) or 0
        if agent.status is not AgentStatus.AVAILABLE or has >= agent.capacity:
            return False
        session.execute(
            insert(AgentWork).values(agent_id=agent_id, channel=channel, reference=reference)
        )
    changed(agent)
    return True


def end_work(tenant_id: int, agent_id: int, channel: str, reference: str) -> None:
    """The piece of work is done; harmless if it was not there."""
    with transaction() as session:
        agent = fetch(session, tenant_id, agent_id, lock=True)
        session.execute(
            delete(AgentWork).where(
                AgentWork.agent_id == agent_id,
                AgentWork.channel == channel,
                AgentWork.reference == reference,
            )
        )
    changed(agent)
