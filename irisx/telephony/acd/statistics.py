"""Figures of queues and agents, counted from rows; every ratio with what it is made of.

A queue's figures are of the callers who entered it in the period; the service level is

    answered within T seconds / denominator

with the queue's own T (`service_level_seconds`) and denominator (`service_level_denominator`):
`answered`; `offered`: answered + abandoned; `offered-without-short`: that, without those who hung
up within `short_abandon_seconds`. Callers who overflowed, left by a key or wait are in none.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, case, func, select, text
from sqlalchemy.orm import Session

from irisx.kernel.clock import now
from irisx.kernel.db import transaction
from irisx.telephony.acd.models import OfferOutcome, Queue, QueueCall, QueueCallStatus, QueueOffer
from irisx.telephony.acd.options import QueueOptions
from irisx.tenancy.agent_models import Agent, AgentStatus

_DENOMINATORS = {
    "answered": "answered",
    "offered": "answered + abandoned",
    "offered-without-short": "answered + abandoned - short_abandons",
}


@dataclass(frozen=True, slots=True)
class Ratio:
    """`value` None: there was nothing to divide by."""

    numerator: int
    denominator: int

    @property
    def value(self) -> float | None:
        return round(self.numerator / self.denominator, 4) if self.denominator else None


@dataclass(frozen=True, slots=True)
class QueueFigures:
    """Callers who entered a queue in a period. Times in ms; None: of nobody."""

    entered: int
    waiting: int
    talking: int
    answered: int
    answered_within: int
    abandoned: int
    short_abandons: int
    overflowed: dict[str, int]
    exited: int
    callbacks: int
    wait_ms_avg: int | None
    wait_ms_max: int | None
    answer_ms_avg: int | None
    talk_ms_avg: int | None
    wrap_ms_avg: int | None
    handle_ms_avg: int | None
    service_level: Ratio
    service_level_seconds: int
    service_level_formula: str
    abandon_rate: Ratio


def of_queue(session: Session, queue: Queue, start: datetime, end: datetime) -> QueueFigures:
    options = QueueOptions.model_validate(queue.options)
    in_time = options.service_level_seconds * 1000
    short = options.short_abandon_seconds * 1000
    answered = QueueCall.answered_at.is_not(None)
    abandoned = QueueCall.status == QueueCallStatus.ABANDONED
    mine = (
        QueueCall.queue_id == queue.id,
        QueueCall.entered_at >= start,
        QueueCall.entered_at < end,
    )
    row = session.execute(
        select(
            func.count().label("entered"),
            _count(QueueCall.status == QueueCallStatus.WAITING).label("waiting"),
            _count(QueueCall.status == QueueCallStatus.TALKING).label("talking"),
            _count(answered).label("answered"),
            _count(answered & (QueueCall.wait_ms <= in_time)).label("answered_within"),
            _count(abandoned).label("abandoned"),
            _count(abandoned & (QueueCall.wait_ms < short)).label("short_abandons"),
            _count(QueueCall.status == QueueCallStatus.EXITED).label("exited"),
            _count(QueueCall.status == QueueCallStatus.CALLBACK).label("callbacks"),
            func.avg(QueueCall.wait_ms).label("wait_ms_avg"),
            func.max(QueueCall.wait_ms).label("wait_ms_max"),
            func.avg(case((answered, QueueCall.wait_ms))).label("answer_ms_avg"),
            func.avg(QueueCall.talk_ms).label("talk_ms_avg"),
            func.avg(QueueCall.wrap_ms).label("wrap_ms_avg"),
            func.avg(QueueCall.talk_ms + func.coalesce(QueueCall.wrap_ms, 0)).label(
                "handle_ms_avg"
            ),
        ).where(*mine)
    ).one()
    reasons = session.execute(
        select(QueueCall.reason, func.count())
        .where(*mine, QueueCall.status == QueueCallStatus.OVERFLOWED)
        .group_by(QueueCall.reason)
    )
    counted: dict[str, Any] = {name: _whole(value) for name, value in row._mapping.items()}
    offered = row.answered + row.abandoned
    lasting = offered - row.short_abandons
    denominators = {
        "answered": row.answered,
        "offered": offered,
        "offered-without-short": lasting,
    }
    chosen = options.service_level_denominator
    return QueueFigures(
        **counted,
        overflowed={reason or "": count for reason, count in reasons},
        service_level=Ratio(row.answered_within, denominators[chosen]),
        service_level_seconds=options.service_level_seconds,
        service_level_formula=(
            f"answered within {options.service_level_seconds} s / ({_DENOMINATORS[chosen]})"
        ),
        abandon_rate=Ratio(row.abandoned - row.short_abandons, lasting),
    )


@dataclass(frozen=True, slots=True)
class AgentFigures:
    """What an agent did in a period. Times in ms.

    `offers`: by outcome. `occupancy`: talk and wrap-up of the time logged in and not away.
    """

    agent_id: int
    name: str
    offers: dict[str, int]
    answer_rate: Ratio
    calls: int
    talk_ms: int
    wrap_ms: int
    handle_ms_avg: int | None
    longest_talk_ms: int | None
    status_ms: dict[str, int]
    logged_in_ms: int
    occupancy: Ratio


@dataclass(slots=True)
class _Tally:
    offers: dict[str, int] = field(default_factory=dict)
    calls: Any = None
    status_ms: dict[str, int] = field(default_factory=dict)


def of_agents(
    tenant_id: int, start: datetime, end: datetime, agents: Sequence[Agent]
) -> list[AgentFigures]:
    """Figures of the agents, in their order."""
    tallies = {agent.id: _Tally() for agent in agents}
    ids = list(tallies)
    until = min(end, now())
    with transaction() as session:
        offers = session.execute(
            select(QueueOffer.agent_id, QueueOffer.outcome, func.count())
            .where(
                QueueOffer.tenant_id == tenant_id,
                QueueOffer.agent_id.in_(ids),
                QueueOffer.at >= start,
                QueueOffer.at < end,
                QueueOffer.outcome.is_not(None),
            )
            .group_by(QueueOffer.agent_id, QueueOffer.outcome)
        )
        for agent_id, outcome, count in offers:
            tallies[agent_id].offers[str(outcome)] = count
        calls = session.execute(
            select(
                QueueCall.agent_id,
                func.count().label("calls"),
                func.coalesce(func.sum(QueueCall.talk_ms), 0).label("talk_ms"),
                func.coalesce(func.sum(QueueCall.wrap_ms), 0).label("wrap_ms"),
                func.max(QueueCall.talk_ms).label("longest_ms"),
            )
            .where(
                QueueCall.tenant_id == tenant_id,
                QueueCall.agent_id.in_(ids),
                QueueCall.answered_at >= start,
                QueueCall.answered_at < end,
            )
            .group_by(QueueCall.agent_id)
        )
        for row in calls:
            tallies[row.agent_id].calls = row
        spent = session.execute(_STATUS_MS, {"agents": ids, "start": start, "until": until})
        for agent_id, status, spent_ms in spent if start < until else ():
            tallies[agent_id].status_ms[status] = round(spent_ms)
    return [_figures(agent, tallies[agent.id]) for agent in agents]


def _figures(agent: Agent, tally: _Tally) -> AgentFigures:
    calls, talk_ms, wrap_ms, longest = 0, 0, 0, None
    if tally.calls is not None:
        calls, longest = tally.calls.calls, tally.calls.longest_ms
        talk_ms, wrap_ms = int(tally.calls.talk_ms), int(tally.calls.wrap_ms)
    ours = sum(
        tally.offers.get(outcome.value, 0)
        for outcome in (OfferOutcome.CALLER_LEFT, OfferOutcome.LOST_RACE, OfferOutcome.WITHDRAWN)
    )
    answered = tally.offers.get(OfferOutcome.ANSWERED.value, 0)
    logged_in = sum(
        spent for status, spent in tally.status_ms.items() if status != AgentStatus.OFFLINE
    )
    ready = logged_in - tally.status_ms.get(AgentStatus.AWAY.value, 0)
    return AgentFigures(
        agent_id=agent.id,
        name=agent.name,
        offers=tally.offers,
        answer_rate=Ratio(answered, sum(tally.offers.values()) - ours),
        calls=calls,
        talk_ms=talk_ms,
        wrap_ms=wrap_ms,
        handle_ms_avg=round((talk_ms + wrap_ms) / calls) if calls else None,
        longest_talk_ms=longest,
        status_ms=tally.status_ms,
        logged_in_ms=logged_in,
        occupancy=Ratio(talk_ms + wrap_ms, ready),
    )


#: How long each agent was in each status between `start` and `until`: the status that was there at
#: the start, and every change after it until the next.
_STATUS_MS = text("""
    WITH changes AS (
        SELECT a.id AS agent_id, before.status, CAST(:start AS timestamptz) AS at, 0 AS id
        FROM unnest(CAST(:agents AS bigint[])) AS a(id)
        CROSS JOIN LATERAL (
            SELECT status FROM agent_status_changes c
            WHERE c.agent_id = a.id AND c.at < :start ORDER BY c.at DESC, c.id DESC LIMIT 1
        ) AS before
        UNION ALL
        SELECT agent_id, status, at, id FROM agent_status_changes
        WHERE agent_id = ANY(CAST(:agents AS bigint[])) AND at >= :start AND at < :until
    ), spans AS (
        SELECT agent_id, status, at, lead(at, 1, CAST(:until AS timestamptz))
            OVER (PARTITION BY agent_id ORDER BY at, id) AS until
        FROM changes
    )
    SELECT agent_id, status, 1000 * sum(extract(epoch FROM until - at)) FROM spans
    GROUP BY agent_id, status
""")


def _count(condition: ColumnElement[bool]) -> ColumnElement[int]:
    return func.count().filter(condition)


def _whole(value: Any) -> int | None:
    return None if value is None else round(value)
