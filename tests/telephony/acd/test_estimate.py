"""The expected wait, and how it is said: never more exactly than it can be kept."""

import pytest

from irisx.telephony.acd.estimate import Estimator, spoken_position, spoken_wait


def test_without_history_or_agents_nothing_is_promised() -> None:
    estimator = Estimator()
    assert estimator.wait_s(1, agents=5) is None
    estimator.handled(60)
    assert estimator.wait_s(1, agents=0) is None
    assert estimator.wait_s(1, agents=5, free=1) == 0


def test_a_caller_waits_until_so_many_agents_have_become_free() -> None:
    estimator = Estimator()
    estimator.handled(120)
    assert estimator.wait_s(1, agents=4) == 30
    assert estimator.wait_s(8, agents=4) == 240


def test_new_calls_weigh_more_than_old_ones_and_one_does_not_turn_it_over() -> None:
    estimator = Estimator()
    for _ in range(50):
        estimator.handled(100)
    estimator.handled(1000)
    assert estimator.handling_s == pytest.approx(190)


@pytest.mark.parametrize(
    ("seconds", "said"),
    [
        (0, "less than 1 minute."),
        (60, "less than 1 minute."),
        (61, "less than 2 minutes."),
        (299, "less than 5 minutes."),
        (301, "less than 10 minutes."),
        (3601, "more than one hour."),
    ],
)
def test_a_wait_is_rounded_up(seconds: float, said: str) -> None:
    assert spoken_wait(seconds).endswith(said)


def test_positions() -> None:
    assert spoken_position(1) == "You are next in line."
    assert "number 7" in spoken_position(7)
