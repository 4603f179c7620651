"""`/v1/messaging/rules`."""

from typing import Any

import pytest

from irisx.kernel.clock import now
from irisx.kernel.db import transaction
from irisx.kernel.events import publish
from irisx.messaging.rules.reactions import send_what_calls_ask_for
from irisx.tenancy.models import Tenant
from tests.api.client import ApiClient

PATH = "/v1/messaging/rules"
RULE = {"name": "Missed", "trigger": "missed", "text": "Sorry, {{ caller }}!"}
TEMPLATE = {"name": "sorry", "language": "en", "parameters": ["{{ caller }}"]}


@pytest.mark.usefixtures("number")
def test_a_rule_s_life(client: ApiClient, tenant: Tenant) -> None:
    made = client.post(PATH, RULE | {"from": "+15550001000", "statuses": ["busy"]}, status=201)
    assert (made["direction"], made["repeat_after_minutes"], made["enabled"]) == (
        "inbound",
        60,
        True,
    )
    where = f"{PATH}/{made['id']}"
    changed = client.put(where, {"text": "Hello {{ caller }}", "statuses": []})
    assert changed == made | {
        "text": "Hello {{ caller }}", "statuses": [], "updated_at": changed["updated_at"],
    }  # fmt: skip
    assert client.get(where) == changed
    assert client.get(PATH)["data"]["rules"] == [changed]
    data = {"sid": "CA1", "direction": "inbound", "from": "+15555550110", "to": "+15550001000"}
    with transaction() as session:
        publish(
            session, key="1", tenant_id=tenant.id, type="call.failed", data=data, occurred_at=now()
        )
    send_what_calls_ask_for()
    (sent,) = client.get("/v1/sms")["messages"]
    assert (sent["body"], sent["origin"]) == ("Hello +15555550110", "rule")
    assert sent["metadata"] == {"call_sid": "CA1", "rule_id": made["id"]}
    client.put(where, {"channel": "whatsapp", "text": None, "whatsapp_template": TEMPLATE})
    client.delete(where)
    client.get(where, status=404)
    actions = [entry["action"] for entry in client.get("/v1/audit-log")["data"]["entries"]]
    assert actions[:4] == ["call_rule.deleted", *["call_rule.updated"] * 2, "call_rule.created"]


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"trigger": "answered"}, "trigger"),
        ({"text": None}, "text"),
        ({"text": "{{ caller"}, "text"),
        ({"text": "{% for x in y %}{% endfor %}"}, "text"),
        ({"text": "{{ secret }}"}, "text"),
        ({"text": "{{ call.password }}"}, "text"),
        ({"text": "{{ contact.name }}"}, "text"),
        ({"statuses": ["completed"]}, "statuses"),
        ({"trigger": "ended", "statuses": ["busy"]}, "statuses"),
        ({"whatsapp_template": TEMPLATE}, "text"),
        ({"text": None, "whatsapp_template": TEMPLATE}, "whatsapp_template"),
        ({"channel": "fax"}, "channel"),
        ({"from": "me"}, "from"),
        ({"numbers": ["x"]}, "numbers.0"),
        ({"repeat_after_minutes": -1}, "repeat_after_minutes"),
    ],
)
def test_bad_rules_are_refused(client: ApiClient, fields: dict[str, Any], field: str) -> None:
    refused = client.post(PATH, RULE | fields, status=400)
    assert refused["details"][0]["field"] == field
    assert client.get(PATH)["data"]["rules"] == []


def test_a_change_must_leave_a_rule(client: ApiClient) -> None:
    made = client.post(PATH, RULE, status=201)
    for change in ({"text": None}, {"channel": "sms", "whatsapp_template": TEMPLATE}):
        client.put(f"{PATH}/{made['id']}", change, status=400)
    assert client.get(f"{PATH}/{made['id']}") == made
