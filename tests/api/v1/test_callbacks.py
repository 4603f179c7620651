"""Callbacks over REST."""

from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import select

from irisx.kernel.clock import isoformat, now
from irisx.kernel.db import transaction
from irisx.kernel.events import DomainEvent
from irisx.telephony.calls.models import Call
from irisx.tenancy.models import PhoneNumber, Tenant
from tests.api.client import ApiClient

SPECIFIED = {
    "phone_number": "+15555559999",
    "scheduled_at": "2036-02-17T14:00:00.000Z",
    "priority": "high",
    "notes": "Customer requested callback",
    "metadata": {},
}


def made(client: ApiClient, **changes: Any) -> dict[str, Any]:
    answer: dict[str, Any] = client.post("/v1/callbacks", SPECIFIED | changes, status=201)
    return answer


def types() -> list[str]:
    with transaction() as session:
        return list(session.scalars(select(DomainEvent.type).order_by(DomainEvent.id)))


def test_the_specification_s_callback(client: ApiClient) -> None:
    queue = client.post("/v1/queues", {"name": "Sales", "strategy": "round-robin"}, status=201)
    row = made(client, queue_id=queue["id"])
    assert row["status"] == "scheduled"
    assert {name: row[name] for name in SPECIFIED} == SPECIFIED
    assert row["queue_id"] == queue["id"]
    assert client.get(f"/v1/callbacks/{row['id']}") == row
    assert client.get("/v1/callbacks?status=scheduled")["data"]["callbacks"] == [row]
    assert client.get("/v1/callbacks?status=failed")["data"]["callbacks"] == []
    assert types() == ["callback.scheduled"]


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"phone_number": "911"}, "phone_number"),
        ({"phone_number": "5555559999"}, "phone_number"),
        ({"scheduled_at": "tomorrow"}, "scheduled_at"),
        ({"scheduled_at": "2026-02-17T14:00:00"}, "scheduled_at"),
        ({"queue_id": "queue_9"}, "queue_id"),
        ({"priority": 5}, "priority"),
        ({"time_zone": "Mars/Base"}, "time_zone"),
        ({"max_attempts": 0}, "max_attempts"),
        ({"first": "agent"}, "first"),
        ({"first": "boss"}, "first"),
        ({"more": 1}, "more"),
    ],
)
def test_what_can_t_be_called_back(client: ApiClient, change: dict[str, Any], field: str) -> None:
    answer = client.post("/v1/callbacks", SPECIFIED | change, status=400)
    assert [fault["field"] for fault in answer["details"]] == [field]


def test_where_the_tenant_may_not_call(client: ApiClient) -> None:
    answer = client.post("/v1/callbacks", SPECIFIED | {"phone_number": "+4930123456"}, status=403)
    assert answer["code"] == "DESTINATION_NOT_ALLOWED"


def test_a_callback_is_changed_until_it_is_called(client: ApiClient) -> None:
    row = made(client)
    later = isoformat(now() + timedelta(days=9))
    changed = client.put(f"/v1/callbacks/{row['id']}", {"scheduled_at": later, "priority": "low"})
    assert (changed["due_at"], changed["priority"]) == (later, "low")
    client.delete(f"/v1/callbacks/{row['id']}")
    assert client.get(f"/v1/callbacks/{row['id']}")["status"] == "canceled"
    path = f"/v1/callbacks/{row['id']}"
    for again in (
        client.put(path, {"notes": "x"}, status=409),
        client.delete(path, status=409),
        client.post(f"{path}/execute", status=409),
    ):
        assert again["code"] == "CALLBACK_NOT_SCHEDULED"
    assert types() == ["callback.scheduled", "callback.canceled"]


def test_execute_places_one_call(client: ApiClient, tenant: Tenant, number: PhoneNumber) -> None:
    queue = client.post("/v1/queues", {"name": "Sales", "strategy": "round-robin"}, status=201)
    row = made(client, queue_id=queue["id"])
    called = client.post(f"/v1/callbacks/{row['id']}/execute")
    assert (called["status"], called["attempts"]) == ("calling", 1)
    client.post(f"/v1/callbacks/{row['id']}/execute", status=409)
    with transaction() as session:
        call = session.scalars(select(Call)).one()
    assert (call.from_number, call.to_number) == (number.number, "+15555559999")
    assert call.metadata_ == {"callback_id": row["id"]}
    assert call.options["on_answer"] == {"type": "queue", "id": queue["id"]}
    assert call.options["queue"]["priority"] == 10


def test_execute_without_a_number_to_call_from(client: ApiClient) -> None:
    row = made(client)
    answer = client.post(f"/v1/callbacks/{row['id']}/execute", status=400)
    assert answer["details"][0]["field"] == "from"
    assert client.get(f"/v1/callbacks/{row['id']}")["attempts"] == 0
