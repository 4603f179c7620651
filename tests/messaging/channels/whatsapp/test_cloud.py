"""The WhatsApp Cloud API: a message, its answers, its webhook."""

import json
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from irisx.messaging.channels.whatsapp.cloud import CloudApi, signature
from irisx.messaging.provider import Account, FailureKind, ReceiverRequest, SendFailed, Wire
from irisx.messaging.states import MessageStatus
from tests.messaging.channels.cases import SID, SendCase, account_at, outgoing, run

PROVIDER = CloudApi()
CREDENTIALS = {
    "access_token": "the-access-token",
    "app_secret": "the-app-secret",
    "verify_token": "the-verify-token",
}
OURS = "+15550001000"


def account(url: str = "https://graph.facebook.com") -> Account:
    settings = {"phone_number_id": "1065", "phone_number": OURS}
    return account_at(PROVIDER, url, settings, CREDENTIALS)


def refused(label: str, status: int, code: int, failure: FailureKind, **more: Any) -> SendCase:
    body = {"error": {"code": code, "message": label}}
    return SendCase(label, status, body, failure=failure, code=str(code), **more)


F = FailureKind
CASES = [
    SendCase("accepted", 200, {"messages": [{"id": "wamid.1"}]}, reference="wamid.1"),
    refused("window closed", 400, 131047, F.REJECTED),
    refused("not deliverable", 400, 131026, F.REJECTED),
    refused("token expired", 401, 190, F.ACCOUNT),
    refused("no payment", 400, 131042, F.ACCOUNT),
    refused("overloaded", 500, 131016, F.UNAVAILABLE),
    refused("something went wrong", 500, 131000, F.IN_DOUBT),
    refused("bad parameter", 400, 100, F.REJECTED),
    refused(
        "rate",
        400,
        130429,
        F.THROTTLED,
        headers={"Retry-After": "7"},
        retry_after=timedelta(seconds=7),
    ),
    SendCase("no JSON", 200, b"\xff{", failure=F.IN_DOUBT, code="HTTP_200"),
    SendCase("no id", 200, {"messages": []}, failure=F.IN_DOUBT, code="HTTP_200"),
    SendCase("away", 503, b"", failure=F.UNAVAILABLE, code="HTTP_503"),
]


@pytest.mark.parametrize("case", CASES, ids=str)
def test_answers(case: SendCase) -> None:
    content = {"type": "image", "image": {"id": "77", "caption": "Look"}}
    request, _ = run(case, PROVIDER, account, outgoing(content=content))
    assert request.path == "/v25.0/1065/messages"
    assert request.headers["authorization"] == "Bearer the-access-token"
    assert json.loads(request.body) == {
        "messaging_product": "whatsapp",
        "recipient_type": "individual",
        "to": "+15555550110",
        "biz_opaque_callback_data": SID,
        **content,
    }


def test_an_account_sends_from_its_number_only() -> None:
    with pytest.raises(SendFailed) as failed:
        PROVIDER.send(account(), outgoing(from_="+15550009999"), Wire([]))
    assert failed.value.code == "WRONG_SENDER"


def posted(call: Any, secret: str = CREDENTIALS["app_secret"]) -> ReceiverRequest:
    body = call if isinstance(call, bytes) else json.dumps(call).encode()
    headers = {"X-Hub-Signature-256": signature(secret, body)}
    return ReceiverRequest("POST", "https://irisx.example/", headers, {}, body)


def change(number_id: str = "1065", **value: Any) -> dict[str, Any]:
    value["metadata"] = {"phone_number_id": number_id}
    return {"id": "waba", "changes": [{"field": "messages", "value": value}]}


def test_signatures() -> None:
    signed = posted({"entry": []})
    assert PROVIDER.verify(account(), signed)
    assert not PROVIDER.verify(account(), posted({"entry": []}, "another-secret"))
    for headers, body in (({}, signed.body), (signed.headers, signed.body + b" ")):
        assert not PROVIDER.verify(account(), ReceiverRequest("POST", "", headers, {}, body))


@pytest.mark.parametrize(
    ("mode", "token", "accepted"),
    [
        ("subscribe", "the-verify-token", True),
        ("subscribe", "é", False),
        ("unsubscribe", "the-verify-token", False),
    ],
)
def test_the_webhook_s_verification(mode: str, token: str, accepted: bool) -> None:
    query = {"hub.mode": mode, "hub.verify_token": token, "hub.challenge": "1158201444"}
    request = ReceiverRequest("GET", "", {}, query, b"")
    assert PROVIDER.verify(account(), request) is accepted
    if accepted:
        assert PROVIDER.read(account(), request).body == "1158201444"


def test_several_entries_with_statuses_and_messages() -> None:
    error = {"code": 131026, "title": "Message undeliverable"}
    call = {
        "entry": [
            change(statuses=[{"id": "w1", "status": "read", "biz_opaque_callback_data": SID}]),
            change(statuses=[{"id": "w2", "status": "failed", "errors": [error]}]),
            change(statuses=[{"id": "w3", "status": "something new"}]),
            change("999", statuses=[{"id": "w4", "status": "read"}]),
            change(
                contacts=[{"wa_id": "15555550122", "profile": {"name": "Ann"}}],
                messages=[
                    {
                        "id": "w5",
                        "from": "15555550122",
                        "timestamp": "1700000000",
                        "type": "image",
                        "image": {"id": "77", "caption": "Look", "mime_type": "image/png"},
                    }
                ],
            ),
        ]
    }
    reading = PROVIDER.read(account(), posted(call))
    assert [(r.reference, r.status, r.sid, r.error_code) for r in reading.receipts] == [
        ("w1", MessageStatus.READ, SID, None),
        ("w2", MessageStatus.FAILED, None, "131026"),
    ]
    (found,) = reading.messages
    assert (found.from_, found.to, found.name, found.body) == ("+15555550122", OURS, "Ann", "Look")
    assert found.media_urls == ["https://graph.facebook.com/v25.0/77"]
    assert found.content["image"]["mime_type"] == "image/png"
    assert found.at == datetime(2023, 11, 14, 22, 13, 20, tzinfo=UTC)


GOOD = {"id": "w1", "from": "15555550122", "type": "text", "text": {"body": "Hi"}}


@pytest.mark.parametrize(
    "bad",
    [
        {"id": "w2", "type": "text", "text": {"body": "Who?"}},  # without `from`
        GOOD | {"from": 7},
        GOOD | {"from": "nobody"},
        GOOD | {"from": ["15555550122"]},
        GOOD | {"id": None},
        GOOD | {"text": "Hi"},
        {"id": "w2", "from": "15555550122"},
        {"id": "w2", "from": "15555550122", "type": "image", "image": {}},
        "text",
        None,
    ],
    ids=repr,
)
def test_a_message_that_is_none_keeps_no_other_from_being_read(bad: Any) -> None:
    status = {"id": "w3", "status": "read"}
    value = change(messages=[bad, GOOD], statuses=[{"id": "w4"}, status], contacts=[bad])
    reading = PROVIDER.read(account(), posted({"entry": ["?", {"id": "x"}, value]}))
    assert [m.reference for m in reading.messages] == ["w1"]
    assert [r.reference for r in reading.receipts] == ["w3"]
    assert [u.part for u in reading.unread] == ["?", {"id": "x"}, {"id": "w4"}, bad]
    assert reading.unread[2].reason == "status: Field required"
    assert not any("Who?" in unread.reason for unread in reading.unread)


BUTTON = {"type": "button_reply", "button_reply": {"id": "y", "title": "Yes"}}


@pytest.mark.parametrize(
    ("kind", "part", "body"),
    [
        ("text", {"body": "Hello"}, "Hello"),
        ("interactive", BUTTON, "Yes"),
        ("button", {"text": "Stop", "payload": "p"}, "Stop"),
        ("reaction", {"message_id": "w1", "emoji": "👍"}, "👍"),
        ("location", {"latitude": 1.0, "longitude": 2.0}, ""),
        ("contacts", [{"name": {"formatted_name": "Bob"}}], ""),
    ],
)
def test_what_is_read_of_a_message(kind: str, part: Any, body: str) -> None:
    message = {"id": "w", "from": "15555550122", "type": kind, kind: part}
    (found,) = PROVIDER.read(account(), posted({"entry": [change(messages=[message])]})).messages
    assert (found.body, found.content) == (body, {"type": kind, kind: part})


@given(
    st.binary(max_size=200)
    | st.recursive(
        st.none() | st.text(max_size=5),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(st.sampled_from(["entry", "changes", "value", "messages"]), inner)
        ),
        max_leaves=10,
    ).map(lambda value: json.dumps(value).encode())
)
def test_whatever_is_sent_is_read_or_refused(body: bytes) -> None:
    assert not PROVIDER.verify(account(), ReceiverRequest("POST", "", {}, {}, body))
    with suppress(ValueError, LookupError, TypeError, AttributeError):  # answered with 400
        PROVIDER.read(account(), posted(body))
