"""IRISX's pacing, a fixed ratio and VICIdial's adaptive methods in the same simulated world.

For 5, 20 and 100 agents over 20 seeds: agent utilisation (talk and wrap-up in the time logged in),
drop rate (people who waited more than 2 s for an agent, of all people who answered), and how many
shifts of 8 hours broke the cap of 3 %. The fixed ratio gets the best of it: the level is the one
with the highest utilisation at a mean drop rate of at most 3 % on other seeds. VICIdial runs by
its own rule (bin/AST_VDadapt.pl), every 15 s, with its defaults; its drop rate counts machines as
answers, as it does unless each machine is taken out by hand; `live` is the rule on people alone.
"""

import math
import os
import statistics
import sys
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

from irisx.telephony.dialer.pacing import DialMode, Pacer
from scripts.bench.pacing_world import Centre, Policy, Result

CAP = 0.03
LEVELS = [1 + 0.05 * step for step in range(41)]
TUNING_SEEDS = [9001, 9002, 9003]


@dataclass
class Irisx:
    """The product's own module."""

    pacer: Pacer = field(default_factory=lambda: Pacer(DialMode.PREDICTIVE, max_drop_rate=CAP))

    def place(self, now: float, centre: Centre) -> int:
        return self.pacer.calls_to_place(centre.snapshot(now))

    def person(self, after: float, *, dropped: bool) -> None:
        self.pacer.answered_by_person(after, dropped=dropped)

    def other(self, after: float, *, machine: bool) -> None:
        self.pacer.ended_otherwise(after)

    def talked(self, seconds: float) -> None:
        self.pacer.talked(seconds)

    def wrapped_up(self, seconds: float) -> None:
        self.pacer.wrapped_up(seconds)


@dataclass
class Ratio:
    """VICIdial's RATIO: `level` lines for each agent, looked at every 2.5 s."""

    level: float
    _next: float = 0.0

    def place(self, now: float, centre: Centre) -> int:
        if now < self._next:
            return 0
        self._next = now + 2.5
        agents = len(centre.free) + len(centre.talking) + len(centre.wrapping)
        lines = len(centre.ringing) + len(centre.talking) + len(centre.waiting)
        return max(0, math.floor(self.level * agents) - lines)

    def person(self, after: float, *, dropped: bool) -> None: ...
    def other(self, after: float, *, machine: bool) -> None: ...
    def talked(self, seconds: float) -> None: ...
    def wrapped_up(self, seconds: float) -> None: ...


@dataclass
class Adapt(Ratio):
    """VICIdial's ADAPT_*: the level is set every 15 s (contact-center.md §2.3)."""

    level: float = 1.0
    method: str = "HARD_LIMIT"
    count_machines: bool = True
    intensity: float = 0.0
    maximum: float = 3.0
    _next_level: float = 15.0
    _ready: deque[float] = field(default_factory=lambda: deque(maxlen=24))
    _agents: deque[float] = field(default_factory=lambda: deque(maxlen=24))
    _minute: deque[tuple[float, bool]] = field(default_factory=deque)
    _now: float = 0.0
    _drops: int = 0
    _answers: int = 0

    def place(self, now: float, centre: Centre) -> int:
        self._now = now
        if now >= self._next:
            self._ready.append(len(centre.free) - len(centre.waiting))
            self._agents.append(len(centre.free) + len(centre.talking) + len(centre.wrapping))
        if now >= self._next_level:
            self._next_level = now + 15
            self._adapt(now, centre.seconds)
        return super().place(now, centre)

    def _adapt(self, now: float, shift: float) -> None:
        agents = max(statistics.fmean(self._agents), 1e-9)
        difference = statistics.fmean(self._ready) / agents
        if difference > 0:
            self.level *= 1 + difference * (1 + self.intensity / 100)
        else:
            self.level *= 1 + difference * abs(self.intensity / 100 - 1)
        self.level = min(max(self.level, 1.0), self.maximum)
        while self._minute and self._minute[0][0] < now - 60:
            self._minute.popleft()
        dropped = sum(drop for _, drop in self._minute)
        if len(self._minute) > 20 and dropped > 0.5 * len(self._minute):
            self.level /= 2
        if self._answers > 50 and self._drops / self._answers > CAP:
            if self.method == "HARD_LIMIT":
                self.level = 1.0
            elif self.method == "AVERAGE":
                self.level /= 2
            else:  # TAPERED: HHMM difference to the end of the shift
                left = (shift - now) / 3600
                self.level *= (int(left) * 100 + (left % 1) * 60) / 1000
        self.level = max(self.level, 1.0)

    def person(self, after: float, *, dropped: bool) -> None:
        self._answers += 1
        self._drops += dropped
        self._minute.append((self._now, dropped))

    def other(self, after: float, *, machine: bool) -> None:
        if machine and self.count_machines:
            self._answers += 1
            self._minute.append((self._now, False))


def best_level(agents: int) -> float:
    """The fixed ratio that serves best at a mean drop rate of at most the cap."""
    best = 1.0
    for level in LEVELS:
        shifts = [Centre(Ratio(level), agents, seed).run() for seed in TUNING_SEEDS]
        if sum(s.drops for s in shifts) > CAP * sum(s.answers for s in shifts):
            break
        best = level
    return best


def main() -> None:
    seeds = range(1, 1 + int(sys.argv[1])) if len(sys.argv) > 1 else range(1, 21)
    sizes = [int(size) for size in sys.argv[2:]] or [5, 20, 100]
    load = os.getloadavg()[0]
    print(f"seeds {seeds[0]}-{seeds[-1]}, shifts of 8 h, cap {CAP:.0%}, load {load:.1f}")
    for agents in sizes:
        level = best_level(agents)
        policies: dict[str, Callable[[], Policy]] = {
            "IRISX predictive": Irisx,
            "IRISX progressive": lambda: Irisx(Pacer(DialMode.PROGRESSIVE)),
            f"fixed ratio {level:.2f}": lambda level=level: Ratio(level),
            "ADAPT_HARD_LIMIT": Adapt,
            "ADAPT_AVERAGE": lambda: Adapt(method="AVERAGE"),
            "ADAPT_TAPERED": lambda: Adapt(method="TAPERED"),
            "ADAPT_HARD_LIMIT live": lambda: Adapt(count_machines=False),
        }
        print(f"\n{agents} agents         used (min-max)        drop rate  shifts over  hours over")
        for name, make in policies.items():
            show(name, [Centre(make(), agents, seed).run() for seed in seeds])


def show(name: str, shifts: list[Result]) -> None:
    used = [shift.utilisation for shift in shifts]
    over = sum(shift.drop_rate > CAP for shift in shifts)
    hours = [hour for shift in shifts for hour in shift.hourly]
    hours_over = sum(drops > CAP * max(answers, 1) for drops, answers in hours)
    rate = sum(s.drops for s in shifts) / max(sum(s.answers for s in shifts), 1)
    print(
        f"{name:22s} {statistics.fmean(used):7.1%} ({min(used):.1%}-{max(used):.1%})"
        f" {rate:10.2%} {over:8d}/{len(shifts)} {hours_over:7d}/{len(hours)}",
        flush=True,
    )


if __name__ == "__main__":
    main()
