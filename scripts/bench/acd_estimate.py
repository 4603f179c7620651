"""The error of the expected wait, in a seeded simulation of queues.

Callers come at random (Poisson), talk for a random time (log-normal, mean 180 s) and give up after
a random patience (exponential, mean 300 s). Each caller is told a wait at entering, by our
estimator (acd/estimate.py) and by two others: the mean of the last twenty waits, and the wait of
the last one who was answered. The error is |told - waited| of those who were answered.
"""

import heapq
import sys
from collections import deque
from random import Random
from statistics import fmean

from irisx.telephony.acd.estimate import Estimator

HANDLING_S, PATIENCE_S, HOURS = 180.0, 300.0, 8


def main() -> int:
    seeds = int(sys.argv[1]) if len(sys.argv) > 1 else 20
    print(
        f"mean absolute error in s, {seeds} seeds x {HOURS} h; calls handled for {HANDLING_S:.0f} s"
    )
    print(f"{'agents':>7} {'load':>5} {'mean wait':>10} {'ours':>7} {'last 20':>8} {'last one':>9}")
    for agents in (5, 20, 100):
        for load in (0.9, 1.0, 1.1):
            runs = [simulate(agents, load, Random(seed)) for seed in range(seeds)]
            waits, *errors = (fmean(column) for column in zip(*runs, strict=True))
            ours, last_20, last_one = errors
            print(
                f"{agents:7} {load:5.1f} {waits:10.1f} {ours:7.1f} {last_20:8.1f} {last_one:9.1f}"
            )
    return 0


def simulate(agents: int, load: float, random: Random) -> tuple[float, float, float, float]:
    """Mean wait and the three mean errors of one day."""
    estimator, free = Estimator(HANDLING_S), agents
    waits: deque[float] = deque([0.0], maxlen=20)
    line: deque[tuple[float, float, tuple[float, ...]]] = deque()
    ends: list[tuple[float, float]] = []
    errors: list[tuple[float, ...]] = []
    waited: list[float] = []
    now, comes = 0.0, 0.0

    def answer(entered: float, told: tuple[float, ...]) -> None:
        nonlocal free
        free -= 1
        seconds = random.lognormvariate(0, 0.6) * HANDLING_S / 1.197
        heapq.heappush(ends, (now + seconds, seconds))
        wait = now - entered
        waits.append(wait)
        waited.append(wait)
        errors.append(tuple(abs(each - wait) for each in told))

    while now < HOURS * 3600:
        if ends and ends[0][0] <= comes:
            now, seconds = heapq.heappop(ends)
            estimator.handled(seconds)
            free += 1
        else:
            now = comes
            comes = now + random.expovariate(load * agents / HANDLING_S)
            line = deque(each for each in line if each[1] > now)
            ours = estimator.wait_s(len(line) + 1, agents, free if not line else 0) or 0.0
            told = (ours, fmean(waits), waits[-1])
            line.append((now, now + random.expovariate(1 / PATIENCE_S), told))
        while line and free:
            entered, gives_up, told = line.popleft()
            if gives_up > now:
                answer(entered, told)
    means = (fmean(column) for column in zip(*errors, strict=True))
    return (fmean(waited), *means)  # type: ignore[return-value]


if __name__ == "__main__":
    sys.exit(main())
