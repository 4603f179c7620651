"""Amazon SES, API v2, and what it tells through SNS.

https://docs.aws.amazon.com/ses/latest/APIReference-V2/API_SendEmail.html
https://docs.aws.amazon.com/ses/latest/dg/event-publishing-retrieving-sns-contents.html
https://docs.aws.amazon.com/sns/latest/dg/sns-verify-signature-of-message.html
"""

import base64
import json
import re
from collections.abc import Iterator
from datetime import datetime
from functools import lru_cache
from typing import Any
from urllib.parse import urlsplit

from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials as AwsCredentials
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.hashes import SHA1, SHA256
from cryptography.x509 import load_pem_x509_certificate
from pydantic import Field

from irisx.kernel import http
from irisx.messaging.channels.email import raw
from irisx.messaging.channels.email.compose import (
    MailCredentials,
    MailSettings,
    compose,
    envelope_sender,
)
from irisx.messaging.provider import (
    Account,
    FailureKind,
    Outgoing,
    Reading,
    Receipt,
    ReceiverRequest,
    SendFailed,
    Sent,
    Wire,
    failed_reply,
)
from irisx.messaging.states import MessageStatus

#: What the error's type says where its status alone (400) does not.
_ACCOUNT_FAULTS = frozenset(
    {"AccountSuspendedException", "SendingPausedException", "MailFromDomainNotVerifiedException"}
)
_SNS_HOST = re.compile(r"sns\.[a-z0-9-]+\.amazonaws\.com(\.cn)?")
_SIGNED = ("Message", "MessageId", "Subject", "Timestamp", "TopicArn", "Type")
_SIGNED_SUBSCRIPTION = (
    "Message", "MessageId", "SubscribeURL", "Timestamp", "Token", "TopicArn", "Type",
)  # fmt: skip


class SesSettings(MailSettings):
    """`endpoint`: another address of the API, such as a VPC endpoint."""

    region: str = Field(pattern=r"^[a-z]{2}(-[a-z]+)+-[0-9]$", examples=["eu-central-1"])
    configuration_set: str | None = Field(None, pattern=r"^[A-Za-z0-9_-]{1,64}$")
    topic_arn: str | None = Field(
        None,
        pattern=r"^arn:aws[a-z-]*:sns:[a-z0-9-]+:[0-9]{12}:[A-Za-z0-9_.-]+$",
        description="The SNS topic whose messages the receiver takes; required for receipts.",
    )
    endpoint: str | None = Field(None, max_length=2048)


class SesCredentials(MailCredentials):
    access_key_id: str
    secret_access_key: str


class Ses:
    """The provider. SES takes no idempotency key."""

    name = "ses"
    idempotent = False
    max_per_second = 14  # what a new production account may do
    Settings = SesSettings
    Credentials = SesCredentials

    def send(self, account: Account, message: Outgoing, wire: Wire) -> Sent:
        settings: SesSettings = account.settings
        mail = compose(settings, account.credentials, message)
        payload: dict[str, Any] = {
            "FromEmailAddress": message.from_,
            "Destination": {"ToAddresses": [message.to]},
            "Content": {"Raw": {"Data": base64.b64encode(mail).decode()}},
            "EmailTags": [{"Name": "sid", "Value": message.sid}],
        }
        if settings.configuration_set is not None:
            payload["ConfigurationSetName"] = settings.configuration_set
        if settings.bounce_domain is not None:
            payload["FeedbackForwardingEmailAddress"] = envelope_sender(settings, message)
        base = settings.endpoint or f"https://email.{settings.region}.amazonaws.com"
        url = f"{base.rstrip('/')}/v2/email/outbound-emails"
        body = json.dumps(payload).encode()
        reply = wire.request(
            "POST",
            url,
            headers=_signed(url, body, settings.region, account.credentials),
            body=body,
            shown_body=f"{len(mail)} bytes to {message.to}",
        )
        if reply.status != 200:
            raise _failure(reply)
        return Sent(str(json.loads(reply.body)["MessageId"]))

    def verify(self, account: Account, request: ReceiverRequest) -> bool:
        """SNS signs its messages; raw mail comes with the account's bearer token."""
        if not _is_sns(request):
            return raw.verify(account.credentials.inbound_secret, request)
        try:
            notice = json.loads(request.body)
            wanted = account.settings.topic_arn
            return wanted is not None and notice["TopicArn"] == wanted and _signature_holds(notice)
        except (ValueError, KeyError, TypeError):
            return False

    def read(self, account: Account, request: ReceiverRequest) -> Reading:
        if not _is_sns(request):
            return raw.read(request.body)
        notice = json.loads(request.body)
        if notice["Type"] == "SubscriptionConfirmation":
            _check_host(notice["SubscribeURL"])
            http.request("GET", notice["SubscribeURL"])
            return Reading()
        if notice["Type"] != "Notification":
            return Reading()
        event = json.loads(notice["Message"])
        kind = event.get("eventType") or event.get("notificationType")
        if kind == "Received":
            content = event["content"]
            encoded = event.get("receipt", {}).get("action", {}).get("encoding") == "BASE64"
            return raw.read(base64.b64decode(content) if encoded else content.encode())
        return Reading(receipts=list(_receipts(str(kind), event, notice["MessageId"])))


def _is_sns(request: ReceiverRequest) -> bool:
    return any(name.lower() == "x-amz-sns-message-type" for name in request.headers)


def _signed(url: str, body: bytes, region: str, credentials: SesCredentials) -> dict[str, str]:
    """The headers of a request under AWS Signature Version 4."""
    request = AWSRequest("POST", url, headers={"Content-Type": "application/json"}, data=body)
    keys = AwsCredentials(
        credentials.access_key_id,
        credentials.secret_access_key,
    )
    SigV4Auth(keys, "ses", region).add_auth(request)
    return dict(request.headers.items())


def _failure(reply: http.Reply) -> SendFailed:
    kind = reply.headers.get("x-amzn-ErrorType", "").partition(":")[0] or f"HTTP_{reply.status}"
    try:
        message = str(json.loads(reply.body).get("message", ""))
    except (ValueError, AttributeError):
        message = ""
    if kind in _ACCOUNT_FAULTS:
        return SendFailed(FailureKind.ACCOUNT, kind, message)
    if kind in ("TooManyRequestsException", "LimitExceededException"):
        return SendFailed(FailureKind.THROTTLED, kind, message, retry_after=http.retry_after(reply))
    return failed_reply(reply, kind, message or f"SES answered {reply.status}")


def _receipts(kind: str, event: dict[str, Any], notice_id: str) -> Iterator[Receipt]:
    """The receipts of one event; SES names its message by `mail.messageId`."""
    reference = str(event["mail"]["messageId"])
    detail = event.get(kind.lower(), {})
    common: dict[str, Any] = {"reference": reference, "at": _time(detail.get("timestamp"))}
    match kind:
        case "Delivery":
            yield Receipt(key=f"{notice_id}", status=MessageStatus.DELIVERED, **common)
        case "Bounce":
            permanent = detail.get("bounceType") == "Permanent"
            for number, who in enumerate(detail.get("bouncedRecipients", [])):
                yield Receipt(
                    key=f"{notice_id} {number}",
                    status=MessageStatus.UNDELIVERED,
                    error_code=who.get("status") or ("5.0.0" if permanent else "4.0.0"),
                    error_message=str(who.get("diagnosticCode", ""))[:500] or None,
                    suppress="bounce" if permanent else None,
                    **common,
                )
        case "Complaint":
            yield Receipt(
                key=notice_id, status=MessageStatus.DELIVERED, suppress="complaint", **common
            )
        case "Reject":
            yield Receipt(
                key=notice_id,
                status=MessageStatus.FAILED,
                error_code="SES_REJECTED",
                error_message=str(event.get("reject", {}).get("reason", "")) or None,
                **common,
            )


def _time(text: object) -> datetime | None:
    try:
        return datetime.fromisoformat(str(text))
    except ValueError:
        return None


# -- SNS ------------------------------------------------------------------------------------------


def _check_host(url: str) -> None:
    """Raises ValueError for an address that is not Amazon's SNS."""
    parts = urlsplit(url)
    if parts.scheme != "https" or not _SNS_HOST.fullmatch(parts.netloc):
        raise ValueError(f"{parts.netloc[:100]} is not an address of SNS")


def signed_text(notice: dict[str, Any]) -> bytes:
    """What SNS signs: names and values of certain fields, a line each."""
    names = _SIGNED if notice["Type"] == "Notification" else _SIGNED_SUBSCRIPTION
    return "".join(f"{name}\n{notice[name]}\n" for name in names if name in notice).encode()


def _signature_holds(notice: dict[str, Any]) -> bool:
    _check_host(notice["SigningCertURL"])
    key = public_key(notice["SigningCertURL"])
    algorithm = SHA256() if notice["SignatureVersion"] == "2" else SHA1()  # noqa: S303 - Amazon's
    try:
        key.verify(
            base64.b64decode(notice["Signature"]), signed_text(notice), PKCS1v15(), algorithm
        )
    except InvalidSignature:
        return False
    return True


@lru_cache(maxsize=16)
def public_key(url: str) -> RSAPublicKey:
    """The key of a certificate of SNS. Raises ValueError."""
    try:
        reply = http.request("GET", url)
    except http.HttpFailure as failure:
        raise ValueError(f"the certificate can't be fetched: {failure}") from failure
    key = load_pem_x509_certificate(reply.body).public_key()
    if not isinstance(key, RSAPublicKey):
        raise ValueError("the certificate's key is not RSA")
    return key
