"""`/v1/queues`: where callers wait for agents."""

from typing import Annotated, Any

from pydantic import Field

from irisx.api.http import Router
from irisx.api.schemas import (
    UNSET,
    Answer,
    Body,
    CursorQuery,
    Name,
    OffsetPagination,
    OffsetQuery,
    Query,
    Success,
    Timestamp,
    listed,
)
from irisx.api.v1.contact_center import (
    AgentId,
    PeriodQuery,
    QueueCallAnswer,
    QueueCalls,
    QueueId,
    RatioAnswer,
    page_of_calls,
)
from irisx.kernel.clock import now
from irisx.telephony.acd import live_view, queues
from irisx.telephony.acd.models import Strategy
from irisx.telephony.acd.options import QueueOptions, SkillLevels, Skills
from irisx.telephony.acd.queues import Membership, QueueView
from irisx.tenancy.access import Caller
from irisx.tenancy.agent_models import AgentStatus

router = Router("Queues")

_READ, _WRITE = "queues:read", "queues:write"

Music = Annotated[str, Field(pattern=r"^(default|prm_[0-9]{1,18})$")]
MaxWait = Annotated[int, Field(ge=1, le=86_400)]
Priority = Annotated[int, Field(ge=-100, le=100)]
Place = Annotated[int, Field(ge=1, le=100)]


class Member(Body):
    """An agent of the queue; a tier or level that is left out stays as it is, or is 1."""

    agent_id: AgentId
    tier: Place | None = Field(None, description="Tier n is rung when callers have waited for it.")
    level: Place | None = Field(
        None, description="Within the tier: lower ones first, by the strategy `priority`."
    )


MemberList = Annotated[
    list[AgentId | Member],
    Field(max_length=5000, examples=[["agent_1", {"agent_id": "agent_2", "tier": 2}]]),
]


class NewQueue(Body):
    name: Name
    strategy: Strategy = Strategy.ROUND_ROBIN
    max_wait_time: MaxWait | None = Field(None, description="Seconds; null: for ever.")
    music_on_hold: Music = "default"
    agents: MemberList = Field(default_factory=list)
    skills_required: Skills = Field(
        default_factory=list, description="Skills that an agent must have, by any strategy."
    )
    skill_levels: SkillLevels = Field(
        default_factory=dict, description="Lowest level of a required skill; 1 by default."
    )
    priority: Priority = Field(
        0, description="Callers of a queue with a higher one come first, where agents are shared."
    )
    options: QueueOptions = Field(default_factory=QueueOptions)


class QueueChange(Body):
    name: Name = UNSET
    strategy: Strategy = UNSET
    max_wait_time: MaxWait | None = UNSET
    music_on_hold: Music = UNSET
    agents: MemberList = UNSET
    skills_required: Skills = UNSET
    skill_levels: SkillLevels = UNSET
    priority: Priority = UNSET
    options: Annotated[
        QueueOptions,
        Field(description="Replaces all options: what is left out has its default again."),
    ] = UNSET


class QueueFacts(Answer):
    id: QueueId
    name: str
    strategy: Strategy
    max_wait_time: int | None
    music_on_hold: str
    skills_required: list[str]
    skill_levels: dict[str, int]
    priority: int
    options: QueueOptions
    created_at: Timestamp
    updated_at: Timestamp


class QueueAnswer(QueueFacts):
    agents: list[AgentId] = Field(description="With tiers and status: `GET …/agents`.")


class Queues(Answer):
    queues: list[QueueAnswer]
    pagination: OffsetPagination


def _shown(view: QueueView) -> dict[str, Any]:
    members = [member.agent_id for member in view.members]
    return QueueFacts.model_validate(view.row).__dict__ | {"agents": members}


def _fields(body: Body) -> dict[str, Any]:
    """What was given, in the service's words."""
    given = {name: getattr(body, name) for name in body.model_fields_set}
    if "agents" in given:
        given["agents"] = [
            Membership(**member.model_dump()) if isinstance(member, Member) else Membership(member)
            for member in given["agents"]
        ]
    return given


@router.get("/v1/queues", access=_READ, answer=Success[Queues])
def list_queues(caller: Caller, query: OffsetQuery) -> dict[str, Any]:
    """List queues."""
    views, total = queues.list_page(caller.tenant_id, limit=query.limit, offset=query.offset)
    return listed("queues", [_shown(view) for view in views], query, total)


@router.post("/v1/queues", access=_WRITE, answer=QueueAnswer, status=201)
def create_queue(caller: Caller, body: NewQueue) -> dict[str, Any]:
    """Create a queue."""
    body.model_fields_set.update(NewQueue.model_fields)
    return _shown(queues.create(caller, caller.tenant_id, **_fields(body)))


@router.get("/v1/queues/<queue_id>", access=_READ, answer=QueueAnswer)
def get_queue(caller: Caller, queue_id: QueueId) -> dict[str, Any]:
    """Get a queue."""
    return _shown(queues.get(caller.tenant_id, queue_id))


@router.put("/v1/queues/<queue_id>", access=_WRITE, answer=QueueAnswer)
def update_queue(caller: Caller, queue_id: QueueId, body: QueueChange) -> dict[str, Any]:
    """Update a queue: fields that are left out stay as they are. Who waits goes on by the new
    rules."""
    return _shown(queues.change(caller, caller.tenant_id, queue_id, **_fields(body)))


@router.delete("/v1/queues/<queue_id>", access=_WRITE)
def delete_queue(caller: Caller, queue_id: QueueId) -> None:
    """Delete a queue; 409 QUEUE_IN_USE while calls go to it or callers wait."""
    queues.delete_queue(caller, caller.tenant_id, queue_id)


class AgentOnDuty(Answer):
    name: str
    status: AgentStatus
    reason: str | None
    status_since: Timestamp
    skills: dict[str, int]


class QueueAgent(AgentOnDuty):
    agent_id: AgentId
    tier: int
    level: int


class QueueAgents(Answer):
    agents: list[QueueAgent]


@router.get("/v1/queues/<queue_id>/agents", access=_READ, answer=Success[QueueAgents])
def list_queue_agents(caller: Caller, queue_id: QueueId) -> dict[str, Any]:
    """List who works in a queue, by tier and level."""
    found = queues.members_with_agents(caller.tenant_id, queue_id)
    agents = [
        AgentOnDuty.model_validate(agent).__dict__
        | {"agent_id": agent.id, "tier": member.tier, "level": member.level}
        for member, agent in found
    ]
    return {"data": {"agents": agents}}


# -- what goes on, and what went on ----------------------------------------------------------------


class QueueFiguresAnswer(Answer):
    entered: int
    waiting: int
    talking: int
    answered: int
    answered_within: int = Field(description="Within `service_level_seconds`.")
    abandoned: int
    short_abandons: int = Field(description="Abandoned within `short_abandon_seconds`.")
    overflowed: dict[str, int] = Field(description="By reason: wait, full, no-agents, closed.")
    exited: int
    callbacks: int
    wait_ms_avg: int | None = Field(description="Of all whose wait is over.")
    wait_ms_max: int | None
    answer_ms_avg: int | None = Field(description="Wait of those who were answered (ASA).")
    talk_ms_avg: int | None
    wrap_ms_avg: int | None
    handle_ms_avg: int | None = Field(description="Talk and wrap-up of a call (AHT).")
    service_level: RatioAnswer
    service_level_seconds: int
    service_level_formula: str
    abandon_rate: RatioAnswer = Field(
        description="(abandoned - short_abandons) / (answered + abandoned - short_abandons)."
    )


class QueueStatusAnswer(Answer):
    queue_id: QueueId
    name: str
    waiting: int
    longest_wait_ms: int
    talking: int
    agents: dict[str, int] = Field(description="Agents of the queue by status.")
    today: QueueFiguresAnswer = Field(description="Since midnight of the tenant's time zone.")


@router.get("/v1/queues/<queue_id>/status", access=_READ, answer=QueueStatusAnswer)
def get_queue_status(caller: Caller, queue_id: QueueId) -> dict[str, Any]:
    """What goes on in a queue now, and its figures of today."""
    status = live_view.status(caller.tenant_id, queue_id)
    return {
        "queue_id": queue_id,
        "name": status.queue.name,
        "waiting": status.waiting,
        "longest_wait_ms": status.longest_wait_ms,
        "talking": status.talking,
        "agents": status.agents,
        "today": status.today,
    }


class WaitingCaller(QueueCallAnswer):
    position: int
    waiting_ms: int


class WaitingCallers(Answer):
    callers: list[WaitingCaller]


class CallersQuery(Query):
    limit: int = Field(100, ge=1, le=1000)


@router.get("/v1/queues/<queue_id>/callers", access=_READ, answer=Success[WaitingCallers])
def list_queue_callers(caller: Caller, queue_id: QueueId, query: CallersQuery) -> dict[str, Any]:
    """List who waits, in the order in which they are served."""
    rows = live_view.callers(caller.tenant_id, queue_id, limit=query.limit)
    at = now()
    callers = [
        QueueCallAnswer.model_validate(row).__dict__
        | {
            "position": position,
            "waiting_ms": round((at - row.entered_at).total_seconds() * 1000),
        }
        for position, row in enumerate(rows, 1)
    ]
    return {"data": {"callers": callers}}


class QueueStats(QueueFiguresAnswer):
    queue_id: QueueId
    start_date: Timestamp
    end_date: Timestamp


@router.get("/v1/queues/<queue_id>/stats", access=_READ, answer=QueueStats)
def get_queue_stats(caller: Caller, queue_id: QueueId, query: PeriodQuery) -> dict[str, Any]:
    """Figures of the callers who entered in a period, by default in the last 24 hours."""
    start, end = query.period
    figures = live_view.figures(caller.tenant_id, queue_id, start, end)
    answer = QueueFiguresAnswer.model_validate(figures).__dict__
    return {**answer, "queue_id": queue_id, "start_date": start, "end_date": end}


@router.get("/v1/queues/<queue_id>/calls", access=_READ, answer=Success[QueueCalls])
def list_queue_calls(caller: Caller, queue_id: QueueId, query: CursorQuery) -> dict[str, Any]:
    """List the records of a queue's callers, newest first."""
    return page_of_calls(
        f"queue-calls/{queue_id}",
        caller.tenant_id,
        query,
        lambda limit, before: live_view.calls_of_queue(
            caller.tenant_id, queue_id, limit=limit, before=before
        ),
    )
