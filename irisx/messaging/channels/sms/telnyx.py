"""Telnyx's Messaging API v2.

Source: Telnyx's API reference, "Send a message", "Receiving webhooks for messaging" and "Webhook
signing" (Ed25519 over `timestamp|body`). The API knows no idempotency key: a message whose answer
is missing is `unknown` until a webhook, whose address carries our sid, tells.
"""

import base64
import json
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from types import MappingProxyType
from typing import Annotated, Any
from urllib.parse import quote

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from pydantic import AfterValidator, Field, StringConstraints

from irisx.kernel import clock
from irisx.kernel.http import Reply
from irisx.messaging.channels.sms.twilio import BaseUrl
from irisx.messaging.provider import (
    Account,
    AccountModel,
    FailureKind,
    Inbound,
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

#: A signature of another time is a replay.
TOLERANCE = timedelta(minutes=5)

_STATUSES: Mapping[str, MessageStatus] = MappingProxyType(
    {
        "sent": MessageStatus.SENT,
        "delivered": MessageStatus.DELIVERED,
        "sending_failed": MessageStatus.FAILED,
        "delivery_failed": MessageStatus.UNDELIVERED,
    }
)
_OPTED_OUT = "40300"  # blocked due to STOP message
_KINDS: Mapping[str, FailureKind] = MappingProxyType(
    {
        "10009": FailureKind.ACCOUNT,  # authentication failed
        "10010": FailureKind.ACCOUNT,  # authorization failed
        "20100": FailureKind.ACCOUNT,  # insufficient funds
        "40305": FailureKind.ACCOUNT,  # invalid 'from' address
        "40318": FailureKind.THROTTLED,  # queue full
    }
)


def _ed25519(text: str) -> str:
    try:
        Ed25519PublicKey.from_public_bytes(base64.b64decode(text, validate=True))
    except ValueError:
        raise ValueError("no Ed25519 public key in Base64, as the portal shows it") from None
    return text


class TelnyxSettings(AccountModel):
    base_url: BaseUrl = Field(
        "https://api.telnyx.com", description="Of another service that speaks the same API."
    )
    messaging_profile_id: Annotated[str, StringConstraints(max_length=64)] | None = None


class TelnyxCredentials(AccountModel):
    api_key: Annotated[str, StringConstraints(min_length=8, max_length=200)]
    public_key: Annotated[str, StringConstraints(max_length=100), AfterValidator(_ed25519)] = Field(
        description="Verifies webhooks; Base64, from the portal."
    )


class Telnyx:
    """The provider."""

    name = "telnyx"
    idempotent = False
    max_per_second = None
    Settings = TelnyxSettings
    Credentials = TelnyxCredentials

    def send(self, account: Account, message: Outgoing, wire: Wire) -> Sent:
        reply = wire.request(
            "POST",
            f"{account.settings.base_url}/v2/messages",
            headers={
                "Content-Type": "application/json",
                "Authorization": f"Bearer {account.credentials.api_key}",
            },
            body=json.dumps(body_of(account, message)).encode(),
        )
        return read_answer(reply)

    def verify(self, account: Account, request: ReceiverRequest) -> bool:
        stamp = request.headers.get("Telnyx-Timestamp", "")
        if not stamp.isascii() or not stamp.isdigit() or len(stamp) > 12:
            return False
        if abs(clock.now().timestamp() - int(stamp)) > TOLERANCE.total_seconds():
            return False
        try:
            signed = base64.b64decode(request.headers.get("Telnyx-Signature-Ed25519", ""))
            key = base64.b64decode(account.credentials.public_key)
            Ed25519PublicKey.from_public_bytes(key).verify(
                signed, stamp.encode() + b"|" + request.body
            )
        except (ValueError, InvalidSignature):
            return False
        return True

    def read(self, account: Account, request: ReceiverRequest) -> Reading:
        event = json.loads(request.body)["data"]
        payload = event["payload"]
        if event["event_type"] == "message.received":
            return Reading(messages=[_inbound(payload)])
        at = event.get("occurred_at")
        moment = datetime.fromisoformat(at) if isinstance(at, str) else None
        if moment is not None and moment.tzinfo is None:
            raise ValueError("occurred_at has no time zone")
        return Reading([r for r in [_receipt(payload, request.query.get("sid"), moment)] if r])


def body_of(account: Account, message: Outgoing) -> dict[str, Any]:
    """The JSON of a message."""
    body: dict[str, Any] = {
        "from": message.from_,
        "to": message.to,
        "webhook_url": f"{account.receiver_url}?sid={quote(message.sid)}",
        "use_profile_webhooks": False,
    }
    if message.body:
        body["text"] = message.body
    if message.media_urls:
        body["media_urls"] = list(message.media_urls)
    if account.settings.messaging_profile_id is not None:
        body["messaging_profile_id"] = account.settings.messaging_profile_id
    return body


def read_answer(reply: Reply) -> Sent:
    """The message's id there. Raises SendFailed."""
    try:
        answer = json.loads(reply.body)
    except ValueError:
        answer = {}
    answer = answer if isinstance(answer, dict) else {}
    data = answer.get("data")
    if 200 <= reply.status < 300 and isinstance(data, dict) and isinstance(data.get("id"), str):
        return Sent(data["id"])
    code, text = _first_error(answer.get("errors"))
    code, text = code or f"HTTP_{reply.status}", text or f"Telnyx answered {reply.status}."
    if code in _KINDS:
        raise SendFailed(_KINDS[code], code, text)
    raise failed_reply(reply, code, text, opted_out=code == _OPTED_OUT)


def _first_error(errors: Any) -> tuple[str | None, str | None]:
    if not isinstance(errors, Sequence) or not errors or not isinstance(errors[0], dict):
        return None, None
    first = errors[0]
    text = first.get("detail") or first.get("title")
    return str(first["code"]) if "code" in first else None, str(text)[:500] if text else None


def _inbound(payload: Mapping[str, Any]) -> Inbound:
    return Inbound(
        reference=str(payload["id"]),
        from_=str(payload["from"]["phone_number"]),
        to=str(payload["to"][0]["phone_number"]),
        body=str(payload.get("text") or ""),
        media_urls=[str(media["url"]) for media in payload.get("media") or []],
    )


def _receipt(payload: Mapping[str, Any], sid: str | None, at: datetime | None) -> Receipt | None:
    """None for a status that says nothing new (queued, sending, delivery_unconfirmed)."""
    status = _STATUSES.get(str(payload["to"][0]["status"]))
    if status is None:
        return None
    code, text = _first_error(payload.get("errors"))
    reference = str(payload["id"])
    return Receipt(
        key=f"{reference} {status}",
        status=status,
        reference=reference,
        sid=sid,
        at=at,
        error_code=code,
        error_message=text,
        opted_out=code == _OPTED_OUT,
    )
