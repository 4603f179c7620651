"""`/v1/email`: what the specification fixes, and what a mistake is told."""

import pytest

from irisx.messaging.states import MessageStatus
from irisx.tenancy.models import Tenant
from tests.api.client import ApiClient
from tests.messaging.pipeline import work

MAIL = {
    "to": "recipient@example.com",
    "from": "Acme <sender@company.com>",
    "subject": "Welcome!",
    "html": "<h1>Hello</h1>",
    "text": "Hello",
}
TEMPLATE = {
    "name": "Welcome",
    "subject": "Welcome, {{ name }}!",
    "html": "<h1>Hello {{ name }}</h1><p>{{ offer | default('') }}</p>",
    "text": "Hello {{ name }}",
}


def test_a_message_is_sent_in_the_sandbox_and_read_back(client: ApiClient) -> None:
    sent = client.post("/v1/email/send", MAIL, status=201)
    assert sent["id"].startswith("EM")
    assert sent["status"] == "queued"
    assert sent["provider"]["sandbox"] is True

    def delivered() -> bool:
        return bool(client.get(f"/v1/email/{sent['id']}")["status"] == MessageStatus.DELIVERED)

    work(delivered)
    shown = client.get(f"/v1/email/{sent['id']}")
    assert (shown["subject"], shown["text"], shown["html"]) == (
        "Welcome!",
        "Hello",
        "<h1>Hello</h1>",
    )
    assert shown["from"] == "sender@company.com"
    [listed] = client.get("/v1/email")["data"]["emails"]
    assert listed["sid"] == sent["sid"]
    stats = client.get("/v1/emails/stats")["data"]
    assert (stats["total"], stats["sent"], stats["delivered"], stats["deliveryRate"]) == (
        1,
        1,
        1,
        100,
    )
    timeline = client.get("/v1/emails/stats/timeline?days=7")["data"]
    assert timeline["period"] == 7
    assert [day["delivered"] for day in timeline["timeline"]] == [0, 0, 0, 0, 0, 0, 1]


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"to": "nobody"}, "to"),
        ({"to": "a@example.com\nBcc: b@example.com"}, "to"),
        ({"from": "Acme <nobody>"}, "from"),
        ({"subject": "two\r\nBcc: b@example.com"}, "subject"),
        ({"subject": None}, "subject"),
        ({"html": None, "text": None}, "text"),
        ({"headers": {"Bcc": "b@example.com"}}, "headers.Bcc"),
        ({"headers": {"X-A": "1\r\nBcc: b@example.com"}}, "headers.X-A"),
        ({"reply_to": "nobody"}, "reply_to"),
        ({"template_id": "tpl_1"}, "html"),
        ({"variables": {"name": "A"}, "subject": "{% for x in y %}"}, "subject"),
    ],
)
def test_a_mistake_is_named(client: ApiClient, change: dict[str, object], field: str) -> None:
    refused = client.post("/v1/email/send", {**MAIL, **change}, status=400)
    assert refused["code"] == "VALIDATION_ERROR"
    assert field in [fault["field"] for fault in refused["details"]]


def test_without_an_account_a_sender_must_be_given(client: ApiClient) -> None:
    refused = client.post(
        "/v1/email/send", {k: v for k, v in MAIL.items() if k != "from"}, status=400
    )
    assert refused["details"][0]["field"] == "from"


def test_a_template_has_versions_and_says_what_it_misses(client: ApiClient) -> None:
    made = client.post("/v1/email/templates", TEMPLATE, status=201)
    assert (made["version"], made["variables"], made["optional"]) == (
        1,
        ["name", "offer"],
        ["offer"],
    )
    path = f"/v1/email/templates/{made['id']}"
    changed = client.put(path, {"subject": "Hi {{ name }}"}, status=200)
    assert changed["version"] == 2
    assert changed["html"] == TEMPLATE["html"]
    versions = client.get(f"{path}/versions")["data"]["versions"]
    assert [each["subject"] for each in versions] == ["Hi {{ name }}", TEMPLATE["subject"]]

    preview = client.post(f"{path}/preview", {"variables": {"name": "<Ann>", "x": 1}}, status=200)
    assert preview["subject"] == "Hi <Ann>"
    assert preview["html"].startswith("<h1>Hello &lt;Ann&gt;</h1>")
    assert preview["unused"] == ["x"]
    refused = client.post(f"{path}/preview", {}, status=400)
    assert refused["details"] == [{"field": "variables.name", "message": "the template needs it"}]

    mail = {"to": MAIL["to"], "from": "a@company.com", "template_id": made["id"]}
    refused = client.post("/v1/email/send", mail, status=400)
    assert refused["details"][0]["field"] == "variables.name"
    sent = client.post("/v1/email/send", {**mail, "variables": {"name": "Ann"}}, status=201)
    shown = client.get(f"/v1/email/{sent['id']}")
    assert (shown["subject"], shown["template_version"]) == ("Hi Ann", 2)


def test_a_template_that_is_none_is_refused_with_every_fault(client: ApiClient) -> None:
    wrong = {"name": "W", "subject": "{{ a", "html": "{% if x %}", "text": None}
    refused = client.post("/v1/email/templates", wrong, status=400)
    assert {fault["field"] for fault in refused["details"]} == {"subject", "html"}


def test_static_paths_beat_ids(client: ApiClient) -> None:
    for path in ("templates", "analytics", "deliverability"):
        assert client.get(f"/v1/email/{path}")["success"] is True


def test_an_empty_system_has_zeros_and_nulls(client: ApiClient, tenant: Tenant) -> None:
    stats = client.get("/v1/emails/stats")["data"]
    assert stats["total"] == 0
    assert stats["deliveryRate"] is None
    health = client.get("/v1/email/deliverability")["data"]
    assert health["stats"]["sent_30d"] == 0
    assert health["dns_records"]["spf"]["status"] == "missing"
