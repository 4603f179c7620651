"""How long a caller will wait, and how that is said.

The estimator: a caller at position p waits until p agents have become free. With n agents logged
in, each busy for the mean handling time H (talk and wrap-up, smoothed exponentially over about the
last twenty calls), one becomes free each H / n seconds, so the wait is p * H / n. With free agents
and nobody before the caller it is 0, without any history or agents it is not known. Its error is
measured against simulated queues by `scripts/bench/acd` (docs/contact-center.md has the figures).
"""

from dataclasses import dataclass

_WEIGHT = 0.1
#: What is announced: the first of these that the estimate does not exceed (minutes).
_MINUTES = (1, 2, 3, 5, 10, 15, 20, 30, 45, 60)


@dataclass(slots=True)
class Estimator:
    """Of one queue. `handling_s`: smoothed; None: no call was handled yet."""

    handling_s: float | None = None

    def handled(self, seconds: float) -> None:
        """A call and the work after it are done."""
        known = self.handling_s
        self.handling_s = seconds if known is None else known + _WEIGHT * (seconds - known)

    def wait_s(self, position: int, agents: int, free: int = 0) -> float | None:
        """The wait of a caller at `position` (1: next); None: not known."""
        if free >= position:
            return 0.0
        if self.handling_s is None or agents == 0:
            return None
        return position * self.handling_s / agents


def spoken_wait(seconds: float) -> str:
    """An estimate in steps that it can keep: "less than 5 minutes"."""
    for minutes in _MINUTES:
        if seconds <= minutes * 60:
            unit = "minute" if minutes == 1 else "minutes"
            return f"Your expected waiting time is less than {minutes} {unit}."
    return "Your expected waiting time is more than one hour."


def spoken_position(position: int) -> str:
    if position == 1:
        return "You are next in line."
    return f"You are number {position} in line."
