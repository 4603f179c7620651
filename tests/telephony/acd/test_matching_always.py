"""Whatever happens, in whatever order: nobody is forgotten, nobody is offered twice."""

from random import Random

from hypothesis import given, settings
from hypothesis import strategies as st

from irisx.telephony.acd.matching import Matcher
from irisx.telephony.acd.models import OfferOutcome, Strategy
from irisx.telephony.acd.rules import (
    Caller,
    Decision,
    Expire,
    Needs,
    Offer,
    Place,
    QueueRules,
    Seat,
    Withdraw,
)

NOTHING: Needs = frozenset()
#: Mostly what can be met: a floor on which nothing is ever offered proves nothing.
NEEDS = [NOTHING, NOTHING, frozenset({("english", 1)}), frozenset({("english", 2)})]
LEVELS = [{}, {"english": 1}, {"english": 2}, {"english": 3, "sales": 1}]
PLACES = [
    {1: Place(1), 2: Place(1)},
    {1: Place(1), 2: Place(2)},
    {1: Place(2, 2)},
    {2: Place(1, 2)},
    {1: Place(3), 2: Place(3)},
]
AGENTS = range(1, 7)
MISSED = [outcome for outcome in OfferOutcome if outcome is not OfferOutcome.ANSWERED]


class Floor:
    """The same events as the engine's, and the rules checked by looking at everybody."""

    def __init__(self, random: Random) -> None:
        self.random = random
        self.matcher = Matcher()
        self.now = 0.0
        self.rules: dict[int, QueueRules] = {}
        self.waiting: dict[str, int] = {}
        self.rung: set[tuple[str, int]] = set()
        self.seats: dict[int, Seat] = {}
        self.callers = 0
        self.offers = 0
        for queue_id in (1, 2):
            self.strategy = random.choice(list(Strategy))
            self.change_queue(queue_id)

    def step(self) -> None:
        acts = [self.change_agent, self.call, self.answer, self.miss, self.hang_up, self.wait]
        act = self.random.choices(acts, [6, 6, 4, 3, 1, 3])[0]
        act()
        if self.random.random() < 0.02:
            self.change_queue(self.random.choice([1, 2]))
        self.check()

    def take(self, decisions: list[Decision]) -> None:
        for decision in decisions:
            match decision:
                case Offer(caller=caller, agents=agents):
                    assert caller in self.waiting
                    for agent in agents:
                        assert all(agent != other for _, other in self.rung), "offered twice"
                        self.rung.add((caller, agent))
                        self.offers += 1
                    if self.rules[self.waiting[caller]].strategy is not Strategy.RING_ALL:
                        assert sum(caller == who for who, _ in self.rung) == 1
                case Expire(caller=caller):
                    del self.waiting[caller]
                case Withdraw(caller=caller, agent=agent):
                    assert (caller, agent) in self.rung

    def change_queue(self, queue_id: int) -> None:
        choice = self.random.choice
        known = self.rules.get(queue_id)
        rules = QueueRules(
            queue_id,
            strategy=known.strategy if known else self.strategy,
            needs=choice(NEEDS),
            relaxation=((10.0, choice(NEEDS)),),
            tier_wait=20.0,
            max_wait=choice([None, None, 40.0]),
            no_agents_after=choice([None, None, 0.0, 15.0]),
            delays={OfferOutcome.REJECTED: 5.0, OfferOutcome.NO_ANSWER: 8.0},
        )
        self.rules[queue_id] = rules
        self.take(self.matcher.set_queue(rules, self.now))

    def change_agent(self) -> None:
        choice = self.random.choice
        state = choice(["free", "free", "free", "busy", "out"])
        seat = Seat(
            choice(AGENTS),
            skills=choice(LEVELS),
            places=choice(PLACES),
            capacity=2,
            load=choice([0, 0, 1, 2]),
            logged_in=state != "out",
            ready=state == "free",
            idle_since=self.now,
        )
        self.seats[seat.id] = seat
        self.take(self.matcher.set_seat(seat, self.now))

    def call(self) -> None:
        self.callers += 1
        caller_id = f"{self.callers:04}"
        priority = self.random.choice([-1, 0, 0, 1])
        caller = Caller(
            caller_id,
            self.random.choice([1, 2]),
            waits_since=self.now,
            place_at=self.now,
            priority=priority,
            own_needs=NEEDS[2] if priority < 0 else NOTHING,
            sticky=self.random.choice([None, None, 1, 2]),
            sticky_until=self.now + 12,
        )
        self.waiting[caller_id] = caller.queue
        self.take(self.matcher.enter(caller, self.now))

    def hang_up(self) -> None:
        if self.waiting:
            caller = self.random.choice(sorted(self.waiting))
            del self.waiting[caller]
            self.take(self.matcher.leave(caller))

    def answer(self) -> None:
        if self.rung:
            caller, agent = self.random.choice(sorted(self.rung))
            decisions = self.matcher.answered(caller, agent)
            if caller in self.waiting:
                self.rung.discard((caller, agent))
                del self.waiting[caller]
            self.take(decisions)

    def miss(self) -> None:
        if self.rung:
            caller, agent = self.random.choice(sorted(self.rung))
            self.rung.discard((caller, agent))
            outcome = self.random.choice(MISSED)
            self.take(self.matcher.offer_ended(caller, agent, outcome, self.now))

    def wait(self) -> None:
        self.now += self.random.choice([0.5, 3.0, 9.0, 25.0])
        self.take(self.matcher.due(self.now))

    def check(self) -> None:
        for queue_id, rules in self.rules.items():
            mine = [caller for caller, queue in self.waiting.items() if queue == queue_id]
            assert self.matcher.length(queue_id) == len(mine)
            assert sorted(map(self.matcher.position, mine)) == list(range(1, len(mine) + 1))
            for caller_id in mine:
                caller = self.matcher.caller(caller_id)
                assert caller is not None
                if not caller.offers:
                    free = [seat for seat in self.seats.values() if seat.is_free(self.now)]
                    forgotten = [seat for seat in free if self._may_have(seat, caller, rules)]
                    assert not forgotten, (caller, forgotten)

    def _may_have(self, seat: Seat, caller: Caller, rules: QueueRules) -> bool:
        place = seat.places.get(rules.id)
        if place is None:
            return False
        if caller.sticky is not None and self.now < caller.sticky_until:
            return seat.id == caller.sticky
        tiers = [
            each.places[rules.id].tier
            for each in self.seats.values()
            if each.logged_in and rules.id in each.places
        ]
        waited = self.now - caller.waits_since
        reach = max(rules.open_tier(waited), min(tiers))
        return place.tier <= reach and seat.has(rules.needs_after(waited) | caller.own_needs)


@given(seed=st.integers(0, 2**32))
@settings(max_examples=40, deadline=None)
def test_nobody_is_forgotten_and_nobody_is_offered_twice(seed: int) -> None:
    floor = Floor(Random(seed))
    for _ in range(200):
        floor.step()
    assert floor.offers
