"""Matching decisions a CPU second, for 10,000 callers who wait and 1,000 agents with skills.

Two figures for each strategy: an agent becomes free while all wait (the decision is whom she
gets), and a caller comes while all agents are free (the decision is who is rung). Pure: no switch
and no database. Beside it what the same costs when every caller is looked at each time, as
mod_callcenter's dispatcher does it (there each look is a row of a SELECT): that many members ×
agents joined by tier a tick.
"""

import os
import sys
import time
from collections.abc import Callable
from random import Random

from irisx.telephony.acd.matching import Matcher
from irisx.telephony.acd.models import Strategy
from irisx.telephony.acd.rules import Caller, Needs, Offer, Place, QueueRules, Seat

CALLERS, AGENTS, QUEUES = 10_000, 1_000, 10
SKILLS = ["english", "german", "french", "sales", "support", "billing", "gold", "vip"]
_SECONDS = 2.0


def main() -> int:
    seed = int(sys.argv[1]) if len(sys.argv) > 1 else 1
    load = os.getloadavg()[0]
    print(
        f"{CALLERS} callers x {AGENTS} agents, {QUEUES} queues, {len(SKILLS)} skills, seed {seed}"
    )
    print(f"{'strategy':16} {'agent free, /s':>15} {'caller comes, /s':>17}")
    for strategy in Strategy:
        free = rate(lambda strategy=strategy: agents_become_free(strategy, Random(seed)))
        comes = rate(lambda strategy=strategy: callers_come(strategy, Random(seed)))
        print(f"{strategy.value:16} {free:15,.0f} {comes:17,.0f}")
    every = looking_at_everybody(Random(seed))
    print(f"{'every caller looked at':16} {every:9,.0f}")
    print(f"load {load:.1f}, {os.cpu_count()} CPUs")
    return 0


def rate(world: Callable[[], Callable[[], None]]) -> float:
    """Decisions a second: `world` makes a floor and answers the function that makes one."""
    decide = world()
    decided, began = 0, time.process_time()
    while time.process_time() - began < _SECONDS:
        decide()
        decided += 1
    return decided / (time.process_time() - began)


def needs_of(random: Random) -> Needs:
    wanted = random.sample(SKILLS, random.choice([0, 1, 1, 2]))
    return frozenset((skill, random.choice([1, 3, 5])) for skill in wanted)


def seat_of(agent_id: int, random: Random, *, ready: bool) -> Seat:
    known = random.sample(SKILLS, 4)
    return Seat(
        agent_id,
        skills={skill: random.randint(1, 10) for skill in known},
        places={
            queue: Place(random.choice([1, 1, 2])) for queue in random.sample(range(QUEUES), 3)
        },
        logged_in=True,
        ready=ready,
        idle_since=float(agent_id),
    )


def caller_of(number: int, random: Random) -> Caller:
    return Caller(
        f"{number:06}",
        random.randrange(QUEUES),
        waits_since=float(number % 50),
        place_at=float(number % 50),
        priority=random.choice([0, 0, 0, 1]),
        own_needs=needs_of(random),
    )


def floor(strategy: Strategy) -> Matcher:
    matcher = Matcher()
    for queue in range(QUEUES):
        matcher.set_queue(QueueRules(queue, strategy=strategy), 100.0)
    return matcher


def agents_become_free(strategy: Strategy, random: Random) -> Callable[[], None]:
    matcher = floor(strategy)
    seats = [seat_of(agent_id, random, ready=False) for agent_id in range(AGENTS)]
    for seat in seats:
        matcher.set_seat(seat, 100.0)
    for number in range(CALLERS):
        matcher.enter(caller_of(number, random), 100.0)
    numbers = iter(range(CALLERS, 100_000_000))

    def one() -> None:
        seat = random.choice(seats)
        seat.ready = True
        for decision in matcher.set_seat(seat, 100.0):
            assert isinstance(decision, Offer)
            matcher.answered(decision.caller, decision.agents[0])
            matcher.enter(caller_of(next(numbers), random), 100.0)  # the line stays as long
        seat.ready = False
        matcher.set_seat(seat, 100.0)

    return one


def callers_come(strategy: Strategy, random: Random) -> Callable[[], None]:
    matcher = floor(strategy)
    for agent_id in range(AGENTS):
        matcher.set_seat(seat_of(agent_id, random, ready=True), 100.0)
    numbers = iter(range(100_000_000))

    def one() -> None:
        caller = caller_of(next(numbers), random)
        decisions = matcher.enter(caller, 100.0)
        for decision in decisions:
            assert isinstance(decision, Offer)
            first, *_ = decision.agents
            matcher.answered(caller.id, first)
            for agent_id in decision.agents:
                seat = matcher.seat(agent_id)
                assert seat is not None
                seat.offer, seat.ready = None, True
                matcher.set_seat(seat, 100.0)
        matcher.leave(caller.id)

    return one


def looking_at_everybody(random: Random) -> float:
    """Decisions a second when a free agent looks at every caller."""
    callers = [caller_of(number, random) for number in range(CALLERS)]
    seats = [seat_of(agent_id, random, ready=True) for agent_id in range(AGENTS)]

    def one() -> None:
        seat = random.choice(seats)
        fitting = (
            caller
            for caller in callers
            if caller.queue in seat.places and seat.has(caller.own_needs)
        )
        min(fitting, key=lambda caller: caller.order, default=None)

    return rate(lambda: one)


if __name__ == "__main__":
    sys.exit(main())
