import hashlib
import hmac
import json
import time
from contextlib import contextmanager

import gevent
import pytest
from sqlalchemy import select, text
from sqlalchemy.exc import OperationalError
from standardwebhooks import Webhook as Verifier
from standardwebhooks import WebhookVerificationError

from irisx.integration.webhooks import delivery, services
from irisx.integration.webhooks.attempts import PAUSES, Outcome, attempt
from irisx.integration.webhooks.delivery import (
    CLAIM_BATCH,
    MAX_PER_WEBHOOK,
    Dispatcher,
    fan_out,
    lease,
    settle,
)
from irisx.integration.webhooks.models import (
    DeliveryStatus,
    DisabledReason,
    WebhookAttempt,
    WebhookDelivery,
)
from irisx.kernel import clock, events
from irisx.kernel.db import transaction
from irisx.kernel.jobs import Job, Runner, wake
from irisx.settings import get_settings
from irisx.tenancy.access import SYSTEM
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


def test_a_slow_receiver_holds_up_nobody_else(worker, subscribe, publish):
    with receiving(lambda request: Answer(after=8)) as slow, receiving() as quick:
        subscribe(slow.url)
        subscribe(quick.url)
        publish(*(("call.ringing", {"sid": f"CA{call}"}) for call in range(300)))
        wait_until(lambda: len(quick.received) == 300, timeout=6)
        assert len(slow.received) == MAX_PER_WEBHOOK


def test_one_call_with_a_long_backlog_holds_up_no_other(worker, subscribe, publish):
    def answer(request):
        return Answer(after=5 if json.loads(request.body)["data"]["sid"] == "CA1" else 0)

    with receiving(answer) as receiver:
        subscribe(receiver.url)
        publish(*(("call.ringing", {"sid": "CA1", "n": n}) for n in range(CLAIM_BATCH + 50)))
        publish(("call.ringing", {"sid": "CA2"}))
        wait_until(lambda: settled(1), timeout=4)
    (done,) = settled(1)
    assert done.subject == "CA2"


def test_gone_disables_the_webhook_and_says_so(worker, receiver, subscribe, publish, tenant):
    with receiving(lambda request: Answer(410)) as gone:
        webhook = subscribe(gone.url, "call.ringing")
        subscribe(receiver.url, "webhook.disabled")
        publish(("call.ringing", {"sid": "CA1"}))
        wait_until(lambda: receiver.received)

    message = json.loads(receiver.received[0].body)
    assert message["data"]["reason"] == "gone"
    assert message["data"]["webhook_id"] == f"whk_{webhook.id}"
    disabled = services.get(tenant.id, webhook.id)
    assert (disabled.enabled, disabled.disabled_reason) == (False, DisabledReason.GONE)


def test_a_webhook_that_fails_for_days_is_disabled(worker, subscribe, publish, tenant):
    with receiving(lambda request: Answer(500)) as receiver:
        webhook = subscribe(receiver.url, "call.ringing")
        publish(("call.ringing", {"sid": "CA1"}))
        for number in range(1, len(PAUSES) + 2):
            wait_until(lambda number=number: len(attempts()) == number)
            make_due()
            wake("webhooks.deliver")
        (delivery,) = wait_until(lambda: settled(1))
    assert (delivery.status, delivery.attempts) == (DeliveryStatus.FAILED, 10)
    disabled = wait_until(lambda: not (row := services.get(tenant.id, webhook.id)).enabled and row)
    assert disabled.disabled_reason is DisabledReason.FAILING

    enabled = services.change(SYSTEM, tenant.id, webhook.id, enabled=True)
    assert enabled.disabled_reason is None


def test_a_failed_delivery_does_not_disable_a_webhook_that_works(subscribe, publish, tenant):
    """Here the last attempt of one event fails while another event arrives."""
    answers = {"CA1": 500, "CA2": 200}
    with receiving(lambda r: Answer(answers[json.loads(r.body)["data"]["sid"]])) as receiver:
        webhook = subscribe(receiver.url)
        publish(("call.ringing", {"sid": "CA1"}), ("call.ringing", {"sid": "CA2"}))
        fan_out()
        with transaction() as session:
            session.execute(
                text("UPDATE webhook_deliveries SET attempts = 9 WHERE subject = 'CA1'")
            )
        dispatcher = Dispatcher()
        dispatcher.run()
        wait_until(lambda: len(receiver.received) == 2)
        dispatcher.finish()
    assert [row.status for row in deliveries()] == [DeliveryStatus.FAILED, DeliveryStatus.SUCCEEDED]
    assert services.get(tenant.id, webhook.id).enabled


def test_retry_after_is_respected(worker, subscribe, publish):
    answers = {
        "CA1": Answer(429, {"Retry-After": "600"}),
        "CA2": Answer(500, {"Retry-After": "600"}),
    }
    with receiving(lambda r: answers[json.loads(r.body)["data"]["sid"]]) as receiver:
        subscribe(receiver.url)
        publish(*(("call.ringing", {"sid": sid}) for sid in answers))
        wait_until(lambda: len(attempts()) == 2)
    now = clock.now()
    pauses = {row.subject: (row.next_attempt_at - now).total_seconds() for row in deliveries()}
    assert 590 < pauses["CA1"] < 601
    assert pauses["CA2"] < 7


def test_a_private_address_is_refused_at_delivery_too(worker, subscribe, publish, monkeypatch):
    with receiving() as receiver:
        subscribe(receiver.url)
        monkeypatch.setenv("IRISX_ALLOWED_PRIVATE_HOSTS", "")
        get_settings.cache_clear()
        publish(("call.ringing", {"sid": "CA1"}))
        (attempt,) = wait_until(attempts)
    assert attempt.status is None
    assert "not a public address" in attempt.error
    assert receiver.received == []


def test_a_disabled_webhook_gets_nothing_and_a_deleted_one_neither(
    worker, receiver, subscribe, publish, tenant
):
    off = subscribe(receiver.url + "/off")
    services.change(SYSTEM, tenant.id, off.id, enabled=False)
    gone = subscribe(receiver.url + "/gone")
    services.remove(SYSTEM, tenant.id, gone.id)
    subscribe(receiver.url + "/on")
    publish(("call.ringing", {"sid": "CA1"}))
    wait_until(lambda: settled(1))
    assert [request.path for request in receiver.received] == ["/on"]


def test_a_replaced_secret_signs_beside_the_new_one(worker, receiver, subscribe, publish, tenant):
    webhook = subscribe(receiver.url, secret="the-old-secret")
    services.rotate_secret(SYSTEM, tenant.id, webhook.id, secret="the-new-secret")
    publish(("call.ringing", {"sid": "CA1"}))
    wait_until(lambda: receiver.received)
    (request,) = receiver.received
    for secret in ("the-old-secret", "the-new-secret"):
        Verifier(secret).verify(request.body, request.headers)
    with pytest.raises(WebhookVerificationError):
        Verifier("another-secret-12").verify(request.body, request.headers)

    with transaction() as session:
        session.execute(text("UPDATE webhooks SET previous_secret_until = now()"))
    publish(("call.ringing", {"sid": "CA2"}))
    wait_until(lambda: len(receiver.received) == 2)
    with pytest.raises(WebhookVerificationError):
        Verifier("the-old-secret").verify(receiver.received[1].body, receiver.received[1].headers)


def test_an_event_of_another_tenant_goes_elsewhere(worker, receiver, make_tenant, publish):
    other = make_tenant("Other")
    services.create(SYSTEM, other.id, url=receiver.url, events=["*"])
    publish(("call.ringing", {"sid": "CA1"}))
    with transaction() as session:
        events.publish(
            session,
            key="other",
            tenant_id=other.id,
            type="call.failed",
            data={},
            occurred_at=clock.now(),
        )
    wait_until(lambda: settled(1))
    assert [json.loads(request.body)["type"] for request in receiver.received] == ["call.failed"]


def test_two_workers_deliver_each_event_once(worker, receiver, subscribe, publish):
    subscribe(receiver.url)
    second = Runner([Job("webhooks.fan_out", fan_out, 0.1), Dispatcher().job])
    greenlet = gevent.spawn(second.run)
    publish(*(("call.ringing", {"sid": f"CA{call}"}) for call in range(300)))
    wait_until(lambda: settled(300), timeout=20)
    second.stop()
    greenlet.get(timeout=10)
    ids = [request.headers["webhook-id"] for request in receiver.received]
    assert len(ids) == len(set(ids)) == 300


def test_an_outage_of_the_database_loses_no_outcome(subscribe, publish, monkeypatch):
    with receiving() as receiver:
        subscribe(receiver.url)
        publish(("call.ringing", {"sid": "CA1"}))
        fan_out()
        dispatcher = Dispatcher()
        dispatcher.run()
        wait_until(lambda: receiver.received)
        with monkeypatch.context() as away:
            away.setattr(delivery, "transaction", _database_away)
            wait_until(lambda: dispatcher.job.due.is_set())
            with pytest.raises(OperationalError):
                dispatcher.run()
        dispatcher.run()
    assert [row.status for row in deliveries()] == [DeliveryStatus.SUCCEEDED]


@contextmanager
def _database_away():
    raise OperationalError("SELECT 1", {}, Exception("the database is away"))
    yield


def test_a_late_outcome_does_not_disturb_a_newer_attempt(receiver, subscribe, publish):
    subscribe(receiver.url)
    publish(("call.ringing", {"sid": "CA1"}))
    fan_out()
    (row,) = deliveries()
    with transaction() as session:
        (stalled,) = lease(session, [row.id])
    with transaction() as session:
        (taken_again,) = lease(session, [row.id])
    (leased,) = deliveries()
    with transaction() as session:
        settle(session, [Outcome(stalled, clock.now(), 15_000, error="timed out")])
    assert deliveries()[0].next_attempt_at == leased.next_attempt_at
    with transaction() as session:
        settle(session, [attempt(taken_again)])
    assert deliveries()[0].status is DeliveryStatus.SUCCEEDED
    assert [attempt.number for attempt in attempts()] == [1, 2]
