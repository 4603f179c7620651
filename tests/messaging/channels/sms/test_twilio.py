"""Twilio: a message, its answers, its callbacks."""

import base64
from contextlib import suppress
from datetime import timedelta
from typing import Any
from urllib.parse import parse_qs, urlencode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from irisx.kernel import clock
from irisx.messaging.channels.sms.twilio import Twilio, fields_of, signature
from irisx.messaging.provider import Account, FailureKind, Inbound, Receipt, ReceiverRequest
from irisx.messaging.states import MessageStatus
from tests.messaging.channels.cases import (
    SID,
    SendCase,
    account_at,
    nobody_there,
    outgoing,
    run,
)

PROVIDER = Twilio()
TOKEN = "the-auth-token-of-twilio"
URL = f"https://irisx.example/webhooks/sms/in_x?sid={SID}"


def account(url: str = "https://api.twilio.com") -> Account:
    return account_at(PROVIDER, url, {"account_sid": "AC123"}, {"auth_token": TOKEN})


CASES = [
    SendCase("accepted", 201, {"sid": "SM1", "status": "queued"}, reference="SM1"),
    SendCase(
        "opted out",
        400,
        {"code": 21610, "message": "Attempt to send to unsubscribed recipient"},
        failure=FailureKind.REJECTED,
        code="21610",
        opted_out=True,
    ),
    SendCase(
        "no such number",
        400,
        {"code": 21211, "message": "Invalid 'To' Phone Number"},
        failure=FailureKind.REJECTED,
        code="21211",
    ),
    SendCase(
        "wrong token",
        401,
        {"code": 20003, "message": "Authenticate"},
        failure=FailureKind.ACCOUNT,
        code="20003",
    ),
    SendCase(
        "not our number",
        400,
        {"code": 21606, "message": "not a valid From"},
        failure=FailureKind.ACCOUNT,
        code="21606",
    ),
    SendCase(
        "too many requests",
        429,
        {"code": 20429, "message": "Too Many Requests"},
        failure=FailureKind.THROTTLED,
        code="20429",
        headers={"Retry-After": "7"},
        retry_after=timedelta(seconds=7),
    ),
    SendCase("away", 503, b"", failure=FailureKind.UNAVAILABLE, code="HTTP_503"),
    SendCase("broken", 500, b"<html>", failure=FailureKind.IN_DOUBT, code="HTTP_500"),
    SendCase("redirect", 302, b"", failure=FailureKind.IN_DOUBT, code="HTTP_302"),
    SendCase("no JSON", 201, b"\xff{", failure=FailureKind.IN_DOUBT, code="HTTP_201"),
]


@pytest.mark.parametrize("case", CASES, ids=str)
def test_answers(case: SendCase) -> None:
    request, _ = run(case, PROVIDER, account, outgoing(media_urls=["https://example.com/a.png"]))
    assert request.path == "/2010-04-01/Accounts/AC123/Messages.json"
    given = base64.b64decode(request.headers["authorization"].removeprefix("Basic ")).decode()
    assert given == f"AC123:{TOKEN}"
    assert parse_qs(request.body.decode()) == {
        "To": ["+15555550110"],
        "From": ["+15550001000"],
        "Body": ["Hello & good-bye €"],
        "MediaUrl": ["https://example.com/a.png"],
        "StatusCallback": [URL],
    }


def test_nobody_there() -> None:
    nobody_there(PROVIDER, account)


def test_validity_is_passed_on() -> None:
    soon = dict(fields_of(account(), outgoing(expires_at=clock.now() + timedelta(minutes=5))))
    assert 290 <= int(soon["ValidityPeriod"]) <= 300
    late = dict(fields_of(account(), outgoing(expires_at=clock.now() + timedelta(days=5))))
    assert late["ValidityPeriod"] == "36000"


def posted(form: dict[str, str], token: str = TOKEN, url: str = URL) -> ReceiverRequest:
    body = urlencode(form).encode()
    headers = {"X-Twilio-Signature": signature(token, url, list(form.items()))}
    query = {"sid": url.partition("sid=")[2]} if "sid=" in url else {}
    return ReceiverRequest("POST", url, headers, query, body)


def test_the_signature_of_twilio_s_own_example() -> None:
    """The example of "Validating requests" in Twilio's documentation."""
    form = {
        "CallSid": "CA1234567890ABCDE",
        "Caller": "+14158675309",
        "Digits": "1234",
        "From": "+14158675309",
        "To": "+18005551212",
    }
    url = "https://mycompany.com/myapp.php?foo=1&bar=2"
    assert signature("12345", url, list(form.items())) == "RSOYDt4T1cUTdK1PDd93/VVr8B8="


@pytest.mark.parametrize("blank", ["", "x"])
def test_a_changed_request_is_refused(blank: str) -> None:
    form = {"MessageSid": "SM1", "MessageStatus": "delivered", "ErrorCode": blank}
    signed = posted(form)
    assert PROVIDER.verify(account(), signed)
    assert not PROVIDER.verify(account(), posted(form, token="another"))
    for change in (
        {"body": signed.body + b"&a=b"},
        {"url": URL + "x"},
        {"headers": {}},
        {"headers": {"X-Twilio-Signature": "é"}},
    ):
        values = {name: getattr(signed, name) for name in signed.__slots__} | change
        assert not PROVIDER.verify(account(), ReceiverRequest(**values))


RECEIPTS = [
    ("queued", {}, None),
    ("sending", {}, None),
    ("sent", {}, MessageStatus.SENT),
    ("delivered", {}, MessageStatus.DELIVERED),
    ("read", {}, MessageStatus.READ),
    ("undelivered", {"ErrorCode": "30003"}, MessageStatus.UNDELIVERED),
    ("failed", {"ErrorCode": "21610"}, MessageStatus.FAILED),
    ("something new", {}, None),
]


@pytest.mark.parametrize(("word", "more", "status"), RECEIPTS)
def test_receipts(word: str, more: dict[str, str], status: MessageStatus | None) -> None:
    form = {"MessageSid": "SM1", "MessageStatus": word, "SmsStatus": word, **more}
    reading = PROVIDER.read(account(), posted(form))
    code = more.get("ErrorCode")
    expected = (
        Receipt(f"SM1 {status}", status, "SM1", SID, error_code=code, opted_out=code == "21610")
        if status
        else None
    )
    assert list(reading.receipts) == [r for r in [expected] if r]


def test_an_inbound_message_with_a_picture() -> None:
    form = {
        "MessageSid": "MM1",
        "SmsStatus": "received",
        "From": "+15555550122",
        "To": "+15550001000",
        "Body": "Look",
        "NumMedia": "1",
        "MediaUrl0": "https://api.twilio.com/media/1",
    }
    (found,) = PROVIDER.read(account(), posted(form)).messages
    assert found == Inbound(
        "MM1", "+15555550122", "+15550001000", "Look", ["https://api.twilio.com/media/1"]
    )


@given(st.binary(max_size=200))
def test_whatever_is_sent_is_read_or_refused(body: bytes) -> None:
    request = ReceiverRequest("POST", URL, {}, {}, body)
    assert not PROVIDER.verify(account(), request)
    with suppress(ValueError, KeyError):  # what `receiving.receive` answers 400 to
        PROVIDER.read(account(), request)


def test_the_secret_is_no_setting() -> None:
    settings: Any = PROVIDER.Settings.model_json_schema()
    assert "auth_token" not in settings["properties"]
