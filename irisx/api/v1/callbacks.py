"""`/v1/callbacks`: customers who are to be called back, when, and what came of it."""

from typing import Annotated, Any
from uuid import UUID

from pydantic import Field, StringConstraints

from irisx.api.http import Rate, Router
from irisx.api.schemas import (
    UNSET,
    Answer,
    Body,
    JsonObject,
    Moment,
    OffsetPagination,
    OffsetQuery,
    PublicId,
    Success,
    Timestamp,
    listed,
)
from irisx.kernel.ids import call_sid
from irisx.telephony.callbacks import service
from irisx.telephony.callbacks.models import Callback, CallbackStatus, First, Priority
from irisx.telephony.calls.destinations import Number
from irisx.tenancy.access import Caller
from irisx.tenancy.settings import TimeZone

router = Router("Callbacks")

_READ, _WRITE = "callbacks:read", "callbacks:write"

CallbackId = Annotated[int, PublicId("cb")]
QueueId = Annotated[int, PublicId("queue")]
Notes = Annotated[str, StringConstraints(max_length=2000)]
Zone = Annotated[
    TimeZone | None,
    Field(description="The customer's (IANA). Default: by the number, or else the tenant's."),
]
Queue = Annotated[
    QueueId | None,
    Field(description="Whom the customer talks with; null: the call waits for your commands."),
]
WhoFirst = Annotated[
    First,
    Field(
        description="`agent`: an agent of the queue is rung first, and the customer is dialled "
        "once the agent is on the line."
    ),
]
Attempts = Annotated[int, Field(ge=1, le=20)]
Delay = Annotated[int, Field(ge=30, le=86_400, description="Seconds until the next attempt.")]


class NewCallback(Body):
    phone_number: Number
    scheduled_at: Moment = Field(
        description="Called from then on, between 8:00 and 21:00 there and by the region's rules, "
        "as soon as an agent of the queue is available."
    )
    queue_id: Queue = None
    first: WhoFirst = First.CUSTOMER
    priority: Priority = Priority.NORMAL
    notes: Notes | None = None
    metadata: JsonObject = Field(default_factory=dict)
    time_zone: Zone = None
    max_attempts: Attempts = 3
    retry_delay_seconds: Delay = 900


class CallbackChange(Body):
    phone_number: Number = UNSET
    scheduled_at: Moment = UNSET
    queue_id: Queue = UNSET
    first: WhoFirst = UNSET
    priority: Priority = UNSET
    notes: Notes | None = UNSET
    metadata: JsonObject = UNSET
    time_zone: Zone = UNSET
    max_attempts: Attempts = UNSET
    retry_delay_seconds: Delay = UNSET


class CallbackAnswer(Answer):
    """`due_at`: when it is tried (again). `call_sid`: of the present or last attempt.
    `last_result`: that call's status, or `abandoned`: the customer answered and no agent came."""

    id: CallbackId
    phone_number: str
    scheduled_at: Timestamp
    due_at: Timestamp
    time_zone: str | None
    queue_id: QueueId | None
    first: First
    priority: Priority
    notes: str | None
    metadata: dict[str, Any] = Field(validation_alias="metadata_")
    status: CallbackStatus
    attempts: int
    max_attempts: int
    retry_delay_seconds: int
    call_sid: str | None = Field(validation_alias="call_id")
    last_result: str | None
    reason: str | None
    sandbox: bool
    created_at: Timestamp
    updated_at: Timestamp
    ended_at: Timestamp | None


class Callbacks(Answer):
    callbacks: list[CallbackAnswer]
    pagination: OffsetPagination


class CallbacksQuery(OffsetQuery):
    status: CallbackStatus | None = None
    queue_id: QueueId | None = None


@router.get("/v1/callbacks", access=_READ, answer=Success[Callbacks])
def list_callbacks(caller: Caller, query: CallbacksQuery) -> dict[str, Any]:
    """List callbacks, oldest first."""
    rows, total = service.list_page(
        caller.tenant_id,
        limit=query.limit,
        offset=query.offset,
        status=query.status,
        queue_id=query.queue_id,
    )
    return listed("callbacks", [_shown(row) for row in rows], query, total)


@router.post("/v1/callbacks", access=_WRITE, answer=CallbackAnswer, status=201)
def create_callback(caller: Caller, body: NewCallback) -> dict[str, Any]:
    """Schedule a callback. A time that is past means as soon as it may be."""
    return _shown(service.create(caller, body.model_dump()))


@router.get("/v1/callbacks/<callback_id>", access=_READ, answer=CallbackAnswer)
def get_callback(caller: Caller, callback_id: CallbackId) -> dict[str, Any]:
    """Get a callback."""
    return _shown(service.get(caller.tenant_id, callback_id))


@router.put("/v1/callbacks/<callback_id>", access=_WRITE, answer=CallbackAnswer)
def update_callback(
    caller: Caller, callback_id: CallbackId, body: CallbackChange
) -> dict[str, Any]:
    """Update a callback that is still to come: fields that are left out stay as they are."""
    return _shown(service.change(caller, callback_id, body.model_dump(exclude_unset=True)))


@router.delete("/v1/callbacks/<callback_id>", access=_WRITE)
def cancel_callback(caller: Caller, callback_id: CallbackId) -> None:
    """Cancel a callback that is still to come; one that is being called is ended as a call."""
    service.cancel(caller, callback_id)


@router.post(
    "/v1/callbacks/<callback_id>/execute",
    access=_WRITE,
    answer=CallbackAnswer,
    rate=Rate.CALL_CREATION,
)
def execute_callback(caller: Caller, callback_id: CallbackId) -> dict[str, Any]:
    """Execute a callback now, whatever the hours and whoever is available."""
    return _shown(service.execute(caller, callback_id))


def _shown(row: Callback) -> dict[str, Any]:
    call: UUID | None = row.call_id
    same = {name: getattr(row, name, None) for name in CallbackAnswer.model_fields}
    return same | {"metadata_": row.metadata_, "call_id": call and call_sid(call)}
