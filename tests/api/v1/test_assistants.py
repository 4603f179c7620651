"""`/v1/voice/assistants`."""

from typing import Any

import pytest
from sqlalchemy import select

from irisx.kernel.db import transaction
from irisx.tenancy.models import AuditEntry, PhoneNumber
from tests.api.client import ApiClient

EXAMPLE = {
    "name": "Sales Assistant",
    "voice": "en-US-Neural2-F",
    "personality": "professional",
    "greeting": "Hello, how can I help you today?",
    "capabilities": ["appointments", "orders", "faq"],
    "escalation_triggers": ["angry", "supervisor"],
}
TOOLS = [
    {"type": "collect", "name": "order_number", "description": "The number of the order"},
    {
        "type": "webhook",
        "name": "order_status",
        "description": "Where an order is",
        "url": "https://example.com/status",
        "parameters": [{"name": "order", "description": "Its number"}],
    },
    {
        "type": "transfer",
        "name": "to_sales",
        "description": "When the caller wants to buy",
        "destination": {"type": "number", "to": "+15555550123"},
    },
    {"type": "callback", "queue_id": "queue_3"},
]


@pytest.fixture
def assistant(client: ApiClient) -> Any:
    return client.post("/v1/voice/assistants", EXAMPLE, status=201)


def test_the_specification_s_own_example_is_accepted(client: ApiClient, assistant: Any) -> None:
    assert {name: assistant[name] for name in EXAMPLE} == EXAMPLE
    assert client.get(f"/v1/voice/assistants/{assistant['id']}") == assistant
    assert client.get("/v1/voice/assistants")["data"]["assistants"] == [assistant]


def test_a_change_leaves_other_fields_alone(client: ApiClient, assistant: Any) -> None:
    path = f"/v1/voice/assistants/{assistant['id']}"
    changed = client.put(path, {"tools": TOOLS, "limits": {"max_turns": 5}})
    assert (changed["name"], changed["greeting"]) == (EXAMPLE["name"], EXAMPLE["greeting"])
    assert changed["limits"] == {"max_turns": 5, "max_seconds": 900}
    assert [tool["name"] for tool in changed["tools"]] == [
        "order_number",
        "order_status",
        "to_sales",
        "book_callback",
    ]
    assert client.get(path) == changed
    client.delete(path)
    client.get(path, status=404)


def webhook(url: str) -> dict[str, Any]:
    return TOOLS[1] | {"url": url}


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"greeting": " "}, "greeting"),
        ({"language": "english please"}, "language"),
        ({"limits": {"max_turns": 0}}, "limits.max_turns"),
        ({"limits": {"max_turns": "5"}}, "limits.max_turns"),
        ({"silence": {"seconds": 0}}, "silence.seconds"),
        ({"escalation": {"type": "assistant", "id": "asst_9"}}, "escalation"),
        ({"escalation": {"type": "number", "to": "911"}}, "escalation.number.to"),
        ({"tools": [TOOLS[0], TOOLS[0]]}, "tools.1.name"),
        ({"tools": [TOOLS[0] | {"name": "hang_up"}]}, "tools.0.name"),
        ({"tools": [TOOLS[0] | {"name": "Ask me!"}]}, "tools.0.collect.name"),
        ({"tools": [webhook("http://127.0.0.1/")]}, "tools.0.url"),
        ({"tools": [webhook("http://169.254.169.254/")]}, "tools.0.url"),
        ({"tools": [TOOLS[2] | {"destination": {"type": "number"}}]}, "tools.0.destination"),
        (
            {"tools": [TOOLS[2] | {"destination": {"type": "flow", "id": "flow_9"}}]},
            "tools.0.destination",
        ),
        ({"knowledge_base_id": "kb"}, "knowledge_base_id"),
        ({"knowledge_base_id": "kb_999"}, "knowledge_base_id"),
        ({"colour": "red"}, "colour"),
    ],
    ids=str,
)
def test_a_faulty_field_is_named(
    client: ApiClient, assistant: Any, change: dict[str, Any], field: str
) -> None:
    fault = client.post("/v1/voice/assistants", EXAMPLE | change, status=400)
    assert [detail["field"] for detail in fault["details"]] == [field]
    client.put(f"/v1/voice/assistants/{assistant['id']}", change, status=400)


def test_it_is_deployed_to_a_number_and_taken_off(
    client: ApiClient, assistant: Any, number: PhoneNumber
) -> None:
    path = f"/v1/voice/assistants/{assistant['id']}"
    deployed = client.post(f"{path}/deploy", {"phone_number": number.number})
    assert deployed["phone_numbers"] == [number.number]
    shown = client.get(f"/v1/settings/phone-numbers/{number.public_id}")
    assert shown["destination"] == {"type": "assistant", "id": assistant["id"], "to": None}
    assert client.delete(path, status=409)["code"] == "ASSISTANT_DEPLOYED"
    undeployed = client.post(f"{path}/undeploy", {"phone_number": number.public_id})
    assert undeployed["phone_numbers"] == []
    assert client.post(f"{path}/undeploy", {}, status=409)["code"] == "NOT_DEPLOYED"
    client.delete(path)
    with transaction() as session:
        changes = session.scalars(
            select(AuditEntry.after["destination"]).where(
                AuditEntry.action == "phone_number.updated"
            )
        ).all()
    assert changes == [{"type": "assistant", "id": assistant["id"]}, None]


def test_a_number_that_leads_elsewhere_is_replaced_only_when_asked(
    client: ApiClient, assistant: Any, number: PhoneNumber
) -> None:
    other = client.post("/v1/voice/assistants", EXAMPLE | {"name": "Other"}, status=201)
    client.put(
        f"/v1/settings/phone-numbers/{number.public_id}",
        {"destination": {"type": "assistant", "id": other["id"]}},
    )
    path = f"/v1/voice/assistants/{assistant['id']}/deploy"
    refused = client.post(path, {"phone_number": number.number}, status=409)
    assert refused["code"] == "NUMBER_IN_USE"
    client.post(path, {"phone_number": number.number, "replace": True})
    assert client.get(f"/v1/voice/assistants/{other['id']}")["phone_numbers"] == []


def test_a_number_leads_to_one_s_own_assistant_only(
    client: ApiClient, number: PhoneNumber, assistant: Any
) -> None:
    path = f"/v1/voice/assistants/{assistant['id']}/deploy"
    client.post(path, {"phone_number": "+15550009998"}, status=404)
    client.put(
        f"/v1/settings/phone-numbers/{number.public_id}",
        {"destination": {"type": "assistant", "id": "asst_999"}},
        status=400,
    )
