"""`/v1/email/campaigns`: its life as a client sees it, and what a mistake is told."""

import pytest

from irisx.messaging.channels.email.campaigns import stepping
from tests.api.client import ApiClient
from tests.messaging.pipeline import work

WORDS = {
    "name": "Spring",
    "from": "sender@company.com",
    "subject": "Hello",
    "text": "Hi {{ name }}",
}


@pytest.fixture
def list_id(client: ApiClient) -> str:
    """A list with two contacts, one of whom has a phone only."""
    ids = [
        client.post("/v1/contacts", {"name": "Ann", "identities": [identity]}, status=201)["id"]
        for identity in (
            {"kind": "email", "address": "ann@example.com"},
            {"kind": "phone", "address": "+15555550100"},
        )
    ]
    made = client.post("/v1/contacts/lists", {"name": "Friends"}, status=201)
    client.post(f"/v1/contacts/lists/{made['id']}/contacts", {"contact_ids": ids}, status=200)
    return str(made["id"])


def test_a_campaign_from_draft_to_its_numbers(client: ApiClient, list_id: str) -> None:
    made = client.post("/v1/email/campaigns", {**WORDS, "list_ids": [list_id]}, status=201)
    assert (made["status"], made["list_ids"]) == ("draft", [list_id])
    path = f"/v1/email/campaigns/{made['id']}"
    changed = client.put(path, {"per_minute": 600}, status=200)
    assert (changed["per_minute"], changed["subject"]) == (600, "Hello")
    assert client.post(f"{path}/send", status=200)["status"] == "sending"

    def done() -> bool:
        stepping.advance()
        return bool(client.get(path)["status"] == "completed")

    work(done)
    stats = client.get(f"{path}/stats")["data"]
    assert stats["recipients"] == {
        "total": 2,
        "pending": 0,
        "accepted": 1,
        "skipped": 1,
        "canceled": 0,
        "reasons": [{"name": "NO_ADDRESS", "count": 1}],
    }
    assert stats["counts"]["sent"] == 1
    page = client.get(f"{path}/recipients?limit=1")["data"]
    cursor = page["pagination"]["next_cursor"]
    page["recipients"] += client.get(f"{path}/recipients?limit=1&cursor={cursor}")["data"][
        "recipients"
    ]
    first, second = page["recipients"]
    assert (first["status"], first["address"]) == ("accepted", "ann@example.com")
    assert client.get(f"/v1/email/{first['message_id']}")["subject"] == "Hello"
    assert (second["status"], second["reason"], second["message_id"]) == (
        "skipped",
        "NO_ADDRESS",
        None,
    )
    for verb in ("send", "pause", "resume", "stop"):
        assert client.post(f"{path}/{verb}", status=409)["code"] == "CAMPAIGN_STATE"
    assert client.put(path, {"name": "B"}, status=409)["code"] == "CAMPAIGN_BEGUN"
    client.delete(path)
    assert client.get("/v1/email/campaigns")["data"]["campaigns"] == []


def test_one_under_way_can_t_be_deleted(client: ApiClient, list_id: str) -> None:
    made = client.post("/v1/email/campaigns", {**WORDS, "list_ids": [list_id]}, status=201)
    path = f"/v1/email/campaigns/{made['id']}"
    scheduled = client.post(f"{path}/schedule", {"send_at": "2026-01-01T00:00:00Z"}, status=400)
    assert scheduled["details"][0]["field"] == "send_at"
    client.post(f"{path}/send", status=200)
    client.post(f"{path}/pause", status=200)
    assert client.delete(path, status=409)["code"] == "CAMPAIGN_ACTIVE"
    [listed] = client.get("/v1/email/campaigns?status=paused")["data"]["campaigns"]
    assert listed["id"] == made["id"]


@pytest.mark.parametrize(
    ("change", "fields"),
    [
        ({"list_ids": ["list_999"]}, {"list_ids"}),
        ({"list_ids": []}, {"list_ids"}),
        ({"subject": None}, {"subject"}),
        ({"text": None}, {"html"}),
        ({"text": "{{ name"}, {"text"}),
        ({"template_id": "tpl_1"}, {"subject"}),
        ({"template_id": "tpl_1", "subject": None, "text": None}, {"template_id"}),
        ({"from": "nobody", "list_ids": ["list_999"]}, {"from", "list_ids"}),
        ({"reply_to": "nobody"}, {"reply_to"}),
        ({"ab_test": {"subject": "{% for %}"}}, {"ab_test.subject"}),
        ({"ab_test": {"subject": "B", "test_percent": 0}}, {"ab_test.test_percent"}),
        ({"per_minute": 0}, {"per_minute"}),
    ],
)
def test_a_mistake_is_named(
    client: ApiClient, list_id: str, change: dict[str, object], fields: set[str]
) -> None:
    body = {**WORDS, "list_ids": [list_id], **change}
    refused = client.post("/v1/email/campaigns", body, status=400)
    assert refused["code"] == "VALIDATION_ERROR"
    assert {fault["field"] for fault in refused["details"]} == fields
