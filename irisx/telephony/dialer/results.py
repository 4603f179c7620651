"""What an attempt's end means for its contact: the result by the switch's cause, and when again."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from irisx.telephony.calls.states import CallStatus
from irisx.telephony.dialer.options import Growth, RetryRule
from irisx.telephony.dialer.states import UNCOUNTED, AttemptResult

#: Causes (FreeSWITCH `switch_types.h`, Q.850; our own refusals) of calls that nobody answered.
#: What is not here is the network's fault: nobody should be struck off for an unknown code.
_BY_CAUSE: dict[str, AttemptResult] = {
    "USER_BUSY": AttemptResult.BUSY,
    "BUSY_EVERYWHERE": AttemptResult.BUSY,
    "NO_ANSWER": AttemptResult.NO_ANSWER,
    "NO_USER_RESPONSE": AttemptResult.NO_ANSWER,
    "ALLOTTED_TIMEOUT": AttemptResult.NO_ANSWER,
    "PROGRESS_TIMEOUT": AttemptResult.NO_ANSWER,
    "SUBSCRIBER_ABSENT": AttemptResult.NO_ANSWER,
    "CALL_REJECTED": AttemptResult.REJECTED,
    "DECLINE": AttemptResult.REJECTED,
    "REJECT_ALL": AttemptResult.REJECTED,
    "UNALLOCATED_NUMBER": AttemptResult.INVALID,
    "NUMBER_CHANGED": AttemptResult.INVALID,
    "INVALID_NUMBER_FORMAT": AttemptResult.INVALID,
    "DESTINATION_NOT_ALLOWED": AttemptResult.BARRED,
    "ORIGINATOR_CANCEL": AttemptResult.CANCELED,
    "MANAGER_REQUEST": AttemptResult.CANCELED,
}

#: Never called again by itself.
FINAL = frozenset({AttemptResult.CONNECTED, AttemptResult.MESSAGE_LEFT})
#: The number, not the person: other numbers of the contact are tried.
NUMBER_DEAD = frozenset({AttemptResult.INVALID, AttemptResult.BARRED, AttemptResult.FAX})


def unanswered(status: CallStatus, cause: str | None) -> AttemptResult:
    """The result of a call that ended without an answer."""
    known = _BY_CAUSE.get(cause or "")
    if known is not None:
        return known
    match status:
        case CallStatus.BUSY:
            return AttemptResult.BUSY
        case CallStatus.NO_ANSWER:
            return AttemptResult.NO_ANSWER
        case CallStatus.CANCELED:
            return AttemptResult.CANCELED
    return AttemptResult.CONGESTION


@dataclass(frozen=True, slots=True)
class Next:
    """What comes next for a contact. `at` None: no further call. `number`: index of the number."""

    at: datetime | None
    number: int


def next_call(
    result: AttemptResult,
    rules: Sequence[RetryRule],
    *,
    ended_at: datetime,
    earlier: Sequence[tuple[int, AttemptResult]],
    numbers: int,
    number: int,
    max_attempts: int,
    lockout: timedelta,
    wait_uncounted: timedelta = timedelta(minutes=2),
) -> Next:
    """When and at which number a contact is called again after an attempt that ended `ended_at`.

    `earlier`: (index of the number, result) of the attempts before, in order. Every number has
    its own count for a rule; `max_attempts` counts all of the contact's.
    """
    stop = Next(None, number)
    if result in FINAL:
        return stop
    if result in UNCOUNTED:
        return Next(ended_at + wait_uncounted, number)
    counted = [(index, past) for index, past in earlier if past not in UNCOUNTED]
    counted.append((number, result))
    if len(counted) >= max_attempts:
        return stop
    if result is AttemptResult.DROPPED:
        return Next(ended_at + lockout, number)
    dead = {index for index, past in counted if past in NUMBER_DEAD}
    following = _following(number, numbers, dead)
    if following is None:
        return stop
    if result in NUMBER_DEAD:
        return Next(ended_at, following)
    return _by_rule(result, rules, ended_at, counted, number, following) or stop


def _following(number: int, numbers: int, dead: set[int]) -> int | None:
    """The contact's next number that is not known to be dead; after the last comes the first."""
    for step in range(1, numbers + 1):
        index = (number + step) % numbers
        if index not in dead:
            return index
    return None


def _by_rule(
    result: AttemptResult,
    rules: Sequence[RetryRule],
    ended_at: datetime,
    counted: Sequence[tuple[int, AttemptResult]],
    number: int,
    following: int,
) -> Next | None:
    rule = next((rule for rule in rules if rule.result is result), None)
    so_far = sum(1 for index, past in counted if index == number and past is result)
    if following != number:
        untried = all(index != following for index, _ in counted)
        if untried:  # an alternate number needs no waiting
            return Next(ended_at, following)
    if rule is None or so_far > rule.max_retries:
        return None
    return Next(ended_at + delay(rule, so_far), following)


def delay(rule: RetryRule, failures: int) -> timedelta:
    """How long after the n-th such result: always the same, or n-1 times multiplied."""
    seconds = float(rule.delay_seconds)
    if rule.growth is Growth.GROWING:
        seconds = min(seconds * rule.factor ** (failures - 1), rule.max_delay_seconds)
    return timedelta(seconds=seconds)
