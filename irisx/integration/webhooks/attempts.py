"""One attempt of a delivery: the request, what came back, and what that means."""

import json
import random
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from irisx.integration.webhooks.catalogue import TEST
from irisx.integration.webhooks.models import DeliveryStatus
from irisx.integration.webhooks.signing import signature_headers
from irisx.kernel import clock, http
from irisx.kernel.crypto import decrypt
from irisx.kernel.ids import public_id
from irisx.kernel.logging import get_logger

log = get_logger(__name__)

TIMEOUT_SECONDS = 15.0

#: Pause before each attempt after the first, which is immediate (Standard Webhooks 1.0).
PAUSES = (
    timedelta(seconds=5),
    timedelta(minutes=5),
    timedelta(minutes=30),
    timedelta(hours=2),
    timedelta(hours=5),
    timedelta(hours=10),
    timedelta(hours=14),
    timedelta(hours=20),
    timedelta(hours=24),
)
_LONGEST_PAUSE = PAUSES[-1]
_HEAD_CHARACTERS = 1000

GONE = 410
_THROTTLED = (429, 503)


@dataclass(frozen=True)
class Claim:
    """A delivery that this process has taken, with all that its request needs."""

    id: int
    created_at: datetime
    tenant_id: int
    webhook_id: int
    event_id: int
    event_type: str
    subject: str
    number: int
    url: str
    secrets_encrypted: tuple[str, ...]
    occurred_at: datetime
    data: dict[str, Any]


@dataclass(frozen=True)
class Outcome:
    """What an attempt brought. `status` None: no answer, `error` says why."""

    claim: Claim
    began_at: datetime
    duration_ms: int
    status: int | None = None
    response_head: str | None = None
    error: str | None = None
    retry_after: timedelta = timedelta()

    @property
    def success(self) -> bool:
        return self.status is not None and 200 <= self.status < 300


def body_of(event_type: str, occurred_at: datetime, data: dict[str, Any]) -> str:
    """The JSON text that is posted; the same at every attempt."""
    message = {"type": event_type, "timestamp": clock.isoformat(occurred_at), "data": data}
    return json.dumps(message, separators=(",", ":"))


def attempt(claim: Claim) -> Outcome:
    """Post the event. Never raises: whatever goes wrong is the outcome."""
    began = clock.now()
    try:
        secrets = [decrypt(secret) for secret in claim.secrets_encrypted]
        body = body_of(claim.event_type, claim.occurred_at, claim.data)
        headers = signature_headers(secrets, public_id("evt", claim.event_id), began, body)
        reply = http.request(
            "POST",
            claim.url,
            headers={"Content-Type": "application/json", **headers},
            body=body.encode(),
            timeout=TIMEOUT_SECONDS,
            max_bytes=4 * _HEAD_CHARACTERS,
        )
    except http.HttpFailure as failure:
        return Outcome(claim, began, _since(began), error=str(failure))
    except Exception:
        log.exception("webhook_attempt_failed", delivery=claim.id)
        return Outcome(claim, began, _since(began), error="Internal error; it is in IRISX's log")
    return Outcome(
        claim,
        began,
        reply.elapsed_ms,
        status=reply.status,
        response_head=_head(reply.body, secrets),
        retry_after=http.retry_after(reply, _LONGEST_PAUSE)
        if reply.status in _THROTTLED
        else timedelta(),
    )


def verdict(outcome: Outcome, now: datetime) -> tuple[DeliveryStatus, datetime]:
    """What becomes of the delivery, and when it is due again if it is still pending."""
    number = outcome.claim.number
    if outcome.success:
        return DeliveryStatus.SUCCEEDED, now
    final = outcome.status == GONE or outcome.claim.event_type == TEST
    if final or number > len(PAUSES):
        return DeliveryStatus.FAILED, now
    # Jitter, so that the deliveries of an outage do not come back all at once.
    pause = PAUSES[number - 1] * random.uniform(1.0, 1.2)
    return DeliveryStatus.PENDING, now + max(pause, outcome.retry_after)


def _since(moment: datetime) -> int:
    return round((clock.now() - moment) / timedelta(milliseconds=1))


def _head(body: bytes, secrets: list[str]) -> str:
    # PostgreSQL's text holds no NUL.
    text = body.decode(errors="replace").replace("\0", "�")[:_HEAD_CHARACTERS]
    for secret in secrets:
        text = text.replace(secret, "[redacted]")
    return text
