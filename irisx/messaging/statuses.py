"""A message moves from status to status, and what that makes happen: times, events, usage."""

from collections.abc import Mapping
from datetime import datetime
from types import MappingProxyType
from typing import Any

from sqlalchemy.orm import Session

from irisx.kernel.clock import isoformat
from irisx.messaging.channels import channel as channel_of
from irisx.messaging.channels import prefix_of
from irisx.messaging.channels.sandbox import NAME as SANDBOX
from irisx.messaging.effects import collecting
from irisx.messaging.models import Message
from irisx.messaging.states import WAITING, MessageStatus, may_follow

_S = MessageStatus

#: Status -> the event's second word; `status` in its data is the exact one.
EVENTS: Mapping[MessageStatus, str] = MappingProxyType(
    {
        _S.SENT: "sent",
        _S.DELIVERED: "delivered",
        _S.READ: "read",
        _S.FAILED: "failed",
        _S.UNDELIVERED: "failed",
        _S.EXPIRED: "failed",
        _S.UNKNOWN: "unknown",
        _S.RECEIVED: "received",
    }
)
_TIMES: Mapping[MessageStatus, str] = MappingProxyType(
    {
        _S.DELIVERED: "delivered_at",
        _S.READ: "read_at",
        _S.FAILED: "failed_at",
        _S.UNDELIVERED: "failed_at",
        _S.EXPIRED: "failed_at",
    }
)
_TAKEN = frozenset({_S.SENT, _S.DELIVERED, _S.READ, _S.UNDELIVERED})


def sid_of(message: Message) -> str:
    """`SM` (the channel's letters) and the id's 32 hex digits."""
    return f"{prefix_of(message.channel)}{message.id.hex}"


def move(
    session: Session,
    message: Message,
    to: MessageStatus,
    at: datetime,
    *,
    error_code: str | None = None,
    error_message: str | None = None,
) -> bool:
    """Give a (locked) message its next status; False, and nothing, if that can't follow.

    What is decided leaves the queue, so that a receipt that overtakes everything ends it too.
    """
    if not may_follow(message.status, to):
        return False
    message.status = to
    if to in _TIMES:
        setattr(message, _TIMES[to], at)
    if error_code is not None or to in _TAKEN:
        message.error_code, message.error_message = error_code, error_message
    with collecting(session) as effects:
        if to not in WAITING:
            effects.left.append(message.id)
        if to in _TAKEN:
            if message.sent_at is None:
                message.sent_at = at
                effects.events += _event(message, _S.SENT, at)
            effects.usage += _usage(message)
        if to is not _S.SENT:
            effects.events += _event(message, to, at)
    return True


def announce(session: Session, message: Message, status: MessageStatus, at: datetime) -> None:
    """Publish the status's event, if it has one."""
    with collecting(session) as effects:
        effects.events += _event(message, status, at)


def _usage(message: Message) -> list[dict[str, Any]]:
    """Once a message, whoever was first to say that it was taken; not for the sandbox."""
    if message.sandbox:
        return []
    return [
        {
            "key": f"message:{message.id.hex}",
            "tenant_id": message.tenant_id,
            "kind": message.channel,
            "quantity": message.segments,
            "subject": sid_of(message),
            "occurred_at": message.created_at,
        }
    ]


def _event(message: Message, status: MessageStatus, at: datetime) -> list[dict[str, Any]]:
    word = channel_of(message.channel).event_words.get(status) or EVENTS.get(status)
    if word is None:
        return []
    return [
        {
            "key": f"message:{message.id.hex}:{status}",
            "tenant_id": message.tenant_id,
            "type": f"{message.channel}.{word}",
            "data": described(message) | {"status": status},
            "occurred_at": at,
        }
    ]


def described(message: Message) -> dict[str, Any]:
    """A message as events and conversations show it, in JSON."""
    return {
        "sid": sid_of(message),
        "channel": message.channel,
        "direction": message.direction,
        "status": message.status,
        "from": message.from_address,
        "to": message.to_address,
        "body": message.body,
        "media_urls": message.media_urls,
        "segments": message.segments,
        "metadata": message.metadata_,
        "created_at": isoformat(message.created_at),
        "error_code": message.error_code,
        "error_message": message.error_message,
        "provider": provider_of(message),
        "contact_id": f"con_{message.contact_id}" if message.contact_id else None,
        "conversation_id": f"conv_{message.conversation_id}" if message.conversation_id else None,
    }


def provider_of(message: Message) -> dict[str, Any]:
    """Who carried the message. `sandbox`: nobody did, it was simulated."""
    account = message.account_id
    return {
        "name": message.provider,
        "account_id": f"acct_{account}" if account is not None else None,
        "reference": message.reference,
        "sandbox": message.provider == SANDBOX,
    }
