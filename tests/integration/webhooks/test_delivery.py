import hashlib
import hmac
import json
import time

from sqlalchemy import select, text
from standardwebhooks import Webhook as Verifier

from irisx.integration.webhooks.models import DeliveryStatus, WebhookAttempt, WebhookDelivery
from irisx.kernel.db import transaction
from tests.receiver import Answer, receiving
from tests.waiting import wait_until


def deliveries():
    with transaction() as session:
        return session.scalars(select(WebhookDelivery).order_by(WebhookDelivery.id)).all()


def attempts():
    with transaction() as session:
        return session.scalars(select(WebhookAttempt).order_by(WebhookAttempt.id)).all()


def settled(count: int):
    """The deliveries once `count` of them are not pending any more."""
    done = [row for row in deliveries() if row.status is not DeliveryStatus.PENDING]
    return done if len(done) >= count else None


def make_due() -> None:
    """Let the pauses of all pending deliveries pass."""
    with transaction() as session:
        session.execute(text("UPDATE webhook_deliveries SET next_attempt_at = now()"))


def test_an_event_arrives_signed(worker, receiver, subscribe, publish):
    subscribe(receiver.url + "/hook", "call.completed", secret="webhook_secret_123")
    publish(("call.completed", {"sid": "CA1", "duration": 7}), ("call.ringing", {"sid": "CA1"}))

    (delivery,) = wait_until(lambda: settled(1))

    (request,) = receiver.received
    assert delivery.status is DeliveryStatus.SUCCEEDED
    message = Verifier("webhook_secret_123").verify(request.body, request.headers)
    assert (message["type"], message["data"]) == ("call.completed", {"sid": "CA1", "duration": 7})
    assert message["timestamp"].endswith("Z")
    plain = hmac.new(b"webhook_secret_123", request.body, hashlib.sha256).hexdigest()
    assert request.headers["x-irisx-signature"] == plain
    (attempt,) = attempts()
    assert (attempt.success, attempt.status, attempt.number) == (True, 204, 1)


def test_a_failed_delivery_is_retried_with_the_same_id(worker, subscribe, publish):
    answers = [Answer(500, body=b"broken \0 webhook_secret_123"), Answer(200)]
    with receiving(lambda request: answers.pop(0)) as receiver:
        subscribe(receiver.url, secret="webhook_secret_123")
        publish(("call.ringing", {"sid": "CA1"}))
        (first,) = wait_until(lambda: attempts() or None)
        (pending,) = deliveries()
        assert 4 < (pending.next_attempt_at - first.created_at).total_seconds() < 7
        assert (first.status, first.response_head) == (500, "broken � [redacted]")

        make_due()
        wait_until(lambda: settled(1))

    ids = {request.headers["webhook-id"] for request in receiver.received}
    assert len(receiver.received) == 2
    assert len(ids) == 1


def test_hundreds_of_events_arrive_in_seconds_and_in_order_by_call(worker, subscribe, publish):
    with receiving(lambda request: Answer(after=0.005)) as receiver:
        subscribe(receiver.url)
        began = time.monotonic()
        for call in range(100):
            steps = ("call.initiated", "call.ringing", "call.answered", "call.completed")
            publish(*((step, {"sid": f"CA{call}"}) for step in steps))
        wait_until(lambda: settled(400), timeout=20)
        took = time.monotonic() - began

    by_call: dict[str, list[str]] = {}
    for request in receiver.received:
        message = json.loads(request.body)
        by_call.setdefault(message["data"]["sid"], []).append(message["type"])
    assert len(by_call) == 100
    assert all(types == list(steps) for types in by_call.values())
    assert took < 10
