"""What an attempt's end means for its contact."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from irisx.telephony.calls.states import CallStatus
from irisx.telephony.dialer.options import DEFAULT_RETRIES, Growth, RetryRule
from irisx.telephony.dialer.results import FINAL, Next, next_call, unanswered
from irisx.telephony.dialer.states import (
    CONTACT_TRANSITIONS,
    TRANSITIONS,
    AttemptResult,
    CampaignStatus,
    ContactStatus,
)

ENDED = datetime(2026, 2, 17, 12, tzinfo=UTC)
BUSY, NO_ANSWER = AttemptResult.BUSY, AttemptResult.NO_ANSWER
RULES = [
    RetryRule(result=BUSY, max_retries=2, delay_seconds=600),
    RetryRule(
        result=NO_ANSWER,
        max_retries=4,
        delay_seconds=3600,
        growth=Growth.GROWING,
        factor=2,
        max_delay_seconds=10_000,
    ),
]


def after(
    result: AttemptResult,
    *earlier: tuple[int, AttemptResult],
    numbers: int = 1,
    number: int = 0,
    max_attempts: int = 10,
) -> Next:
    return next_call(
        result,
        RULES,
        ended_at=ENDED,
        earlier=earlier,
        numbers=numbers,
        number=number,
        max_attempts=max_attempts,
        lockout=timedelta(hours=72),
    )


def seconds(following: Next) -> float | None:
    return None if following.at is None else (following.at - ENDED).total_seconds()


@pytest.mark.parametrize(
    ("status", "cause", "result"),
    [
        ("busy", "USER_BUSY", "busy"),
        ("no-answer", "NO_ANSWER", "no-answer"),
        ("no-answer", "NO_USER_RESPONSE", "no-answer"),
        ("failed", "SUBSCRIBER_ABSENT", "no-answer"),
        ("failed", "CALL_REJECTED", "rejected"),
        ("failed", "UNALLOCATED_NUMBER", "invalid"),
        ("failed", "NUMBER_CHANGED", "invalid"),
        ("failed", "INVALID_NUMBER_FORMAT", "invalid"),
        ("failed", "NORMAL_TEMPORARY_FAILURE", "congestion"),
        ("failed", "NETWORK_OUT_OF_ORDER", "congestion"),
        ("failed", "DESTINATION_OUT_OF_ORDER", "congestion"),
        ("failed", "NO_ROUTE_DESTINATION", "congestion"),
        ("failed", "RECOVERY_ON_TIMER_EXPIRE", "congestion"),
        ("failed", "EXCHANGE_ROUTING_ERROR", "congestion"),
        ("failed", "GATEWAY_DOWN", "congestion"),
        ("failed", "NO_SWITCH", "congestion"),
        ("failed", "NODE_RESTARTED", "congestion"),
        ("failed", "A_CAUSE_OF_TOMORROW", "congestion"),
        ("canceled", "ORIGINATOR_CANCEL", "canceled"),
        ("canceled", "LOSE_RACE", "canceled"),
        ("failed", None, "congestion"),
    ],
)
def test_the_switch_s_cause_is_a_result(status: str, cause: str | None, result: str) -> None:
    assert unanswered(CallStatus(status), cause) == result


def test_a_fixed_delay_stays_and_a_growing_one_grows_to_its_limit() -> None:
    assert seconds(after(BUSY)) == seconds(after(BUSY, (0, BUSY))) == 600
    assert after(BUSY, (0, BUSY), (0, BUSY)).at is None
    rings = [(0, NO_ANSWER)]
    grown = [seconds(after(NO_ANSWER, *(rings * n))) for n in range(5)]
    assert grown == [3600, 7200, 10_000, 10_000, None]


def test_each_result_has_its_own_count() -> None:
    assert seconds(after(BUSY, (0, NO_ANSWER), (0, BUSY), (0, NO_ANSWER))) == 600


def test_what_has_no_rule_is_not_tried_again() -> None:
    assert after(AttemptResult.REJECTED).at is None
    assert after(AttemptResult.CONNECTED, numbers=3).at is None


def test_the_network_s_faults_count_for_nothing() -> None:
    faults = [(0, AttemptResult.CONGESTION)] * 50
    assert seconds(after(AttemptResult.CONGESTION, *faults, max_attempts=1)) == 120
    assert seconds(after(BUSY, *faults, max_attempts=2)) == 600


def test_a_drop_waits_for_the_lockout() -> None:
    assert seconds(after(AttemptResult.DROPPED, numbers=2)) == 72 * 3600


def test_alternate_numbers_are_tried_at_once_and_then_in_turn() -> None:
    assert after(BUSY, numbers=2) == Next(ENDED, 1)
    second = after(BUSY, (0, BUSY), numbers=2, number=1)
    assert (seconds(second), second.number) == (600, 0)


def test_a_dead_number_is_left_for_the_next_and_never_tried_again() -> None:
    dead = AttemptResult.INVALID
    assert after(dead).at is None
    assert after(dead, numbers=3) == Next(ENDED, 1)
    assert after(dead, (0, dead), numbers=3, number=1) == Next(ENDED, 2)
    assert after(dead, (0, dead), (1, dead), numbers=3, number=2).at is None
    busy = after(BUSY, (0, dead), numbers=2, number=1)
    assert (seconds(busy), busy.number) == (600, 1)


def test_all_numbers_together_have_so_many_attempts() -> None:
    assert after(BUSY, (0, BUSY), numbers=3, number=1, max_attempts=2).at is None


@given(st.lists(st.sampled_from(AttemptResult), max_size=300), st.integers(1, 4))
def test_every_contact_comes_to_an_end(results: list[AttemptResult], numbers: int) -> None:
    """Whatever happens, so many calls and no more; only the network's faults go on."""
    history: list[tuple[int, AttemptResult]] = []
    number = counted = 0
    for result in results:
        following = next_call(
            result,
            DEFAULT_RETRIES,
            ended_at=ENDED,
            earlier=history,
            numbers=numbers,
            number=number,
            max_attempts=6,
            lockout=timedelta(hours=72),
        )
        history.append((number, result))
        counted += result not in (AttemptResult.CONGESTION, AttemptResult.CANCELED)
        if following.at is None:
            break
        assert following.at >= ENDED and 0 <= following.number < numbers
        assert result not in FINAL
        number = following.number
    assert counted <= 6


def test_every_state_can_be_reached_and_the_tables_are_whole() -> None:
    assert TRANSITIONS.keys() == set(CampaignStatus)
    assert CONTACT_TRANSITIONS.keys() == set(ContactStatus)
    assert set().union(*TRANSITIONS.values()) == set(CampaignStatus) - {CampaignStatus.DRAFT}
