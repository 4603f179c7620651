"""Deadlines without a tick, and writing behind the calls' back."""

import time
from collections.abc import Iterator

import pytest
from sqlalchemy.exc import OperationalError
from sqlalchemy.orm import Session

from irisx.telephony.acd import ledger as ledger_module
from irisx.telephony.acd.alarm import Alarm
from irisx.telephony.acd.ledger import Ledger
from irisx.telephony.acd.models import OfferOutcome, QueueCallStatus
from irisx.telephony.acd.states import MISSED, TRANSITIONS, outcome_of
from tests.waiting import wait_until


@pytest.fixture
def alarm() -> Iterator[Alarm]:
    made = Alarm()
    yield made
    made.stop()


def test_a_sooner_deadline_overtakes_and_a_failing_one_stops_nothing(alarm: Alarm) -> None:
    rung: list[str] = []

    def fails() -> None:
        raise RuntimeError("as a defect would")

    at = time.time()
    alarm.at(at + 60, lambda: rung.append("late"))
    alarm.at(at + 0.05, lambda: rung.append("second"))
    alarm.at(at + 0.01, fails)
    alarm.at(at - 5, lambda: rung.append("past"))
    wait_until(lambda: len(rung) == 2)
    assert rung == ["past", "second"]


def test_changes_are_written_in_order_and_wait_for_the_database(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(ledger_module, "_RETRY_SECONDS", 0.01)
    ledger, done, away = Ledger(), [], [True, True]

    def change(name: str) -> None:
        def write(session: Session) -> None:
            if away:
                away.pop()
                raise OperationalError("select", {}, Exception("no connection"))
            if name == "faulty":
                raise ValueError("set aside, since all others wait for it")
            done.append(name)

        ledger.add(write)

    for name in ("first", "faulty", "last"):
        change(name)
    assert ledger.flush(timeout=10)
    assert done == ["first", "last"]


def test_an_end_stays_an_end() -> None:
    ended = set(QueueCallStatus) - {QueueCallStatus.WAITING, QueueCallStatus.TALKING}
    assert set(TRANSITIONS) == set(QueueCallStatus)
    assert all(not TRANSITIONS[status] for status in ended)
    assert QueueCallStatus.WAITING not in TRANSITIONS[QueueCallStatus.TALKING]


@pytest.mark.parametrize(
    ("cause", "outcome"),
    [
        ("USER_BUSY", OfferOutcome.BUSY),
        ("CALL_REJECTED", OfferOutcome.REJECTED),
        ("NO_ANSWER", OfferOutcome.NO_ANSWER),
        ("USER_NOT_REGISTERED", OfferOutcome.UNREACHABLE),
        ("anything else", OfferOutcome.UNREACHABLE),
        ("ORIGINATOR_CANCEL", OfferOutcome.WITHDRAWN),
    ],
)
def test_what_a_cause_says_of_the_agent(cause: str, outcome: OfferOutcome) -> None:
    assert outcome_of(cause) is outcome
    assert (outcome in MISSED) is (outcome in (OfferOutcome.NO_ANSWER, OfferOutcome.UNREACHABLE))
