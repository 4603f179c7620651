"""What goes on in a queue at this moment, and what went on before: read from its rows."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, time
from uuid import UUID
from zoneinfo import ZoneInfo

from sqlalchemy import ColumnElement, func, select

from irisx.kernel.clock import now
from irisx.kernel.db import transaction
from irisx.telephony.acd import queues, statistics
from irisx.telephony.acd.models import Queue, QueueCall, QueueCallStatus, QueueMember
from irisx.telephony.acd.statistics import QueueFigures
from irisx.tenancy import agents
from irisx.tenancy.agent_models import Agent
from irisx.tenancy.models import Tenant
from irisx.tenancy.settings import TenantSettings

_WAITING = QueueCall.status == QueueCallStatus.WAITING


@dataclass(frozen=True, slots=True)
class QueueStatus:
    """`agents`: how many of the queue are in each status; `today`: since midnight of the tenant."""

    queue: Queue
    waiting: int
    longest_wait_ms: int
    talking: int
    agents: dict[str, int]
    today: QueueFigures


def status(tenant_id: int, queue_id: int) -> QueueStatus:
    with transaction() as session:
        queue = queues.fetch(session, tenant_id, queue_id)
        waiting, since = session.execute(
            select(func.count(), func.min(QueueCall.entered_at)).where(
                QueueCall.queue_id == queue_id, _WAITING
            )
        ).one()
        talking = session.scalar(
            select(func.count()).where(
                QueueCall.queue_id == queue_id, QueueCall.status == QueueCallStatus.TALKING
            )
        )
        by_status = session.execute(
            select(Agent.status, func.count())
            .join(QueueMember, QueueMember.agent_id == Agent.id)
            .where(QueueMember.queue_id == queue_id, Agent.deleted_at.is_(None))
            .group_by(Agent.status)
        )
        settings = TenantSettings.model_validate(session.get_one(Tenant, tenant_id).settings)
        figures = statistics.of_queue(session, queue, midnight(settings.timezone), now())
        return QueueStatus(
            queue=queue,
            waiting=waiting,
            longest_wait_ms=0 if since is None else round((now() - since).total_seconds() * 1000),
            talking=talking or 0,
            agents={agent_status.value: count for agent_status, count in by_status},
            today=figures,
        )


def midnight(timezone: str) -> datetime:
    """The beginning of the present day there."""
    local = now().astimezone(ZoneInfo(timezone))
    return datetime.combine(local.date(), time(), local.tzinfo)


def figures(tenant_id: int, queue_id: int, start: datetime, end: datetime) -> QueueFigures:
    with transaction() as session:
        queue = queues.fetch(session, tenant_id, queue_id)
        return statistics.of_queue(session, queue, start, end)


def callers(tenant_id: int, queue_id: int, *, limit: int) -> Sequence[QueueCall]:
    """Who waits, in the order in which they are served."""
    with transaction() as session:
        queues.fetch(session, tenant_id, queue_id)
        waiting = select(QueueCall).where(QueueCall.queue_id == queue_id, _WAITING)
        order = (QueueCall.priority.desc(), QueueCall.place_at, QueueCall.id)
        return session.scalars(waiting.order_by(*order).limit(limit)).all()


Position = tuple[datetime, UUID]


def calls_of_queue(
    tenant_id: int, queue_id: int, *, limit: int, before: Position | None
) -> Sequence[QueueCall]:
    """Records of a queue, newest first."""
    with transaction() as session:
        queues.fetch(session, tenant_id, queue_id)
    return _page(QueueCall.queue_id == queue_id, limit, before)


def calls_of_agent(
    tenant_id: int, agent_id: int, *, limit: int, before: Position | None
) -> Sequence[QueueCall]:
    """Records of the calls that an agent took, newest first."""
    agents.get(tenant_id, agent_id)
    return _page(QueueCall.agent_id == agent_id, limit, before)


def _page(mine: ColumnElement[bool], limit: int, before: Position | None) -> Sequence[QueueCall]:
    query = select(QueueCall).where(mine)
    if before is not None:
        at, record_id = before
        earlier = (QueueCall.entered_at == at) & (QueueCall.id < record_id)
        query = query.where((QueueCall.entered_at < at) | earlier)
    order = (QueueCall.entered_at.desc(), QueueCall.id.desc())
    with transaction() as session:
        return session.scalars(query.order_by(*order).limit(limit)).all()
