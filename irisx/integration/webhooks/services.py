"""What a tenant does with its webhooks."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TypedDict, Unpack

from sqlalchemy import (
    ColumnElement,
    Text,
    cast,
    exists,
    func,
    insert,
    literal,
    select,
    update,
)
from sqlalchemy.orm import Session

from irisx.integration.webhooks.attempts import Claim
from irisx.integration.webhooks.catalogue import ALL, DISABLED, EVENTS, TEST
from irisx.integration.webhooks.models import (
    DeliveryStatus,
    DisabledReason,
    Webhook,
    WebhookAttempt,
    WebhookDelivery,
)
from irisx.integration.webhooks.signing import new_secret
from irisx.kernel import clock, crypto, http
from irisx.kernel.db import transaction
from irisx.kernel.errors import Conflict, NotFound, ValidationError, invalid
from irisx.kernel.events import DomainEvent, publish
from irisx.kernel.ids import public_id, token
from irisx.kernel.jobs import wake
from irisx.tenancy import audit, rows
from irisx.tenancy.access import Actor

#: How long a replaced secret still signs beside the new one.
ROTATION = timedelta(hours=24)
MAX_WEBHOOKS = 100
MAX_REPLAYED = 10_000


@dataclass(frozen=True, slots=True)
class Issued:
    """A webhook with its new secret, which is shown this once."""

    row: Webhook
    secret: str


class Fields(TypedDict, total=False):
    """What may be changed of a webhook."""

    url: str
    events: list[str]
    secret: str
    enabled: bool


def list_page(tenant_id: int, *, limit: int, offset: int) -> tuple[Sequence[Webhook], int]:
    """Webhooks of a tenant, oldest first, and how many there are."""
    mine = select(Webhook).where(Webhook.tenant_id == tenant_id)
    with transaction() as session:
        return rows.page(session, mine, limit=limit, offset=offset)


def get(tenant_id: int, webhook_id: int) -> Webhook:
    with transaction() as session:
        return _get(session, tenant_id, webhook_id)


def create(
    by: Actor,
    tenant_id: int,
    *,
    url: str,
    events: Sequence[str],
    secret: str | None = None,
    enabled: bool = True,
) -> Issued:
    """A new webhook; its secret is generated when none is given."""
    http.check_url("url", url)
    _check_events(events)
    secret = secret or new_secret()
    with transaction() as session:
        held = select(func.count()).where(Webhook.tenant_id == tenant_id)
        if session.scalars(held).one() >= MAX_WEBHOOKS:
            raise Conflict(f"A tenant has at most {MAX_WEBHOOKS} webhooks.")
        row = Webhook(
            tenant_id=tenant_id,
            url=url,
            events=list(dict.fromkeys(events)),
            enabled=enabled,
            secret_encrypted=crypto.encrypt(secret),
        )
        session.add(row)
        audit.created(session, by, row)
    return Issued(row, secret)


def change(by: Actor, tenant_id: int, webhook_id: int, **fields: Unpack[Fields]) -> Webhook:
    """Set the given fields. Another secret replaces the old one at once (see `rotate_secret`);
    `enabled` also ends what we did when we disabled the webhook ourselves."""
    if "url" in fields:
        http.check_url("url", fields["url"])
    if "events" in fields:
        _check_events(fields["events"])
    with transaction() as session:
        row = _get(session, tenant_id, webhook_id, lock=True)
        before = audit.snapshot(row)
        row.url = fields.get("url", row.url)
        row.events = list(dict.fromkeys(fields.get("events", row.events)))
        if "secret" in fields:
            row.secret_encrypted = crypto.encrypt(fields["secret"])
            row.previous_secret_encrypted = row.previous_secret_until = None
        if "enabled" in fields:
            row.enabled = fields["enabled"]
            row.disabled_reason = None
            if not row.enabled:
                _cancel_pending(session, row.id)
        audit.updated(session, by, row, before)
        session.refresh(row)
    return row


def rotate_secret(by: Actor, tenant_id: int, webhook_id: int, secret: str | None = None) -> Issued:
    """A new secret; the old one signs beside it for ROTATION."""
    secret = secret or new_secret()
    with transaction() as session:
        row = _get(session, tenant_id, webhook_id, lock=True)
        row.previous_secret_encrypted = row.secret_encrypted
        row.previous_secret_until = clock.now() + ROTATION
        row.secret_encrypted = crypto.encrypt(secret)
        audit.record(session, by, "webhook.secret_rotated", row.public_id, tenant_id=row.tenant_id)
        session.flush()
        session.refresh(row)
    return Issued(row, secret)


def remove(by: Actor, tenant_id: int, webhook_id: int) -> None:
    """The webhook goes, with what was on its way. Its attempts stay until they age out."""
    with transaction() as session:
        row = _get(session, tenant_id, webhook_id, lock=True)
        _cancel_pending(session, row.id)
        audit.deleted(session, by, row)
        session.delete(row)


def enqueue_test(tenant_id: int, webhook_id: int, due: datetime) -> int:
    """Store a `webhook.test` event for this webhook alone; its delivery's id.

    `due`: when a worker sends it, if the caller has not by then.

    Works for a disabled webhook too, so that it can be tried before it is enabled again.
    """
    now = clock.now()
    with transaction() as session:
        webhook = _get(session, tenant_id, webhook_id)
        event = DomainEvent(
            key=token(TEST),
            tenant_id=tenant_id,
            type=TEST,
            data={"webhook_id": webhook.public_id, "message": "This is a test event."},
            occurred_at=now,
            dispatched_at=now,  # it goes to no other webhook
        )
        session.add(event)
        session.flush()
        delivery = WebhookDelivery(
            tenant_id=tenant_id,
            webhook_id=webhook.id,
            event_id=event.id,
            event_type=event.type,
            subject=str(event.id),
            status=DeliveryStatus.PENDING,
            next_attempt_at=due,
        )
        session.add(delivery)
    return delivery.id


@dataclass(frozen=True)
class AttemptPage:
    attempts: Sequence[WebhookAttempt]
    next: tuple[datetime, int] | None


def list_attempts(
    tenant_id: int,
    webhook_id: int,
    *,
    limit: int,
    after: tuple[datetime, int] | None = None,
    success: bool | None = None,
) -> AttemptPage:
    """The log of a webhook, newest first; `after` is the `next` of the page before."""
    with transaction() as session:
        _get(session, tenant_id, webhook_id)
        query = select(WebhookAttempt).where(WebhookAttempt.webhook_id == webhook_id)
        if after is not None:
            place = func.row(WebhookAttempt.created_at, WebhookAttempt.id)
            query = query.where(place < func.row(*after))
        if success is not None:
            query = query.where(WebhookAttempt.success == success)
        newest_first = query.order_by(WebhookAttempt.created_at.desc(), WebhookAttempt.id.desc())
        found = session.scalars(newest_first.limit(limit + 1)).all()
    page = found[:limit]
    more = len(found) > limit
    return AttemptPage(page, (page[-1].created_at, page[-1].id) if more else None)


def replay_event(tenant_id: int, webhook_id: int, event_id: int) -> None:
    """Send one event again, whether or not it had arrived; its `webhook-id` is the same."""
    with transaction() as session:
        _require_enabled(_get(session, tenant_id, webhook_id))
        queued = _enqueue(session, tenant_id, webhook_id, DomainEvent.id == event_id)
        if not queued:
            raise NotFound(f"There is no event {public_id('evt', event_id)}, or no longer.")
    wake("webhooks.deliver")


def replay_range(
    tenant_id: int,
    webhook_id: int,
    start: datetime,
    end: datetime,
    *,
    include_delivered: bool = False,
) -> int:
    """Send again what occurred in [start, end) and matches the subscription; how many events.

    Without `include_delivered`: those that never arrived, also because the webhook was disabled.
    """
    if end <= start:
        raise invalid("end", "must be later than start")
    with transaction() as session:
        webhook = _get(session, tenant_id, webhook_id)
        _require_enabled(webhook)
        wanted = [DomainEvent.occurred_at >= start, DomainEvent.occurred_at < end]
        if ALL not in webhook.events:
            wanted.append(DomainEvent.type.in_(webhook.events))
        if not include_delivered:
            settled = exists().where(
                WebhookDelivery.webhook_id == webhook_id,
                WebhookDelivery.event_id == DomainEvent.id,
                WebhookDelivery.status.in_([DeliveryStatus.SUCCEEDED, DeliveryStatus.PENDING]),
            )
            wanted.append(~settled)
        queued = _enqueue(session, tenant_id, webhook_id, *wanted)
        if queued > MAX_REPLAYED:
            raise invalid("end", f"more than {MAX_REPLAYED} events; choose a shorter range")
    wake("webhooks.deliver")
    return queued


def disable(session: Session, webhook_id: int, reason: DisabledReason) -> None:
    """Switch a webhook off by ourselves, and say so in an event that its other webhooks get."""
    switched = session.scalars(
        update(Webhook)
        .where(Webhook.id == webhook_id, Webhook.enabled)
        .values(enabled=False, disabled_reason=reason)
        .returning(Webhook)
    ).one_or_none()
    if switched is None:
        return
    _cancel_pending(session, webhook_id)
    publish(
        session,
        key=token(DISABLED),
        tenant_id=switched.tenant_id,
        type=DISABLED,
        data={
            "webhook_id": switched.public_id,
            "url": switched.url,
            "reason": str(reason),
        },
        occurred_at=clock.now(),
    )


def has_failed_since(session: Session, claim: Claim) -> bool:
    """Whether the webhook took nothing at all since this delivery was made, days ago."""
    success = exists().where(
        WebhookAttempt.webhook_id == claim.webhook_id,
        WebhookAttempt.created_at >= claim.created_at,
        WebhookAttempt.success,
    )
    return not session.scalars(select(success)).one()


def _get(session: Session, tenant_id: int, webhook_id: int, *, lock: bool = False) -> Webhook:
    return rows.fetch(session, Webhook, webhook_id, tenant_id=tenant_id, lock=lock)


def _require_enabled(webhook: Webhook) -> None:
    if not webhook.enabled:
        raise Conflict("The webhook is disabled; enable it before replaying events to it.")


def _enqueue(
    session: Session, tenant_id: int, webhook_id: int, *wanted: ColumnElement[bool]
) -> int:
    """A delivery for each event of the tenant that is wanted; one more than allowed at most."""
    subject = func.coalesce(
        DomainEvent.data["call_sid"].astext,
        DomainEvent.data["sid"].astext,
        cast(DomainEvent.id, Text),
    )
    chosen = (
        select(
            DomainEvent.tenant_id,
            literal(webhook_id),
            DomainEvent.id,
            DomainEvent.type,
            subject,
            literal(DeliveryStatus.PENDING.value),
            literal(0),
        )
        .where(DomainEvent.tenant_id == tenant_id, *wanted)
        .order_by(DomainEvent.id)
        .limit(MAX_REPLAYED + 1)
    )
    columns = [
        "tenant_id",
        "webhook_id",
        "event_id",
        "event_type",
        "subject",
        "status",
        "attempts",
    ]
    queued = insert(WebhookDelivery).from_select(columns, chosen, include_defaults=False)
    return len(session.execute(queued.returning(WebhookDelivery.id)).all())


def _cancel_pending(session: Session, webhook_id: int) -> None:
    session.execute(
        update(WebhookDelivery)
        .where(
            WebhookDelivery.webhook_id == webhook_id,
            WebhookDelivery.status == DeliveryStatus.PENDING,
        )
        .values(status=DeliveryStatus.CANCELED)
    )


def _check_events(names: Sequence[str]) -> None:
    unknown = [(i, name) for i, name in enumerate(names) if name != ALL and name not in EVENTS]
    if unknown:
        raise ValidationError(
            "events: GET /v1/webhooks/events lists the events that there are",
            details=[
                {"field": f"events.{index}", "message": f"{name!r} is no event"}
                for index, name in unknown
            ],
        )
