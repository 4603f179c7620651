"""Telnyx: a message, its answers, its webhooks."""

import base64
import json
from contextlib import suppress
from datetime import timedelta
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from irisx.kernel import clock
from irisx.messaging.channels.sms.telnyx import Telnyx
from irisx.messaging.provider import Account, FailureKind, Inbound, ReceiverRequest
from irisx.messaging.states import MessageStatus
from tests.messaging.channels.cases import (
    SID,
    SendCase,
    account_at,
    nobody_there,
    outgoing,
    run,
)

PROVIDER = Telnyx()
KEY = Ed25519PrivateKey.from_private_bytes(b"k" * 32)
CREDENTIALS = {
    "api_key": "KEY0123456789",
    "public_key": base64.b64encode(KEY.public_key().public_bytes_raw()).decode(),
}


def account(url: str = "https://api.telnyx.com") -> Account:
    return account_at(PROVIDER, url, {"messaging_profile_id": "p1"}, CREDENTIALS)


def error(code: str) -> dict[str, Any]:
    return {"errors": [{"code": code, "title": "Title", "detail": "Detail"}]}


CASES = [
    SendCase("accepted", 200, {"data": {"id": "m-1", "to": []}}, reference="m-1"),
    SendCase(
        "blocked by STOP",
        400,
        error("40300"),
        failure=FailureKind.REJECTED,
        code="40300",
        opted_out=True,
    ),
    SendCase("bad number", 422, error("40310"), failure=FailureKind.REJECTED, code="40310"),
    SendCase("wrong key", 401, error("10009"), failure=FailureKind.ACCOUNT, code="10009"),
    SendCase("no money", 403, error("20100"), failure=FailureKind.ACCOUNT, code="20100"),
    SendCase(
        "too fast",
        429,
        error("10011"),
        failure=FailureKind.THROTTLED,
        code="10011",
        headers={"Retry-After": "3"},
        retry_after=timedelta(seconds=3),
    ),
    SendCase("away", 503, b"", failure=FailureKind.UNAVAILABLE, code="HTTP_503"),
    SendCase("broken", 502, [], failure=FailureKind.IN_DOUBT, code="HTTP_502"),
    SendCase("no id", 200, {"data": {}}, failure=FailureKind.IN_DOUBT, code="HTTP_200"),
]


@pytest.mark.parametrize("case", CASES, ids=str)
def test_answers(case: SendCase) -> None:
    request, _ = run(case, PROVIDER, account, outgoing())
    assert request.path == "/v2/messages"
    assert request.headers["authorization"] == "Bearer KEY0123456789"
    assert json.loads(request.body) == {
        "from": "+15550001000",
        "to": "+15555550110",
        "text": "Hello & good-bye €",
        "messaging_profile_id": "p1",
        "webhook_url": f"https://irisx.example/webhooks/sms/in_x?sid={SID}",
        "use_profile_webhooks": False,
    }


def test_nobody_there() -> None:
    nobody_there(PROVIDER, account)


def posted(event: Any, *, age: timedelta = timedelta(), sid: str | None = SID) -> ReceiverRequest:
    body = event if isinstance(event, bytes) else json.dumps({"data": event}).encode()
    stamp = str(int((clock.now() - age).timestamp()))
    headers = {
        "Telnyx-Timestamp": stamp,
        "Telnyx-Signature-Ed25519": base64.b64encode(
            KEY.sign(stamp.encode() + b"|" + body)
        ).decode(),
    }
    return ReceiverRequest("POST", "https://x/", headers, {"sid": sid} if sid else {}, body)


def test_only_what_telnyx_signed_and_lately() -> None:
    signed = posted({})
    assert PROVIDER.verify(account(), signed)
    assert not PROVIDER.verify(account(), posted({}, age=timedelta(minutes=6)))
    assert not PROVIDER.verify(account(), posted({}, age=-timedelta(minutes=6)))
    for change in (
        {"body": b"{}"},
        {"headers": {}},
        {"headers": dict(signed.headers) | {"Telnyx-Timestamp": "١"}},
        {"headers": dict(signed.headers) | {"Telnyx-Signature-Ed25519": "!"}},
    ):
        values = {name: getattr(signed, name) for name in signed.__slots__} | change
        assert not PROVIDER.verify(account(), ReceiverRequest(**values))


@pytest.mark.parametrize(
    ("word", "status"),
    [
        ("queued", None),
        ("sent", MessageStatus.SENT),
        ("delivered", MessageStatus.DELIVERED),
        ("delivery_failed", MessageStatus.UNDELIVERED),
        ("sending_failed", MessageStatus.FAILED),
        ("delivery_unconfirmed", None),
    ],
)
def test_receipts(word: str, status: MessageStatus | None) -> None:
    event = {
        "event_type": "message.finalized",
        "occurred_at": "2026-07-01T12:00:00.000+00:00",
        "payload": {"id": "m-1", "to": [{"status": word}], **error("40300")},
    }
    found = PROVIDER.read(account(), posted(event)).receipts
    assert [(r.status, r.reference, r.sid, r.opted_out) for r in found] == (
        [(status, "m-1", SID, True)] if status else []
    )


def test_an_inbound_message() -> None:
    event = {
        "event_type": "message.received",
        "payload": {
            "id": "m-2",
            "from": {"phone_number": "+15555550122"},
            "to": [{"phone_number": "+15550001000"}],
            "text": "Hi",
            "media": [{"url": "https://media.telnyx.com/1"}],
        },
    }
    (found,) = PROVIDER.read(account(), posted(event)).messages
    assert found == Inbound(
        "m-2", "+15555550122", "+15550001000", "Hi", ["https://media.telnyx.com/1"]
    )


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=20),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["data", "payload", "event_type", "to", "from", "id", "errors"]), inner
        )
    ),
    max_leaves=12,
)


@given(json_values)
def test_whatever_is_signed_is_read_or_refused(said: Any) -> None:
    # What `receiving.receive` answers 400 to.
    with suppress(ValueError, LookupError, TypeError, AttributeError):
        PROVIDER.read(account(), posted(json.dumps(said).encode()))


def test_a_public_key_is_one() -> None:
    with pytest.raises(ValidationError):
        PROVIDER.Credentials.model_validate(CREDENTIALS | {"public_key": "bm8="})
