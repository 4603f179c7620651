"""WAHA: a message, its answers, its webhook."""

import json
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from irisx.messaging.channels.whatsapp.waha import Waha, body_of, signature
from irisx.messaging.provider import Account, FailureKind, ReceiverRequest, SendFailed
from irisx.messaging.states import MessageStatus
from tests.messaging.channels.cases import SendCase, account_at, nobody_there, outgoing, run
from tests.waha_server import HMAC_KEY, KEY

PROVIDER = Waha()
OURS = "+15550001000"
CREDENTIALS = {"api_key": KEY, "hmac_key": HMAC_KEY}


def account(url: str = "https://waha.example") -> Account:
    return account_at(PROVIDER, url, {"phone_number": OURS}, CREDENTIALS)


F = FailureKind
STOPPED = {"error": "Session status is not as expected.", "status": "STOPPED"}
CASES = [
    SendCase("accepted", 201, {"id": "true_1@c.us_A"}, reference="true_1@c.us_A"),
    SendCase(
        "serialized", 201, {"id": {"_serialized": "true_1@c.us_A"}}, reference="true_1@c.us_A"
    ),
    SendCase(
        "by key",
        201,
        {"key": {"id": "A", "remoteJid": "1@s.whatsapp.net"}},
        reference="true_1@c.us_A",
    ),
    SendCase("no session", 422, STOPPED, failure=F.UNAVAILABLE, code="SESSION_NOT_WORKING"),
    SendCase("bad field", 422, {"message": "no"}, failure=F.REJECTED, code="HTTP_422"),
    SendCase("wrong key", 401, {"message": "no"}, failure=F.ACCOUNT, code="HTTP_401"),
    SendCase("unknown session", 404, {"message": "no"}, failure=F.ACCOUNT, code="HTTP_404"),
    SendCase("broken", 500, {"message": "no"}, failure=F.IN_DOUBT, code="HTTP_500"),
    SendCase("no id", 201, {}, failure=F.IN_DOUBT, code="HTTP_201"),
    SendCase("no JSON", 201, b"\xff", failure=F.IN_DOUBT, code="HTTP_201"),
]


@pytest.mark.parametrize("case", CASES, ids=str)
def test_answers(case: SendCase) -> None:
    content = {"type": "text", "text": {"body": "Hi", "preview_url": True}}
    request, _ = run(case, PROVIDER, account, outgoing(content=content))
    assert (request.path, request.headers["x-api-key"]) == ("/api/sendText", KEY)
    assert json.loads(request.body) == {
        "session": "default",
        "chatId": "15555550110@c.us",
        "text": "Hi",
        "linkPreview": True,
    }


def test_a_server_that_is_down() -> None:
    nobody_there(PROVIDER, account)


URL = "https://a.example/x"
PDF = {"mime_type": "application/pdf", "filename": "a.pdf"}
SENT_PDF = {"url": URL, "mimetype": "application/pdf", "filename": "a.pdf"}


@pytest.mark.parametrize(
    ("kind", "part", "operation", "fields"),
    [
        (
            "image",
            {"link": f"{URL}.png?y=1", "caption": "Look"},
            "sendImage",
            {"file": {"url": f"{URL}.png?y=1", "mimetype": "image/png"}, "caption": "Look"},
        ),
        ("document", {"link": URL, **PDF}, "sendFile", {"file": SENT_PDF}),
        (
            "audio",
            {"link": URL},
            "sendVoice",
            {"file": {"url": URL, "mimetype": "audio/ogg"}, "convert": True},
        ),
    ],
)
def test_files(kind: str, part: Any, operation: str, fields: Any) -> None:
    assert body_of(outgoing(content={"type": kind, kind: part})) == (operation, fields)


@pytest.mark.parametrize("kind", ["template", "interactive", "image"])
def test_what_it_can_not_send(kind: str) -> None:
    with pytest.raises(SendFailed) as failed:
        body_of(outgoing(content={"type": kind, kind: {}}))
    assert failed.value.kind is F.REJECTED


def posted(event: str, payload: Any, session: str = "default") -> ReceiverRequest:
    body = json.dumps({"event": event, "session": session, "payload": payload}).encode()
    return ReceiverRequest("POST", "", {"X-Webhook-Hmac": signature(HMAC_KEY, body)}, {}, body)


def test_signatures() -> None:
    signed = posted("message", {})
    assert PROVIDER.verify(account(), signed)
    for headers, body in (({}, signed.body), (signed.headers, signed.body + b" ")):
        assert not PROVIDER.verify(account(), ReceiverRequest("POST", "", headers, {}, body))
    assert not PROVIDER.verify(account(), ReceiverRequest("GET", "", signed.headers, {}, b""))


@pytest.mark.parametrize(
    ("ack", "status"),
    [
        (-1, MessageStatus.FAILED), (0, None), (1, MessageStatus.SENT),
        (2, MessageStatus.DELIVERED), (3, MessageStatus.READ), (4, MessageStatus.READ), (9, None),
    ],
)  # fmt: skip
def test_acks(ack: int, status: MessageStatus | None) -> None:
    payload = {"id": "true_1@c.us_A", "fromMe": True, "ack": ack}
    receipts = PROVIDER.read(account(), posted("message.ack", payload)).receipts
    assert [(r.reference, r.status) for r in receipts] == (
        [("true_1@c.us_A", status)] if status else []
    )


TEXT = {"id": "false_1_B", "from": "15555550122@c.us", "body": "Hi", "timestamp": 1700000000}


@pytest.mark.parametrize(
    ("fields", "found"),
    [
        ({}, ("+15555550122", "Hi", [], "text")),
        ({"from": "15555550122:7@s.whatsapp.net"}, ("+15555550122", "Hi", [], "text")),
        ({"fromMe": True}, None),
        ({"from": "123-456@g.us"}, None),
        ({"from": "status@broadcast"}, None),
        (
            {"hasMedia": True, "media": {"url": "http://evil.example/api/files/a.pdf?x=1"}},
            ("+15555550122", "Hi", ["https://waha.example/api/files/a.pdf"], "document"),
        ),
        (
            {"hasMedia": True, "media": {"url": "/api/files/a", "mimetype": "image/png"}},
            ("+15555550122", "Hi", ["https://waha.example/api/files/a"], "image"),
        ),
    ],
)
def test_inbound(fields: Any, found: Any) -> None:
    messages = PROVIDER.read(account(), posted("message", TEXT | fields)).messages
    shown = [(m.from_, m.body, m.media_urls, m.content["type"]) for m in messages]
    assert shown == ([found] if found else [])


@pytest.mark.parametrize(
    "payload", [None, {}, TEXT | {"from": "9@lid"}, TEXT | {"id": 1}, TEXT | {"from": "x@c.us"}]
)
def test_what_is_no_message_is_kept(payload: Any) -> None:
    (unread,) = PROVIDER.read(account(), posted("message", payload)).unread
    assert unread.part == payload


def test_another_session_s_events_are_left_alone() -> None:
    assert PROVIDER.read(account(), posted("message", TEXT, "other")).messages == ()


@given(
    st.recursive(
        st.none() | st.integers() | st.text(max_size=5),
        lambda inner: st.dictionaries(
            st.sampled_from(["id", "from", "media", "hasMedia", "_data", "ack", "status"]), inner
        ),
        max_leaves=8,
    ),
    st.sampled_from(["message", "message.ack", "session.status", "?"]),
)
def test_whatever_is_sent_is_read_or_refused(payload: Any, event: str) -> None:
    with suppress(ValueError, LookupError, TypeError, AttributeError):  # answered with 400
        PROVIDER.read(account(), posted(event, payload))
