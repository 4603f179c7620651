"""The state machine of a call and the mapping of the switch's hang-up causes to it."""

from enum import StrEnum


class CallStatus(StrEnum):
    """The specification's eight values."""

    INITIATED = "initiated"
    RINGING = "ringing"
    IN_PROGRESS = "in-progress"
    COMPLETED = "completed"
    FAILED = "failed"
    BUSY = "busy"
    NO_ANSWER = "no-answer"
    CANCELED = "canceled"


class Direction(StrEnum):
    INBOUND = "inbound"
    OUTBOUND = "outbound"


ENDED = frozenset(
    {
        CallStatus.COMPLETED,
        CallStatus.FAILED,
        CallStatus.BUSY,
        CallStatus.NO_ANSWER,
        CallStatus.CANCELED,
    }
)

#: As the partial indexes of live calls have it: PostgreSQL does not see that "none of ENDED" is it.
LIVE = tuple(status for status in CallStatus if status not in ENDED)

#: What may follow what. A transition that is not here comes from a late, repeated or reordered
#: event and changes nothing.
TRANSITIONS: dict[CallStatus, frozenset[CallStatus]] = {
    CallStatus.INITIATED: frozenset({CallStatus.RINGING, CallStatus.IN_PROGRESS}) | ENDED,
    CallStatus.RINGING: frozenset({CallStatus.IN_PROGRESS}) | ENDED,
    CallStatus.IN_PROGRESS: frozenset({CallStatus.COMPLETED}),
    **{status: frozenset() for status in ENDED},
}

#: Causes (FreeSWITCH `switch_types.h`, Q.850) of a call that was never answered.
#: Those that are not here are `failed`.
_UNANSWERED: dict[str, CallStatus] = {
    "USER_BUSY": CallStatus.BUSY,
    "BUSY_EVERYWHERE": CallStatus.BUSY,
    "NO_ANSWER": CallStatus.NO_ANSWER,
    "NO_USER_RESPONSE": CallStatus.NO_ANSWER,
    "ALLOTTED_TIMEOUT": CallStatus.NO_ANSWER,
    "PROGRESS_TIMEOUT": CallStatus.NO_ANSWER,
    "NO_ENGINE": CallStatus.NO_ANSWER,
    "ORIGINATOR_CANCEL": CallStatus.CANCELED,
    "LOSE_RACE": CallStatus.CANCELED,
    "PICKED_OFF": CallStatus.CANCELED,
    "NORMAL_CLEARING": CallStatus.CANCELED,
    "MANAGER_REQUEST": CallStatus.CANCELED,
}

#: Causes where another carrier may do better. A busy or rejecting callee is no fault of the
#: carrier, and a wrong number stays wrong.
FAILOVER_CAUSES = frozenset(
    {
        "NETWORK_OUT_OF_ORDER",
        "DESTINATION_OUT_OF_ORDER",
        "NORMAL_TEMPORARY_FAILURE",
        "SWITCH_CONGESTION",
        "NORMAL_CIRCUIT_CONGESTION",
        "REQUESTED_CHAN_UNAVAIL",
        "RECOVERY_ON_TIMER_EXPIRE",
        "GATEWAY_DOWN",
        "INVALID_GATEWAY",
        "NO_ROUTE_TRANSIT_NET",
        "NO_ROUTE_DESTINATION",
        "OUTGOING_CALL_BARRED",
        "BEARERCAPABILITY_NOTAVAIL",
        "BEARERCAPABILITY_NOTAUTH",
        "FACILITY_REJECTED",
        "FACILITY_NOT_SUBSCRIBED",
        "FACILITY_NOT_IMPLEMENTED",
        "SERVICE_UNAVAILABLE",
        "SERVICE_NOT_IMPLEMENTED",
        "INTERWORKING",
        "EXCHANGE_ROUTING_ERROR",
        "INCOMPATIBLE_DESTINATION",
        "MANDATORY_IE_MISSING",
        "PROTOCOL_ERROR",
        "USER_NOT_REGISTERED",
        "CHAN_NOT_IMPLEMENTED",
        "MEDIA_TIMEOUT",
    }
)


def final_status(cause: str, *, answered: bool, canceled: bool) -> CallStatus:
    """The status of a call that ended with `cause`.

    `canceled`: our side gave up before an answer (REST `end`, or an inbound caller hung up), which
    tells `canceled` apart from `no-answer` where the cause alone can't.
    """
    if answered:
        return CallStatus.COMPLETED
    if canceled:
        return CallStatus.CANCELED
    return _UNANSWERED.get(cause, CallStatus.FAILED)
