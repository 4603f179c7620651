"""A call's state under every order of events."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from uuid import uuid4

from hypothesis import given
from hypothesis import strategies as st

from irisx.telephony.calls.ended import Ended
from irisx.telephony.calls.journal import Change
from irisx.telephony.calls.live import LiveCall
from irisx.telephony.calls.states import ENDED, TRANSITIONS, CallStatus, Direction

_START = datetime(2026, 2, 17, 12, tzinfo=UTC)


class Kept:
    """A journal that keeps what it is given."""

    def __init__(self) -> None:
        self.changes: list[Change] = []

    def record(self, change: Change, written: Callable[[], None] | None = None) -> None:
        self.changes.append(change)

    @property
    def statuses(self) -> list[CallStatus]:
        found = [change.update.get("status") for change in self.changes]
        return [CallStatus(status) for status in found if status]


def new_call() -> tuple[LiveCall, Kept]:
    kept = Kept()
    call = LiveCall(
        id=uuid4(),
        tenant_id=1,
        direction=Direction.OUTBOUND,
        initiated_at=_START,
        from_number="+15550001000",
        to_number="+15555550100",
        journal=kept,  # type: ignore[arg-type]
    )
    return call, kept


def end(call: LiveCall, cause: str, answered_after: float | None, lasted: float) -> Ended:
    answered = None if answered_after is None else _START + timedelta(seconds=answered_after)
    return Ended(
        uuid=call.id,
        cause=cause,
        progress_at=None,
        answered_at=answered,
        ended_at=(answered or _START) + timedelta(seconds=lasted),
        sip_status=None,
        hangup_by=None,
        call_id=None,
        tenant_id=None,
        direction=None,
        initiated_at=None,
    )


_EVENTS = st.lists(
    st.one_of(
        st.just("ring"),
        st.just("answer"),
        st.tuples(
            st.sampled_from(["NORMAL_CLEARING", "USER_BUSY", "NO_ANSWER", "ORIGINATOR_CANCEL"]),
            st.sampled_from([None, 2.0]),
        ),
    ),
    max_size=12,
)


@given(_EVENTS)
def test_any_order_of_events_stays_in_the_table(events: list[str | tuple[str, float]]) -> None:
    call, kept = new_call()
    for number, event in enumerate(events):
        if event == "ring":
            call.ring(_START + timedelta(seconds=1), str(number))
        elif event == "answer":
            call.answer(_START + timedelta(seconds=2), str(number))
        elif isinstance(event, tuple):
            call.finish(end(call, event[0], event[1], 3))
    path = [CallStatus.INITIATED, *kept.statuses]
    for before, after in pairwise(path):
        assert after in TRANSITIONS[before]
    assert call.status is path[-1]
    assert sum(status in ENDED for status in path) <= 1


def test_an_end_that_tells_of_an_unseen_answer_tells_both() -> None:
    call, kept = new_call()
    assert call.finish(end(call, "NORMAL_CLEARING", 2.0, 1.2345))
    assert kept.statuses == [CallStatus.IN_PROGRESS, CallStatus.COMPLETED]
    final = kept.changes[-1].update
    assert (final["duration_ms"], final["bill_seconds"]) == (1234, 2)
    assert not call.finish(end(call, "USER_BUSY", None, 5))


def test_canceled_and_no_answer_are_told_apart() -> None:
    for canceled, cause, status in (
        (True, "NO_ANSWER", CallStatus.CANCELED),
        (False, "NO_ANSWER", CallStatus.NO_ANSWER),
        (False, "ORIGINATOR_CANCEL", CallStatus.CANCELED),
    ):
        call, _ = new_call()
        call.canceled = canceled
        call.finish(end(call, cause, None, 5))
        assert call.status is status


def test_every_ends_event_is_completed_or_failed() -> None:
    for cause, event in (("NORMAL_CLEARING", "call.completed"), ("USER_BUSY", "call.failed")):
        call, kept = new_call()
        call.finish(end(call, cause, 1.0 if event == "call.completed" else None, 1))
        assert kept.changes[-1].events[-1][0] == event
        assert kept.changes[-1].events[-1][2]["reason"] == cause
