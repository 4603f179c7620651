"""`/v1/webhooks`."""

from collections.abc import Callable, Iterator
from datetime import timedelta

import pytest
from sqlalchemy import select

from irisx.integration.webhooks.delivery import Dispatcher, fan_out
from irisx.integration.webhooks.models import Webhook, WebhookDelivery
from irisx.kernel import clock, events
from irisx.kernel.db import transaction
from irisx.settings import get_settings
from irisx.tenancy.models import AuditEntry, Tenant
from tests.api.client import ApiClient
from tests.receiver import Answer, Receiver, receiving
from tests.waiting import wait_until

EXAMPLE = {
    "url": "https://example.com/webhook",
    "events": ["call.completed", "sms.received", "chat.message"],
    "secret": "webhook_secret_123",
    "enabled": True,
}


@pytest.fixture
def receiver(monkeypatch: pytest.MonkeyPatch) -> Iterator[Receiver]:
    monkeypatch.setenv("IRISX_ALLOWED_PRIVATE_HOSTS", "127.0.0.1")
    get_settings.cache_clear()
    with receiving(lambda request: Answer(200, body=b"thank you")) as receiver:
        yield receiver
    monkeypatch.undo()
    get_settings.cache_clear()


def happened(tenant: Tenant, *keys: str, type: str = "call.completed") -> list[int]:
    """Publish events of the tenant; their ids."""
    with transaction() as session:
        for key in keys:
            events.publish(
                session,
                key=key,
                tenant_id=tenant.id,
                type=type,
                data={"sid": key},
                occurred_at=clock.now(),
            )
    with transaction() as session:
        mine = select(events.DomainEvent.id).where(events.DomainEvent.key.in_(keys))
        return list(session.scalars(mine.order_by(events.DomainEvent.id)).all())


def deliver(receiver: Receiver, count: int) -> None:
    """Do the worker's part until the receiver has had `count` requests."""
    fan_out()
    dispatcher = Dispatcher()

    def done() -> bool:
        dispatcher.run()
        return len(receiver.received) >= count

    wait_until(done)
    dispatcher.finish()


def test_the_specification_s_own_example_is_accepted(client: ApiClient) -> None:
    created = client.post("/v1/webhooks", EXAMPLE, status=201)
    assert {name: created[name] for name in EXAMPLE} == EXAMPLE
    seen = client.get(f"/v1/webhooks/{created['id']}")
    assert "secret" not in seen
    assert client.get("/v1/webhooks")["data"]["webhooks"] == [seen]


def test_the_secret_is_generated_shown_once_and_encrypted_at_rest(client: ApiClient) -> None:
    created = client.post("/v1/webhooks", {"url": EXAMPLE["url"], "events": ["*"]}, status=201)
    assert created["secret"].startswith("whsec_")
    with transaction() as session:
        stored = session.scalars(select(Webhook.secret_encrypted)).one()
        audited = session.scalars(
            select(AuditEntry.after).where(AuditEntry.action == "webhook.created")
        ).one()
    assert created["secret"] not in stored
    assert audited["secret_encrypted"] == "[set]"


def test_a_change_leaves_other_fields_alone(client: ApiClient) -> None:
    created = client.post("/v1/webhooks", EXAMPLE, status=201)
    changed = client.put(f"/v1/webhooks/{created['id']}", {"enabled": False})
    assert not changed["enabled"]
    assert (changed["url"], changed["events"]) == (EXAMPLE["url"], EXAMPLE["events"])
    client.delete(f"/v1/webhooks/{created['id']}")
    client.get(f"/v1/webhooks/{created['id']}", status=404)
    client.delete(f"/v1/webhooks/{created['id']}", status=404)


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"url": "http://127.0.0.1/hook"}, "url"),
        ({"url": "http://169.254.169.254/latest"}, "url"),
        ({"url": "ftp://example.com"}, "url"),
        ({"url": "https://user:pass@example.com"}, "url"),
        ({"events": []}, "events"),
        ({"events": ["call.completed", "call.flown"]}, "events.1"),
        ({"secret": "short"}, "secret"),
        ({"enabled": "yes"}, "enabled"),
        ({"colour": "red"}, "colour"),
    ],
    ids=str,
)
def test_a_faulty_field_is_named(client: ApiClient, change: dict[str, object], field: str) -> None:
    fault = client.post("/v1/webhooks", EXAMPLE | change, status=400)
    assert [detail["field"] for detail in fault["details"]] == [field]
    created = client.post("/v1/webhooks", EXAMPLE, status=201)
    client.put(f"/v1/webhooks/{created['id']}", change, status=400)


def test_the_catalogue_is_listed_beside_the_ids(client: ApiClient) -> None:
    listed = client.get("/v1/webhooks/events")["data"]["events"]
    names = {event["type"] for event in listed}
    assert {"call.initiated", "call.failed", "agent.status_changed"} <= names


def test_a_test_event_arrives_now_and_is_logged(client: ApiClient, receiver: Receiver) -> None:
    created = client.post("/v1/webhooks", EXAMPLE | {"url": receiver.url}, status=201)
    client.put(f"/v1/webhooks/{created['id']}", {"enabled": False})
    result = client.post(f"/v1/webhooks/{created['id']}/test")
    assert (result["success"], result["status_code"]) == (True, 200)
    assert receiver.received[0].headers["webhook-id"] == result["event_id"]

    (attempt,) = client.get(f"/v1/webhooks/{created['id']}/logs")["data"]["logs"]
    assert attempt["event_type"] == "webhook.test"
    assert (attempt["attempt"], attempt["response"]) == (1, "thank you")


def test_a_failed_test_event_says_why_and_is_not_sent_again(
    client: ApiClient, receiver: Receiver
) -> None:
    receiver.answer = lambda request: Answer(500, body=b"no")
    created = client.post("/v1/webhooks", EXAMPLE | {"url": receiver.url}, status=201)
    result = client.post(f"/v1/webhooks/{created['id']}/test")
    assert (result["success"], result["status_code"], result["response"]) == (False, 500, "no")
    with transaction() as session:
        assert session.scalars(select(WebhookDelivery.status)).one() == "failed"
    assert client.get(f"/v1/webhooks/{created['id']}")["enabled"]


def test_logs_are_paged_and_filtered(client: ApiClient, receiver: Receiver, tenant: Tenant) -> None:
    created = client.post("/v1/webhooks", EXAMPLE | {"url": receiver.url}, status=201)
    happened(tenant, *(f"CA{n}" for n in range(5)))
    deliver(receiver, 5)
    path = f"/v1/webhooks/{created['id']}/logs"
    first = client.get(f"{path}?limit=3")["data"]
    rest = client.get(f"{path}?limit=3&cursor={first['pagination']['next_cursor']}")["data"]
    ids = [attempt["id"] for attempt in first["logs"] + rest["logs"]]
    assert len(set(ids)) == 5
    assert rest["pagination"]["next_cursor"] is None
    assert client.get(f"{path}?success=false")["data"]["logs"] == []
    client.get(f"{path}?cursor=nonsense", status=400)


def test_one_event_is_replayed_under_the_same_id(
    client: ApiClient, receiver: Receiver, tenant: Tenant
) -> None:
    created = client.post("/v1/webhooks", EXAMPLE | {"url": receiver.url}, status=201)
    (event,) = happened(tenant, "CA1")
    deliver(receiver, 1)
    path = f"/v1/webhooks/{created['id']}/replay"
    assert client.post(path, {"event_id": f"evt_{event}"}, status=202) == {"queued": 1}
    deliver(receiver, 2)
    first, again = receiver.received
    assert first.headers["webhook-id"] == again.headers["webhook-id"] == f"evt_{event}"
    client.post(path, {"event_id": f"evt_{event + 1000}"}, status=404)
    client.post(path, {}, status=400)


def test_a_range_replays_what_never_arrived(
    client: ApiClient, receiver: Receiver, tenant: Tenant
) -> None:
    created = client.post("/v1/webhooks", EXAMPLE | {"url": receiver.url}, status=201)
    path = f"/v1/webhooks/{created['id']}"
    happened(tenant, "arrived")
    deliver(receiver, 1)
    client.put(path, {"enabled": False})
    (missed,) = happened(tenant, "missed")
    happened(tenant, "not subscribed", type="call.ringing")
    fan_out()
    span = {
        "start": (clock.now() - timedelta(hours=1)).isoformat(),
        "end": (clock.now() + timedelta(hours=1)).isoformat(),
    }
    client.post(f"{path}/replay", span, status=409)
    client.put(path, {"enabled": True})
    assert client.post(f"{path}/replay", span, status=202) == {"queued": 1}
    deliver(receiver, 2)
    assert receiver.received[1].headers["webhook-id"] == f"evt_{missed}"
    everything = span | {"include_delivered": True}
    assert client.post(f"{path}/replay", everything, status=202) == {"queued": 2}


def test_a_rotated_secret_is_shown_once(client: ApiClient) -> None:
    created = client.post("/v1/webhooks", EXAMPLE, status=201)
    rotated = client.post(f"/v1/webhooks/{created['id']}/rotate-secret", {})
    assert rotated["secret"] != created["secret"]
    assert rotated["previous_secret_until"] is not None


def test_a_tenant_sees_its_own_webhooks_only(
    client_for: Callable[..., ApiClient], make_tenant: Callable[..., Tenant]
) -> None:
    one, other = client_for(make_tenant("One")), client_for(make_tenant("Other"))
    created = one.post("/v1/webhooks", EXAMPLE, status=201)
    path = f"/v1/webhooks/{created['id']}"
    assert other.get("/v1/webhooks")["data"]["webhooks"] == []
    other.get(path, status=404)
    other.put(path, {"enabled": False}, status=404)
    other.get(f"{path}/logs", status=404)
    other.post(f"{path}/test", status=404)
    other.post(f"{path}/replay", {"event_id": "evt_1"}, status=404)
    other.post(f"{path}/rotate-secret", {}, status=404)
    other.delete(path, status=404)
    assert one.get(path)["enabled"]


def test_another_tenant_s_event_can_not_be_replayed(
    client: ApiClient, receiver: Receiver, make_tenant: Callable[..., Tenant]
) -> None:
    created = client.post("/v1/webhooks", EXAMPLE | {"url": receiver.url}, status=201)
    (foreign,) = happened(make_tenant("Other"), "CA9")
    body = {"event_id": f"evt_{foreign}"}
    client.post(f"/v1/webhooks/{created['id']}/replay", body, status=404)
