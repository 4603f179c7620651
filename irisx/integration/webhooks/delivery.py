"""Events become deliveries, deliveries become requests: the worker's two webhook jobs.

All state is in rows. A delivery under way is leased: its worker settles it before `next_attempt_at`
or, if the worker died, another one takes it again under the same `webhook-id`. So each event
arrives at least once.
"""

from collections import defaultdict
from collections.abc import Sequence
from datetime import timedelta
from typing import Any

from gevent.pool import Pool
from prometheus_client import Counter, Histogram
from sqlalchemy import Row, insert, text
from sqlalchemy.orm import Session

from irisx.integration.webhooks import services
from irisx.integration.webhooks.attempts import (
    GONE,
    PAUSES,
    TIMEOUT_SECONDS,
    Claim,
    Outcome,
    attempt,
    verdict,
)
from irisx.integration.webhooks.models import DeliveryStatus, DisabledReason, WebhookAttempt
from irisx.kernel import clock
from irisx.kernel.db import transaction
from irisx.kernel.jobs import Job, wake

FAN_OUT_BATCH = 500
CLAIM_BATCH = 200
MAX_IN_FLIGHT = 200
#: Requests of one webhook at one time in one worker: a slow receiver holds up nobody else.
MAX_PER_WEBHOOK = 16
#: After this a delivery that nobody settled is taken again; longer than any request may take.
LEASE = timedelta(seconds=TIMEOUT_SECONDS + 10)
_STOP_SECONDS = 1.0

_attempts = Counter("irisx_webhook_attempts", "Requests to webhooks.", ["success"])
_delay = Histogram(
    "irisx_webhook_delay_seconds",
    "From an event to the end of the first request about it.",
    buckets=(0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60),
)

_FAN_OUT = text("""
    WITH batch AS (
        UPDATE domain_events SET dispatched_at = now()
        WHERE id IN (
            SELECT id FROM domain_events WHERE dispatched_at IS NULL
            ORDER BY id LIMIT :limit FOR UPDATE SKIP LOCKED
        )
        RETURNING id, tenant_id, type, data
    ), queued AS (
        INSERT INTO webhook_deliveries
            (tenant_id, webhook_id, event_id, event_type, subject, status, attempts)
        SELECT e.tenant_id, w.id, e.id, e.type,
            COALESCE(e.data->>'call_sid', e.data->>'sid', e.id::text), 'pending', 0
        FROM batch e
        JOIN webhooks w
            ON w.tenant_id = e.tenant_id AND w.enabled AND w.events && ARRAY[e.type, '*']
        ORDER BY e.id
        RETURNING id
    )
    SELECT (SELECT count(*) FROM batch), (SELECT count(*) FROM queued)
""")

# Rows of a webhook that is full, and of a subject that is under way, are left out here and not
# after the LIMIT: they could fill it and hide everybody else's.
_DUE = text("""
    SELECT d.id, d.webhook_id, d.subject
    FROM webhook_deliveries d
    JOIN webhooks w ON w.id = d.webhook_id AND w.enabled
    WHERE d.status = 'pending' AND d.next_attempt_at <= now()
        AND d.webhook_id <> ALL(CAST(:full AS bigint[]))
        AND NOT EXISTS (
            SELECT FROM unnest(CAST(:webhooks AS bigint[]), CAST(:subjects AS text[]))
                AS busy(webhook_id, subject)
            WHERE busy.webhook_id = d.webhook_id AND busy.subject = d.subject
        )
    ORDER BY d.next_attempt_at, d.id
    LIMIT :limit
    FOR UPDATE OF d SKIP LOCKED
""")

_LEASE = text("""
    UPDATE webhook_deliveries d
    SET attempts = d.attempts + 1, next_attempt_at = now() + :lease
    FROM webhooks w, domain_events e
    WHERE d.id = ANY(:ids) AND d.status = 'pending'
        AND w.id = d.webhook_id AND e.id = d.event_id
    RETURNING d.id, d.created_at, d.tenant_id, d.webhook_id, d.event_id, d.event_type, d.subject,
        d.attempts, w.url, w.secret_encrypted,
        CASE WHEN w.previous_secret_until > now() THEN w.previous_secret_encrypted END AS previous,
        e.occurred_at, e.data
""")

# A worker that was so late that its delivery was taken again settles nothing.
_SETTLE = text("""
    UPDATE webhook_deliveries d
    SET status = o.status, next_attempt_at = o.next_attempt_at
    FROM unnest(
        CAST(:ids AS bigint[]), CAST(:created AS timestamptz[]), CAST(:numbers AS integer[]),
        CAST(:statuses AS text[]), CAST(:nexts AS timestamptz[])
    ) AS o(id, created_at, number, status, next_attempt_at)
    WHERE d.id = o.id AND d.created_at = o.created_at AND d.attempts = o.number
        AND d.status = 'pending'
""")


def fan_out() -> bool:
    """Turn a batch of events into a delivery for each webhook that wants them."""
    with transaction() as session:
        handled, queued = session.execute(_FAN_OUT, {"limit": FAN_OUT_BATCH}).one()
    if queued:
        wake(Dispatcher.NAME)
    return bool(handled == FAN_OUT_BATCH)


def lease(session: Session, ids: Sequence[int]) -> list[Claim]:
    """Take deliveries for one attempt each, oldest event first."""
    rows = session.execute(_LEASE, {"ids": list(ids), "lease": LEASE}).all()
    claims = [
        Claim(
            id=row.id,
            created_at=row.created_at,
            tenant_id=row.tenant_id,
            webhook_id=row.webhook_id,
            event_id=row.event_id,
            event_type=row.event_type,
            subject=row.subject,
            number=row.attempts,
            url=row.url,
            secrets_encrypted=(row.secret_encrypted, *filter(None, [row.previous])),
            occurred_at=row.occurred_at,
            data=row.data,
        )
        for row in rows
    ]
    return sorted(claims, key=lambda claim: claim.id)


def settle(session: Session, outcomes: Sequence[Outcome]) -> None:
    """Write attempts down, with what becomes of their deliveries and webhooks."""
    now = clock.now()
    session.execute(insert(WebhookAttempt), [_attempt_row(outcome) for outcome in outcomes])
    verdicts = [verdict(outcome, now) for outcome in outcomes]
    session.execute(
        _SETTLE,
        {
            "ids": [o.claim.id for o in outcomes],
            "created": [o.claim.created_at for o in outcomes],
            "numbers": [o.claim.number for o in outcomes],
            "statuses": [str(status) for status, _ in verdicts],
            "nexts": [due for _, due in verdicts],
        },
    )
    for outcome, (status, _) in zip(outcomes, verdicts, strict=True):
        claim = outcome.claim
        _attempts.labels(outcome.success).inc()
        if claim.number == 1:
            _delay.observe((now - claim.occurred_at).total_seconds())
        exhausted = status is DeliveryStatus.FAILED and claim.number > len(PAUSES)
        if outcome.status == GONE:
            services.disable(session, claim.webhook_id, DisabledReason.GONE)
        elif exhausted and services.has_failed_since(session, claim):
            services.disable(session, claim.webhook_id, DisabledReason.FAILING)


def send_test(tenant_id: int, webhook_id: int) -> Outcome:
    """Post a test event now and tell what came back. It is logged, and never retried."""
    delivery_id = services.enqueue_test(tenant_id, webhook_id, due=clock.now() + LEASE)
    with transaction() as session:
        (claim,) = lease(session, [delivery_id])
    outcome = attempt(claim)
    with transaction() as session:
        settle(session, [outcome])
    return outcome


def _attempt_row(outcome: Outcome) -> dict[str, object]:
    claim = outcome.claim
    return {
        "created_at": outcome.began_at,
        "tenant_id": claim.tenant_id,
        "webhook_id": claim.webhook_id,
        "delivery_id": claim.id,
        "event_id": claim.event_id,
        "event_type": claim.event_type,
        "number": claim.number,
        "success": outcome.success,
        "status": outcome.status,
        "duration_ms": outcome.duration_ms,
        "response_head": outcome.response_head,
        "error": outcome.error,
    }


class Dispatcher:
    """Keeps many requests under way: a bounded number, few of one webhook, one of one subject."""

    NAME = "webhooks.deliver"

    def __init__(self) -> None:
        self.job = Job(self.NAME, self.run, interval=1.0, finish=self.finish)
        self._pool = Pool(MAX_IN_FLIGHT)
        self._under_way: defaultdict[int, set[str]] = defaultdict(set)
        self._outcomes: list[Outcome] = []

    def run(self) -> bool:
        """Settle what has ended and begin what is due and has room."""
        self._settle()
        room = min(self._pool.free_count(), CLAIM_BATCH)
        if not room:
            return False
        with transaction() as session:
            due = session.execute(_DUE, self._limits()).all()
            claims = lease(session, self._admit(due, room)) if due else []
        for claim in claims:
            self._under_way[claim.webhook_id].add(claim.subject)
            self._pool.spawn(self._attempt, claim)
        return bool(claims) and len(due) == CLAIM_BATCH

    def finish(self) -> None:
        """Give requests under way a moment; one that does not end in it is made again later."""
        self._pool.join(timeout=_STOP_SECONDS)
        self._pool.kill()
        self._settle()

    def _limits(self) -> dict[str, object]:
        busy = [
            (hook, subject) for hook, subjects in self._under_way.items() for subject in subjects
        ]
        return {
            "full": [
                hook for hook, held in self._under_way.items() if len(held) >= MAX_PER_WEBHOOK
            ],
            "webhooks": [hook for hook, _ in busy],
            "subjects": [subject for _, subject in busy],
            "limit": CLAIM_BATCH,
        }

    def _admit(self, due: Sequence[Row[Any]], room: int) -> list[int]:
        """Those of the due deliveries that fit beside what is under way, in order."""
        held = {hook: set(subjects) for hook, subjects in self._under_way.items()}
        admitted: list[int] = []
        for row in due:
            subjects = held.setdefault(row.webhook_id, set())
            if len(subjects) < MAX_PER_WEBHOOK and row.subject not in subjects:
                subjects.add(row.subject)
                admitted.append(row.id)
        return admitted[:room]

    def _attempt(self, claim: Claim) -> None:
        try:
            self._outcomes.append(attempt(claim))
        finally:
            self._under_way[claim.webhook_id].discard(claim.subject)
            if not self._under_way[claim.webhook_id]:
                del self._under_way[claim.webhook_id]
            self.job.due.set()

    def _settle(self) -> None:
        outcomes = self._outcomes[:]
        if not outcomes:
            return
        with transaction() as session:
            settle(session, outcomes)
        # Only now: an exception above (database away) leaves them for the next run.
        del self._outcomes[: len(outcomes)]
