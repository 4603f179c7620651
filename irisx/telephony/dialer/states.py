"""The state machines of campaigns and their contacts, and how an attempt can end."""

from enum import StrEnum


class CampaignStatus(StrEnum):
    DRAFT = "draft"
    SCHEDULED = "scheduled"
    RUNNING = "running"
    PAUSED = "paused"
    STOPPED = "stopped"
    COMPLETED = "completed"


#: What may follow what. A campaign that has stopped or completed can be started again: its
#: contacts that are left, and those added since, are called.
TRANSITIONS: dict[CampaignStatus, frozenset[CampaignStatus]] = {
    CampaignStatus.DRAFT: frozenset({CampaignStatus.SCHEDULED, CampaignStatus.RUNNING}),
    CampaignStatus.SCHEDULED: frozenset(
        {CampaignStatus.SCHEDULED, CampaignStatus.RUNNING, CampaignStatus.STOPPED}
    ),
    CampaignStatus.RUNNING: frozenset(
        {CampaignStatus.PAUSED, CampaignStatus.STOPPED, CampaignStatus.COMPLETED}
    ),
    CampaignStatus.PAUSED: frozenset({CampaignStatus.RUNNING, CampaignStatus.STOPPED}),
    CampaignStatus.STOPPED: frozenset({CampaignStatus.SCHEDULED, CampaignStatus.RUNNING}),
    CampaignStatus.COMPLETED: frozenset({CampaignStatus.SCHEDULED, CampaignStatus.RUNNING}),
}


class ContactStatus(StrEnum):
    """PENDING: to be called, at once or from `next_attempt_at`. PREVIEW: an agent looks at it.
    CALLING: a call is on its way or goes on. The others are ends."""

    PENDING = "pending"
    PREVIEW = "preview"
    CALLING = "calling"
    COMPLETED = "completed"
    EXHAUSTED = "exhausted"
    DO_NOT_CALL = "do-not-call"
    INVALID = "invalid"


CONTACT_TRANSITIONS: dict[ContactStatus, frozenset[ContactStatus]] = {
    ContactStatus.PENDING: frozenset(
        {
            ContactStatus.PREVIEW,
            ContactStatus.CALLING,
            ContactStatus.COMPLETED,
            ContactStatus.DO_NOT_CALL,
            ContactStatus.EXHAUSTED,
            ContactStatus.INVALID,
        }
    ),
    ContactStatus.PREVIEW: frozenset(
        {ContactStatus.PENDING, ContactStatus.CALLING, ContactStatus.DO_NOT_CALL}
    ),
    ContactStatus.CALLING: frozenset(
        {
            ContactStatus.PENDING,
            ContactStatus.COMPLETED,
            ContactStatus.EXHAUSTED,
            ContactStatus.DO_NOT_CALL,
            ContactStatus.INVALID,
        }
    ),
    # A disposition may ask for a later call, or for none ever.
    ContactStatus.COMPLETED: frozenset({ContactStatus.PENDING, ContactStatus.DO_NOT_CALL}),
    ContactStatus.EXHAUSTED: frozenset({ContactStatus.PENDING, ContactStatus.DO_NOT_CALL}),
    ContactStatus.DO_NOT_CALL: frozenset(),
    ContactStatus.INVALID: frozenset(),
}

#: Contacts that the campaign is not done with.
OPEN_CONTACTS = frozenset({ContactStatus.PENDING, ContactStatus.PREVIEW, ContactStatus.CALLING})


class AttemptResult(StrEnum):
    """How one call of a contact ended.

    CONNECTED: with an agent; in a campaign without agents: its message or flow was heard.
    DROPPED: a person answered, and no agent was there in time. ABANDONED: a person answered and
    hung up before that. MACHINE: an answering machine, without a message left;
    MESSAGE_LEFT: with one. CONGESTION: the network, not the callee; CANCELED: by us. INVALID: the
    number is not in service. BARRED: the tenant may not call it.
    """

    CONNECTED = "connected"
    DROPPED = "dropped"
    ABANDONED = "abandoned"
    MACHINE = "machine"
    MESSAGE_LEFT = "message-left"
    FAX = "fax"
    BUSY = "busy"
    NO_ANSWER = "no-answer"
    REJECTED = "rejected"
    CONGESTION = "congestion"
    INVALID = "invalid"
    BARRED = "barred"
    CANCELED = "canceled"


#: A person answered: what the drop rate is a share of.
PERSON_RESULTS = frozenset(
    {AttemptResult.CONNECTED, AttemptResult.DROPPED, AttemptResult.ABANDONED}
)
#: These say nothing of the contact and are no attempt of it.
UNCOUNTED = frozenset({AttemptResult.CONGESTION, AttemptResult.CANCELED})
