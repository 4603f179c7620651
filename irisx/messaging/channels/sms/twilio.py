"""Twilio's Programmable Messaging API (2010-04-01), and what speaks it: SignalWire, somleng, …

Source: Twilio's API reference, "Messages resource", "Webhooks security" and the error dictionary.
The API knows no idempotency key: a message whose answer is missing is `unknown` until its status
callback, which carries our sid, tells.
"""

import base64
import hashlib
import hmac
import json
from collections.abc import Mapping
from types import MappingProxyType
from typing import Annotated, Any
from urllib.parse import parse_qsl, quote, urlencode

from pydantic import Field, StringConstraints

from irisx.kernel import clock
from irisx.kernel.http import Reply
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
    basic_auth,
    failed_reply,
)
from irisx.messaging.states import MessageStatus

BaseUrl = Annotated[str, StringConstraints(pattern=r"^https?://[^\s?#]+$", max_length=500)]

_STATUSES: Mapping[str, MessageStatus] = MappingProxyType(
    {
        "sent": MessageStatus.SENT,
        "delivered": MessageStatus.DELIVERED,
        "read": MessageStatus.READ,
        "undelivered": MessageStatus.UNDELIVERED,
        "failed": MessageStatus.FAILED,
        "canceled": MessageStatus.FAILED,
    }
)
_OPTED_OUT = "21610"
#: Error code -> what it means, where the HTTP status does not say it.
_KINDS: Mapping[str, FailureKind] = MappingProxyType(
    {
        "20003": FailureKind.ACCOUNT,  # authentication
        "20005": FailureKind.ACCOUNT,  # account not active
        "21606": FailureKind.ACCOUNT,  # From is not a number of the account
        "21611": FailureKind.THROTTLED,  # the From number's queue is full
        "21660": FailureKind.ACCOUNT,  # From belongs to another account
        "30001": FailureKind.THROTTLED,  # queue overflow
        "30002": FailureKind.ACCOUNT,  # account suspended
    }
)
_MAX_VALIDITY_SECONDS = 36_000


class TwilioSettings(AccountModel):
    account_sid: Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9-]{1,64}$")]
    base_url: BaseUrl = Field(
        "https://api.twilio.com", description="Of another service that speaks the same API."
    )
    messaging_service_sid: Annotated[str, StringConstraints(max_length=64)] | None = Field(
        None, description="Send by this Messaging Service; it chooses the number."
    )


class TwilioCredentials(AccountModel):
    auth_token: Annotated[str, StringConstraints(min_length=8, max_length=200)]


class Twilio:
    """The provider."""

    name = "twilio"
    idempotent = False
    max_per_second = None
    Settings = TwilioSettings
    Credentials = TwilioCredentials

    def send(self, account: Account, message: Outgoing, wire: Wire) -> Sent:
        settings: TwilioSettings = account.settings
        url = f"{settings.base_url}/2010-04-01/Accounts/{settings.account_sid}/Messages.json"
        reply = wire.request(
            "POST",
            url,
            headers={
                "Content-Type": "application/x-www-form-urlencoded",
                **basic_auth(settings.account_sid, account.credentials.auth_token),
            },
            body=urlencode(fields_of(account, message)).encode(),
        )
        return read_answer(reply)

    def verify(self, account: Account, request: ReceiverRequest) -> bool:
        given = request.headers.get("X-Twilio-Signature", "")
        expected = signature(account.credentials.auth_token, request.url, _form(request))
        return hmac.compare_digest(given.encode(), expected.encode())

    def read(self, account: Account, request: ReceiverRequest) -> Reading:
        form = dict(_form(request))
        if "MessageStatus" in form and form.get("SmsStatus") != "received":
            return Reading([r for r in [_receipt(form, request.query)] if r])
        count = int(form.get("NumMedia") or 0)
        inbound = Inbound(
            reference=form["MessageSid"],
            from_=form["From"],
            to=form["To"],
            body=form.get("Body", ""),
            media_urls=[form[f"MediaUrl{n}"] for n in range(min(count, 10))],
        )
        return Reading(messages=[inbound])


def fields_of(account: Account, message: Outgoing) -> list[tuple[str, str]]:
    """The form of a message."""
    settings: TwilioSettings = account.settings
    service = settings.messaging_service_sid
    fields = [
        ("To", message.to),
        ("MessagingServiceSid", service) if service else ("From", message.from_),
        ("StatusCallback", f"{account.receiver_url}?sid={quote(message.sid)}"),
        *(("MediaUrl", url) for url in message.media_urls),
    ]
    if message.body:
        fields.append(("Body", message.body))
    if message.expires_at is not None:
        left = int((message.expires_at - clock.now()).total_seconds())
        fields.append(("ValidityPeriod", str(min(max(left, 1), _MAX_VALIDITY_SECONDS))))
    return fields


def read_answer(reply: Reply) -> Sent:
    """The message's sid there. Raises SendFailed."""
    answer = _json(reply)
    if 200 <= reply.status < 300 and isinstance(answer.get("sid"), str):
        return Sent(answer["sid"])
    code = str(answer.get("code") or f"HTTP_{reply.status}")
    text = str(answer.get("message") or f"Twilio answered {reply.status}.")[:500]
    opted_out = code == _OPTED_OUT
    if code in _KINDS:
        raise SendFailed(_KINDS[code], code, text)
    raise failed_reply(reply, code, text, opted_out=opted_out)


def signature(token: str, url: str, form: list[tuple[str, str]]) -> str:
    """X-Twilio-Signature: the URL and the sorted fields, HMAC-SHA1, Base64."""
    text = url + "".join(name + value for name, value in sorted(set(form)))
    return base64.b64encode(hmac.new(token.encode(), text.encode(), hashlib.sha1).digest()).decode()


def _form(request: ReceiverRequest) -> list[tuple[str, str]]:
    return parse_qsl(request.body.decode(errors="replace"), keep_blank_values=True)


def _receipt(form: Mapping[str, str], query: Mapping[str, str]) -> Receipt | None:
    """None for a status that says nothing new (queued, sending)."""
    status = _STATUSES.get(form["MessageStatus"])
    code = form.get("ErrorCode") or None
    if status is None:
        return None
    reference = form["MessageSid"]
    return Receipt(
        key=f"{reference} {status}",
        status=status,
        reference=reference,
        sid=query.get("sid"),
        error_code=code,
        error_message=form.get("ErrorMessage") or None,
        opted_out=code == _OPTED_OUT,
    )


def _json(reply: Reply) -> dict[str, Any]:
    try:
        answer = json.loads(reply.body)
    except ValueError:
        return {}
    return answer if isinstance(answer, dict) else {}
