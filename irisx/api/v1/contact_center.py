"""What views of agents and queues share: periods, ratios, records of calls."""

from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from typing import Annotated, Any
from uuid import UUID

from pydantic import Field, PlainSerializer, model_validator

from irisx.api.schemas import (
    Answer,
    CursorPagination,
    CursorQuery,
    FromDate,
    PublicId,
    Query,
    Timestamp,
    ToDate,
    read_cursor,
    write_cursor,
)
from irisx.kernel.clock import now
from irisx.kernel.ids import call_sid
from irisx.telephony.acd.live_view import Position
from irisx.telephony.acd.models import QueueCall, QueueCallStatus

AgentId = Annotated[int, PublicId("agent")]
QueueId = Annotated[int, PublicId("queue")]
#: A call's uuid, shown as its sid.
CallSid = Annotated[UUID, PlainSerializer(call_sid, return_type=str)]

_DEFAULT_DAYS = 1
_MOST_DAYS = 366


class PeriodQuery(Query):
    """`start_date` (default: a day before the end) until before `end_date` (default: now)."""

    start_date: FromDate | None = None
    end_date: ToDate | None = None

    @model_validator(mode="after")
    def in_order(self) -> "PeriodQuery":
        start, end = self.period
        if not timedelta(0) < end - start <= timedelta(days=_MOST_DAYS):
            raise ValueError(f"start_date must be before end_date, by {_MOST_DAYS} days at most")
        return self

    @property
    def period(self) -> tuple[datetime, datetime]:
        end = self.end_date or now()
        return self.start_date or end - timedelta(days=_DEFAULT_DAYS), end


class RatioAnswer(Answer):
    value: float | None = Field(description="numerator / denominator; null: there was nothing.")
    numerator: int
    denominator: int


class QueueCallAnswer(Answer):
    id: UUID
    queue_id: QueueId
    call_sid: CallSid = Field(validation_alias="call_id")
    from_: str = Field(alias="from", validation_alias="number")
    priority: int
    status: QueueCallStatus
    reason: str | None
    to: str | None
    agent_id: AgentId | None
    offers: int
    entered_at: Timestamp
    place_at: Timestamp = Field(description="By what the order is: earlier for who came back.")
    answered_at: Timestamp | None
    left_at: Timestamp | None
    ended_at: Timestamp | None
    estimated_ms: int | None
    wait_ms: int | None
    talk_ms: int | None
    wrap_ms: int | None
    wrap_up_code: str | None
    wrap_up_notes: str | None


class QueueCalls(Answer):
    calls: list[QueueCallAnswer]
    pagination: CursorPagination


def page_of_calls(
    listing: str,
    tenant_id: int,
    query: CursorQuery,
    read: Callable[[int, Position | None], Sequence[QueueCall]],
) -> dict[str, Any]:
    """A page of records: `read(limit, before)` fetches them."""
    kept = read_cursor(listing, tenant_id, query.cursor)
    before = (datetime.fromisoformat(kept[0]), UUID(kept[1])) if kept else None
    calls = read(query.limit, before)
    following = None
    if len(calls) == query.limit:
        last = [calls[-1].entered_at.isoformat(), str(calls[-1].id)]
        following = write_cursor(listing, tenant_id, last)
    pagination = {"limit": query.limit, "next_cursor": following}
    return {"data": {"calls": calls, "pagination": pagination}}
