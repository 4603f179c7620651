"""`/v1/queues`: what they are and who works in them."""

from typing import Any

import pytest
from sqlalchemy import select

from irisx.kernel.db import transaction
from irisx.tenancy.models import AuditEntry, Tenant
from tests.api.client import ApiClient
from tests.api.v1.test_agents import ANN


@pytest.fixture
def ann(client: ApiClient) -> str:
    return str(client.post("/v1/agents", ANN, status=201)["id"])


@pytest.fixture
def bob(client: ApiClient) -> str:
    return str(client.post("/v1/agents", ANN | {"name": "Bob"}, status=201)["id"])


def example(*agents: object) -> dict[str, Any]:
    """The specification's own."""
    return {
        "name": "Sales Queue",
        "strategy": "round-robin",
        "max_wait_time": 300,
        "music_on_hold": "default",
        "agents": list(agents),
        "skills_required": ["sales", "english"],
        "priority": 1,
    }


def test_the_specification_s_own_example_is_accepted(client: ApiClient, ann: str, bob: str) -> None:
    wanted = example(ann, bob)
    created = client.post("/v1/queues", wanted, status=201)
    assert created["id"].startswith("queue_")
    assert {name: created[name] for name in wanted} == wanted
    assert client.get(f"/v1/queues/{created['id']}") == created
    assert client.get("/v1/queues")["data"]["queues"] == [created]


def test_members_have_tiers_that_a_plain_id_leaves_alone(
    client: ApiClient, ann: str, bob: str
) -> None:
    member = {"agent_id": bob, "tier": 2, "level": 3}
    queue = client.post("/v1/queues", example(ann, member), status=201)
    path = f"/v1/queues/{queue['id']}"
    client.put(path, {"agents": [bob, ann]})
    listed = client.get(f"{path}/agents")["data"]["agents"]
    assert [(one["agent_id"], one["tier"], one["level"]) for one in listed] == [
        (ann, 1, 1),
        (bob, 2, 3),
    ]
    assert listed[0]["status"] == "offline"
    client.put(path, {"agents": [bob]})
    client.delete(f"/v1/agents/{bob}")
    assert client.get(f"{path}/agents")["data"]["agents"] == []


def test_a_change_leaves_other_fields_alone_and_is_audited(client: ApiClient, ann: str) -> None:
    queue = client.post("/v1/queues", example(ann) | {"options": {"ring_seconds": 15}}, status=201)
    path = f"/v1/queues/{queue['id']}"
    changed = client.put(path, {"strategy": "ring-all", "max_wait_time": None})
    assert (changed["strategy"], changed["max_wait_time"]) == ("ring-all", None)
    assert changed["agents"] == [ann]
    assert changed["options"]["ring_seconds"] == 15
    assert client.put(path, {"options": {}})["options"]["ring_seconds"] == 20
    with transaction() as session:
        entries = session.scalars(
            select(AuditEntry).where(AuditEntry.target == queue["id"]).order_by(AuditEntry.id)
        ).all()
    assert [entry.action for entry in entries] == [
        "queue.created",
        "queue.updated",
        "queue.updated",
    ]
    client.delete(path)
    client.get(path, status=404)
    client.post("/v1/queues", example(ann), status=201)  # the name is free again


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"strategy": "random"}, "strategy"),
        ({"agents": ["agent_99"]}, "agents.0"),
        ({"music_on_hold": "prm_99"}, "music_on_hold"),
        ({"max_wait_time": 0}, "max_wait_time"),
        ({"skill_levels": {"english": 0}}, "skill_levels.english"),
        ({"options": {"ring_seconds": "20"}}, "options.ring_seconds"),
        ({"options": {"exit_key": "11"}}, "options.exit_key"),
        ({"options": {"exit_key": "1", "callback_key": "1"}}, "options"),
        ({"options": {"wrap_up_code_required": True}}, "options"),
        (
            {"options": {"overflow": {"wait": {"type": "queue", "id": "queue_99"}}}},
            "options.overflow.wait",
        ),
        (
            {"options": {"overflow": {"full": {"type": "number", "to": "911"}}}},
            "options.overflow.full.number.to",
        ),
        ({"options": {"hours": {"time_zone": "Mars", "weekly": {}}}}, "options.hours.time_zone"),
        ({"colour": "red"}, "colour"),
    ],
    ids=str,
)
def test_a_faulty_field_is_named(
    client: ApiClient, ann: str, change: dict[str, object], field: str
) -> None:
    fault = client.post("/v1/queues", example(ann) | change, status=400)
    assert [detail["field"] for detail in fault["details"]] == [field]


def test_a_name_is_one_queue_s(client: ApiClient, ann: str) -> None:
    client.post("/v1/queues", example(ann), status=201)
    assert client.post("/v1/queues", example(), status=409)["code"] == "NAME_TAKEN"


def test_a_queue_does_not_overflow_into_itself(client: ApiClient, ann: str) -> None:
    queue = client.post("/v1/queues", example(ann), status=201)
    options = {"overflow": {"wait": {"type": "queue", "id": queue["id"]}}}
    fault = client.put(f"/v1/queues/{queue['id']}", {"options": options}, status=400)
    assert fault["details"][0]["field"] == "options.overflow.wait"


def test_another_tenant_s_agent_is_unknown(client: ApiClient, foreign_ids: dict[str, str]) -> None:
    fault = client.post("/v1/queues", example(foreign_ids["agent_id"]), status=400)
    assert [detail["field"] for detail in fault["details"]] == ["agents.0"]


def test_options_of_every_kind_are_kept(client: ApiClient, tenant: Tenant, ann: str) -> None:
    options = {
        "skill_relaxation": [{"after_seconds": 60, "skills_required": ["sales"]}],
        "overflow": {
            "wait": {"type": "number", "to": "+15555550100"},
            "closed": {"type": "voicemail", "mailbox": "sales"},
        },
        "hours": {"time_zone": "Europe/Berlin", "weekly": {"mon": ["09:00-17:00"]}},
        "welcome": {"text": "Welcome."},
    }
    queue = client.post("/v1/queues", example(ann) | {"options": options}, status=201)
    kept = client.get(f"/v1/queues/{queue['id']}")["options"]
    assert kept["overflow"]["wait"] == options["overflow"]["wait"]
    assert kept["overflow"]["closed"]["mailbox"] == "sales"
    assert kept["hours"]["weekly"] == {"mon": ["09:00-17:00"]}
    assert kept["skill_relaxation"][0]["after_seconds"] == 60


def test_a_number_leads_to_a_queue_which_then_stays(client: ApiClient, ann: str) -> None:
    queue = client.post("/v1/queues", example(ann), status=201)
    number = {"number": "+15550009999", "destination": {"type": "queue", "id": queue["id"]}}
    unknown = number | {"destination": {"type": "queue", "id": "queue_99"}}
    fault = client.post("/v1/settings/phone-numbers", unknown, status=400)
    assert fault["details"][0]["field"] == "destination.id"
    row = client.post("/v1/settings/phone-numbers", number, status=201)
    assert row["destination"]["id"] == queue["id"]
    assert client.delete(f"/v1/queues/{queue['id']}", status=409)["code"] == "QUEUE_IN_USE"
    agent = {"type": "agent", "id": ann}
    changed = client.put(f"/v1/settings/phone-numbers/{row['id']}", {"destination": agent})
    assert changed["destination"]["id"] == ann
    client.delete(f"/v1/queues/{queue['id']}")
