"""A seeded outbound call centre in simulated time: agents, people, machines, busy lines.

Every policy meets the same world: outcomes, ring times and talk times come from generators that
are seeded by (seed, purpose) and drawn call by call, so the n-th call of a seed is the same person
whoever dials it.
"""

import heapq
import math
from collections import deque
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np

from irisx.telephony.dialer.pacing import Snapshot

TICK = 0.5
CONNECT_WITHIN = 2.0
RING_TIMEOUT = 25.0
#: Shares of a call's outcomes; that of people swings by WAVE over the shift.
PERSON, MACHINE, BUSY, INVALID = 0.25, 0.25, 0.08, 0.05
WAVE = 0.3
BREAK_SHARE, BREAK_MEAN = 0.02, 480.0


class Policy(Protocol):
    """A dialler. Times are seconds since the start of the shift."""

    def place(self, now: float, centre: "Centre") -> int: ...
    def person(self, after: float, *, dropped: bool) -> None: ...
    def other(self, after: float, *, machine: bool) -> None: ...
    def talked(self, seconds: float) -> None: ...
    def wrapped_up(self, seconds: float) -> None: ...


@dataclass
class Result:
    """`busy`, `logged`: agent-seconds. `hourly`: (drops, answers) by hour."""

    drops: int = 0
    answers: int = 0
    calls: int = 0
    busy: float = 0.0
    logged: float = 0.0
    hourly: list[list[int]] = field(default_factory=list)

    @property
    def drop_rate(self) -> float:
        return self.drops / max(self.answers, 1)

    @property
    def utilisation(self) -> float:
        return self.busy / max(self.logged, 1e-9)


class Centre:
    """One shift of `agents` agents under a policy."""

    def __init__(self, policy: Policy, agents: int, seed: int, hours: float = 8.0) -> None:
        self.policy = policy
        self.seconds = hours * 3600
        self.free: deque[int] = deque(range(agents))
        self.ringing: dict[int, float] = {}
        self.talking: dict[int, float] = {}
        self.wrapping: dict[int, float] = {}
        self.on_break = 0
        self.waiting: dict[int, float] = {}
        self.result = Result(hourly=[[0, 0] for _ in range(math.ceil(hours))])
        self._agents = agents
        self._people = np.random.default_rng([seed, 1])
        self._desk = np.random.default_rng([seed, 2])
        self._events: list[tuple[float, int, str, int]] = []
        self._number = 0

    def snapshot(self, now: float) -> Snapshot:
        return Snapshot(
            free=len(self.free),
            talking=[now - at for at in self.talking.values()],
            wrapping=[now - at for at in self.wrapping.values()],
            ringing=[now - at for at in self.ringing.values()],
            waiting=len(self.waiting),
        )

    def run(self) -> Result:
        self._at(0.0, "tick", 0)
        last = 0.0
        while self._events:
            now, _, what, which = heapq.heappop(self._events)
            if now >= self.seconds:
                break
            busy = len(self.talking) + len(self.wrapping)
            self.result.busy += busy * (now - last)
            self.result.logged += (self._agents - self.on_break) * (now - last)
            last = now
            getattr(self, f"_{what}")(now, which)
        return self.result

    def _at(self, when: float, what: str, which: int) -> None:
        self._number += 1
        heapq.heappush(self._events, (when, self._number, what, which))

    def _tick(self, now: float, which: int) -> None:
        for _ in range(self.policy.place(now, self)):
            self._place(now)
        self._at(now + TICK, "tick", 0)

    def _place(self, now: float) -> None:
        self.result.calls += 1
        call = self.result.calls
        self.ringing[call] = now
        luck, ring, detect = self._people.random(3)
        answer = 4 + min(-4 * (math.log1p(-ring) + math.log1p(-detect)), 20)  # gamma(2, 4 s)
        person = PERSON * (1 + WAVE * math.sin(2 * math.pi * now / self.seconds))
        if luck < person:
            self._at(now + answer + 0.8 + 1.7 * detect, "person", call)
        elif luck < person + MACHINE:
            self._at(now + 14 + 10 * ring + 2.0, "machine", call)
        elif luck < person + MACHINE + BUSY:
            self._at(now + 1 + 3 * ring, "other", call)
        elif luck < person + MACHINE + BUSY + INVALID:
            self._at(now + 0.5 + ring, "other", call)
        else:
            self._at(now + RING_TIMEOUT, "other", call)

    def _person(self, now: float, call: int) -> None:
        self.waiting[call] = now - self.ringing.pop(call)
        self.result.answers += 1
        self.result.hourly[int(now // 3600)][1] += 1
        self._at(now + CONNECT_WITHIN, "late", call)
        self._match(now)

    def _machine(self, now: float, call: int) -> None:
        self.policy.other(now - self.ringing.pop(call), machine=True)

    def _other(self, now: float, call: int) -> None:
        self.policy.other(now - self.ringing.pop(call), machine=False)

    def _late(self, now: float, call: int) -> None:
        if call in self.waiting:
            self.result.drops += 1
            self.result.hourly[int(now // 3600)][0] += 1
            self.policy.person(self.waiting.pop(call), dropped=True)

    def _match(self, now: float) -> None:
        while self.waiting and self.free:
            call, agent = next(iter(self.waiting)), self.free.popleft()
            self.policy.person(self.waiting.pop(call), dropped=False)
            self.talking[agent] = now
            talk = self._desk.lognormal(math.log(150) - 0.5 * 0.75**2, 0.75)  # mean 150 s
            self._at(now + talk, "hung_up", agent)

    def _hung_up(self, now: float, agent: int) -> None:
        self.policy.talked(now - self.talking.pop(agent))
        self.wrapping[agent] = now
        self._at(now + self._desk.uniform(8, 30), "wrapped", agent)

    def _wrapped(self, now: float, agent: int) -> None:
        self.policy.wrapped_up(now - self.wrapping.pop(agent))
        if self._desk.random() < BREAK_SHARE:
            self.on_break += 1
            self._at(now + self._desk.exponential(BREAK_MEAN), "back", agent)
        else:
            self._free(now, agent)

    def _back(self, now: float, agent: int) -> None:
        self.on_break -= 1
        self._free(now, agent)

    def _free(self, now: float, agent: int) -> None:
        self.free.append(agent)
        self._match(now)
