"""`/v1/whatsapp`."""

import json
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import update

from irisx.kernel import clock
from irisx.kernel.db import transaction
from irisx.messaging import accounts
from irisx.messaging.channels.whatsapp.cloud import signature
from irisx.messaging.conversations.models import Conversation
from irisx.messaging.models import ProviderAccount
from irisx.messaging.provider import Inbound
from irisx.messaging.receiving import store
from irisx.tenancy.access import SYSTEM
from irisx.tenancy.models import Tenant
from tests.api.client import ApiClient
from tests.messaging.channels.whatsapp.test_cloud import CREDENTIALS, change
from tests.messaging.pipeline import work

pytestmark = pytest.mark.usefixtures("number")

OURS = "+15550001000"
TO = "+15555550119"
TEXT = {"to": TO, "type": "text", "text": {"body": "Hello via WhatsApp!"}}
TEMPLATE = {
    "to": TO,
    "template_name": "order_confirmation",
    "language": "en",
    "components": [{"type": "body", "parameters": [{"type": "text", "text": "John"}]}],
}


def writes(tenant: Tenant) -> None:
    inbound = Inbound("r1", from_=TO, to=OURS, body="Hi", name="Ann")
    with transaction() as session:
        store(
            session, tenant.id, "whatsapp", inbound,
            provider="sandbox", account_id=None, exchange={},
        )  # fmt: skip


def test_the_specification_s_message_is_sent_delivered_and_read(client: ApiClient) -> None:
    sent = client.post("/v1/whatsapp/send", TEXT, status=201)
    assert (sent["sid"][:2], sent["type"], sent["body"]) == ("WA", "text", TEXT["text"]["body"])  # type: ignore[index]
    path = f"/v1/whatsapp/messages/{sent['sid']}"
    work(lambda: client.get(path)["status"] == "read")
    assert [m["sid"] for m in client.get("/v1/whatsapp/messages")["messages"]] == [sent["sid"]]
    assert client.get("/v1/whatsapp/messages?direction=inbound")["messages"] == []


def test_the_specification_s_template(client: ApiClient) -> None:
    sent = client.post("/v1/whatsapp/template", TEMPLATE, status=201)
    assert sent["content"]["template"] == {
        "name": "order_confirmation",
        "language": {"code": "en"},
        "components": TEMPLATE["components"],
    }


@pytest.mark.parametrize(
    "fields",
    [
        {"to": "nobody"},
        {"type": "image"},
        {"image": {"id": "1"}},
        {"text": {"body": ""}},
        {"from": "+15550009999"},
        {"type": "image", "text": None, "image": {"link": "http://127.0.0.1/x.png"}},
        {"type": "document", "text": None, "document": {"id": "1", "link": "https://a.example"}},
    ],
)
def test_bad_messages_are_refused(client: ApiClient, fields: dict[str, Any]) -> None:
    answer = client.post("/v1/whatsapp/send", TEXT | fields, status=400)
    assert answer["code"] == "VALIDATION_ERROR"
    assert client.get("/v1/whatsapp/messages")["messages"] == []


def test_the_window(client: ApiClient, tenant: Tenant) -> None:
    writes(tenant)
    client.post("/v1/whatsapp/send", TEXT, status=201)
    (found,) = client.get("/v1/conversations")["data"]["conversations"]
    reply = f"/v1/conversations/{found['id']}/reply"
    client.post(reply, {"body": "In time"}, status=201)
    with transaction() as session:
        past = clock.now() - timedelta(seconds=1)
        session.execute(update(Conversation).values(window_expires_at=past))
    refused = client.post("/v1/whatsapp/send", TEXT, status=409)
    assert refused["code"] == "WINDOW_CLOSED"
    assert client.post(reply, {"body": "Late"}, status=409)["code"] == "WINDOW_CLOSED"
    client.post("/v1/whatsapp/template", TEMPLATE, status=201)


def account(tenant: Tenant) -> ProviderAccount:
    return accounts.create(
        SYSTEM,
        tenant.id,
        channel="whatsapp",
        provider="cloud-api",
        name="Main",
        settings={"phone_number_id": "1065", "phone_number": OURS},
        credentials=CREDENTIALS,
    )


def posts(client: ApiClient, row: ProviderAccount, call: Any) -> None:
    """Meta posts to the account's receiver."""
    body = call if isinstance(call, bytes) else json.dumps(call).encode()
    signed = {"X-Hub-Signature-256": signature(CREDENTIALS["app_secret"], body)}
    client.request("POST", f"/webhooks/whatsapp/{row.token}", data=body, headers=signed, status=200)


def test_what_meta_says_and_nobody_understands_is_kept(
    client: ApiClient, client_for: Any, make_tenant: Any, tenant: Tenant
) -> None:
    row = account(tenant)
    good = {"id": "w1", "from": TO[1:], "type": "text", "text": {"body": "Hi"}}
    bad = {"id": "w2", "type": "text", "text": {"body": CREDENTIALS["access_token"] + "\0", "n": 0}}
    call = {"entry": [change(messages=[bad, good])]}
    for _ in range(2):
        posts(client, row, call)
    assert [m["body"] for m in client.get("/v1/whatsapp/messages")["messages"]] == ["Hi"]
    path = f"/v1/messaging/accounts/{row.public_id}/unread"
    (kept,) = client.get(path)["data"]["unread"]
    assert kept["reason"] == "from: Field required"
    assert json.loads(kept["part"])["text"] == {"body": "[redacted]", "n": 0}
    client_for(make_tenant("Other")).get(path, status=404)


@pytest.mark.parametrize("odd", ["NaN", "1e999", "[" * 200 + "]" * 200, '"\\ud800\\u0000"'])
def test_whatever_stands_in_a_signed_message_is_stored(
    client: ApiClient, tenant: Tenant, odd: str
) -> None:
    good = {"id": "w1", "from": TO[1:], "type": "text", "text": {"body": "Hi", "odd": "odd"}}
    call = json.dumps({"entry": [change(messages=[good])]})
    body = call.replace(': "odd"', f": {odd}").encode()
    posts(client, account(tenant), body)
    assert len(client.get("/v1/whatsapp/messages")["messages"]) == 1


def test_with_an_account_the_customer_has_to_write_first(client: ApiClient, tenant: Tenant) -> None:
    account(tenant)
    assert client.post("/v1/whatsapp/send", TEXT, status=409)["code"] == "WINDOW_CLOSED"
    writes(tenant)
    sent = client.post("/v1/whatsapp/send", TEXT, status=201)
    assert (sent["from"], sent["provider"]["name"]) == (OURS, "cloud-api")
