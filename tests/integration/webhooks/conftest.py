from collections.abc import Callable, Iterator

import gevent
import pytest

from irisx.integration.webhooks import services
from irisx.integration.webhooks.delivery import Dispatcher, fan_out
from irisx.integration.webhooks.models import Webhook
from irisx.kernel import clock, events
from irisx.kernel.db import transaction
from irisx.kernel.jobs import Job, Runner
from irisx.settings import get_settings
from irisx.tenancy.access import SYSTEM
from irisx.tenancy.models import Tenant
from tests.receiver import Receiver, receiving


@pytest.fixture(autouse=True)
def loopback_allowed(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("IRISX_ALLOWED_PRIVATE_HOSTS", "127.0.0.1")
    get_settings.cache_clear()
    yield
    monkeypatch.undo()
    get_settings.cache_clear()


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with receiving() as receiver:
        yield receiver


@pytest.fixture
def subscribe(tenant: Tenant) -> Callable[..., Webhook]:
    def make(url: str, *subscribed: str, secret: str | None = None) -> Webhook:
        names = subscribed or ("*",)
        return services.create(SYSTEM, tenant.id, url=url, events=names, secret=secret).row

    return make


@pytest.fixture
def publish(tenant: Tenant) -> Callable[..., None]:
    """`publish(("call.ringing", {"sid": "CA1"}), …)`: events of the tenant, in one transaction."""

    def store(*happened: tuple[str, dict[str, object]]) -> None:
        with transaction() as session:
            events.publish_many(
                session,
                [
                    {
                        "key": f"{clock.now().timestamp()}-{number}",
                        "tenant_id": tenant.id,
                        "type": type,
                        "data": data,
                        "occurred_at": clock.now(),
                    }
                    for number, (type, data) in enumerate(happened)
                ],
            )

    return store


@pytest.fixture
def worker() -> Iterator[Runner]:
    """A worker's webhook jobs, running."""
    runner = Runner([Job("webhooks.fan_out", fan_out, 0.5, topic="events"), Dispatcher().job])
    greenlet = gevent.spawn(runner.run)
    yield runner
    runner.stop()
    greenlet.get(timeout=10)
