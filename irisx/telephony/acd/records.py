"""What is kept of a caller in a queue and of each offer: rows and events, by the call's journal."""

from dataclasses import dataclass, fields
from datetime import datetime
from typing import Any
from uuid import UUID

from irisx.kernel.clock import isoformat
from irisx.kernel.ids import call_sid, public_id
from irisx.telephony.acd.models import OfferOutcome, Queue, QueueCall, QueueCallStatus, QueueOffer
from irisx.telephony.acd.states import TRANSITIONS
from irisx.telephony.calls.live import LiveCall
from irisx.tenancy.agent_models import Agent

_EVENTS = {
    QueueCallStatus.WAITING: "queue.entered",
    QueueCallStatus.TALKING: "queue.answered",
    QueueCallStatus.COMPLETED: "queue.completed",
    QueueCallStatus.ABANDONED: "queue.abandoned",
    QueueCallStatus.OVERFLOWED: "queue.overflowed",
    QueueCallStatus.EXITED: "queue.exited",
    QueueCallStatus.CALLBACK: "callback.requested",
}


@dataclass(slots=True)
class QueueRecord:
    """A row of `queue_calls` that grows; the columns that the engine writes, all of them."""

    id: UUID
    entered_at: datetime
    tenant_id: int
    queue_id: int
    call_id: UUID
    number: str
    priority: int
    place_at: datetime
    status: QueueCallStatus = QueueCallStatus.WAITING
    reason: str | None = None
    to: str | None = None
    offers: int = 0
    agent_id: int | None = None
    estimated_ms: int | None = None
    answered_at: datetime | None = None
    left_at: datetime | None = None
    ended_at: datetime | None = None
    wait_ms: int | None = None
    talk_ms: int | None = None
    wrap_ms: int | None = None

    @property
    def columns(self) -> dict[str, Any]:
        return {field.name: getattr(self, field.name) for field in fields(self)}

    def view(self) -> dict[str, Any]:
        """The `data` of the events about it."""
        return {
            "key": str(self.id),
            "queue_id": public_id(Queue.PREFIX, self.queue_id),
            "call_sid": call_sid(self.call_id),
            "from": self.number,
            "priority": self.priority,
            "agent_id": self.agent_id and public_id(Agent.PREFIX, self.agent_id),
            "reason": self.reason,
            "to": self.to,
            "entered_at": isoformat(self.entered_at),
            "place_at": isoformat(self.place_at),
            "wait_ms": self.wait_ms,
            "talk_ms": self.talk_ms,
        }

    def advance(self, status: QueueCallStatus, at: datetime) -> bool:
        """The next state; False if it can't follow: a late or repeated event."""
        if status not in TRANSITIONS[self.status]:
            return False
        if self.status is QueueCallStatus.WAITING:
            self.left_at = at
            self.wait_ms = _ms(self.entered_at, at)
        if status is QueueCallStatus.TALKING:
            self.answered_at = at
        else:
            self.ended_at = at
            if self.answered_at is not None:
                self.talk_ms = _ms(self.answered_at, at)
        self.status = status
        return True

    def write(self, call: LiveCall, at: datetime, **extra: Any) -> None:
        """Have the row as it is written, and told."""
        data = self.view() | extra
        call.keep(
            [(QueueCall.__tablename__, self.columns)],
            [(_EVENTS[self.status], at, data)] if self.status in _EVENTS else [],
            [(f"queue:{self.id}:{self.status}", at, f"queue.{self.status}", _told(data))],
        )

    def wrapped_up(self, call: LiveCall, at: datetime) -> None:
        """The work after the call is done."""
        assert self.ended_at is not None
        self.wrap_ms = _ms(self.ended_at, at)
        data = self.view() | {"wrap_ms": self.wrap_ms}
        call.keep([(QueueCall.__tablename__, self.columns)], [("agent.wrapped_up", at, data)], [])


def offer_began(call: LiveCall, record: QueueRecord, leg: UUID, agent: int, at: datetime) -> None:
    """An agent is rung."""
    data = record.view() | {"key": str(leg), "agent_id": public_id(Agent.PREFIX, agent)}
    call.keep([_offer(record, leg, agent, at)], [("agent.offered", at, data)], [])


def offer_ended(
    call: LiveCall,
    record: QueueRecord,
    leg: UUID,
    agent: int,
    began_at: datetime,
    outcome: OfferOutcome,
    at: datetime,
) -> None:
    """The ringing is over; only what was not answered is told."""
    row = _offer(record, leg, agent, began_at, outcome=outcome, ended_at=at)
    name = public_id(Agent.PREFIX, agent)
    data = record.view() | {"key": str(leg), "agent_id": name, "outcome": outcome.value}
    missed = outcome is not OfferOutcome.ANSWERED
    line = (f"offer:{leg}", at, "queue.offer", {"agent": name, "outcome": outcome.value})
    call.keep([row], [("agent.offer_missed", at, data)] if missed else [], [line])


def _offer(
    record: QueueRecord,
    leg: UUID,
    agent: int,
    at: datetime,
    outcome: OfferOutcome | None = None,
    ended_at: datetime | None = None,
) -> tuple[str, dict[str, Any]]:
    columns = {
        "id": leg,
        "at": at,
        "tenant_id": record.tenant_id,
        "queue_id": record.queue_id,
        "queue_call_id": record.id,
        "agent_id": agent,
        "outcome": outcome,
        "ended_at": ended_at,
    }
    return QueueOffer.__tablename__, columns


def _told(data: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in data.items() if name != "key" and value is not None}


def _ms(start: datetime, end: datetime) -> int:
    return max(0, round((end - start).total_seconds() * 1000))
