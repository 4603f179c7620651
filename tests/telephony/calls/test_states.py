import pytest
from hypothesis import given
from hypothesis import strategies as st

from irisx.telephony.calls.states import (
    ENDED,
    FAILOVER_CAUSES,
    TRANSITIONS,
    CallStatus,
    final_status,
)

#: Every cause of FreeSWITCH 1.10's switch_call_cause_t (`switch_types.h`).
CAUSES = """
    NONE UNALLOCATED_NUMBER NO_ROUTE_TRANSIT_NET NO_ROUTE_DESTINATION CHANNEL_UNACCEPTABLE
    CALL_AWARDED_DELIVERED NORMAL_CLEARING USER_BUSY NO_USER_RESPONSE NO_ANSWER
    SUBSCRIBER_ABSENT CALL_REJECTED NUMBER_CHANGED REDIRECTION_TO_NEW_DESTINATION
    EXCHANGE_ROUTING_ERROR DESTINATION_OUT_OF_ORDER INVALID_NUMBER_FORMAT FACILITY_REJECTED
    RESPONSE_TO_STATUS_ENQUIRY NORMAL_UNSPECIFIED NORMAL_CIRCUIT_CONGESTION NETWORK_OUT_OF_ORDER
    NORMAL_TEMPORARY_FAILURE SWITCH_CONGESTION ACCESS_INFO_DISCARDED REQUESTED_CHAN_UNAVAIL
    PRE_EMPTED FACILITY_NOT_SUBSCRIBED OUTGOING_CALL_BARRED INCOMING_CALL_BARRED
    BEARERCAPABILITY_NOTAUTH BEARERCAPABILITY_NOTAVAIL SERVICE_UNAVAILABLE
    BEARERCAPABILITY_NOTIMPL CHAN_NOT_IMPLEMENTED FACILITY_NOT_IMPLEMENTED
    SERVICE_NOT_IMPLEMENTED INVALID_CALL_REFERENCE INCOMPATIBLE_DESTINATION
    INVALID_MSG_UNSPECIFIED MANDATORY_IE_MISSING MESSAGE_TYPE_NONEXIST WRONG_MESSAGE IE_NONEXIST
    INVALID_IE_CONTENTS WRONG_CALL_STATE RECOVERY_ON_TIMER_EXPIRE MANDATORY_IE_LENGTH_ERROR
    PROTOCOL_ERROR INTERWORKING SUCCESS ORIGINATOR_CANCEL CRASH SYSTEM_SHUTDOWN LOSE_RACE
    MANAGER_REQUEST BLIND_TRANSFER ATTENDED_TRANSFER ALLOTTED_TIMEOUT USER_CHALLENGE
    MEDIA_TIMEOUT PICKED_OFF USER_NOT_REGISTERED PROGRESS_TIMEOUT INVALID_GATEWAY GATEWAY_DOWN
    INVALID_URL INVALID_PROFILE NO_PICKUP SRTP_READ_ERROR BOWOUT BUSY_EVERYWHERE DECLINE
    DOES_NOT_EXIST_ANYWHERE NOT_ACCEPTABLE UNWANTED NO_IDENTITY BAD_IDENTITY_INFO
    UNSUPPORTED_CERTIFICATE INVALID_IDENTITY STALE_DATE REJECT_ALL
""".split()  # noqa: SIM905 - one column of names says less


@pytest.mark.parametrize("cause", CAUSES)
@pytest.mark.parametrize("answered", [True, False])
@pytest.mark.parametrize("canceled", [True, False])
def test_every_cause_ends_the_call(cause: str, answered: bool, canceled: bool) -> None:
    status = final_status(cause, answered=answered, canceled=canceled)
    assert status in ENDED
    assert (status is CallStatus.COMPLETED) is answered


@given(st.text(), st.booleans(), st.booleans())
def test_a_cause_that_nobody_knows_ends_the_call_too(
    cause: str, answered: bool, canceled: bool
) -> None:
    assert final_status(cause, answered=answered, canceled=canceled) in ENDED


@pytest.mark.parametrize(
    ("cause", "status"),
    [
        ("USER_BUSY", CallStatus.BUSY),
        ("BUSY_EVERYWHERE", CallStatus.BUSY),
        ("NO_ANSWER", CallStatus.NO_ANSWER),
        ("NO_USER_RESPONSE", CallStatus.NO_ANSWER),
        ("ALLOTTED_TIMEOUT", CallStatus.NO_ANSWER),
        ("PROGRESS_TIMEOUT", CallStatus.NO_ANSWER),
        ("ORIGINATOR_CANCEL", CallStatus.CANCELED),
        ("CALL_REJECTED", CallStatus.FAILED),
        ("DECLINE", CallStatus.FAILED),
        ("UNALLOCATED_NUMBER", CallStatus.FAILED),
        ("GATEWAY_DOWN", CallStatus.FAILED),
        ("NORMAL_TEMPORARY_FAILURE", CallStatus.FAILED),
    ],
)
def test_the_status_of_a_call_that_was_never_answered(cause: str, status: CallStatus) -> None:
    assert final_status(cause, answered=False, canceled=False) is status


def test_our_own_cancel_is_told_apart_from_no_answer() -> None:
    # The switch reports the same cause when the ringing ends by its time and by our command.
    assert final_status("NO_ANSWER", answered=False, canceled=True) is CallStatus.CANCELED


@pytest.mark.parametrize(
    "cause", ["USER_BUSY", "BUSY_EVERYWHERE", "CALL_REJECTED", "DECLINE", "UNALLOCATED_NUMBER",
              "NO_ANSWER", "NO_USER_RESPONSE", "NUMBER_CHANGED", "ORIGINATOR_CANCEL",
              "INVALID_NUMBER_FORMAT", "UNWANTED"],
)  # fmt: skip
def test_what_the_callee_decides_is_not_tried_again_elsewhere(cause: str) -> None:
    assert cause not in FAILOVER_CAUSES


def test_failover_causes_are_causes_of_the_switch() -> None:
    assert set(CAUSES) >= FAILOVER_CAUSES


def test_the_table_covers_every_status_and_an_end_is_final() -> None:
    assert set(TRANSITIONS) == set(CallStatus)
    assert all(not TRANSITIONS[status] for status in ENDED)


RANK = {
    CallStatus.INITIATED: 0,
    CallStatus.RINGING: 1,
    CallStatus.IN_PROGRESS: 2,
    **dict.fromkeys(ENDED, 3),
}


@given(st.lists(st.sampled_from(CallStatus), max_size=30))
def test_in_whatever_order_events_come_a_call_only_goes_forward_and_ends_once(
    events: list[CallStatus],
) -> None:
    status = CallStatus.INITIATED
    path = [status]
    for event in events:
        if event in TRANSITIONS[status]:
            status = event
            path.append(status)
    assert [RANK[s] for s in path] == sorted({RANK[s] for s in path})
    if CallStatus.IN_PROGRESS in path and path[-1] in ENDED:
        assert path[-1] is CallStatus.COMPLETED


@given(st.permutations([CallStatus.RINGING, CallStatus.IN_PROGRESS, CallStatus.COMPLETED]))
def test_an_end_is_reached_however_the_events_are_shuffled(events: list[CallStatus]) -> None:
    status = CallStatus.INITIATED
    for event in events:
        status = event if event in TRANSITIONS[status] else status
    assert status is CallStatus.COMPLETED
