"""`/v1/conversations`: one for each address that wrote, worked on by people."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import gevent
import pytest
from sqlalchemy import update

from irisx.kernel import clock
from irisx.kernel.clock import isoformat
from irisx.kernel.db import transaction
from irisx.messaging import channels
from irisx.messaging.channels import sms
from irisx.messaging.conversations.models import Conversation
from irisx.messaging.conversations.service import open_snoozed
from irisx.messaging.provider import Inbound
from irisx.messaging.receiving import store
from irisx.tenancy import users
from irisx.tenancy.access import SYSTEM
from irisx.tenancy.models import Tenant
from tests.api.client import ApiClient
from tests.messaging.pipeline import events, text, work

pytestmark = pytest.mark.usefixtures("number")
CUSTOMER, OURS = "+15555550122", "+15550001000"


def writes(tenant: Tenant, body: str = "Hello", sender: str = CUSTOMER, **more: Any) -> None:
    inbound = Inbound(f"r{body}", from_=sender, to=OURS, body=body, **more)
    with transaction() as session:
        store(session, tenant.id, "sms", inbound, provider="sandbox", account_id=None, exchange={})


def only(client: ApiClient, query: str = "") -> dict[str, Any]:
    (found,) = client.get(f"/v1/conversations{query}")["data"]["conversations"]
    return dict(found)


def test_an_inbound_message_opens_one_with_its_contact(client: ApiClient, tenant: Tenant) -> None:
    sent = text(tenant.id, CUSTOMER, body="Your parcel is here")
    writes(tenant, "Where?", name="Ann")
    writes(tenant, "Hello?")
    found = only(client)
    assert (found["status"], found["unread"], found["their_address"]) == ("open", 2, CUSTOMER)
    assert found["window_expires_at"] is None
    assert client.get(f"/v1/contacts/{found['contact_id']}")["name"] == "Ann"
    path = f"/v1/conversations/{found['id']}/messages"
    messages = client.get(path)["data"]["messages"]
    assert [m["body"] for m in messages] == ["Hello?", "Where?", sent.body]
    assert len(events("conversation.created")) == 1
    writes(tenant, "Hi", sender="12345")  # a short code is nobody's identity
    assert client.get("/v1/conversations")["data"]["conversations"][0]["contact_id"] is None


def test_messages_at_the_same_moment_are_of_one_conversation_and_contact(
    client: ApiClient, tenant: Tenant
) -> None:
    jobs = [gevent.spawn(writes, tenant, str(n)) for n in range(8)]
    gevent.joinall(jobs, raise_error=True)
    assert only(client)["unread"] == 8
    assert len(client.get("/v1/contacts")["data"]["contacts"]) == 1


def test_an_answer_goes_back_the_way_it_came(client: ApiClient, tenant: Tenant) -> None:
    writes(tenant)
    path = f"/v1/conversations/{only(client)['id']}"
    answer = client.post(f"{path}/reply", {"body": "How can we help?"}, status=201)
    assert (answer["from"], answer["to"], answer["origin"]) == (OURS, CUSTOMER, "conversation")
    assert only(client)["unread"] == 0
    work(lambda: client.get(f"/v1/sms/{answer['sid']}")["status"] == "delivered")
    client.post(f"{path}/reply", {"body": "x", "content": {"template": "y"}}, status=400)
    client.post(f"{path}/reply", {"media_urls": ["http://127.0.0.1/"]}, status=400)


def test_it_is_assigned_labelled_snoozed_resolved_and_opened_again(
    client: ApiClient, tenant: Tenant
) -> None:
    user = users.create(
        SYSTEM,
        tenant.id,
        email="a@example.com",
        name="A",
        password="long enough, this",
        permissions=[],
    )
    writes(tenant)
    path = f"/v1/conversations/{only(client)['id']}"
    changed = client.put(path, {"assignee_id": user.public_id, "labels": ["billing"], "read": True})
    assert (changed["assignee_id"], changed["labels"], changed["unread"]) == (
        user.public_id,
        ["billing"],
        0,
    )
    assert only(client, f"?assignee={user.public_id}&label=billing&channel=sms&status=open")
    client.put(path, {"assignee_id": "usr_999999"}, status=400)
    client.put(path, {"status": "snoozed"}, status=400)
    client.put(path, {"snoozed_until": isoformat(clock.now() + timedelta(hours=1))}, status=400)
    later = isoformat(clock.now() + timedelta(hours=1))
    assert client.put(path, {"status": "snoozed", "snoozed_until": later})["snoozed_until"] == later
    with transaction() as session:
        session.execute(update(Conversation).values(snoozed_until=clock.now()))
    open_snoozed()
    assert only(client)["status"] == "open"
    client.put(path, {"status": "resolved"})
    assert client.get("/v1/conversations?status=open")["data"]["conversations"] == []
    writes(tenant, "One more thing")
    assert only(client)["status"] == "open"
    assert events("conversation.updated")


def test_notes_are_for_colleagues(client: ApiClient, tenant: Tenant) -> None:
    writes(tenant)
    path = f"/v1/conversations/{only(client)['id']}/notes"
    client.post(path, {"text": "Angry"}, status=201)
    assert [note["text"] for note in client.get(path)["data"]["notes"]] == ["Angry"]


def test_a_window_closes(
    client: ApiClient, tenant: Tenant, monkeypatch: pytest.MonkeyPatch
) -> None:
    day = timedelta(hours=24)
    monkeypatch.setattr(sms, "CHANNEL", replace(sms.CHANNEL, window=day))
    channels.channel.cache_clear()
    try:
        writes(tenant)
        found = only(client)
        assert found["window_expires_at"] > isoformat(clock.now() + timedelta(hours=23))
        path = f"/v1/conversations/{found['id']}/reply"
        client.post(path, {"body": "In time"}, status=201)
        with transaction() as session:
            past = clock.now() - timedelta(seconds=1)
            session.execute(update(Conversation).values(window_expires_at=past))
        assert client.post(path, {"body": "Late"}, status=409)["code"] == "WINDOW_CLOSED"
    finally:
        channels.channel.cache_clear()
