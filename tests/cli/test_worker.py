"""The worker as a process: killed in the middle of a delivery, stopped while it works."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator

import pytest
from sqlalchemy import select, text

from irisx.integration.webhooks import services
from irisx.integration.webhooks.models import DeliveryStatus, WebhookDelivery
from irisx.kernel import clock, events, health
from irisx.kernel.db import transaction
from irisx.settings import get_settings
from irisx.tenancy.access import SYSTEM
from irisx.tenancy.models import Tenant
from tests.receiver import Answer, receiving
from tests.waiting import wait_until

Worker = subprocess.Popen[bytes]


@pytest.fixture(autouse=True)
def loopback_allowed(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("IRISX_ALLOWED_PRIVATE_HOSTS", "127.0.0.1")
    get_settings.cache_clear()
    yield
    monkeypatch.undo()
    get_settings.cache_clear()


@pytest.fixture
def start_worker() -> Iterator[Callable[[], Worker]]:
    started: list[Worker] = []

    def start() -> Worker:
        process = subprocess.Popen([sys.executable, "-m", "irisx", "worker"], env=os.environ)
        started.append(process)
        wait_until(lambda: (ready := health.readiness("worker")) and ready.pid == process.pid, 20)
        return process

    yield start
    for process in started:
        process.kill()
        process.wait()


def publish(tenant: Tenant, key: str) -> None:
    with transaction() as session:
        events.publish(
            session,
            key=key,
            tenant_id=tenant.id,
            type="call.completed",
            data={"sid": key},
            occurred_at=clock.now(),
        )


def statuses() -> list[DeliveryStatus]:
    with transaction() as session:
        return list(session.scalars(select(WebhookDelivery.status)).all())


def test_a_worker_killed_in_the_middle_of_a_delivery_loses_nothing(start_worker, tenant) -> None:
    answers = [Answer(200, after=60), Answer(200)]
    with receiving(lambda request: answers.pop(0)) as receiver:
        services.create(SYSTEM, tenant.id, url=receiver.url, events=["*"])
        first = start_worker()
        publish(tenant, "CA1")
        wait_until(lambda: receiver.received, timeout=10)
        first.send_signal(signal.SIGKILL)
        first.wait()

        start_worker()
        with transaction() as session:  # the lease of the dead worker runs out
            session.execute(text("UPDATE webhook_deliveries SET next_attempt_at = now()"))
        wait_until(lambda: statuses() == [DeliveryStatus.SUCCEEDED], timeout=10)

    before, after = receiver.received
    assert before.headers["webhook-id"] == after.headers["webhook-id"]
    assert before.body == after.body


def test_a_worker_ends_in_time_although_a_receiver_hangs(start_worker, tenant) -> None:
    with receiving(lambda request: Answer(200, after=60)) as receiver:
        services.create(SYSTEM, tenant.id, url=receiver.url, events=["*"])
        worker = start_worker()
        publish(tenant, "CA1")
        wait_until(lambda: receiver.received, timeout=10)
        worker.send_signal(signal.SIGTERM)
        began = time.monotonic()
        assert worker.wait(timeout=10) == 0
    assert time.monotonic() - began < 3
    assert statuses() == [DeliveryStatus.PENDING]
