from hypothesis import given
from hypothesis import strategies as st

from irisx.messaging.states import OF_RECEIPTS, TRANSITIONS, WAITING, MessageStatus, may_follow

S = MessageStatus
receipts = st.lists(st.sampled_from(sorted(OF_RECEIPTS)), max_size=12)


def after(status: MessageStatus, steps: list[MessageStatus]) -> MessageStatus:
    for step in steps:
        if may_follow(status, step):
            status = step
    return status


def test_every_status_has_a_row_and_nothing_returns_to_the_queue_once_it_is_taken() -> None:
    assert set(TRANSITIONS) == set(S)
    for status in set(S) - WAITING:
        assert not TRANSITIONS[status] & WAITING


@given(receipts)
def test_receipts_in_any_order_and_number_end_at_the_strongest(steps: list[MessageStatus]) -> None:
    end = after(S.SENDING, steps)
    strongest = [s for s in (S.READ, S.DELIVERED) if s in steps]
    assert not strongest or end is strongest[0]


@given(receipts, receipts)
def test_what_was_told_before_changes_nothing(
    steps: list[MessageStatus], again: list[MessageStatus]
) -> None:
    end = after(S.SENT, steps)
    assert after(end, [step for step in again if step in steps]) in {end, S.DELIVERED, S.READ}


@given(receipts)
def test_a_canceled_message_stays_canceled(steps: list[MessageStatus]) -> None:
    assert after(S.CANCELED, steps) is S.CANCELED
