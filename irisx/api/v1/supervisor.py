"""`/v1/supervisor`: live calls, and how a supervisor gets onto one."""

from datetime import datetime
from typing import Annotated, Any, Self

from pydantic import Field, StringConstraints, model_validator

from irisx.api.http import Router
from irisx.api.schemas import (
    Answer,
    Body,
    OffsetPagination,
    OffsetQuery,
    Success,
    Timestamp,
    listed,
)
from irisx.api.v1.agents import AgentsQuery, Reason, StatusChange
from irisx.api.v1.contact_center import AgentId
from irisx.api.v1.wallboard import QueueDetail, queue_details
from irisx.kernel.clock import now
from irisx.kernel.errors import invalid
from irisx.kernel.ids import call_sid
from irisx.telephony.calls import destinations
from irisx.telephony.calls.destinations import (
    AgentDestination,
    Destination,
    NumberDestination,
    SipDestination,
)
from irisx.telephony.calls.states import CallStatus, Direction
from irisx.telephony.supervision import service
from irisx.telephony.supervision.service import Watched
from irisx.telephony.supervision.state import Mode, Status
from irisx.telephony.wallboard import service as wallboard
from irisx.tenancy import agents
from irisx.tenancy.access import Caller
from irisx.tenancy.agent_models import Agent, AgentStatus

router = Router("Supervisor")

_READ = "supervisor:read"
_WRITE = "supervisor:write"

_PERSON = r"^(sip|agent)_[0-9]{1,18}$"


# --- what there is ----------------------------------------------------------------------------


class OnCall(Answer):
    """A supervisor on a call. `supervisor`: as in the request, in one word."""

    supervisor: str = Field(examples=["agent_3"])
    mode: Mode
    status: Status
    started_at: Timestamp
    answered_at: Timestamp | None


class LiveCall(Answer):
    """`duration`: seconds since the answer; null before it."""

    sid: str
    status: CallStatus
    direction: Direction
    from_: str = Field(alias="from")
    to: str
    initiated_at: Timestamp
    answered_at: Timestamp | None
    duration: int | None
    sandbox: bool
    supervisors: list[OnCall]


class LiveCalls(Answer):
    calls: list[LiveCall]
    pagination: OffsetPagination


@router.get("/v1/supervisor/calls", access=_READ, answer=Success[LiveCalls])
def list_live_calls(caller: Caller, query: OffsetQuery) -> dict[str, Any]:
    """List the calls that are under way, oldest first, and who supervises them."""
    watched, total = service.live_calls(caller.tenant_id, limit=query.limit, offset=query.offset)
    moment = now()
    return listed("calls", [_live(each, moment) for each in watched], query, total)


def _live(watched: Watched, moment: datetime) -> dict[str, Any]:
    call = watched.call
    talked = None if call.answered_at is None else moment - call.answered_at
    return {
        "sid": call_sid(call.id),
        "status": call.status,
        "direction": call.direction,
        "from": call.from_number,
        "to": call.to_number,
        "initiated_at": call.initiated_at,
        "answered_at": call.answered_at,
        "duration": None if talked is None else max(0, round(talked.total_seconds())),
        "sandbox": call.sandbox,
        "supervisors": watched.supervisors,
    }


class AgentNow(Answer):
    """`call_sid`: of the call that the agent is in, or works after."""

    id: AgentId
    name: str
    status: AgentStatus
    reason: str | None
    status_since: Timestamp
    next_status: AgentStatus | None
    call_sid: str | None


class AgentsNow(Answer):
    agents: list[AgentNow]
    pagination: OffsetPagination


class QueuesNow(Answer):
    queues: list[QueueDetail]


@router.get("/v1/supervisor/agents", access=_READ, answer=Success[AgentsNow])
def list_agents_now(caller: Caller, query: AgentsQuery) -> dict[str, Any]:
    """List agents with their statuses."""
    rows, total = agents.list_page(
        caller.tenant_id, limit=query.limit, offset=query.offset, status=query.status
    )
    return listed("agents", [_agent_now(row) for row in rows], query, total)


def _agent_now(row: Agent) -> dict[str, Any]:
    same = {name: getattr(row, name) for name in AgentNow.model_fields if name != "call_sid"}
    return same | {"call_sid": row.activity_call and call_sid(row.activity_call)}


@router.get("/v1/supervisor/queues", access=_READ, answer=Success[QueuesNow])
def list_queues_now(caller: Caller) -> dict[str, Any]:
    """List queues with who waits, who talks, their agents, and the wallboard's figures."""
    return {"data": {"queues": queue_details(wallboard.read(caller.tenant_id))}}


# --- agents -----------------------------------------------------------------------------------


class Logout(Body):
    reason: Reason | None = Field(None, description="Kept in the history.")


@router.post("/v1/supervisor/agents/<agent_id>/logout", access=_WRITE, answer=AgentNow)
def log_agent_out(caller: Caller, agent_id: AgentId, body: Logout) -> dict[str, Any]:
    """Force an agent's logout. A call that goes on is not cut: `next_status` follows it."""
    reason = body.reason or "logged out by a supervisor"
    return _agent_now(
        agents.set_status(caller, caller.tenant_id, agent_id, AgentStatus.OFFLINE, reason)
    )


@router.post("/v1/supervisor/agents/<agent_id>/status", access=_WRITE, answer=AgentNow)
def set_agent_status_now(caller: Caller, agent_id: AgentId, body: StatusChange) -> dict[str, Any]:
    """Change an agent's status. During a call it is what comes after it."""
    return _agent_now(
        agents.set_status(caller, caller.tenant_id, agent_id, body.status, body.reason)
    )


# --- getting onto a call ----------------------------------------------------------------------


class Supervisor(Body):
    """Who: one of the two."""

    supervisor_id: Annotated[str, StringConstraints(pattern=_PERSON)] | None = Field(
        None,
        description="An agent, or a phone by the id of its SIP account.",
        examples=["agent_3"],
    )
    to: Annotated[str, StringConstraints(min_length=1, max_length=320)] | None = Field(
        None, description="E.164 number or SIP address (`sip:user@host`)."
    )

    @model_validator(mode="after")
    def one_of_them(self) -> Self:
        if (self.supervisor_id is None) == (self.to is None):
            raise ValueError("give either supervisor_id or to")
        return self

    @property
    def field(self) -> str:
        return "to" if self.supervisor_id is None else "supervisor_id"

    def destination(self) -> Destination:
        found = destinations.from_text(self.supervisor_id or self.to or "", self.field)
        if not isinstance(found, AgentDestination | NumberDestination | SipDestination):
            raise invalid(self.field, "not a person, a number or a SIP address")
        return found


class Supervised(Answer):
    """`status`: `ringing` until the supervisor has answered, then the mode takes effect."""

    sid: str
    mode: Mode
    status: Status


class Left(Answer):
    sid: str


@router.post("/v1/supervisor/calls/<sid>/listen", access=_WRITE, answer=Supervised)
def listen_to_call(caller: Caller, sid: str, body: Supervisor) -> dict[str, Any]:
    """Silent monitor: the supervisor hears customer and agent, nobody hears the supervisor."""
    return _supervise(caller, sid, Mode.LISTEN, body)


@router.post("/v1/supervisor/calls/<sid>/whisper", access=_WRITE, answer=Supervised)
def whisper_to_agent(caller: Caller, sid: str, body: Supervisor) -> dict[str, Any]:
    """Whisper: the agent hears the supervisor too, the customer and the recording do not."""
    return _supervise(caller, sid, Mode.WHISPER, body)


@router.post("/v1/supervisor/calls/<sid>/barge", access=_WRITE, answer=Supervised)
def barge_into_call(caller: Caller, sid: str, body: Supervisor) -> dict[str, Any]:
    """Barge in: customer, agent and supervisor talk together."""
    return _supervise(caller, sid, Mode.BARGE, body)


@router.post("/v1/supervisor/calls/<sid>/takeover", access=_WRITE, answer=Supervised)
def take_over_call(caller: Caller, sid: str, body: Supervisor) -> dict[str, Any]:
    """Take over: customer and supervisor talk, the agent hears music until given the call back
    by another mode or by stop."""
    return _supervise(caller, sid, Mode.TAKEOVER, body)


@router.post("/v1/supervisor/calls/<sid>/stop", access=_WRITE, answer=Left)
def stop_supervising(caller: Caller, sid: str, body: Supervisor) -> dict[str, Any]:
    """Take a supervisor off a call."""
    return service.stop(caller, sid, body.destination()) | {"sid": sid}


def _supervise(caller: Caller, sid: str, mode: Mode, body: Supervisor) -> dict[str, Any]:
    """The same supervisor in another mode is switched on the same leg, without a new call."""
    done = service.supervise(caller, sid, mode, body.destination(), body.field)
    return done | {"sid": sid}
