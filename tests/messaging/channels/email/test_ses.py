"""SES against a server that speaks its API v2, and its events as SNS delivers them."""

import base64
import json
from collections.abc import Callable
from email import message_from_bytes

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.hashes import SHA256

from irisx.kernel.db import transaction
from irisx.messaging import accounts
from irisx.messaging.channels.email import service, ses
from irisx.messaging.channels.email.service import Mail
from irisx.messaging.models import Message
from irisx.messaging.provider import Reading, ReceiverRequest
from irisx.messaging.states import MessageStatus
from irisx.tenancy.access import SYSTEM
from irisx.tenancy.models import Tenant
from tests.messaging.pipeline import load, sent_until, work
from tests.receiver import Answer, Received, receiving

TOPIC = "arn:aws:sns:eu-central-1:123456789012:mail"
CERTIFICATE = "https://sns.eu-central-1.amazonaws.com/cert.pem"
_S = MessageStatus
KEY = rsa.generate_private_key(65537, 2048)


def ses_account(tenant: Tenant, endpoint: str) -> None:
    accounts.create(
        SYSTEM,
        tenant.id,
        channel="email",
        provider="ses",
        name="SES",
        settings={"region": "eu-central-1", "topic_arn": TOPIC, "endpoint": endpoint},
        credentials={"access_key_id": "AKIAEXAMPLE", "secret_access_key": "secret-key-of-ses"},
        senders=["hello@acme.example"],
    )


def accepted(tenant: Tenant) -> Message:
    with transaction() as session:
        mail = Mail(subject="Hello", text="Good day")
        return service.accept(session, tenant.id, "ann@example.com", mail)


def test_a_message_is_handed_over_signed(tenant: Tenant) -> None:
    def answer(request: Received) -> Answer:
        return Answer(200, body=b'{"MessageId": "0100-ses"}')

    with receiving(answer) as server:
        ses_account(tenant, server.url)
        message = sent_until(accepted(tenant), _S.SENT)
    [request] = server.received
    assert request.path == "/v2/email/outbound-emails"
    assert request.headers["authorization"].startswith("AWS4-HMAC-SHA256 Credential=AKIAEXAMPLE/")
    body = json.loads(request.body)
    assert body["Destination"] == {"ToAddresses": ["ann@example.com"]}
    mail = message_from_bytes(base64.b64decode(body["Content"]["Raw"]["Data"]))
    assert mail["Subject"] == "Hello"
    assert load(message).reference == "0100-ses"


@pytest.mark.parametrize(
    ("status", "kind", "expected", "code"),
    [
        (400, "MessageRejected", _S.FAILED, "MessageRejected"),
        (400, "MailFromDomainNotVerifiedException", _S.QUEUED, None),
        (429, "TooManyRequestsException", _S.QUEUED, "TooManyRequestsException"),
        (503, "ServiceUnavailable", _S.QUEUED, "ServiceUnavailable"),
        (500, "InternalFailure", _S.UNKNOWN, "InternalFailure"),
    ],
)
def test_what_an_error_means(
    tenant: Tenant, status: int, kind: str, expected: MessageStatus, code: str | None
) -> None:
    def answer(request: Received) -> Answer:
        return Answer(status, {"x-amzn-ErrorType": f"{kind}:x"}, b'{"message": "no"}')

    with receiving(answer) as server:
        ses_account(tenant, server.url)
        message = accepted(tenant)
        work(lambda: load(message).error_code is not None)
    ended = load(message)
    assert (ended.status, ended.error_code) == (expected, code or kind)


def notice(event: object, **changes: str) -> dict[str, str]:
    """What SNS posts, signed."""
    said = {
        "Type": "Notification",
        "MessageId": "n-1",
        "TopicArn": TOPIC,
        "Message": json.dumps(event),
        "Timestamp": "2026-02-17T12:00:00.000Z",
        "SignatureVersion": "2",
        "SigningCertURL": CERTIFICATE,
    }
    signature = KEY.sign(ses.signed_text(said), PKCS1v15(), SHA256())
    return said | {"Signature": base64.b64encode(signature).decode()} | changes


@pytest.fixture
def told(tenant: Tenant, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Reading | None]:
    """`told(notice)`: what the receiver reads in it; None: refused."""
    monkeypatch.setattr(ses, "public_key", lambda url: KEY.public_key())
    ses_account(tenant, "https://ses.example")
    [row], _ = accounts.list_page(tenant.id, channel="email", limit=1, offset=0)
    account, provider = accounts.opened(row), accounts.provider_of(row)

    def tell(said: dict[str, str]) -> Reading | None:
        headers = {"X-Amz-Sns-Message-Type": said["Type"]}
        request = ReceiverRequest("POST", "/", headers, {}, json.dumps(said).encode())
        return provider.read(account, request) if provider.verify(account, request) else None

    return tell


MAIL = {"messageId": "0100-ses"}


@pytest.mark.parametrize(
    ("event", "status", "code", "suppress"),
    [
        ({"eventType": "Delivery", "mail": MAIL, "delivery": {}}, _S.DELIVERED, None, None),
        (
            {
                "eventType": "Bounce",
                "mail": MAIL,
                "bounce": {
                    "bounceType": "Permanent",
                    "bouncedRecipients": [{"emailAddress": "a@example.com", "status": "5.1.1"}],
                },
            },
            _S.UNDELIVERED,
            "5.1.1",
            "bounce",
        ),
        (
            {
                "notificationType": "Bounce",
                "mail": MAIL,
                "bounce": {"bounceType": "Transient", "bouncedRecipients": [{}]},
            },
            _S.UNDELIVERED,
            "4.0.0",
            None,
        ),
        ({"eventType": "Complaint", "mail": MAIL}, _S.DELIVERED, None, "complaint"),
        (
            {"eventType": "Reject", "mail": MAIL, "reject": {"reason": "Bad content"}},
            _S.FAILED,
            "SES_REJECTED",
            None,
        ),
    ],
)
def test_an_event_is_a_receipt(
    told: Callable[..., Reading | None],
    event: object,
    status: MessageStatus,
    code: str | None,
    suppress: str | None,
) -> None:
    reading = told(notice(event))
    assert reading is not None
    [receipt] = reading.receipts
    assert (receipt.reference, receipt.status) == ("0100-ses", status)
    assert (receipt.error_code, receipt.suppress) == (code, suppress)


def test_inbound_mail_comes_as_a_notice(told: Callable[..., Reading | None]) -> None:
    raw = "From: ann@example.com\r\nTo: help@acme.example\r\nSubject: Hi\r\n\r\nHello"
    reading = told(notice({"notificationType": "Received", "mail": MAIL, "content": raw}))
    assert reading is not None
    assert reading.messages[0].from_ == "ann@example.com"


@pytest.mark.parametrize(
    "changes",
    [
        {"Message": json.dumps({"eventType": "Delivery", "mail": {"messageId": "other"}})},
        {"TopicArn": "arn:aws:sns:eu-central-1:123456789012:other"},
        {"SigningCertURL": "https://evil.example/cert.pem"},
        {"SigningCertURL": "https://sns.eu-central-1.amazonaws.com.evil.example/cert.pem"},
        {"Signature": base64.b64encode(b"x" * 256).decode()},
    ],
)
def test_what_amazon_did_not_sign_is_refused(
    told: Callable[..., Reading | None], changes: dict[str, str]
) -> None:
    assert told(notice({"eventType": "Delivery", "mail": MAIL}, **changes)) is None
