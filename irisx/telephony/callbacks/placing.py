"""The worker's part of callbacks: taking up what was asked for, calling, and what came of it.

A claim and its call are one transaction: a worker that is killed leaves both or neither, and no two
workers take the same row (FOR UPDATE SKIP LOCKED). What dials the stored call dials it once
(`calls/outbound.py`).
"""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any
from uuid import uuid4

import phonenumbers
import structlog
from pydantic import AwareDatetime, TypeAdapter
from pydantic import ValidationError as PydanticError
from sqlalchemy import exists, func, select
from sqlalchemy.orm import Session

from irisx.kernel.clock import now
from irisx.kernel.db import transaction
from irisx.kernel.errors import Forbidden, NotFound, TooManyRequests, ValidationError
from irisx.kernel.events import DomainEvent
from irisx.kernel.ids import call_uuid, public_id, row_key
from irisx.telephony import bus
from irisx.telephony.acd.entering import NO_AGENT
from irisx.telephony.acd.models import Queue, QueueCall, QueueMember
from irisx.telephony.acd.options import QueueOptions
from irisx.telephony.callbacks.models import (
    QUEUE_PRIORITY,
    Callback,
    CallbackStatus,
    First,
    Priority,
)
from irisx.telephony.callbacks.progress import finish, tell
from irisx.telephony.calls import capacity
from irisx.telephony.calls.models import Call
from irisx.telephony.calls.service import caller_id, store_call
from irisx.telephony.calls.states import ENDED, CallStatus
from irisx.telephony.dialer.hours import next_opening, place_of
from irisx.telephony.dialer.options import CallingHours
from irisx.tenancy.agent_models import Agent, AgentStatus
from irisx.tenancy.barring import check_destination
from irisx.tenancy.settings import TenantSettings

log = structlog.get_logger()

REQUESTED = "callback.requested"
BATCH = 20
#: Where the rules open at no time within weeks, somebody may have changed them after so long.
_NO_OPENING = timedelta(days=1)
#: A queue that is closed, or whose agents are all at work, is looked at again after so long.
_QUEUE_CLOSED = timedelta(minutes=1)
_NO_AGENT = timedelta(seconds=3)
_NO_ROOM = timedelta(seconds=2)
#: Causes by which a number stays unreachable, however often it is called.
_PERMANENT = frozenset({"UNALLOCATED_NUMBER", "NUMBER_CHANGED", "INVALID_NUMBER_FORMAT"})
_MAX_NOTES = 2000
_MOMENT: TypeAdapter[datetime] = TypeAdapter(AwareDatetime)


# -- what was asked for ----------------------------------------------------------------------------


def take_up() -> bool:
    """Make callbacks of the events that ask for one, one of each; True: there may be more."""
    with transaction() as session:
        found = session.scalars(
            select(DomainEvent)
            .where(
                DomainEvent.type == REQUESTED,
                ~exists().where(Callback.event_id == DomainEvent.id),
            )
            .order_by(DomainEvent.id)
            .limit(BATCH)
            .with_for_update(skip_locked=True)
        ).all()
        for event in found:
            _take_up(session, event)
    return len(found) == BATCH


def _take_up(session: Session, event: DomainEvent) -> None:
    """`data` of a voice assistant: phone_number, scheduled_at, queue_id, notes; of a queue: from,
    queue_id, call_sid, place_at; of others: number, at. Only the number must be there."""
    data = event.data
    number = str(_first(data, "phone_number", "number", "from") or "")
    wanted = _moment(_first(data, "scheduled_at", "at")) or now()
    notes = data.get("notes")
    call = {name: data[name] for name in ("call_sid", "reason") if data.get(name)}
    row = Callback(
        tenant_id=event.tenant_id,
        phone_number=number[:32],
        scheduled_at=wanted,
        due_at=wanted,
        queue_id=_queue(session, event.tenant_id, data.get("queue_id")),
        place_at=_moment(data.get("place_at")),
        priority=Priority.NORMAL,
        rank=QUEUE_PRIORITY[Priority.NORMAL],
        notes=str(notes)[:_MAX_NOTES] if notes else None,
        metadata_={"requested_in": call} if call else {},
        sandbox=_on_sandbox(session, data.get("call_sid")),
        event_id=event.id,
        status=CallbackStatus.SCHEDULED,
        attempts=0,
    )
    session.add(row)
    tell(session, row, "scheduled")
    if not phonenumbers.is_possible_number(_parsed(number)):
        finish(session, row, CallbackStatus.FAILED, reason="INVALID_NUMBER")


def _first(data: Mapping[str, Any], *names: str) -> Any:
    return next((data[name] for name in names if data.get(name)), None)


def _parsed(number: str) -> phonenumbers.PhoneNumber:
    try:
        return phonenumbers.parse(number)
    except phonenumbers.NumberParseException:
        return phonenumbers.PhoneNumber()


def _moment(value: object) -> datetime | None:
    try:
        return None if value is None else _MOMENT.validate_python(value)
    except PydanticError:
        return None


def _queue(session: Session, tenant_id: int, value: object) -> int | None:
    try:
        key = row_key("queue", str(value or ""))
    except NotFound:
        return None
    return session.scalar(select(Queue.id).where(Queue.tenant_id == tenant_id, Queue.id == key))


def _on_sandbox(session: Session, sid: object) -> bool:
    """Who called on the sandbox is called back there."""
    try:
        call_id = call_uuid(str(sid))
    except NotFound:
        return False
    return bool(session.scalar(select(Call.sandbox).where(Call.id == call_id)))


# -- calling ---------------------------------------------------------------------------------------


def place_due() -> bool:
    """Call those whose time has come, the most urgent first; True: there may be more."""
    placed = 0
    with transaction() as session:
        due = session.scalars(
            select(Callback)
            .where(Callback.status == CallbackStatus.SCHEDULED, Callback.due_at <= now())
            .order_by(Callback.rank.desc(), Callback.due_at, Callback.id)
            .limit(BATCH)
            .with_for_update(skip_locked=True)
        ).all()
        for row in due:
            placed += _try(session, row)
    if placed:
        bus.wake_dialer()
    return len(due) == BATCH


def _try(session: Session, row: Callback) -> bool:
    """Place the call, or put it off until it may be placed, or give it up."""
    settings = TenantSettings.model_validate(capacity.lock_tenant(session, row.tenant_id).settings)
    moment = now()
    opening = opening_for(row, settings, moment)
    if opening is None or opening > moment:
        row.due_at = opening or moment + _NO_OPENING
        return False
    if row.queue_id is not None and not _queue_is_there(session, row.queue_id):
        finish(session, row, CallbackStatus.FAILED, reason="QUEUE_DELETED")
        return False
    wait = _queue_wait(session, row, moment)
    if wait is not None:
        row.due_at = moment + wait
        return False
    try:
        check_destination(row.phone_number, settings)
        place(session, row, settings)
    except TooManyRequests:
        row.due_at = moment + _NO_ROOM
        return False
    except (Forbidden, ValidationError) as refused:
        finish(session, row, CallbackStatus.FAILED, reason=refused.message)
        return False
    return True


def opening_for(row: Callback, settings: TenantSettings, moment: datetime) -> datetime | None:
    """When the customer may be called from `moment` on: 8:00 to 21:00 there, and by the region's
    rules; the tenant's zone counts where the number tells none. None: not within three weeks."""
    hours = CallingHours(default_time_zone=settings.timezone)
    return next_opening(place_of(row.phone_number, time_zone=row.time_zone), hours, moment)


def _queue_is_there(session: Session, queue_id: int) -> bool:
    there = select(Queue.id).where(Queue.id == queue_id, Queue.deleted_at.is_(None))
    return session.scalar(there) is not None


def _queue_wait(session: Session, row: Callback, moment: datetime) -> timedelta | None:
    """How long to wait because nobody of the queue could talk; None: not at all."""
    if row.queue_id is None:
        return None
    options = session.scalar(select(Queue.options).where(Queue.id == row.queue_id))
    hours = QueueOptions.model_validate(options).hours
    if hours is not None and not hours.is_open(moment):
        return _QUEUE_CLOSED
    free = (
        select(func.count())
        .select_from(QueueMember)
        .join(Agent, Agent.id == QueueMember.agent_id)
        .where(
            QueueMember.queue_id == row.queue_id,
            Agent.status == AgentStatus.AVAILABLE,
            Agent.deleted_at.is_(None),
        )
    )
    talking = exists().where(
        QueueCall.call_id == Callback.call_id, QueueCall.answered_at.is_not(None)
    )
    underway = select(func.count()).where(
        Callback.queue_id == row.queue_id, Callback.status == CallbackStatus.CALLING, ~talking
    )
    enough = (session.scalar(free) or 0) > (session.scalar(underway) or 0)
    return None if enough else _NO_AGENT


def place(session: Session, row: Callback, settings: TenantSettings) -> None:
    """Store the call. The rows of callback and tenant must be locked.

    Raises TooManyRequests, ValidationError about `from`.
    """
    capacity.check_tenant(session, row.tenant_id, settings, sandbox=row.sandbox)
    options: dict[str, object] = {"ring_timeout_s": settings.ring_timeout_seconds}
    if row.queue_id is not None:
        options["on_answer"] = {"type": "queue", "id": public_id(Queue.PREFIX, row.queue_id)}
        options["queue"] = {
            "priority": row.rank,
            "place_at": row.place_at and row.place_at.isoformat(),
        }
        options["agent_first"] = row.first is First.AGENT
    call = store_call(
        session,
        call_id=uuid4(),
        tenant_id=row.tenant_id,
        from_number=caller_id(session, row.tenant_id, settings, None),
        to_number=row.phone_number,
        record=settings.record_calls,
        sandbox=row.sandbox,
        metadata=row.metadata_ | {"callback_id": row.public_id},
        options=options,
    )
    row.status, row.call_id = CallbackStatus.CALLING, call.id
    row.attempts += 1
    tell(session, row, "calling")


# -- what came of it -------------------------------------------------------------------------------


def settle() -> bool:
    """Learn how calls ended; True: there may be more."""
    with transaction() as session:
        found = session.execute(
            select(Callback, Call)
            .join(Call, Call.id == Callback.call_id)
            .where(Callback.status == CallbackStatus.CALLING, Call.status.in_(list(ENDED)))
            .order_by(Callback.id)
            .limit(BATCH)
            .with_for_update(of=Callback, skip_locked=True)
        ).all()
        for row, call in found:
            _settle(session, row, call)
    return len(found) == BATCH


def _settle(session: Session, row: Callback, call: Call) -> None:
    if call.reason == NO_AGENT:  # the customer was not called
        row.status, row.due_at = CallbackStatus.SCHEDULED, now() + _NO_AGENT
        row.attempts -= 1
        tell(session, row, "postponed")
        return
    row.last_result = _result(session, row, call)
    if row.last_result == CallStatus.COMPLETED:
        finish(session, row, CallbackStatus.COMPLETED, reason=None)
    elif call.reason in _PERMANENT or row.attempts >= row.max_attempts:
        finish(session, row, CallbackStatus.FAILED, reason=call.reason or row.last_result)
    else:
        row.status = CallbackStatus.SCHEDULED
        row.due_at = now() + timedelta(seconds=row.retry_delay_seconds)
        tell(session, row, "retried")


def _result(session: Session, row: Callback, call: Call) -> str:
    """The call's status; `abandoned` if the customer answered and no agent came."""
    if call.status is not CallStatus.COMPLETED or row.queue_id is None:
        return call.status.value
    talked = select(QueueCall.id).where(
        QueueCall.call_id == call.id, QueueCall.answered_at.is_not(None)
    )
    return CallStatus.COMPLETED.value if session.scalar(talked.limit(1)) else "abandoned"
