"""Deadlines: each at its time, and none that fails stops the others (mod_callcenter #1641: its one
thread died, and nobody was distributed any more)."""

import time
from collections.abc import Iterator

import pytest

from irisx.telephony.acd.alarm import Alarm
from tests.waiting import wait_until


@pytest.fixture
def alarm() -> Iterator[Alarm]:
    made = Alarm()
    yield made
    made.stop()


def test_a_sooner_one_is_not_slept_through(alarm: Alarm) -> None:
    rang: list[str] = []
    start = time.time()
    alarm.at(start + 0.3, lambda: rang.append("later"))
    alarm.at(start + 3600, lambda: rang.append("in an hour"))
    wait_until(lambda: alarm._greenlet)
    alarm.at(start + 0.1, lambda: rang.append("sooner"))
    wait_until(lambda: len(rang) == 2)
    assert rang == ["sooner", "later"]


def test_one_that_fails_stops_none_of_the_others(alarm: Alarm) -> None:
    rang: list[str] = []
    alarm.at(time.time(), lambda: 1 / 0)  # type: ignore[arg-type,return-value]
    alarm.at(time.time(), lambda: rang.append("next"))
    wait_until(lambda: rang)
