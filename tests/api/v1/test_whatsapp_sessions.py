"""`/v1/whatsapp/sessions`, and messages by them, against a server that speaks WAHA."""

import io
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import update

from irisx.kernel import clock
from irisx.kernel.db import transaction
from irisx.messaging import accounts
from irisx.messaging.channels.whatsapp.media import fetch_next
from irisx.messaging.channels.whatsapp.models import WahaSession
from irisx.messaging.channels.whatsapp.sessions import keep_working
from irisx.messaging.models import ProviderAccount
from irisx.tenancy.access import SYSTEM
from irisx.tenancy.models import Tenant
from tests.api.client import ApiClient
from tests.api.v1.test_whatsapp import OURS, TEMPLATE, TEXT, TO
from tests.messaging.pipeline import events, work
from tests.waha_server import HMAC_KEY, KEY, PNG, Waha, waha

pytestmark = pytest.mark.usefixtures("number")


@pytest.fixture
def server(configure: Callable[..., None], tmp_path: Path) -> Iterator[Waha]:
    configure(recordings_url=tmp_path.as_uri(), allowed_private_hosts="127.0.0.1")
    with waha() as running:
        yield running


@pytest.fixture
def row(tenant: Tenant, server: Waha) -> ProviderAccount:
    return accounts.create(
        SYSTEM,
        tenant.id,
        channel="whatsapp",
        provider="waha",
        name="Main",
        settings={"base_url": server.url, "phone_number": OURS},
        credentials={"api_key": KEY, "hmac_key": HMAC_KEY},
    )


@pytest.fixture
def path(row: ProviderAccount) -> str:
    return f"/v1/whatsapp/sessions/{row.public_id}"


def tells(client: ApiClient, row: ProviderAccount, server: Waha, kind: str, **payload: Any) -> None:
    """WAHA posts an event to the account's receiver."""
    (webhook,) = server.sessions["default"]["config"]["webhooks"]
    assert webhook["url"] == accounts.receiver_url(row)
    body, headers = server.event(kind, payload)
    where = f"/webhooks/whatsapp/{row.token}"
    client.request("POST", where, data=body, headers=headers, status=200)


def working(client: ApiClient, server: Waha, path: str) -> None:
    client.post(f"{path}/start")
    server.scan()
    client.get(path)


def looked_at() -> None:
    """The worker's next look."""
    with transaction() as session:
        session.execute(update(WahaSession).values(due_at=clock.now() - timedelta(seconds=1)))
    assert keep_working()


def test_the_life_of_a_session(client: ApiClient, server: Waha, path: str) -> None:
    assert client.get(path, status=409)["code"] == "NO_SESSION"
    assert client.post(f"{path}/start")["status"] == "scan_qr_code"
    assert client.get(f"{path}/qr") == {"value": "2@secret"}
    assert client.get(f"{path}/qr.png") == PNG
    server.scan()
    shown = client.get(path)
    assert (shown["status"], shown["phone"], shown["name"]) == ("working", OURS, "Acme")
    assert client.get(f"{path}/qr", status=409)["code"] == "NO_QR_CODE"
    stopped = client.post(f"{path}/stop")
    assert (stopped["status"], stopped["wanted"]) == ("stopped", False)
    assert client.post(f"{path}/start")["status"] == "working"
    assert client.post(f"{path}/logout")["phone"] is None
    assert client.post(f"{path}/restart")["status"] == "scan_qr_code"
    assert [e["status"] for e in events("whatsapp.session")] == [
        "scan_qr_code", "working", "stopped", "working", "stopped", "scan_qr_code",
    ]  # fmt: skip
    actions = {e["action"] for e in client.get("/v1/audit-log")["data"]["entries"]}
    assert {f"whatsapp_session.{w}" for w in ("started", "stopped", "logged_out")} < actions


def test_a_session_that_ends_is_started_again(
    client: ApiClient, row: ProviderAccount, server: Waha, path: str
) -> None:
    working(client, server, path)
    server.is_now("FAILED")
    tells(client, row, server, "session.status", status="FAILED")
    assert events("whatsapp.session")[-1]["status"] == "failed"
    looked_at()
    assert server.sessions["default"]["status"] == "WORKING"
    looked_at()
    assert events("whatsapp.session")[-1]["status"] == "working"
    server.sessions.clear()  # the server was made anew
    looked_at()
    assert server.sessions["default"]["status"] == "SCAN_QR_CODE"
    client.post(f"{path}/stop")
    with transaction() as session:
        session.execute(update(WahaSession).values(due_at=clock.now()))
    assert not keep_working()


def test_messages_wait_for_the_session(
    client: ApiClient, row: ProviderAccount, server: Waha, path: str
) -> None:
    working(client, server, path)
    server.is_now("STOPPED")
    sent = client.post("/v1/whatsapp/send", TEXT, status=201)
    message = f"/v1/whatsapp/messages/{sent['sid']}"
    work(lambda: client.get(message)["error_code"] == "SESSION_NOT_WORKING")
    tells(client, row, server, "session.status", status="STOPPED")
    server.scan()
    tells(client, row, server, "session.status", status="WORKING")
    work(lambda: client.get(message)["status"] == "sent")
    ((operation, body),) = server.sent
    assert (operation, body["chatId"]) == ("sendText", f"{TO[1:]}@c.us")
    reference = client.get(message)["provider"]["reference"]
    for ack, status in ((3, "read"), (2, "read")):
        tells(client, row, server, "message.ack", id=reference, fromMe=True, ack=ack)
        assert client.get(message)["status"] == status


def test_what_comes_in_opens_a_conversation_without_a_window(
    client: ApiClient, row: ProviderAccount, server: Waha, path: str
) -> None:
    working(client, server, path)
    server.files["/api/files/a.png"] = PNG
    media = {"url": "http://localhost:3000/api/files/a.png", "mimetype": "image/png"}
    payload = {"id": "B", "from": f"{TO[1:]}@c.us", "body": "Look", "hasMedia": True}
    for _ in range(2):
        tells(client, row, server, "message", media=media, **payload)
    (message,) = client.get("/v1/whatsapp/messages")["messages"]
    assert fetch_next()
    (file,) = client.get("/v1/whatsapp/media")["data"]["media"]
    assert (file["status"], file["message_sid"]) == ("stored", message["sid"])
    (found,) = client.get("/v1/conversations")["data"]["conversations"]
    assert found["window_expires_at"] is None
    client.post(f"/v1/conversations/{found['id']}/reply", {"body": "Nice"}, status=201)
    work(lambda: len(server.sent) == 1)


def test_an_upload_is_sent_by_a_link(client: ApiClient, server: Waha, path: str) -> None:
    working(client, server, path)
    form = {"file": (io.BytesIO(PNG), "a.png", "image/png")}
    made = client.post("/v1/whatsapp/media", data=form, status=201)
    send = {"to": TO, "type": "image", "image": {"id": made["id"], "caption": "Look"}}
    client.post("/v1/whatsapp/send", send, status=201)
    work(lambda: len(server.sent) == 1)
    ((_, body),) = server.sent
    assert (body["file"]["mimetype"], body["caption"]) == ("image/png", "Look")
    url = body["file"]["url"]
    assert client.request("GET", url[url.index("/media/") :], status=200).data == PNG


def test_what_waha_does_not_have(client: ApiClient, server: Waha, path: str) -> None:
    refused = client.post("/v1/whatsapp/template", TEMPLATE, status=409)
    assert refused["code"] == "NOT_SUPPORTED"
    working(client, server, path)
    server.is_now("SCAN_QR_CODE")
    server.receiver.answer = lambda request: server.answer(request).__class__(500)
    for method, verb in (("GET", ""), ("POST", "/start"), ("GET", "/qr")):
        answer = client.request(method, path + verb, status=503)
        assert answer.get_json()["code"] == "PROVIDER_UNAVAILABLE"
    looked_at()
    assert events("whatsapp.session")[-1]["status"] == "unreachable"


def test_a_wrong_key(client: ApiClient, tenant: Tenant, row: ProviderAccount, path: str) -> None:
    wrong = {"credentials": {"api_key": "another-key", "hmac_key": HMAC_KEY}}
    client.put(f"/v1/messaging/accounts/{row.public_id}", wrong)
    assert client.post(f"{path}/start", status=409)["code"] == "ACCOUNT_REFUSED"


def test_another_provider_has_no_sessions(client: ApiClient, tenant: Tenant) -> None:
    other = accounts.create(
        SYSTEM, tenant.id, channel="sms", provider="sandbox", name="S", settings={}, credentials={}
    )
    client.get(f"/v1/whatsapp/sessions/{other.public_id}", status=404)
