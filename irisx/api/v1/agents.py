"""`/v1/agents`: people who take calls and conversations; their status, skills and history."""

from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import Field, StringConstraints, model_validator

from irisx.api.http import Router
from irisx.api.numbers import E164
from irisx.api.schemas import (
    UNSET,
    Answer,
    Body,
    CursorPagination,
    CursorQuery,
    Name,
    OffsetPagination,
    OffsetQuery,
    PublicId,
    Success,
    Timestamp,
    listed,
    read_cursor,
    write_cursor,
)
from irisx.api.v1.contact_center import (
    AgentId,
    PeriodQuery,
    QueueCalls,
    RatioAnswer,
    page_of_calls,
)
from irisx.telephony.acd import live_view, statistics, wrap_up
from irisx.telephony.acd.options import SkillLevels
from irisx.telephony.acd.statistics import AgentFigures
from irisx.tenancy import agent_status, agents
from irisx.tenancy.access import Caller
from irisx.tenancy.agent_models import Agent as AgentRow
from irisx.tenancy.agent_models import AgentStatus, ContactType

router = Router("Agents")

_READ, _WRITE = "agents:read", "agents:write"

UserId = Annotated[int, PublicId("usr")]
AccountId = Annotated[int, PublicId("sip")]
Reason = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=100)]


class Contact(Body):
    """How the agent is rung: a registered phone, a browser, or any telephone number."""

    type: Literal["sip", "webrtc", "number"]
    sip_account_id: AccountId | None = Field(None, description="Of `sip` and `webrtc`.")
    phone_number: E164 | None = Field(None, description="Of `number`.")

    @model_validator(mode="after")
    def one_way(self) -> "Contact":
        by_number = self.type == "number"
        if (self.phone_number is not None, self.sip_account_id is not None) != (
            by_number,
            not by_number,
        ):
            wanted = "phone_number" if by_number else "sip_account_id"
            raise ValueError(f"{self.type} takes {wanted}, and nothing else")
        return self


Capacity = Annotated[
    int,
    Field(
        ge=1,
        le=100,
        description="Calls and conversations at a time; of calls never more than one.",
    ),
]
WrapUp = Annotated[int, Field(ge=0, le=7200)]


class NewAgent(Body):
    name: Name
    user_id: UserId | None = Field(None, description="The person's user, who signs in.")
    contact: Contact
    capacity: Capacity = 1
    skills: SkillLevels = Field(
        default_factory=dict, description="Name to level, 1 to 10.", examples=[{"english": 8}]
    )
    wrap_up_seconds: WrapUp | None = Field(None, description="In place of the queue's.")


class AgentChange(Body):
    name: Name = UNSET
    user_id: UserId | None = UNSET
    contact: Contact = UNSET
    capacity: Capacity = UNSET
    skills: SkillLevels = UNSET
    wrap_up_seconds: WrapUp | None = UNSET


class ContactAnswer(Answer):
    type: ContactType
    sip_account_id: AccountId | None
    phone_number: str | None


class AgentAnswer(Answer):
    id: AgentId
    name: str
    user_id: UserId | None
    contact: ContactAnswer
    capacity: int
    skills: dict[str, int]
    wrap_up_seconds: int | None
    status: AgentStatus
    reason: str | None
    status_since: Timestamp
    created_at: Timestamp
    updated_at: Timestamp


class Agents(Answer):
    agents: list[AgentAnswer]
    pagination: OffsetPagination


class AgentsQuery(OffsetQuery):
    status: AgentStatus | None = None


@router.get("/v1/agents", access=_READ, answer=Success[Agents])
def list_agents(caller: Caller, query: AgentsQuery) -> dict[str, Any]:
    """List agents."""
    rows, total = agents.list_page(
        caller.tenant_id, limit=query.limit, offset=query.offset, status=query.status
    )
    return listed("agents", rows, query, total)


@router.post("/v1/agents", access=_WRITE, answer=AgentAnswer, status=201)
def create_agent(caller: Caller, body: NewAgent) -> AgentRow:
    """Create an agent, who is `offline` until the status is set."""
    return agents.create(caller, caller.tenant_id, **body.model_dump())


@router.get("/v1/agents/<agent_id>", access=_READ, answer=AgentAnswer)
def get_agent(caller: Caller, agent_id: AgentId) -> AgentRow:
    """Get an agent."""
    return agents.get(caller.tenant_id, agent_id)


@router.put("/v1/agents/<agent_id>", access=_WRITE, answer=AgentAnswer)
def update_agent(caller: Caller, agent_id: AgentId, body: AgentChange) -> AgentRow:
    """Update an agent: fields that are left out stay as they are."""
    changed = body.model_dump(exclude_unset=True)
    return agents.change(caller, caller.tenant_id, agent_id, **changed)


@router.delete("/v1/agents/<agent_id>", access=_WRITE)
def delete_agent(caller: Caller, agent_id: AgentId) -> None:
    """Delete an agent; 409 AGENT_IN_CALL during a call. Records of calls stay."""
    agents.delete_agent(caller, caller.tenant_id, agent_id)


# -- status ----------------------------------------------------------------------------------------


class StatusAnswer(Answer):
    agent_id: AgentId = Field(validation_alias="id")
    status: AgentStatus
    reason: str | None
    since: Timestamp = Field(validation_alias="status_since")
    next_status: AgentStatus | None = Field(
        description="What follows the call or the wrap-up that goes on; null: there is none."
    )
    wrap_up_until: Timestamp | None = Field(
        description="When wrap-up ends by itself; null: there is none, or it waits for a code."
    )


class StatusChange(Body):
    status: AgentStatus
    reason: Reason | None = Field(None, description="Such as `lunch`; kept in the history.")


@router.get("/v1/agents/<agent_id>/status", access=_READ, answer=StatusAnswer)
def get_agent_status(caller: Caller, agent_id: AgentId) -> AgentRow:
    """Get an agent's status."""
    return agents.get(caller.tenant_id, agent_id)


@router.put("/v1/agents/<agent_id>/status", access=_WRITE, answer=StatusAnswer)
def set_agent_status(caller: Caller, agent_id: AgentId, body: StatusChange) -> AgentRow:
    """Set an agent's status. During a call it is what comes after the call; during wrap-up it
    ends the wrap-up; 409 WRAP_UP_CODE_REQUIRED if the queue wants a code first."""
    return wrap_up.set_status(caller, caller.tenant_id, agent_id, body.status, body.reason)


class Change(Answer):
    status: AgentStatus
    reason: str | None
    at: Timestamp
    by: str


class History(Answer):
    changes: list[Change]
    pagination: CursorPagination


@router.get("/v1/agents/<agent_id>/status/history", access="agents:read", answer=Success[History])
def list_agent_status_changes(
    caller: Caller, agent_id: AgentId, query: CursorQuery
) -> dict[str, Any]:
    """List the changes of an agent's status, newest first."""
    listing = f"agent-status/{agent_id}"
    position = read_cursor(listing, caller.tenant_id, query.cursor)
    agents.get(caller.tenant_id, agent_id)
    changes = agent_status.history(
        caller.tenant_id,
        agent_id,
        limit=query.limit,
        before=(datetime.fromisoformat(position[0]), position[1]) if position else None,
    )
    following = None
    if len(changes) == query.limit:
        last = changes[-1]
        following = write_cursor(listing, caller.tenant_id, [last.at.isoformat(), last.id])
    pagination = {"limit": query.limit, "next_cursor": following}
    return {"data": {"changes": changes, "pagination": pagination}}


# -- skills ----------------------------------------------------------------------------------------


class SkillsBody(Body):
    skills: SkillLevels = Field(description="All of the agent's skills.")


class SkillsAnswer(Answer):
    agent_id: AgentId = Field(validation_alias="id")
    skills: dict[str, int]


@router.get("/v1/agents/<agent_id>/skills", access=_READ, answer=SkillsAnswer)
def get_agent_skills(caller: Caller, agent_id: AgentId) -> AgentRow:
    """Get an agent's skills."""
    return agents.get(caller.tenant_id, agent_id)


@router.put("/v1/agents/<agent_id>/skills", access=_WRITE, answer=SkillsAnswer)
def set_agent_skills(caller: Caller, agent_id: AgentId, body: SkillsBody) -> AgentRow:
    """Replace an agent's skills."""
    return agents.change(caller, caller.tenant_id, agent_id, skills=body.skills)


# -- the work after a call -------------------------------------------------------------------------


class WrapUpReport(Body):
    code: Annotated[str, StringConstraints(min_length=1, max_length=100)] | None = Field(
        None, description="One of the queue's `wrap_up_codes`."
    )
    notes: Annotated[str, StringConstraints(max_length=4000)] | None = None
    extend_seconds: int | None = Field(
        None, ge=1, le=3600, description="Wrap-up ends so long from now."
    )
    done: bool = Field(False, description="The next caller may come.")


@router.post("/v1/agents/<agent_id>/wrap-up", access=_WRITE, answer=StatusAnswer)
def report_wrap_up(caller: Caller, agent_id: AgentId, body: WrapUpReport) -> AgentRow:
    """Say what the call was about, take more time, or be done. Code and notes also during the
    call. 409 NOT_IN_WRAP_UP, WRAP_UP_CODE_REQUIRED."""
    return wrap_up.report(caller, caller.tenant_id, agent_id, **body.model_dump())


# -- what they did ---------------------------------------------------------------------------------


class Performance(Answer):
    agent_id: AgentId
    name: str
    offers: dict[str, int] = Field(description="Times the agent was rung, by how it ended.")
    answer_rate: RatioAnswer = Field(
        description="Answered / offers, without those that ended for no reason of the agent's."
    )
    calls: int
    talk_ms: int
    wrap_ms: int
    handle_ms_avg: int | None = Field(description="Talk and wrap-up of a call.")
    longest_talk_ms: int | None
    status_ms: dict[str, int] = Field(description="Time in each status.")
    logged_in_ms: int = Field(description="Time in any status but `offline`.")
    occupancy: RatioAnswer = Field(
        description="Talk and wrap-up / time logged in and not away, in ms."
    )


class AgentPerformance(Performance):
    start_date: Timestamp
    end_date: Timestamp


class AllPerformance(Answer):
    start_date: Timestamp
    end_date: Timestamp
    agents: list[Performance]
    pagination: OffsetPagination


class PerformanceQuery(PeriodQuery, OffsetQuery):
    pass


@router.get("/v1/agents/performance", access=_READ, answer=Success[AllPerformance])
def list_agent_performance(caller: Caller, query: PerformanceQuery) -> dict[str, Any]:
    """What all agents did in a period."""
    rows, total = agents.list_page(caller.tenant_id, limit=query.limit, offset=query.offset)
    start, end = query.period
    figures = statistics.of_agents(caller.tenant_id, start, end, rows)
    pagination = {"limit": query.limit, "offset": query.offset, "total": total}
    found = {"agents": figures, "pagination": pagination}
    return {"data": {**found, "start_date": start, "end_date": end}}


@router.get("/v1/agents/<agent_id>/performance", access=_READ, answer=AgentPerformance)
def get_agent_performance(caller: Caller, agent_id: AgentId, query: PeriodQuery) -> dict[str, Any]:
    """What an agent did in a period."""
    row = agents.get(caller.tenant_id, agent_id)
    start, end = query.period
    figures: AgentFigures
    (figures,) = statistics.of_agents(caller.tenant_id, start, end, [row])
    answer = Performance.model_validate(figures).__dict__
    return {**answer, "start_date": start, "end_date": end}


@router.get("/v1/agents/<agent_id>/calls", access=_READ, answer=Success[QueueCalls])
def list_agent_calls(caller: Caller, agent_id: AgentId, query: CursorQuery) -> dict[str, Any]:
    """List the calls that an agent took from queues, newest first."""
    return page_of_calls(
        f"agent-calls/{agent_id}",
        caller.tenant_id,
        query,
        lambda limit, before: live_view.calls_of_agent(
            caller.tenant_id, agent_id, limit=limit, before=before
        ),
    )
