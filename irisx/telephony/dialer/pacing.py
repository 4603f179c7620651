"""How many calls a campaign places now. Pure: no clock, no database, no switch.

A predictive dialler places more calls than there are free agents, betting that some are not
answered and that agents get free meanwhile. Instead of a ratio that follows yesterday's drops,
this module asks for each further call: with what probability would nobody be there when it is
answered? It knows how long each call has been ringing, how long each agent has been talking or
wrapping up, and the distributions of all of these as seen so far; the number of agents taken at a
moment is then a sum of independent yes-or-no variables (a Poisson binomial), whose tail it
evaluates at the moments at which a new call may be answered. Calls are placed while the risk of
the next one stays below a threshold, which settles by itself where the drop rate is as wanted.

Above all of it stands a cap that is not a matter of averages: as soon as one more drop would lift
the upper confidence bound of the 30-day drop rate above the limit, no call is placed without an
agent who is free for it. `scripts/bench/pacing` measures this against a fixed ratio and VICIdial.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import StrEnum

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]


class DialMode(StrEnum):
    """PREVIEW: the agent sees the contact and decides. PROGRESSIVE: a call for each free agent.
    POWER: `ratio` calls for each free agent. PREDICTIVE: as many as the drop rate allows.
    BROADCAST: no agents, so nothing to pace but the campaign's own limits."""

    PREVIEW = "preview"
    PROGRESSIVE = "progressive"
    POWER = "power"
    PREDICTIVE = "predictive"
    BROADCAST = "broadcast"


#: One-sided: the true rate is below the bound with 95 % confidence.
_Z = 1.6449


def upper_bound(drops: int, answers: int) -> float:
    """Upper confidence bound (95 %, one-sided) of a drop rate: Wilson's score interval.

    Wilson, "Probable inference…", JASA 22 (1927). 1.0 without any answers: nothing is known.
    """
    if answers == 0:
        return 1.0
    share = drops / answers
    centre = share + _Z * _Z / (2 * answers)
    spread = _Z * math.sqrt(share * (1 - share) / answers + (_Z / (2 * answers)) ** 2)
    return min(1.0, (centre + spread) / (1 + _Z * _Z / answers))


def allowed_rate(cap: float, answers: int) -> float:
    """The drop rate at which `upper_bound` reaches the cap (0: it does so without a drop)."""
    return max(0.0, cap - _Z * math.sqrt(cap * (1 - cap) / max(answers, 1)))


class Durations:
    """A distribution of durations (s), learnt as a histogram in which old ones fade.

    Begins as an exponential distribution of `mean` that weighs as much as `weight` observations.
    """

    _MEMORY = 2000

    def __init__(self, width: float, bins: int, mean: float, weight: float) -> None:
        self._edges: Floats = np.arange(bins + 1, dtype=float) * width
        before = 1 - np.exp(-self._edges / mean)
        self._counts: Floats = weight * np.diff(before)
        self._width = width
        self._cumulated: Floats | None = None

    def add(self, seconds: float) -> None:
        self._counts *= 1 - 1 / self._MEMORY
        self._counts[min(int(max(seconds, 0) / self._width), len(self._counts) - 1)] += 1
        self._cumulated = None

    def at_most(self, seconds: Floats) -> Floats:
        """P(duration <= seconds), element by element."""
        return np.asarray(np.interp(seconds, self._edges, self._shares()))

    def ends_within(self, further: Floats, elapsed: Floats) -> Floats:
        """P(ends within `further` seconds | still on after `elapsed`)."""
        before = self.at_most(elapsed)
        left = np.maximum(1 - before, 1e-9)
        return np.clip((self.at_most(elapsed + np.maximum(further, 0)) - before) / left, 0, 1)

    def quantiles(self, count: int) -> Floats:
        """`count` durations that stand for the distribution with the same weight each."""
        wanted = (np.arange(count) + 0.5) / count
        return np.asarray(np.interp(wanted, self._shares(), self._edges))

    def _shares(self) -> Floats:
        if self._cumulated is None:
            sums = np.concatenate([[0.0], np.cumsum(self._counts)])
            # A rising step everywhere, however small: `quantiles` inverts it.
            sums += np.arange(len(sums)) * 1e-12
            self._cumulated = sums / sums[-1]
        return self._cumulated


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A campaign at one moment; all durations in seconds.

    `free`: agents who wait for a call. `talking`, `wrapping`: since when the others have been.
    `ringing`: since when each call without an outcome has been on its way. `waiting`: people who
    have answered and have no agent yet.
    """

    free: int
    talking: Sequence[float] = ()
    wrapping: Sequence[float] = ()
    ringing: Sequence[float] = ()
    waiting: int = 0

    @property
    def agents(self) -> int:
        return self.free + len(self.talking) + len(self.wrapping)

    @property
    def uncovered(self) -> int:
        """Free agents for whom no call is on its way; below zero: calls without an agent."""
        return self.free - len(self.ringing) - self.waiting


@dataclass(slots=True)
class Pacer:
    """Paces one campaign and learns from it.

    `ratio`: calls for a free agent (POWER). `max_drop_rate`: the cap. `connect_within`: how long
    (s) a person who has answered may wait for an agent. `max_lines`: calls on their way for each
    agent, at most. `drops` and `answers`: of people, in the last 30 days.
    """

    mode: DialMode
    ratio: float = 1.0
    max_drop_rate: float = 0.03
    connect_within: float = 2.0
    max_lines: float = 10.0
    drops: int = 0
    answers: int = 0
    _answered: float = 3.0
    _settled: float = 10.0
    _until_answer: Durations = field(default_factory=lambda: Durations(1.0, 90, 12.0, 10))
    _until_other: Durations = field(default_factory=lambda: Durations(1.0, 90, 20.0, 10))
    _talk: Durations = field(default_factory=lambda: Durations(5.0, 720, 120.0, 10))
    _wrap: Durations = field(default_factory=lambda: Durations(1.0, 600, 20.0, 5))
    _threshold: float = 0.02

    _SHARE_MEMORY = 300.0
    _GAIN = 0.06
    _MOMENTS = 8
    #: Part of what the cap allows that is aimed at: the bound itself is not to be touched.
    _AIM = 0.93

    # -- what it learns from ------------------------------------------------------------------

    def answered_by_person(self, after: float, *, dropped: bool) -> None:
        """A call reached a person `after` seconds; `dropped`: there was no agent in time."""
        self._settle(answered=True)
        self._until_answer.add(after)
        self.answers += 1
        self.drops += dropped
        aim = self._AIM * allowed_rate(self.max_drop_rate, self.answers)
        moved = self._threshold * math.exp(self._GAIN * (aim - dropped))
        self._threshold = min(0.5, max(0.002, moved))

    def ended_otherwise(self, after: float) -> None:
        """A call reached nobody: busy, no answer, a machine, a fault."""
        self._settle(answered=False)
        self._until_other.add(after)

    def talked(self, seconds: float) -> None:
        self._talk.add(seconds)

    def wrapped_up(self, seconds: float) -> None:
        self._wrap.add(seconds)

    def _settle(self, *, answered: bool) -> None:
        keep = 1 - 1 / self._SHARE_MEMORY
        self._answered = self._answered * keep + answered
        self._settled = self._settled * keep + 1

    # -- what it decides ----------------------------------------------------------------------

    @property
    def may_risk(self) -> bool:
        """Whether one more drop would still leave the bound below the cap."""
        return upper_bound(self.drops + 1, self.answers + 1) <= self.max_drop_rate

    def calls_to_place(self, now: Snapshot) -> int:
        """How many calls to place at this moment, for the agents that there are."""
        if self.mode in (DialMode.PREVIEW, DialMode.BROADCAST) or now.agents == 0:
            return 0
        covered = max(0, now.uncovered)
        if self.mode is DialMode.PROGRESSIVE or not self._may_bet(now):
            return covered
        on_their_way = len(now.ringing) + now.waiting
        room = max(0, math.floor(self.max_lines * now.agents) - on_their_way)
        if self.mode is DialMode.POWER:
            return min(room, max(0, math.floor(self.ratio * now.free) - on_their_way))
        return max(covered, self._bets(now, room))

    def _may_bet(self, now: Snapshot) -> bool:
        """The cap, with the drops that are to be expected of the calls on their way."""
        expected = round(self._threshold * len(now.ringing) * self._answered / self._settled)
        bound = upper_bound(self.drops + 1 + expected, self.answers + 1 + expected)
        return bound <= self.max_drop_rate

    def _bets(self, now: Snapshot, room: int) -> int:
        """How many further calls have a risk, each with those before it, below the threshold."""
        share = self._answered / self._settled
        moments = self._until_answer.quantiles(self._MOMENTS)
        taken = np.vstack([self._answers_by(moments, now, share), self._busy_at(moments, now)])
        new = share * self._until_answer.at_most(moments)
        count = np.arange(room + 1)[:, None]
        mean = now.waiting + taken.sum(axis=0) + count * new
        variance = (taken * (1 - taken)).sum(axis=0) + count * new * (1 - new)
        third = (taken * (1 - taken) * (1 - 2 * taken)).sum(axis=0)
        third = third + count * new * (1 - new) * (1 - 2 * new)
        risk = _at_least(now.agents, mean, variance, third)
        # An agent taken early is missing later: a new call is charged with the worst from then on.
        worst = np.maximum.accumulate(risk[:, ::-1], axis=1)[:, ::-1].mean(axis=1)
        # Entry n is the risk of one more call behind n new ones.
        return int(np.argmax(np.append(worst[:-1] > self._threshold, True)))

    def _answers_by(self, moments: Floats, now: Snapshot, share: float) -> Floats:
        """Of each call that rings: P(a person has answered by each moment)."""
        age = np.asarray(now.ringing, dtype=float)[:, None]
        before = self._until_answer.at_most(age)
        left = share * (1 - before) + (1 - share) * (1 - self._until_other.at_most(age))
        answers = share * (self._until_answer.at_most(age + moments) - before)
        return np.asarray(np.clip(answers / np.maximum(left, 1e-9), 0, 1))

    def _busy_at(self, moments: Floats, now: Snapshot) -> Floats:
        """Of each agent who is not free: P(still not free when a person must be connected)."""
        until = moments + self.connect_within
        talking = np.asarray(now.talking, dtype=float)[:, None, None]
        after_wrap = until[None, :, None] - self._wrap.quantiles(5)
        free_after_talk = self._talk.ends_within(after_wrap, talking).mean(axis=2)
        wrapping = np.asarray(now.wrapping, dtype=float)[:, None]
        free_after_wrap = self._wrap.ends_within(until[None, :], wrapping)
        return 1 - np.vstack([free_after_talk, free_after_wrap])


def _at_least(count: int, mean: Floats, variance: Floats, third: Floats) -> Floats:
    """P(a sum of independent indicators >= count), by its first three central moments.

    Volkova's refined normal approximation: Y. Hong, "On computing the distribution function for
    the Poisson binomial distribution", Computational Statistics & Data Analysis 59 (2013), (14).
    """
    deviation = np.sqrt(np.maximum(variance, 1e-9))
    x = (count - 0.5 - mean) / deviation
    density = np.exp(-x * x / 2) / math.sqrt(2 * math.pi)
    skewness = third / deviation**3
    below = _normal(x) + skewness * (1 - x * x) * density / 6
    return np.asarray(np.clip(1 - below, 0, 1))


def _normal(x: Floats) -> Floats:
    """The standard normal distribution function; Abramowitz and Stegun 26.2.17, within 1e-7."""
    t = 1 / (1 + 0.2316419 * np.abs(x))
    series = ((1.330274429 * t - 1.821255978) * t + 1.781477937) * t - 0.356563782
    tail = np.exp(-x * x / 2) / math.sqrt(2 * math.pi) * t * (0.319381530 + t * series)
    return np.asarray(np.where(x > 0, 1 - tail, tail))
