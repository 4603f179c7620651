"""Queues and agents as an engine keeps them in memory, read from their rows."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from irisx.kernel.clock import now
from irisx.kernel.db import transaction
from irisx.telephony.acd.estimate import Estimator
from irisx.telephony.acd.models import (
    OfferOutcome,
    Queue,
    QueueCall,
    QueueCallStatus,
    QueueMember,
)
from irisx.telephony.acd.options import QueueOptions
from irisx.telephony.acd.rules import Needs, Place, QueueRules
from irisx.tenancy.agent_models import Activity, Agent, AgentStatus, AgentWork
from irisx.tenancy.models import SipAccount

#: Channel of `agent_work` whose rows the engine itself writes.
VOICE = "voice"
_HISTORY_CALLS = 20


@dataclass(slots=True)
class QueueFacts:
    """A queue's row, its options and what is expected of it."""

    row: Queue
    options: QueueOptions
    estimator: Estimator

    @property
    def rules(self) -> QueueRules:
        """As the matcher sees it."""
        row, options = self.row, self.options
        return QueueRules(
            id=row.id,
            strategy=row.strategy,
            priority=row.priority,
            needs=_needs(row.skills_required, row.skill_levels),
            relaxation=tuple(
                (float(step.after_seconds), _needs(step.skills_required, step.skill_levels))
                for step in options.skill_relaxation
            ),
            tier_wait=float(options.tier_wait_seconds),
            tier_skip_empty=options.tier_skip_empty,
            max_wait=row.max_wait_time,
            no_agents_after=options.no_agents_seconds,
            delays={
                OfferOutcome.REJECTED: float(options.reject_delay_seconds),
                OfferOutcome.BUSY: float(options.busy_delay_seconds),
                OfferOutcome.NO_ANSWER: float(options.no_answer_delay_seconds),
                OfferOutcome.UNREACHABLE: float(options.no_answer_delay_seconds),
            },
        )


@dataclass(slots=True)
class AgentFacts:
    """An agent's row and how to ring the agent. `load`: work of other channels than voice."""

    row: Agent
    username: str | None
    places: dict[int, Place] = field(default_factory=dict)
    load: int = 0

    @property
    def id(self) -> int:
        return self.row.id

    @property
    def phone_number(self) -> str | None:
        return self.row.phone_number

    @property
    def available(self) -> bool:
        return self.row.chosen is AgentStatus.AVAILABLE

    @property
    def logged_in(self) -> bool:
        return self.row.chosen is not AgentStatus.OFFLINE or self.row.activity is Activity.CALL

    @property
    def idle_since(self) -> datetime:
        return self.row.idle_since or self.row.status_since


@dataclass(frozen=True, slots=True)
class Roster:
    """All queues and agents of a tenant."""

    queues: list[QueueFacts]
    agents: list[AgentFacts]


def load(tenant_id: int) -> Roster:
    with transaction() as session:
        queues = session.scalars(
            select(Queue).where(Queue.tenant_id == tenant_id, Queue.deleted_at.is_(None))
        ).all()
        return Roster(
            [_queue(session, row) for row in queues],
            _agents(session, tenant_id, [row.id for row in queues], None),
        )


def load_agent(tenant_id: int, agent_id: int) -> AgentFacts | None:
    """One agent; None if there is none (any more)."""
    with transaction() as session:
        queues = session.scalars(
            select(Queue.id).where(Queue.tenant_id == tenant_id, Queue.deleted_at.is_(None))
        ).all()
        found = _agents(session, tenant_id, queues, agent_id)
        return found[0] if found else None


def _queue(session: Session, row: Queue) -> QueueFacts:
    handled = (
        select((QueueCall.talk_ms + func.coalesce(QueueCall.wrap_ms, 0)).label("ms"))
        .where(
            QueueCall.queue_id == row.id,
            QueueCall.status == QueueCallStatus.COMPLETED,
            QueueCall.talk_ms.is_not(None),
        )
        .order_by(QueueCall.entered_at.desc())
        .limit(_HISTORY_CALLS)
        .subquery()
    )
    mean_ms = session.scalar(select(func.avg(handled.c.ms)))
    estimator = Estimator(None if mean_ms is None else float(mean_ms) / 1000)
    return QueueFacts(row, QueueOptions.model_validate(row.options), estimator)


def _agents(
    session: Session, tenant_id: int, queues: Iterable[int], agent_id: int | None
) -> list[AgentFacts]:
    work = (
        select(func.count())
        .where(AgentWork.agent_id == Agent.id, AgentWork.channel != VOICE)
        .scalar_subquery()
    )
    query = (
        select(Agent, SipAccount.username, work)
        .outerjoin(SipAccount, SipAccount.id == Agent.sip_account_id)
        .where(Agent.tenant_id == tenant_id, Agent.deleted_at.is_(None))
    )
    members = select(QueueMember).where(QueueMember.queue_id.in_(list(queues)))
    if agent_id is not None:
        query = query.where(Agent.id == agent_id)
        members = members.where(QueueMember.agent_id == agent_id)
    facts = {row.id: AgentFacts(row, name, load=load) for row, name, load in session.execute(query)}
    for member in session.scalars(members):
        if member.agent_id in facts:
            facts[member.agent_id].places[member.queue_id] = Place(member.tier, member.level)
    return list(facts.values())


def _needs(skills: Iterable[str], levels: dict[str, int]) -> Needs:
    return frozenset((skill, levels.get(skill, 1)) for skill in skills)


@dataclass(frozen=True, slots=True)
class Earlier:
    """What is known of a caller from before: the place of a wait that was given up a moment ago,
    and the agent of the last talk."""

    place_at: datetime | None = None
    agent_id: int | None = None


def earlier(queue: QueueFacts, number: str) -> Earlier:
    """Look a caller up. Nobody without a number is known."""
    options = queue.options
    if not number.startswith("+"):
        return Earlier()
    mine = select(QueueCall).where(QueueCall.queue_id == queue.row.id, QueueCall.number == number)
    with transaction() as session:
        gave_up = session.scalar(
            mine.where(QueueCall.left_at > now() - timedelta(seconds=options.return_window_seconds))
            .order_by(QueueCall.left_at.desc())
            .limit(1)
        )
        place_at = None
        if gave_up is not None and gave_up.status is QueueCallStatus.ABANDONED:
            place_at = gave_up.place_at
        agent_id = None
        if options.sticky_seconds:
            agent_id = session.scalar(
                select(QueueCall.agent_id)
                .where(
                    QueueCall.queue_id == queue.row.id,
                    QueueCall.number == number,
                    QueueCall.answered_at > now() - timedelta(days=options.sticky_days),
                )
                .order_by(QueueCall.answered_at.desc())
                .limit(1)
            )
    return Earlier(place_at, agent_id)


def unsettled(tenant_id: int, live: Iterable[UUID]) -> list[QueueCall]:
    """Records that say that a caller waits or talks, of calls that no engine of ours has."""
    with transaction() as session:
        return list(
            session.scalars(
                select(QueueCall).where(
                    QueueCall.tenant_id == tenant_id,
                    QueueCall.status.in_([QueueCallStatus.WAITING, QueueCallStatus.TALKING]),
                    QueueCall.call_id.not_in(list(live)),
                )
            )
        )
