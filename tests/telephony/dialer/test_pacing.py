"""Pacing: the risk of a further call, the cap, and what it makes of a shift."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from irisx.telephony.dialer.pacing import (
    DialMode,
    Durations,
    Pacer,
    Snapshot,
    _at_least,
    allowed_rate,
    upper_bound,
)
from scripts.bench.pacing_rivals import Irisx
from scripts.bench.pacing_world import Centre

SECONDS = st.lists(st.floats(0, 600), max_size=12)
SNAPSHOTS = st.builds(
    Snapshot,
    free=st.integers(0, 20),
    talking=SECONDS,
    wrapping=SECONDS,
    ringing=SECONDS,
    waiting=st.integers(0, 3),
)
MODES = st.sampled_from(DialMode)


@pytest.mark.parametrize(
    ("drops", "answers", "bound"),
    # Wilson's upper limit, z = 1.6449, as other implementations give it.
    [(0, 100, 0.02634), (3, 100, 0.07271), (20, 1000, 0.02874), (0, 1, 0.73014), (0, 0, 1.0)],
)
def test_the_bound_is_wilson_s(drops: int, answers: int, bound: float) -> None:
    assert upper_bound(drops, answers) == pytest.approx(bound, abs=1e-4)


@given(st.integers(100, 100_000), st.floats(0.01, 0.1))
def test_the_allowed_rate_is_where_the_bound_meets_the_cap(answers: int, cap: float) -> None:
    rate = allowed_rate(cap, answers)
    drops = int(rate * answers)
    if drops > 0:
        assert upper_bound(drops, answers) <= cap + 1e-9
        assert upper_bound(drops + 2, answers) > cap


@given(st.lists(st.floats(0.1, 0.9), min_size=10, max_size=40), st.data())
def test_the_tail_of_a_sum_of_indicators(chances: list[float], data: st.DataObject) -> None:
    exact = np.ones(1)
    for chance in chances:
        exact = np.convolve(exact, [1 - chance, chance])
    count = data.draw(st.integers(0, len(chances)))
    p = np.array(chances)
    approximated = _at_least(count, p.sum(), (p * (1 - p)).sum(), (p * (1 - p) * (1 - 2 * p)).sum())
    assert float(approximated) == pytest.approx(exact[count:].sum(), abs=0.04)


@given(MODES, SNAPSHOTS, st.integers(0, 50), st.integers(0, 3000))
def test_at_the_cap_no_call_is_placed_without_a_free_agent(
    mode: DialMode, now: Snapshot, drops: int, others: int
) -> None:
    pacer = Pacer(mode, ratio=5.0, drops=drops, answers=drops + others)
    placed = pacer.calls_to_place(now)
    assert placed >= 0
    if not pacer.may_risk:
        assert placed <= max(0, now.free - len(now.ringing) - now.waiting)


@given(MODES, SNAPSHOTS)
def test_nobody_is_called_for_no_agent(mode: DialMode, now: Snapshot) -> None:
    nobody = Snapshot(free=0, ringing=now.ringing, waiting=now.waiting)
    assert Pacer(mode, ratio=5.0, answers=100_000).calls_to_place(nobody) == 0


@given(SNAPSHOTS)
def test_lines_for_each_agent_are_bounded(now: Snapshot) -> None:
    pacer = Pacer(DialMode.PREDICTIVE, max_lines=2.0, answers=100_000)
    room = max(0, 2 * now.agents - len(now.ringing) - now.waiting)
    assert pacer.calls_to_place(now) <= max(room, now.uncovered)


@pytest.mark.parametrize(("free", "ringing", "placed"), [(4, 0, 4), (4, 3, 1), (2, 5, 0)])
def test_progressive_is_a_call_for_each_free_agent(free: int, ringing: int, placed: int) -> None:
    now = Snapshot(free=free, ringing=[1.0] * ringing)
    assert Pacer(DialMode.PROGRESSIVE).calls_to_place(now) == placed


def test_power_is_its_ratio_of_calls_for_each_free_agent() -> None:
    pacer = Pacer(DialMode.POWER, ratio=2.5, answers=10_000)
    assert pacer.calls_to_place(Snapshot(free=4)) == 10
    assert pacer.calls_to_place(Snapshot(free=4, ringing=[3.0] * 8)) == 2


def test_the_fewer_answer_the_more_are_called() -> None:
    def placed(answered: int) -> int:
        pacer = Pacer(DialMode.PREDICTIVE, answers=10_000)
        for call in range(300):
            if call % 10 < answered:
                pacer.answered_by_person(10.0, dropped=False)
            else:
                pacer.ended_otherwise(20.0)
        return pacer.calls_to_place(Snapshot(free=10, talking=[60.0] * 10))

    assert placed(1) > placed(3) > placed(9) >= 10


def test_an_agent_who_is_about_to_be_free_gets_a_call_before() -> None:
    pacer = Pacer(DialMode.PREDICTIVE, answers=10_000)
    for _ in range(200):
        pacer.wrapped_up(15.0)
        pacer.talked(180.0)
        pacer.answered_by_person(10.0, dropped=False)
    early = Snapshot(free=0, wrapping=[1.0] * 10)
    late = Snapshot(free=0, wrapping=[12.0] * 10)
    assert pacer.calls_to_place(early) < pacer.calls_to_place(late)


def test_a_distribution_is_what_was_seen() -> None:
    seen = Durations(1.0, 60, 5.0, 5)
    for _ in range(2000):
        seen.add(20.5)
    assert seen.at_most(np.array([19.0, 22.0])) == pytest.approx([0, 1], abs=0.02)
    assert seen.quantiles(3) == pytest.approx([20.5] * 3, abs=1)
    assert seen.ends_within(np.array([5.0]), np.array([18.0])) == pytest.approx([1], abs=0.02)


def test_a_shift_keeps_the_cap_and_its_agents_busier_than_one_call_each_does() -> None:
    progressive = Centre(Irisx(Pacer(DialMode.PROGRESSIVE)), 20, seed=1, hours=2).run()
    predictive = Centre(Irisx(), 20, seed=1, hours=2).run()
    assert progressive.drops == 0
    assert 0 < predictive.drop_rate <= 0.03
    assert predictive.utilisation > progressive.utilisation + 0.05
