"""The life of a message: its statuses, and which may follow which.

Receipts come late, twice and in any order; a step that the table does not have changes nothing.
"""

from collections.abc import Mapping
from enum import StrEnum
from types import MappingProxyType


class Direction(StrEnum):
    INBOUND = "inbound"
    OUTBOUND = "outbound"


class Category(StrEnum):
    """Quiet hours hold for MARKETING only; an opt-out holds for both."""

    TRANSACTIONAL = "transactional"
    MARKETING = "marketing"


class MessageStatus(StrEnum):
    """`sent`: a provider has accepted it. `unknown`: it may have; nothing says so, and it is not
    sent again. `undelivered`: accepted, then not delivered. `failed`: not accepted, or refused by
    us. `expired`: its validity ended first."""

    SCHEDULED = "scheduled"
    QUEUED = "queued"
    SENDING = "sending"
    SENT = "sent"
    DELIVERED = "delivered"
    READ = "read"
    UNDELIVERED = "undelivered"
    FAILED = "failed"
    EXPIRED = "expired"
    CANCELED = "canceled"
    UNKNOWN = "unknown"
    RECEIVED = "received"


_S = MessageStatus

#: What a receipt may say.
OF_RECEIPTS = frozenset({_S.SENT, _S.DELIVERED, _S.READ, _S.UNDELIVERED, _S.FAILED})
#: Still ours to send.
WAITING = frozenset({_S.SCHEDULED, _S.QUEUED, _S.SENDING})

_BEFORE_SENT = frozenset({_S.CANCELED, _S.EXPIRED, _S.FAILED, *OF_RECEIPTS})

#: Status -> what may follow. A receipt of delivery is believed whatever was thought before: a
#: provider that answered an error may have sent all the same.
TRANSITIONS: Mapping[MessageStatus, frozenset[MessageStatus]] = MappingProxyType(
    {
        _S.SCHEDULED: _BEFORE_SENT | {_S.QUEUED, _S.SENDING},
        _S.QUEUED: _BEFORE_SENT | {_S.SENDING},
        _S.SENDING: _BEFORE_SENT | {_S.QUEUED, _S.UNKNOWN},
        _S.UNKNOWN: OF_RECEIPTS,
        _S.SENT: frozenset({_S.DELIVERED, _S.READ, _S.UNDELIVERED, _S.FAILED}),
        _S.UNDELIVERED: frozenset({_S.DELIVERED, _S.READ}),
        _S.FAILED: frozenset({_S.DELIVERED, _S.READ}),
        _S.EXPIRED: frozenset({_S.DELIVERED, _S.READ}),
        _S.DELIVERED: frozenset({_S.READ}),
        _S.READ: frozenset(),
        _S.CANCELED: frozenset(),
        _S.RECEIVED: frozenset({_S.READ}),
    }
)


def may_follow(status: MessageStatus, following: MessageStatus) -> bool:
    """Whether a message in `status` can get `following`."""
    return following in TRANSITIONS[status]
