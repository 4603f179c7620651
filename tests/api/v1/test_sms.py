"""`/v1/sms` and what holds for messages of every channel."""

from collections.abc import Callable
from typing import Any

import pytest

from irisx.messaging import accounts
from irisx.messaging.states import MessageStatus
from irisx.tenancy.access import SYSTEM
from irisx.tenancy.models import PhoneNumber, Tenant
from tests.api.client import ApiClient
from tests.messaging.pipeline import work

pytestmark = pytest.mark.usefixtures("number")


def test_the_specification_s_example(client: ApiClient, tenant: Tenant) -> None:
    from irisx.kernel.db import transaction

    with transaction() as session:
        session.add(PhoneNumber(number="+15555551234", tenant_id=tenant.id))
    sent = client.post(
        "/v1/sms",
        {
            "to": "+15555559999",
            "from": "+15555551234",
            "body": "Hello from IRISX!",
            "media_urls": [],
            "metadata": {},
        },
        status=201,
    )
    assert sent["sid"].startswith("SM")
    assert len(sent["sid"]) == 34
    shown = {name: sent[name] for name in ("status", "to", "from", "body", "segments")}
    assert shown == {
        "status": "queued",
        "to": "+15555559999",
        "from": "+15555551234",
        "body": "Hello from IRISX!",
        "segments": 1,
    }
    assert sent["provider"]["sandbox"] is True


def test_from_sent_to_delivered(client: ApiClient) -> None:
    sid = client.post("/v1/sms", {"to": "+15555550110", "body": "Hi €"}, status=201)["sid"]
    work(lambda: client.get(f"/v1/sms/{sid}")["status"] == "delivered")
    shown = client.get(f"/v1/sms/{sid}")
    assert shown["from"] == "+15550001000"
    assert shown["sent_at"] <= shown["delivered_at"]
    log = client.get(f"/v1/messages/{sid}/log")
    assert [line["kind"] for line in log["log"]] == ["attempt", "receipt"]
    assert log["message"]["sid"] == sid
    client.post(f"/v1/messages/{sid}/cancel", status=409)


def test_lists_by_offset_cursor_direction_and_status(client: ApiClient) -> None:
    sids = [
        client.post("/v1/sms", {"to": "+15555550110", "body": str(n)}, status=201)["sid"]
        for n in range(5)
    ][::-1]
    first = client.get("/v1/sms?limit=2")
    assert [m["sid"] for m in first["messages"]] == sids[:2]
    assert first["pagination"]["total"] == 5
    cursor = first["pagination"]["next_cursor"]
    second = client.get(f"/v1/sms?limit=2&cursor={cursor}")
    assert [m["sid"] for m in second["messages"]] == sids[2:4]
    assert [m["sid"] for m in client.get("/v1/sms?limit=2&offset=4")["messages"]] == sids[4:]
    assert client.get("/v1/sms?direction=inbound")["messages"] == []
    assert len(client.get("/v1/sms?status=queued")["messages"]) == 5
    client.get(f"/v1/sms?cursor={cursor}&offset=1", status=400)


def test_bulk_tells_of_each_recipient(client: ApiClient) -> None:
    client.post(
        "/v1/messaging/suppressions", {"channel": "sms", "address": "+15555550120"}, status=201
    )
    recipients = ["+15555550110", "nonsense!", "+15555550120", "+15555550110", "+15555550121"]
    answer = client.post("/v1/sms/bulk", {"recipients": recipients, "body": "Sale"}, status=201)
    assert (answer["accepted"], answer["refused"]) == (2, 3)
    assert [(r["to"], r["code"]) for r in answer["results"]] == [
        ("+15555550110", None),
        ("nonsense!", "VALIDATION_ERROR"),
        ("+15555550120", "RECIPIENT_SUPPRESSED"),
        ("+15555550110", "VALIDATION_ERROR"),
        ("+15555550121", None),
    ]


def test_an_idempotency_key_sends_once_even_if_its_answer_was_lost(
    client: ApiClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    key = {"Idempotency-Key": "once"}
    body = {"recipients": ["+15555550110", "+15555550119"], "body": "Once"}
    first = client.post("/v1/sms/bulk", body, status=201, headers=key)
    assert client.post("/v1/sms/bulk", body, status=201, headers=key) == first
    from irisx.tenancy import idempotency

    monkeypatch.setattr(idempotency, "begin", lambda *_: None)  # the kept answer was never written
    assert client.post("/v1/sms/bulk", body, status=201, headers=key)["results"] == first["results"]
    assert client.get("/v1/sms")["pagination"]["total"] == 2


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"to": "+15555550110"}, "body"),
        ({"to": "not a number at all!", "body": "x"}, "to"),
        ({"to": "ACME", "body": "x"}, "to"),
        ({"to": "+15555550110", "from": "+15559999999", "body": "x"}, "from"),
        ({"to": "+15555550110", "body": "ş" * 671}, "body"),
        ({"to": "+15555550110", "body": "x", "media_urls": ["http://127.0.0.1/a"]}, "media_urls.0"),
        ({"to": "+15555550110", "body": "x", "send_at": "2099-01-01T00:00:00Z"}, "send_at"),
        ({"to": "+15555550110", "body": "x", "expires_at": "2020-01-01T00:00:00Z"}, "expires_at"),
        ({"to": "+15555550110", "body": "x", "category": "spam"}, "category"),
    ],
)
def test_what_is_wrong_is_named(client: ApiClient, body: dict[str, Any], field: str) -> None:
    refused = client.post("/v1/sms", body, status=400)
    assert field in {detail["field"] for detail in refused["details"]}


def test_a_barred_country_is_refused(client: ApiClient) -> None:
    refused = client.post("/v1/sms", {"to": "+4930123456", "body": "x"}, status=403)
    assert refused["code"] == "DESTINATION_NOT_ALLOWED"


def test_a_test_key_stays_in_the_sandbox(
    client_for: Callable[..., ApiClient], tenant: Tenant
) -> None:
    from tests.messaging.scripted import account, scripted

    with scripted(lambda *_: pytest.fail("a test key reached a provider")):
        account(tenant.id)
        tester = client_for(tenant, test=True)
        sid = tester.post("/v1/sms", {"to": "+15555550110", "body": "x"}, status=201)["sid"]
        work(lambda: tester.get(f"/v1/sms/{sid}")["status"] == MessageStatus.DELIVERED)
        assert tester.get(f"/v1/sms/{sid}")["provider"]["name"] == "sandbox"


def test_accounts(client: ApiClient, tenant: Tenant) -> None:
    new = {"channel": "sms", "provider": "sandbox", "name": "Simulated", "senders": ["ACME"]}
    made = client.post("/v1/messaging/accounts", new, status=201)
    assert "/webhooks/sms/in_" in made["receiver_url"]
    assert "credentials" not in made
    path = f"/v1/messaging/accounts/{made['id']}"
    changed = client.put(path, {"priority": 5, "max_per_second": 10})
    assert (changed["priority"], changed["receiver_url"]) == (5, made["receiver_url"])
    sent = client.post("/v1/sms", {"to": "+15555550110", "from": "ACME", "body": "x"}, status=201)
    assert sent["from"] == "ACME"
    assert client.delete(path, status=409)["code"] == "ACCOUNT_IN_USE"
    work(lambda: client.get(f"/v1/sms/{sent['sid']}")["status"] == "delivered")
    client.delete(path)
    assert client.get("/v1/messaging/accounts")["data"]["accounts"] == []


@pytest.mark.parametrize(
    ("wrong", "field"),
    [
        ({"provider": "carrier-pigeon"}, "provider"),
        ({"channel": "fax"}, "channel"),
        ({"settings": {"colour": "red"}}, "settings.colour"),
        ({"credentials": {"token": "x"}}, "credentials.token"),
        ({"senders": ["much too long for a sender"]}, "senders.0"),
    ],
)
def test_an_account_s_faults_are_named(
    client: ApiClient, wrong: dict[str, Any], field: str
) -> None:
    new = {"channel": "sms", "provider": "sandbox", "name": "Simulated"}
    refused = client.post("/v1/messaging/accounts", new | wrong, status=400)
    assert field in {detail["field"] for detail in refused["details"]}


def test_a_suppression_ends(client: ApiClient) -> None:
    new = {"channel": "sms", "address": "+1 555 555 0110"}
    made = client.post("/v1/messaging/suppressions", new, status=201)
    assert client.post("/v1/messaging/suppressions", new, status=201)["id"] == made["id"]
    refused = client.post("/v1/sms", {"to": "+15555550110", "body": "x"}, status=409)
    assert refused["code"] == "RECIPIENT_SUPPRESSED"
    client.delete(f"/v1/messaging/suppressions/{made['id']}")
    client.post("/v1/sms", {"to": "+15555550110", "body": "x"}, status=201)


def test_a_receiver_checks_the_signature(
    client: ApiClient, anonymous: ApiClient, tenant: Tenant
) -> None:
    from tests.messaging.scripted import SECRET, account, scripted

    with scripted(lambda *_: pytest.fail("nothing is sent")):
        path = accounts.receiver_url(account(tenant.id)).partition("//")[2].partition("/")[2]
        said = {"messages": [{"reference": "1", "from_": "+15555550122", "to": "x", "body": "Hi"}]}
        anonymous.post(f"/{path}", said, status=403)
        taken = anonymous.post(f"/{path}?any=thing", said, headers={"X-Token": SECRET})
        assert taken == b"taken"
        (received,) = client.get("/v1/sms?direction=inbound")["messages"]
        assert (received["body"], received["status"]) == ("Hi", "received")
    anonymous.post("/webhooks/sms/in_unknown", {}, status=404)
    assert SYSTEM
