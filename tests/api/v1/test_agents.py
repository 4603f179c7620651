"""`/v1/agents`: who they are, their status and its history."""

import pytest
from sqlalchemy import select

from irisx.kernel.db import transaction
from irisx.kernel.events import DomainEvent
from irisx.tenancy import agent_status, agents, sip_accounts
from irisx.tenancy.access import SYSTEM
from irisx.tenancy.agent_models import Activity, AgentStatus
from irisx.tenancy.models import AuditEntry, Tenant
from tests.api.client import ApiClient

BY_NUMBER = {"type": "number", "phone_number": "+15555550100"}
ANN = {"name": "Ann", "contact": BY_NUMBER, "skills": {"english": 8, "sales": 3}}


def test_an_agent_is_created_changed_and_deleted(client: ApiClient, tenant: Tenant) -> None:
    ann = client.post("/v1/agents", ANN, status=201)
    assert ann["id"].startswith("agent_")
    assert (ann["status"], ann["capacity"], ann["skills"]) == ("offline", 1, ANN["skills"])
    account = sip_accounts.create(SYSTEM, tenant.id, name="Desk").row
    contact = {"type": "webrtc", "sip_account_id": account.public_id}
    changed = client.put(f"/v1/agents/{ann['id']}", {"contact": contact, "capacity": 3})
    assert changed["contact"] == contact | {"phone_number": None}
    assert (changed["name"], changed["capacity"]) == ("Ann", 3)
    client.delete(f"/v1/sip-accounts/{account.public_id}", status=409)

    client.delete(f"/v1/agents/{ann['id']}")
    client.get(f"/v1/agents/{ann['id']}", status=404)
    assert client.get("/v1/agents")["data"]["agents"] == []
    client.delete(f"/v1/sip-accounts/{account.public_id}")
    with transaction() as session:
        actions = session.scalars(select(AuditEntry.action).order_by(AuditEntry.id)).all()
    assert [action for action in actions if action.startswith("agent.")] == [
        "agent.created",
        "agent.updated",
        "agent.deleted",
    ]


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"contact": {"type": "number"}}, "contact"),
        ({"contact": {"type": "sip", "phone_number": "+15555550100"}}, "contact"),
        ({"contact": BY_NUMBER | {"sip_account_id": "sip_1"}}, "contact"),
        ({"contact": {"type": "pigeon"}}, "contact.type"),
        ({"contact": {"type": "sip", "sip_account_id": "sip_99"}}, "contact.sip_account_id"),
        ({"user_id": "usr_99"}, "user_id"),
        ({"skills": {"english": 11}}, "skills.english"),
        ({"skills": {"Eng lish": 1}}, "skills.Eng lish.[key]"),
        ({"capacity": 0}, "capacity"),
        ({"name": " "}, "name"),
        ({"colour": "red"}, "colour"),
    ],
    ids=str,
)
def test_a_faulty_field_is_named(client: ApiClient, change: dict[str, object], field: str) -> None:
    fault = client.post("/v1/agents", ANN | change, status=400)
    assert [detail["field"] for detail in fault["details"]] == [field]
    ann = client.post("/v1/agents", ANN, status=201)
    client.put(f"/v1/agents/{ann['id']}", change, status=400)


def test_a_user_is_one_agent(client: ApiClient) -> None:
    user = {
        "email": "ann@example.com",
        "name": "Ann",
        "password": "long enough, this",
        "permissions": [],
    }
    user_id = client.post("/v1/users", user, status=201)["id"]
    first = client.post("/v1/agents", ANN | {"user_id": user_id}, status=201)
    fault = client.post("/v1/agents", ANN | {"user_id": user_id}, status=409)
    assert fault["code"] == "AGENT_EXISTS"
    client.delete(f"/v1/agents/{first['id']}")
    client.post("/v1/agents", ANN | {"user_id": user_id}, status=201)


def test_a_status_is_set_told_and_kept(client: ApiClient) -> None:
    ann = client.post("/v1/agents", ANN, status=201)
    path = f"/v1/agents/{ann['id']}/status"
    client.put(path, {"status": "available"})
    client.put(path, {"status": "available"})  # no change, no line
    away = client.put(path, {"status": "away", "reason": "lunch"})
    assert (away["status"], away["reason"], away["next_status"]) == ("away", "lunch", None)
    first = client.get(f"{path}/history?limit=1")["data"]
    cursor = first["pagination"]["next_cursor"]
    second = client.get(f"{path}/history?limit=1&cursor={cursor}")["data"]
    assert [
        (change["status"], change["reason"]) for change in first["changes"] + second["changes"]
    ] == [("away", "lunch"), ("available", None)]
    assert client.get("/v1/agents?status=away")["data"]["pagination"]["total"] == 1
    assert client.get("/v1/agents?status=offline")["data"]["pagination"]["total"] == 0
    with transaction() as session:
        told = session.scalars(select(DomainEvent).order_by(DomainEvent.id)).all()
    assert [(event.type, event.data["status"]) for event in told] == [
        ("agent.status_changed", "available"),
        ("agent.status_changed", "away"),
    ]
    assert told[1].data["previous_status"] == "available"
    client.put(path, {"status": "asleep"}, status=400)


def test_during_a_call_a_status_is_what_comes_after_it(client: ApiClient, tenant: Tenant) -> None:
    ann = client.post("/v1/agents", ANN, status=201)
    path = f"/v1/agents/{ann['id']}/status"
    client.put(path, {"status": "available"})
    agent_id = int(ann["id"].removeprefix("agent_"))
    with transaction() as session:
        row = agents.fetch(session, tenant.id, agent_id, lock=True)
        agent_status.take_up(session, row, Activity.CALL)
    chosen = client.put(path, {"status": "away", "reason": "lunch"})
    assert (chosen["status"], chosen["next_status"]) == ("busy", "away")
    client.delete(f"/v1/agents/{ann['id']}", status=409)
    with transaction() as session:
        row = agents.fetch(session, tenant.id, agent_id, lock=True)
        agent_status.take_up(session, row, Activity.WRAP_UP)
    assert client.get(path)["status"] == "wrap-up"
    back = client.put(path, {"status": "available"})
    assert (back["status"], back["next_status"]) == ("available", None)


def test_one_capacity_over_all_channels(client: ApiClient, tenant: Tenant) -> None:
    ann = client.post("/v1/agents", ANN | {"capacity": 2}, status=201)
    agent_id = int(ann["id"].removeprefix("agent_"))
    assert not agents.take_work(tenant.id, agent_id, "chat", "conv_1")  # she is offline
    agents.set_status(SYSTEM, tenant.id, agent_id, AgentStatus.AVAILABLE, None)
    assert agents.take_work(tenant.id, agent_id, "chat", "conv_1")
    assert agents.take_work(tenant.id, agent_id, "chat", "conv_1")  # the same one
    assert agents.take_work(tenant.id, agent_id, "whatsapp", "conv_2")
    assert not agents.take_work(tenant.id, agent_id, "chat", "conv_3")
    agents.end_work(tenant.id, agent_id, "chat", "conv_1")
    agents.end_work(tenant.id, agent_id, "chat", "conv_1")
    assert agents.take_work(tenant.id, agent_id, "chat", "conv_3")


def test_skills_are_replaced_as_a_whole(client: ApiClient) -> None:
    ann = client.post("/v1/agents", ANN, status=201)
    path = f"/v1/agents/{ann['id']}/skills"
    assert client.get(path) == {"agent_id": ann["id"], "skills": ANN["skills"]}
    assert client.put(path, {"skills": {"german": 5}})["skills"] == {"german": 5}
    client.put(path, {"skills": {"german": 0}}, status=400)
