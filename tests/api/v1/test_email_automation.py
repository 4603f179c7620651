"""`/v1/email/automation` and its rules, as a client sees them."""

import pytest

from irisx.kernel import clock
from irisx.kernel.db import transaction
from irisx.kernel.events import publish
from irisx.messaging.channels.email.automation import entering, running
from irisx.tenancy.models import Tenant
from tests.api.client import ApiClient

WAIT = {"type": "wait", "minutes": 60}
FLOW = {"name": "Welcome", "trigger": {"type": "manual"}, "steps": [WAIT]}


@pytest.fixture
def contact_id(client: ApiClient) -> str:
    ann = {"name": "Ann", "identities": [{"kind": "email", "address": "ann@example.com"}]}
    return str(client.post("/v1/contacts", ann, status=201)["id"])


def test_a_workflow_from_draft_to_whom_it_has(client: ApiClient, contact_id: str) -> None:
    made = client.post("/v1/email/automation", FLOW, status=201)
    path = f"/v1/email/automation/{made['id']}"
    assert (made["active"], made["version"], made["steps"][0]["id"]) == (False, 1, "step1")
    entry = {"contact_ids": [contact_id]}
    assert client.post(f"{path}/contacts", entry, status=409)["code"] == "WORKFLOW_INACTIVE"
    assert client.post(f"{path}/activate", status=200)["active"] is True
    assert client.post(f"{path}/contacts", entry, status=200)["entered"] == 1
    running.advance()
    [there] = client.get(f"{path}/contacts")["data"]["contacts"]
    assert (there["contact_id"], there["status"]) == (contact_id, "active")
    assert there["done"][0]["step_id"] == "step1"
    changed = client.put(path, {"steps": [WAIT, WAIT], "name": "Hello"}, status=200)
    assert (changed["version"], changed["name"], changed["active"]) == (2, "Hello", True)
    assert changed["contacts"] == {"active": 1, "completed": 0, "stopped": 0}
    assert client.post(f"{path}/deactivate", status=200)["active"] is False
    [listed] = client.get("/v1/email/automation")["data"]["workflows"]
    assert listed["id"] == made["id"]
    client.get(f"/v1/email/automation/rules/{made['id']}", status=404)
    client.delete(path)
    client.get(path, status=404)


def test_a_rule_does_its_actions_when_its_event_happens(
    client: ApiClient, contact_id: str, tenant: Tenant
) -> None:
    friends = client.post("/v1/contacts/lists", {"name": "Clicked"}, status=201)["id"]
    rule = {
        "name": "Interested",
        "event": "email.clicked",
        "conditions": [{"field": "event.url", "operator": "contains", "value": "pricing"}],
        "actions": [{"type": "list", "action": "add", "list_id": friends}],
    }
    made = client.post("/v1/email/automation/rules", rule, status=201)
    assert made["enabled"] is True
    about = {"direction": "outbound", "to": "ann@example.com", "url": "https://a.example/pricing"}
    with transaction() as session:
        publish(
            session,
            key="a click",
            tenant_id=tenant.id,
            type="email.clicked",
            data=about,
            occurred_at=clock.now(),
        )
    entering.enter_by_events()
    running.advance()
    assert client.get(f"/v1/contacts/lists/{friends}")["contacts"] == 1
    path = f"/v1/email/automation/rules/{made['id']}"
    changed = client.put(path, {"enabled": False, "conditions": []}, status=200)
    assert (changed["enabled"], changed["event"], changed["conditions"]) == (
        False,
        "email.clicked",
        [],
    )
    assert changed["contacts"]["completed"] == 1
    [listed] = client.get("/v1/email/automation/rules")["data"]["rules"]
    assert listed["name"] == "Interested"
    assert client.get("/v1/email/automation")["data"]["workflows"] == []
    client.delete(path)


@pytest.mark.parametrize(
    "change",
    [
        {"trigger": {"type": "event", "event": "call.initiated"}},
        {"trigger": {"type": "moon"}},
        {"steps": []},
        {"steps": [{"type": "wait", "minutes": 0}]},
        {"steps": [{"type": "condition", "all": [{"field": "tenant.x", "operator": "exists"}]}]},
        {"steps": [{"type": "send", "template_id": "tpl_999", "from": "a@b.example"}]},
    ],
)
def test_a_mistake_is_named(client: ApiClient, change: dict[str, object]) -> None:
    refused = client.post("/v1/email/automation", {**FLOW, **change}, status=400)
    assert refused["code"] == "VALIDATION_ERROR"
    assert refused["details"][0]["field"].startswith(next(iter(change)))
