"""WAHA: WhatsApp by a session of WhatsApp Web that a tenant's own WAHA server holds.

Source: WAHA's documentation ("Sessions", "Send messages", "Webhooks"). This is no service of
Meta's: there are no templates and no 24-hour window, and Meta may bar numbers that are used so.
WAHA knows no idempotency key: a message whose answer is missing is `unknown`.
"""

import hashlib
import hmac
import json
import mimetypes
from collections.abc import Mapping
from types import MappingProxyType
from typing import Annotated, Any
from urllib.parse import urlsplit

from pydantic import BaseModel, Field, StringConstraints

from irisx.kernel.http import Reply
from irisx.messaging.channels.whatsapp.addresses import moment, normalise
from irisx.messaging.provider import (
    Account,
    AccountModel,
    FailureKind,
    Inbound,
    Notice,
    Outgoing,
    Reading,
    Receipt,
    ReceiverRequest,
    SendFailed,
    Sent,
    Wire,
    failed_reply,
    unread,
)
from irisx.messaging.states import MessageStatus

NAME = "waha"
SESSION_STATUS = "session.status"
#: What WAHA is asked to tell.
EVENTS = ("message", "message.ack", SESSION_STATUS)
#: `ack` -> what it means; 0 (pending) says nothing.
_ACKS: Mapping[int, MessageStatus] = MappingProxyType(
    {
        -1: MessageStatus.FAILED,
        1: MessageStatus.SENT,
        2: MessageStatus.DELIVERED,
        3: MessageStatus.READ,
        4: MessageStatus.READ,  # a voice message was played
    }
)
#: Kind of file -> the operation that sends it.
_FILES: Mapping[str, str] = MappingProxyType(
    {
        "image": "sendImage",
        "sticker": "sendImage",
        "video": "sendVideo",
        "audio": "sendVoice",
        "document": "sendFile",
    }
)
#: A file of unknown type.
_USUAL: Mapping[str, str] = MappingProxyType(
    {
        "image": "image/jpeg",
        "sticker": "image/webp",
        "video": "video/mp4",
        "audio": "audio/ogg",
        "document": "application/octet-stream",
    }
)
_CHAT, _PERSON = "@c.us", "@s.whatsapp.net"
_UNPROCESSABLE = 422

Text = Annotated[str, StringConstraints(min_length=1, max_length=500)]


class WahaSettings(AccountModel):
    base_url: Annotated[str, StringConstraints(pattern=r"^https?://[^\s?#]+[^\s?#/]$")] = Field(
        description="Of the WAHA server, https://waha.example.com."
    )
    session: Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_-]{1,54}$")] = "default"
    phone_number: Annotated[str, StringConstraints(pattern=r"^\+[1-9][0-9]{6,14}$")] = Field(
        description="The number that the session is for, E.164: what messages come from."
    )


class WahaCredentials(AccountModel):
    """`hmac_key`: chosen by you; WAHA gets it with the session and signs its webhooks with it."""

    api_key: Annotated[str, StringConstraints(pattern=r"^[!-~]{8,500}$")]
    hmac_key: Annotated[str, StringConstraints(min_length=16, max_length=200)]


class Waha:
    """The provider. One message a second: a number that sends faster is noticed and barred."""

    name = NAME
    idempotent = False
    max_per_second = 1
    Settings = WahaSettings
    Credentials = WahaCredentials

    def send(self, account: Account, message: Outgoing, wire: Wire) -> Sent:
        settings: WahaSettings = account.settings
        operation, fields = body_of(message)
        body = {"session": settings.session, "chatId": f"{message.to[1:]}{_CHAT}", **fields}
        reply = wire.request(
            "POST",
            f"{settings.base_url}/api/{operation}",
            headers={"Content-Type": "application/json", **key_of(account)},
            body=json.dumps(body).encode(),
        )
        return read_answer(reply)

    def verify(self, account: Account, request: ReceiverRequest) -> bool:
        given = request.headers.get("X-Webhook-Hmac", "").lower()
        expected = signature(account.credentials.hmac_key, request.body)
        return request.method == "POST" and hmac.compare_digest(given.encode(), expected.encode())

    def read(self, account: Account, request: ReceiverRequest) -> Reading:
        """One event of the account's session. What can't be understood will not be later either,
        so that WAHA needs not repeat it."""
        event = json.loads(request.body)
        if event["session"] != account.settings.session:
            return Reading()
        payload = event["payload"]
        try:
            match event["event"]:
                case "message":
                    return Reading(messages=_inbound(account, payload))
                case "message.ack":
                    return Reading(receipts=_receipts(payload))
                case "session.status":
                    status = str(payload["status"])
                    return Reading(notices=[Notice(SESSION_STATUS, {"status": status})])
        except (ValueError, LookupError, TypeError, AttributeError, RecursionError) as error:
            return Reading(unread=[unread(error, payload)])
        return Reading()


def key_of(account: Account) -> dict[str, str]:
    return {"X-Api-Key": account.credentials.api_key}


def signature(key: str, body: bytes) -> str:
    """X-Webhook-Hmac of a raw body: HMAC-SHA512 in hex."""
    return hmac.new(key.encode(), body, hashlib.sha512).hexdigest()


def body_of(message: Outgoing) -> tuple[str, dict[str, Any]]:
    """The operation that sends a message, and its fields but for the chat."""
    content = message.content or {"type": "text", "text": {"body": message.body}}
    kind = content["type"]
    part = content.get(kind, {})
    if kind == "text":
        preview = bool(part.get("preview_url"))
        return "sendText", {"text": part["body"], "linkPreview": preview}
    if kind not in _FILES:
        raise SendFailed(
            FailureKind.REJECTED, "NOT_SUPPORTED", f"WAHA sends no {kind} messages; send a text."
        )
    link = part.get("link")
    if link is None:
        raise SendFailed(FailureKind.REJECTED, "NO_FILE", "WAHA needs the file's public link.")
    guessed = mimetypes.guess_type(urlsplit(link).path)[0]
    file = {"url": link, "mimetype": part.get("mime_type") or guessed or _USUAL[kind]}
    if part.get("filename"):
        file["filename"] = part["filename"]
    fields: dict[str, Any] = {"file": file}
    if part.get("caption"):
        fields["caption"] = part["caption"]
    if kind in ("audio", "video"):
        fields["convert"] = True
    return _FILES[kind], fields


def read_answer(reply: Reply) -> Sent:
    """The message's id. Raises SendFailed."""
    answer = _json(reply)
    if 200 <= reply.status < 300:
        reference = _reference(answer)
        if reference is not None:
            return Sent(reference)
        raise failed_reply(reply, f"HTTP_{reply.status}", "WAHA's answer has no id.")
    words = answer.get("message") or answer.get("error") or f"WAHA answered {reply.status}."
    code, text = f"HTTP_{reply.status}", str(words)[:500]
    if reply.status == _UNPROCESSABLE and "status" in answer:
        # The session is not WORKING: nothing was sent, and it may work again soon.
        status = f"The session is {answer['status']}: {text}"
        raise SendFailed(FailureKind.UNAVAILABLE, "SESSION_NOT_WORKING", status)
    if reply.status == 404:
        raise SendFailed(FailureKind.ACCOUNT, code, text)
    raise failed_reply(reply, code, text)


def _reference(answer: Mapping[str, Any]) -> str | None:
    """`true_15555550122@c.us_3EB0…`, however the engine spells it."""
    match answer:
        case {"id": str(found)} if found:
            return found
        case {"id": {"_serialized": str(found)}}:
            return found
        case {"key": {"id": str(found), "remoteJid": str(chat)}}:
            return f"true_{chat.replace(_PERSON, _CHAT)}_{found}"
    return None


class _Message(BaseModel):
    id: Text
    from_: Text = Field(alias="from")
    fromMe: bool = False  # noqa: N815 - WAHA's name
    body: str | None = None
    timestamp: Any = None
    media: dict[str, Any] | None = None


class _Ack(BaseModel):
    id: Text
    ack: int
    fromMe: bool = True  # noqa: N815 - WAHA's name


def _inbound(account: Account, payload: Mapping[str, Any]) -> list[Inbound]:
    """Empty for what is not said by one person to us: groups, channels, status updates."""
    message = _Message.model_validate(payload)
    person, _, server = message.from_.partition("@")
    if message.fromMe or server in ("g.us", "broadcast", "newsletter"):
        return []
    if f"@{server}" not in (_CHAT, _PERSON):
        raise ValueError("the sender's number is hidden")
    settings: WahaSettings = account.settings
    file = message.media if payload.get("hasMedia") and message.media else {}
    url = str(file["url"]) if file.get("url") else None
    words = message.body or ""
    kind = _kind(str(file.get("mimetype", ""))) if url else "text"
    part: dict[str, Any] = {"body": words}
    if url:
        part = {"mime_type": file.get("mimetype"), "filename": file.get("filename")}
        part |= {"caption": words} if words else {}
    name = payload.get("_data", {}).get("notifyName") or payload.get("_data", {}).get("pushName")
    return [
        Inbound(
            reference=message.id,
            from_=normalise("+" + person.partition(":")[0]),
            to=settings.phone_number,
            body=words,
            # From the account's own server, whatever the event says: the key goes there only.
            media_urls=[settings.base_url + urlsplit(url).path] if url else [],
            content={"type": kind, kind: part},
            name=str(name) if name else None,
            at=moment(message.timestamp),
        )
    ]


def _kind(content_type: str) -> str:
    major = content_type.partition("/")[0]
    if content_type == "image/webp":
        return "sticker"
    return major if major in ("image", "audio", "video") else "document"


def _receipts(payload: Mapping[str, Any]) -> list[Receipt]:
    ack = _Ack.model_validate(payload)
    status = _ACKS.get(ack.ack)
    if status is None or not ack.fromMe:
        return []
    failed = status is MessageStatus.FAILED
    return [
        Receipt(
            key=f"{ack.id} {status}",
            status=status,
            reference=ack.id,
            error_code="ACK_ERROR" if failed else None,
            error_message="WhatsApp did not take the message." if failed else None,
        )
    ]


def _json(reply: Reply) -> dict[str, Any]:
    try:
        answer = json.loads(reply.body)
    except (ValueError, RecursionError):
        return {}
    return answer if isinstance(answer, dict) else {}
