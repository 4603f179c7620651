"""A caller in a queue: what may follow what, and what an ending of a ringing means."""

from irisx.telephony.acd.models import OfferOutcome, QueueCallStatus

#: A transition that is not here comes from a late or repeated event and changes nothing.
TRANSITIONS: dict[QueueCallStatus, frozenset[QueueCallStatus]] = {
    QueueCallStatus.WAITING: frozenset(QueueCallStatus) - {QueueCallStatus.WAITING},
    QueueCallStatus.TALKING: frozenset({QueueCallStatus.COMPLETED, QueueCallStatus.LOST}),
    **{
        ended: frozenset()
        for ended in frozenset(QueueCallStatus) - {QueueCallStatus.WAITING, QueueCallStatus.TALKING}
    },
}

#: Why an agent's phone did not take a caller, by FreeSWITCH's cause; others: unreachable.
_OUTCOMES = {
    "NO_ANSWER": OfferOutcome.NO_ANSWER,
    "NO_USER_RESPONSE": OfferOutcome.NO_ANSWER,
    "ALLOTTED_TIMEOUT": OfferOutcome.NO_ANSWER,
    "PROGRESS_TIMEOUT": OfferOutcome.NO_ANSWER,
    "USER_BUSY": OfferOutcome.BUSY,
    "CALL_REJECTED": OfferOutcome.REJECTED,
    "NORMAL_CLEARING": OfferOutcome.REJECTED,
    "ORIGINATOR_CANCEL": OfferOutcome.WITHDRAWN,
    "LOSE_RACE": OfferOutcome.LOST_RACE,
}

#: What counts against an agent who is rung (auto-away): it was the agent's part to answer.
MISSED = frozenset({OfferOutcome.NO_ANSWER, OfferOutcome.UNREACHABLE})


def outcome_of(cause: str) -> OfferOutcome:
    return _OUTCOMES.get(cause, OfferOutcome.UNREACHABLE)
