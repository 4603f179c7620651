"""Calls as their tenant reads them: lists, timelines."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, func, select, tuple_

from irisx.kernel.db import transaction
from irisx.telephony.calls.models import Call, CallEvent
from irisx.telephony.calls.service import get_call
from irisx.telephony.calls.states import CallStatus, Direction

_CLOCKS_APART = timedelta(minutes=1)
_MILLISECOND = timedelta(milliseconds=1)

#: A place in a list: the last call that was shown.
Position = tuple[datetime, UUID]


@dataclass(frozen=True, slots=True)
class CallFilter:
    """Which calls of a tenant; by time of initiation, `from_date` inclusive, `to_date` not."""

    tenant_id: int
    status: CallStatus | None = None
    direction: Direction | None = None
    from_date: datetime | None = None
    to_date: datetime | None = None

    def conditions(self) -> list[ColumnElement[bool]]:
        conditions = [Call.tenant_id == self.tenant_id]
        if self.status is not None:
            conditions.append(Call.status == self.status)
        if self.direction is not None:
            conditions.append(Call.direction == self.direction)
        if self.from_date is not None:
            conditions.append(Call.initiated_at >= self.from_date)
        if self.to_date is not None:
            conditions.append(Call.initiated_at < self.to_date)
        return conditions


def list_calls(
    chosen: CallFilter, *, limit: int, offset: int = 0, after: Position | None = None
) -> Sequence[Call]:
    """Calls, newest first, from `offset` or after a place in the list.

    The depth of `after` costs nothing, that of `offset` grows with it.
    """
    query = (
        select(Call)
        .where(*chosen.conditions())
        .order_by(Call.initiated_at.desc(), Call.id.desc())
        .offset(offset)
        .limit(limit)
    )
    if after is not None:
        query = query.where(tuple_(Call.initiated_at, Call.id) < after)
    with transaction() as session:
        return session.scalars(query).all()


def count_calls(chosen: CallFilter) -> int:
    query = select(func.count()).select_from(Call).where(*chosen.conditions())
    with transaction() as session:
        return session.scalars(query).one()


@dataclass(frozen=True, slots=True)
class TimelineEvent:
    """One line of a call's timeline. `offset_ms`: since the call was initiated."""

    type: str
    at: datetime
    offset_ms: int
    data: dict[str, Any]


def timeline(tenant_id: int, sid: str) -> list[TimelineEvent]:
    """Everything that happened to a call, in order. NotFound as `get_call`."""
    call = get_call(tenant_id, sid)
    # The switch's clock may run behind the database's by a little.
    earliest = call.initiated_at - _CLOCKS_APART
    with transaction() as session:
        rows = session.scalars(
            select(CallEvent)
            .where(CallEvent.call_id == call.id, CallEvent.occurred_at >= earliest)
            .order_by(CallEvent.occurred_at, CallEvent.key)
        ).all()
    return [
        TimelineEvent(
            type=row.type,
            at=row.occurred_at,
            offset_ms=max(0, (row.occurred_at - call.initiated_at) // _MILLISECOND),
            data=row.data,
        )
        for row in rows
    ]
