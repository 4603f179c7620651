"""What the matcher knows: queues, agents at their seats, callers, and what it decides.

Times are seconds of one clock (the engine's epoch clock), given by whoever calls.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from irisx.telephony.acd.models import OfferOutcome, Strategy

#: Skills with the lowest level that will do.
Needs = frozenset[tuple[str, int]]
#: A caller's place in a line: minus the priority, `place_at`, id.
Order = tuple[float, float, str]
NOTHING_NEEDED: Needs = frozenset()


@dataclass(frozen=True, slots=True)
class Place:
    """An agent's place in a queue; lower tiers, and within them lower levels, come first."""

    tier: int = 1
    level: int = 1


@dataclass(frozen=True, slots=True)
class QueueRules:
    """A queue as the matcher sees it.

    `relaxation`: (seconds of waiting, needs from then on), growing. `delays`: how long (s) an
    agent is left alone after an offer that ended so.
    """

    id: int
    strategy: Strategy = Strategy.ROUND_ROBIN
    priority: int = 0
    needs: Needs = NOTHING_NEEDED
    relaxation: Sequence[tuple[float, Needs]] = ()
    tier_wait: float = 30.0
    tier_skip_empty: bool = True
    max_wait: float | None = None
    no_agents_after: float | None = None
    delays: Mapping[OfferOutcome, float] = field(default_factory=dict)

    def needs_after(self, waited: float) -> Needs:
        """What callers need after so long."""
        needs = self.needs
        for after, relaxed in self.relaxation:
            if waited >= after:
                needs = relaxed
        return needs

    def open_tier(self, waited: float) -> int:
        """The highest tier that is rung after so long."""
        return 10_000 if not self.tier_wait else 1 + int(waited / self.tier_wait)


@dataclass(slots=True)
class Seat:
    """An agent as the matcher sees it.

    `logged_in`: not offline. `ready`: available, and in no call and no work after one. `load`:
    pieces of work of other channels. `offer`: the caller for whom the agent is rung.
    `alone_until`: a delay after an offer that was not taken. `turns`: when last rung, by queue.
    """

    id: int
    skills: Mapping[str, int] = field(default_factory=dict)
    places: Mapping[int, Place] = field(default_factory=dict)
    capacity: int = 1
    load: int = 0
    logged_in: bool = False
    ready: bool = False
    idle_since: float = 0.0
    offer: str | None = None
    alone_until: float = 0.0
    turns: dict[int, int] = field(default_factory=dict)
    _able: dict[Needs, bool] = field(default_factory=dict, repr=False, compare=False)

    def is_free(self, now: float) -> bool:
        return (
            self.ready
            and self.offer is None
            and self.load < self.capacity
            and self.alone_until <= now
        )

    def has(self, needs: Needs) -> bool:
        """Remembered: callers have few different needs, and each is asked for again and again."""
        able = self._able.get(needs)
        if able is None:
            able = all(self.skills.get(skill, 0) >= level for skill, level in needs)
            self._able[needs] = able
        return able

    def take_over(self, known: "Seat") -> None:
        """Keep what the matcher knows of the seat as it was."""
        self.offer, self.turns = known.offer, known.turns
        if known.ready:
            self.alone_until = max(self.alone_until, known.alone_until)
        if known.skills == self.skills:
            self._able = known._able


@dataclass(slots=True)
class Caller:
    """One who waits. `place_at` decides the order within a priority; `waits_since` what opens
    and relaxes. `sticky`: the only agent until `sticky_until`. `offers`: agents who are rung."""

    id: str
    queue: int
    waits_since: float
    place_at: float
    priority: int = 0
    own_needs: Needs = NOTHING_NEEDED
    max_wait: float | None = None
    sticky: int | None = None
    sticky_until: float = 0.0
    offers: set[int] = field(default_factory=set)
    expired: str | None = None
    needs: Needs = NOTHING_NEEDED
    open_tier: int = 1

    @property
    def order(self) -> Order:
        """Who comes first in a queue."""
        return (-self.priority, self.place_at, self.id)


@dataclass(frozen=True, slots=True)
class Offer:
    """Ring these agents for the caller; they are reserved."""

    caller: str
    agents: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Withdraw:
    """Stop ringing the agent, who stays reserved until `offer_ended` says that it is over."""

    caller: str
    agent: int


@dataclass(frozen=True, slots=True)
class Expire:
    """The caller is to leave the queue: `wait` or `no-agents`."""

    caller: str
    reason: str


Decision = Offer | Withdraw | Expire
