"""The wallboard's figures, counted from rows.

Of callers who entered a queue in the period:

    service level  = 100 * answered within T s / denominator
    abandoned rate = 100 * (abandoned - short abandons) / (answered + abandoned - short abandons)

T, the denominator and what a short abandon is are each queue's, or the wallboard's configuration.
A total adds the numerators and the denominators of the queues. What was of nobody is null.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from sqlalchemy import ColumnElement, case, func, select
from sqlalchemy.orm import Session

from irisx.kernel.clock import now
from irisx.telephony.acd.models import Queue, QueueCall, QueueCallStatus, QueueMember
from irisx.telephony.acd.options import QueueOptions
from irisx.telephony.calls.models import Call
from irisx.telephony.calls.states import CallStatus
from irisx.telephony.wallboard.config import WallboardConfig
from irisx.tenancy.agent_models import Agent, AgentStatus
from irisx.tenancy.models import Tenant
from irisx.tenancy.settings import TenantSettings

_COUNTS = (
    "entered", "answered", "answered_in_time", "abandoned", "short_abandons", "overflowed",
    "exited", "callbacks", "waited", "waited_ms", "handled", "handled_ms", "in_time_of",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Figures:
    """Of one queue, or of all of them together (`queue` None). `longest_wait`: s, of who waits.

    `counts`: whole numbers by the names of `_COUNTS`; `in_time_of` is the service level's
    denominator. `agents`: how many are in each status.
    """

    queue: Queue | None
    waiting: int
    longest_wait: int | None
    talking: int
    agents: Mapping[str, int]
    counts: Mapping[str, int]
    formula: str | None

    @property
    def service_level(self) -> float | None:
        return _percent(self.counts["answered_in_time"], self.counts["in_time_of"])

    @property
    def abandoned_rate(self) -> float | None:
        lost = self.counts["abandoned"] - self.counts["short_abandons"]
        return _percent(lost, self.counts["answered"] + lost)

    @property
    def avg_wait_time(self) -> int | None:
        """Seconds, of everybody whose wait is over."""
        return _seconds(self.counts["waited_ms"], self.counts["waited"])

    @property
    def avg_handle_time(self) -> int | None:
        """Seconds of talk and wrap-up."""
        return _seconds(self.counts["handled_ms"], self.counts["handled"])

    def view(self) -> dict[str, Any]:
        """The specification's object."""
        return {
            "calls_in_queue": self.waiting,
            "agents_available": self.agents.get(AgentStatus.AVAILABLE, 0),
            "agents_busy": self.agents.get(AgentStatus.BUSY, 0),
            "avg_wait_time": self.avg_wait_time,
            "avg_handle_time": self.avg_handle_time,
            "service_level": self.service_level,
            "abandoned_rate": self.abandoned_rate,
            "longest_wait": self.longest_wait,
        }


@dataclass(frozen=True, slots=True)
class Board:
    """All of a wallboard. `calls`: the tenant's live calls by status."""

    at: datetime
    start: datetime
    total: Figures
    queues: Sequence[Figures]
    calls: Mapping[str, int]


def board(session: Session, tenant_id: int, config: WallboardConfig) -> Board:
    at = now()
    start = _start(session, tenant_id, config, at)
    queues = session.scalars(
        select(Queue)
        .where(Queue.tenant_id == tenant_id, Queue.deleted_at.is_(None))
        .order_by(Queue.name, Queue.id)
    ).all()
    rules = {queue.id: _rules(queue, config) for queue in queues}
    counted = _counted(session, tenant_id, start, rules)
    live = _live(session, tenant_id)
    agents = _agents_of_queues(session, tenant_id)
    each = [
        _figures(queue, rules[queue.id], counted, live, agents.get(queue.id, {}), at)
        for queue in queues
    ]
    return Board(at, start, _total(session, tenant_id, each), each, _calls(session, tenant_id))


def _start(session: Session, tenant_id: int, config: WallboardConfig, at: datetime) -> datetime:
    if config.period_minutes is not None:
        return at - timedelta(minutes=config.period_minutes)
    settings = TenantSettings.model_validate(session.get_one(Tenant, tenant_id).settings)
    local = at.astimezone(ZoneInfo(settings.timezone))
    return datetime.combine(local.date(), time(), local.tzinfo)


def _rules(queue: Queue, config: WallboardConfig) -> QueueOptions:
    """The queue's options, with what the wallboard has instead."""
    instead = {
        name: value
        for name in ("service_level_seconds", "service_level_denominator", "short_abandon_seconds")
        if (value := getattr(config, name)) is not None
    }
    return QueueOptions.model_validate(queue.options).model_copy(update=instead)


def _counted(
    session: Session, tenant_id: int, start: datetime, rules: Mapping[int, QueueOptions]
) -> dict[int, dict[str, int]]:
    """By queue, of who entered since `start`."""
    if not rules:
        return {}

    def of_queue(name: str) -> ColumnElement[int]:
        limits = {key: getattr(options, name) * 1000 for key, options in rules.items()}
        return case(limits, value=QueueCall.queue_id)

    answered = QueueCall.answered_at.is_not(None)
    abandoned = QueueCall.status == QueueCallStatus.ABANDONED
    short = abandoned & (QueueCall.wait_ms < of_queue("short_abandon_seconds"))
    in_time = answered & (QueueCall.wait_ms <= of_queue("service_level_seconds"))
    handled = QueueCall.talk_ms + func.coalesce(QueueCall.wrap_ms, 0)
    rows = session.execute(
        select(
            QueueCall.queue_id,
            func.count().label("entered"),
            _count(answered).label("answered"),
            _count(in_time).label("answered_in_time"),
            _count(abandoned).label("abandoned"),
            _count(short).label("short_abandons"),
            _count(QueueCall.status == QueueCallStatus.OVERFLOWED).label("overflowed"),
            _count(QueueCall.status == QueueCallStatus.EXITED).label("exited"),
            _count(QueueCall.status == QueueCallStatus.CALLBACK).label("callbacks"),
            func.count(QueueCall.wait_ms).label("waited"),
            func.coalesce(func.sum(QueueCall.wait_ms), 0).label("waited_ms"),
            func.count(QueueCall.talk_ms).label("handled"),
            func.coalesce(func.sum(handled), 0).label("handled_ms"),
        )
        .where(
            QueueCall.tenant_id == tenant_id,
            QueueCall.queue_id.in_(list(rules)),
            QueueCall.entered_at >= start,
        )
        .group_by(QueueCall.queue_id)
    )
    return {
        row.queue_id: {name: int(value) for name, value in row._mapping.items()} for row in rows
    }


def _live(session: Session, tenant_id: int) -> dict[int, tuple[int, datetime | None, int]]:
    """By queue: how many wait, since when, and how many talk, whenever they came."""
    waits = QueueCall.status == QueueCallStatus.WAITING
    rows = session.execute(
        select(
            QueueCall.queue_id,
            _count(waits),
            func.min(QueueCall.entered_at).filter(waits),
            _count(QueueCall.status == QueueCallStatus.TALKING),
        )
        .where(
            QueueCall.tenant_id == tenant_id,
            QueueCall.status.in_([QueueCallStatus.WAITING, QueueCallStatus.TALKING]),
        )
        .group_by(QueueCall.queue_id)
    )
    return {queue_id: (waiting, since, talking) for queue_id, waiting, since, talking in rows}


def _agents_of_queues(session: Session, tenant_id: int) -> dict[int, dict[str, int]]:
    rows = session.execute(
        select(QueueMember.queue_id, Agent.status, func.count())
        .join(Agent, Agent.id == QueueMember.agent_id)
        .where(Agent.tenant_id == tenant_id, Agent.deleted_at.is_(None))
        .group_by(QueueMember.queue_id, Agent.status)
    )
    found: dict[int, dict[str, int]] = {}
    for queue_id, status, count in rows:
        found.setdefault(queue_id, {})[status] = count
    return found


def _figures(
    queue: Queue,
    options: QueueOptions,
    counted: Mapping[int, Mapping[str, int]],
    live: Mapping[int, tuple[int, datetime | None, int]],
    agents: Mapping[str, int],
    at: datetime,
) -> Figures:
    found = counted.get(queue.id, {})
    counts = {name: found.get(name, 0) for name in _COUNTS}
    offered = counts["answered"] + counts["abandoned"]
    denominators = {
        "answered": counts["answered"],
        "offered": offered,
        "offered-without-short": offered - counts["short_abandons"],
    }
    counts["in_time_of"] = denominators[options.service_level_denominator]
    waiting, since, talking = live.get(queue.id, (0, None, 0))
    return Figures(
        queue=queue,
        waiting=waiting,
        longest_wait=None if since is None else max(0, round((at - since).total_seconds())),
        talking=talking,
        agents=agents,
        counts=counts,
        formula=f"answered within {options.service_level_seconds} s / "
        f"{options.service_level_denominator}",
    )


def _total(session: Session, tenant_id: int, each: Sequence[Figures]) -> Figures:
    """Agents are counted once, in however many queues they are."""
    agents = session.execute(
        select(Agent.status, func.count())
        .where(Agent.tenant_id == tenant_id, Agent.deleted_at.is_(None))
        .group_by(Agent.status)
    )
    waits = [figures.longest_wait for figures in each if figures.longest_wait is not None]
    return Figures(
        queue=None,
        waiting=sum(figures.waiting for figures in each),
        longest_wait=max(waits, default=None),
        talking=sum(figures.talking for figures in each),
        agents={status: count for status, count in agents},
        counts={name: sum(figures.counts[name] for figures in each) for name in _COUNTS},
        formula=None,
    )


def _calls(session: Session, tenant_id: int) -> dict[str, int]:
    live = (CallStatus.INITIATED, CallStatus.RINGING, CallStatus.IN_PROGRESS)
    rows = session.execute(
        select(Call.status, func.count())
        .where(Call.tenant_id == tenant_id, Call.status.in_(live))
        .group_by(Call.status)
    )
    found = {status.value: count for status, count in rows}
    return {status.value: found.get(status.value, 0) for status in live}


def _count(condition: ColumnElement[bool]) -> ColumnElement[int]:
    return func.count().filter(condition)


def _percent(part: int, whole: int) -> float | None:
    return round(100 * part / whole, 1) if whole else None


def _seconds(total_ms: int, of: int) -> int | None:
    return round(total_ms / of / 1000) if of else None
