"""`/v1/webhooks`: where a tenant's events are posted, how that went, and doing it again."""

from datetime import datetime
from typing import Annotated, Any, Self

from pydantic import Field, StringConstraints, model_validator

from irisx.api.http import Rate, Router
from irisx.api.schemas import (
    UNSET,
    Answer,
    Body,
    CursorPagination,
    CursorQuery,
    Moment,
    OffsetPagination,
    OffsetQuery,
    PublicId,
    Success,
    Timestamp,
    listed,
    read_cursor,
    write_cursor,
)
from irisx.integration.webhooks import delivery, services
from irisx.integration.webhooks.catalogue import EVENTS
from irisx.integration.webhooks.models import DisabledReason, Webhook
from irisx.kernel.http import MAX_URL_LENGTH
from irisx.tenancy.access import Caller

router = Router("Webhooks")

_READ = "webhooks:read"
_WRITE = "webhooks:write"

WebhookId = Annotated[int, PublicId("whk")]
EventId = Annotated[int, PublicId("evt")]
Url = Annotated[str, StringConstraints(min_length=1, max_length=MAX_URL_LENGTH)]
EventNames = Annotated[
    list[Annotated[str, StringConstraints(max_length=100)]],
    Field(
        min_length=1,
        max_length=100,
        description="Names of `GET /v1/webhooks/events`, or `*` for all of them.",
    ),
]
Secret = Annotated[
    str,
    StringConstraints(min_length=8, max_length=256, pattern=r"^[\x21-\x7e]+$"),
    Field(description="Signs every message; `whsec_…` as Standard Webhooks has it, or any text."),
]


class NewWebhook(Body):
    url: Url = Field(examples=["https://example.com/webhook"])
    events: EventNames
    secret: Secret | None = Field(None, description="Generated when it is left out.")
    enabled: bool = True


class WebhookChange(Body):
    url: Url = UNSET
    events: EventNames = UNSET
    secret: Secret = UNSET
    enabled: bool = UNSET


class WebhookAnswer(Answer):
    id: WebhookId
    url: str
    events: list[str]
    enabled: bool
    disabled_reason: DisabledReason | None = Field(
        description="Why we disabled it: it answered 410 Gone, or failed for days."
    )
    previous_secret_until: Timestamp | None = Field(
        description="Until then the replaced secret signs too."
    )
    created_at: Timestamp
    updated_at: Timestamp


class IssuedWebhook(WebhookAnswer):
    secret: str = Field(description="Shown this once.")


class Webhooks(Answer):
    webhooks: list[WebhookAnswer]
    pagination: OffsetPagination


@router.get("/v1/webhooks", access=_READ, answer=Success[Webhooks])
def list_webhooks(caller: Caller, query: OffsetQuery) -> dict[str, Any]:
    """List webhooks."""
    rows, total = services.list_page(caller.tenant_id, limit=query.limit, offset=query.offset)
    return listed("webhooks", rows, query, total)


@router.post("/v1/webhooks", access=_WRITE, answer=IssuedWebhook, status=201)
def create_webhook(caller: Caller, body: NewWebhook) -> dict[str, Any]:
    """Create a webhook."""
    return _issued(services.create(caller, caller.tenant_id, **dict(body)))


@router.get("/v1/webhooks/<webhook_id>", access=_READ, answer=WebhookAnswer)
def get_webhook(caller: Caller, webhook_id: WebhookId) -> Webhook:
    """Get a webhook."""
    return services.get(caller.tenant_id, webhook_id)


@router.put("/v1/webhooks/<webhook_id>", access=_WRITE, answer=WebhookAnswer)
def update_webhook(caller: Caller, webhook_id: WebhookId, body: WebhookChange) -> Webhook:
    """Update a webhook: fields that are left out stay as they are. `"enabled": true` also enables
    one that was disabled because it failed."""
    changed = body.model_dump(exclude_unset=True)
    return services.change(caller, caller.tenant_id, webhook_id, **changed)


@router.delete("/v1/webhooks/<webhook_id>", access=_WRITE)
def delete_webhook(caller: Caller, webhook_id: WebhookId) -> None:
    """Delete a webhook; what was on its way to it is not sent."""
    services.remove(caller, caller.tenant_id, webhook_id)


class Rotation(Body):
    secret: Secret | None = Field(None, description="Generated when it is left out.")


@router.post("/v1/webhooks/<webhook_id>/rotate-secret", access=_WRITE, answer=IssuedWebhook)
def rotate_webhook_secret(caller: Caller, webhook_id: WebhookId, body: Rotation) -> dict[str, Any]:
    """Replace the secret. For 24 hours messages carry both signatures."""
    return _issued(services.rotate_secret(caller, caller.tenant_id, webhook_id, secret=body.secret))


def _issued(issued: services.Issued) -> dict[str, Any]:
    return WebhookAnswer.model_validate(issued.row).__dict__ | {"secret": issued.secret}


# --- the catalogue ------------------------------------------------------------------------------


class EventType(Answer):
    type: str
    description: str


class EventTypes(Answer):
    events: list[EventType]


@router.get("/v1/webhooks/events", access=_READ, answer=Success[EventTypes])
def list_webhook_events(caller: Caller) -> dict[str, Any]:
    """List the events that there are."""
    events = [{"type": name, "description": text} for name, text in EVENTS.items()]
    return {"data": {"events": events}}


# --- how it went --------------------------------------------------------------------------------


class TestResult(Answer):
    success: bool = Field(description="The receiver answered with a 2xx status.")
    event_id: EventId
    status_code: int | None = Field(description="Null: there was no answer, see `error`.")
    duration_ms: int
    response: str | None = Field(description="The first 1,000 characters of the answer's body.")
    error: str | None


@router.post("/v1/webhooks/<webhook_id>/test", access=_WRITE, answer=TestResult)
def test_webhook(caller: Caller, webhook_id: WebhookId) -> dict[str, Any]:
    """Send a test event now, also to a disabled webhook, and tell what came back."""
    outcome = delivery.send_test(caller.tenant_id, webhook_id)
    return {
        "success": outcome.success,
        "event_id": outcome.claim.event_id,
        "status_code": outcome.status,
        "duration_ms": outcome.duration_ms,
        "response": outcome.response_head,
        "error": outcome.error,
    }


class LogsQuery(CursorQuery):
    success: bool | None = Field(None, description="Only attempts that succeeded, or failed.")


class Attempt(Answer):
    id: Annotated[int, PublicId("att")]
    delivery_id: Annotated[int, PublicId("dlv")]
    event_id: EventId
    event_type: str
    attempt: int = Field(validation_alias="number")
    success: bool
    status_code: int | None = Field(validation_alias="status")
    duration_ms: int
    response: str | None = Field(validation_alias="response_head")
    error: str | None
    created_at: Timestamp


class Logs(Answer):
    logs: list[Attempt]
    pagination: CursorPagination


@router.get("/v1/webhooks/<webhook_id>/logs", access=_READ, answer=Success[Logs])
def list_webhook_logs(caller: Caller, webhook_id: WebhookId, query: LogsQuery) -> dict[str, Any]:
    """List the attempts of deliveries, newest first."""
    listing = f"webhook-logs/{webhook_id}"
    position = read_cursor(listing, caller.tenant_id, query.cursor)
    page = services.list_attempts(
        caller.tenant_id,
        webhook_id,
        limit=query.limit,
        after=(datetime.fromisoformat(position[0]), position[1]) if position else None,
        success=query.success,
    )
    following = page.next and [page.next[0].isoformat(), page.next[1]]
    pagination = {
        "limit": query.limit,
        "next_cursor": following and write_cursor(listing, caller.tenant_id, following),
    }
    return {"data": {"logs": page.attempts, "pagination": pagination}}


# --- once more ----------------------------------------------------------------------------------


class Replay(Body):
    """One event, or what occurred from `start` until before `end`."""

    event_id: EventId | None = None
    start: Moment | None = None
    end: Moment | None = None
    include_delivered: bool = Field(
        False, description="Of a range also the events that arrived before."
    )

    @model_validator(mode="after")
    def one_or_a_range(self) -> Self:
        if (self.event_id is None) == (self.start is None or self.end is None):
            raise ValueError("give either event_id, or start and end")
        return self


class Replayed(Answer):
    queued: int = Field(description="Events that are sent again; their webhook-id is as before.")


@router.post(
    "/v1/webhooks/<webhook_id>/replay",
    access=_WRITE,
    rate=Rate.BULK,
    answer=Replayed,
    status=202,
    also={409: "The webhook is disabled."},
)
def replay_webhook(caller: Caller, webhook_id: WebhookId, body: Replay) -> dict[str, int]:
    """Send one event, or a range of events, again."""
    if body.start is not None and body.end is not None:
        queued = services.replay_range(
            caller.tenant_id,
            webhook_id,
            body.start,
            body.end,
            include_delivered=body.include_delivered,
        )
        return {"queued": queued}
    services.replay_event(caller.tenant_id, webhook_id, body.event_id or 0)
    return {"queued": 1}
