"""Receipts and inbound messages: signed, counted once, in any order."""

import json
from typing import Any

import gevent
import pytest

from irisx.kernel.errors import Forbidden, NotFound, ValidationError
from irisx.messaging.models import Message, ProviderAccount
from irisx.messaging.provider import Account, Outgoing, ReceiverRequest, Sent
from irisx.messaging.receiving import receive
from irisx.messaging.sending import Sender
from irisx.messaging.states import MessageStatus
from irisx.messaging.statuses import sid_of
from irisx.tenancy.models import Tenant
from tests.messaging.pipeline import events, load, sent_until, text, work
from tests.messaging.scripted import SECRET, account, scripted
from tests.waiting import wait_until

S = MessageStatus
pytestmark = pytest.mark.usefixtures("number")


def post(row: ProviderAccount, said: Any, token: str = SECRET) -> str:
    body = said if isinstance(said, bytes) else json.dumps(said).encode()
    request = ReceiverRequest("POST", "http://x/", {"X-Token": token}, {}, body)
    return receive("sms", row.token, request).body


def receipt(key: str, status: str, **more: str) -> dict[str, Any]:
    return {"receipts": [{"key": key, "status": status, **more}]}


def taken(_account: Account, message: Outgoing) -> Sent:
    return Sent(f"ref-{message.sid}")


def reference(message: Message) -> str:
    return f"ref-{sid_of(message)}"


def test_receipts_in_any_order_and_twice(tenant: Tenant) -> None:
    with scripted(taken):
        row = account(tenant.id)
        message = sent_until(text(tenant.id), S.SENT)
        for key, status in (("2", "delivered"), ("1", "sent"), ("2", "delivered"), ("3", "failed")):
            assert post(row, receipt(key, status, reference=reference(message))) == "taken"
        assert load(message).status is S.DELIVERED
        assert [e["type"] for e in events("sms.sent", "sms.delivered", "sms.failed")] == [
            "sms.sent",
            "sms.delivered",
        ]


def test_a_receipt_that_overtakes_the_answer_is_kept_for_it(tenant: Tenant) -> None:
    def answer(_account: Account, message: Outgoing) -> Sent:
        post(row, receipt("1", "delivered", reference=f"ref-{message.sid}"))
        return taken(_account, message)

    with scripted(answer):
        row = account(tenant.id)
        sent_until(text(tenant.id), S.DELIVERED)
        assert [e["type"] for e in events("sms.sent", "sms.delivered")] == [
            "sms.sent",
            "sms.delivered",
        ]


def test_a_receipt_by_our_own_id_ends_a_message_that_waits(tenant: Tenant) -> None:
    with scripted(taken) as provider:
        row = account(tenant.id)
        message = text(tenant.id)
        post(row, receipt("1", "delivered", sid=sid_of(message), reference="r"))
        assert load(message).status is S.DELIVERED
        Sender().run()
        assert provider.handed == []


def test_a_receipt_settles_what_was_unknown(tenant: Tenant) -> None:
    def doubtful(_account: Account, _message: Outgoing) -> Sent:
        raise TimeoutError

    with scripted(doubtful):
        row = account(tenant.id)
        message = sent_until(text(tenant.id), S.UNKNOWN)
        post(row, receipt("1", "delivered", sid=sid_of(message), reference="theirs"))
        assert (load(message).status, load(message).reference) == (S.DELIVERED, "theirs")


def test_receipts_and_answers_meet_under_way(tenant: Tenant) -> None:
    """Neither waits for the other for ever, and no receipt is lost between them."""
    with scripted(taken):
        row = account(tenant.id)
        messages = [text(tenant.id, f"+1555555{n:04}") for n in range(300, 330)]
        posts = [
            gevent.spawn(post, row, receipt(str(n), "delivered", reference=reference(message)))
            for n, message in enumerate(messages)
        ]
        work(lambda: all(load(m).status is S.DELIVERED for m in messages), timeout=30)
        gevent.joinall(posts, raise_error=True)


def test_an_inbound_message_counts_once(tenant: Tenant) -> None:
    with scripted(taken):
        row = account(tenant.id)
        said = {
            "messages": [
                {
                    "reference": "in-1",
                    "from_": "+1 (555) 555-0122",
                    "to": "+15550001000",
                    "body": "Hi",
                }
            ]
        }
        post(row, said)
        post(row, said)
        (received,) = events("sms.received")
        assert (received["from"], received["body"]) == ("+15555550122", "Hi")


def test_what_postgresql_can_not_hold_is_left_out(tenant: Tenant) -> None:
    with scripted(taken):
        row = account(tenant.id)
        post(
            row,
            {"messages": [{"reference": "a\0", "from_": "\0x", "to": "y", "body": "a\0\ud800b"}]},
        )
        (received,) = events("sms.received")
        assert received["body"] == "a?b"


def test_who_can_not_sign_is_refused(tenant: Tenant) -> None:
    with scripted(taken):
        row = account(tenant.id)
        with pytest.raises(Forbidden) as refused:
            post(row, {}, token="wrong")
        assert refused.value.code == "SIGNATURE_INVALID"
        with pytest.raises(NotFound):
            receive("sms", "in_wrong", ReceiverRequest("POST", "http://x/", {}, {}, b""))
        with pytest.raises(NotFound):
            receive("fax", row.token, ReceiverRequest("POST", "http://x/", {}, {}, b""))


@pytest.mark.parametrize("body", [b"", b"no json", b"[]", b'{"receipts": [{}]}', b"\xff"])
def test_what_can_not_be_understood_is_said_to_be_so(tenant: Tenant, body: bytes) -> None:
    with scripted(taken):
        row = account(tenant.id)
        with pytest.raises(ValidationError):
            post(row, body)


def test_another_tenant_s_message_is_out_of_reach(tenant: Tenant, make_tenant: Any) -> None:
    with scripted(taken):
        account(tenant.id)
        message = sent_until(text(tenant.id), S.SENT)
        theirs = account(make_tenant("Other").id)
        post(theirs, receipt("1", "delivered", sid=sid_of(message)))
        assert load(message).status is S.SENT
        wait_until(lambda: True)
