"""The state machines of a campaign and of its recipients."""

from collections.abc import Mapping
from enum import StrEnum
from types import MappingProxyType


class EmailCampaignStatus(StrEnum):
    DRAFT = "draft"
    SCHEDULED = "scheduled"
    SENDING = "sending"
    PAUSED = "paused"
    STOPPED = "stopped"
    COMPLETED = "completed"


_C = EmailCampaignStatus

TRANSITIONS: Mapping[EmailCampaignStatus, frozenset[EmailCampaignStatus]] = MappingProxyType(
    {
        _C.DRAFT: frozenset({_C.SCHEDULED, _C.SENDING}),
        _C.SCHEDULED: frozenset({_C.SCHEDULED, _C.SENDING, _C.STOPPED}),
        _C.SENDING: frozenset({_C.PAUSED, _C.STOPPED, _C.COMPLETED}),
        _C.PAUSED: frozenset({_C.SENDING, _C.STOPPED}),
        _C.STOPPED: frozenset(),
        _C.COMPLETED: frozenset(),
    }
)

#: What it is may be changed until it begins.
CHANGEABLE = frozenset({_C.DRAFT, _C.SCHEDULED})
DELETABLE = frozenset({_C.DRAFT, _C.SCHEDULED, _C.STOPPED, _C.COMPLETED})


class EmailCampaignStage(StrEnum):
    """How far a campaign that has begun is: its recipients are written down, two subjects are
    tried, time passes until one has won, all others get their message, the last messages are
    on their way. A paused one stays in its stage."""

    PREPARING = "preparing"
    TESTING = "testing"
    DECIDING = "deciding"
    SENDING = "sending"
    SETTLING = "settling"


class RecipientStatus(StrEnum):
    """`accepted`: there is a message, which has its own status. `skipped`: `reason` says why there
    is none. `canceled`: the campaign was stopped before."""

    PENDING = "pending"
    ACCEPTED = "accepted"
    SKIPPED = "skipped"
    CANCELED = "canceled"
