"""Who is rung for whom: strategies, tiers, needs that relax, order, ways out, races."""

import pytest

from irisx.telephony.acd.models import OfferOutcome, Strategy
from irisx.telephony.acd.rules import Place
from tests.telephony.acd.floor import QUEUE, Floor

ENGLISH = frozenset({("english", 1)})
GOOD_ENGLISH = frozenset({("english", 7)})
NO_ANSWER, REJECTED = OfferOutcome.NO_ANSWER, OfferOutcome.REJECTED
DELAYS = {NO_ANSWER: 10.0, REJECTED: 5.0}


@pytest.mark.parametrize(
    ("strategy", "first", "second"),
    [
        (Strategy.LONGEST_IDLE, "ann", "bob"),
        (Strategy.ROUND_ROBIN, "ann", "bob"),
        (Strategy.LEAST_OCCUPIED, "cat", "ann"),
        (Strategy.PRIORITY, "bob", "ann"),
        (Strategy.SKILLS_BASED, "cat", "bob"),
        (Strategy.RING_ALL, "ann+bob+cat", ""),
    ],
)
def test_each_strategy_has_its_own_first(strategy: Strategy, first: str, second: str) -> None:
    floor = Floor(strategy, needs=ENGLISH)
    floor.agent("ann", level=2, capacity=3, load=1, skills={"english": 3})
    floor.agent("bob", level=1, capacity=3, load=2, skills={"english": 5})
    floor.agent("cat", level=3, capacity=3, load=0, skills={"english": 9})
    assert floor.caller("1") == f"{first} for 1"
    assert floor.caller("2") == (f"{second} for 2" if second else "")


def test_round_robin_goes_round_whoever_is_idle_longer() -> None:
    floor = Floor(Strategy.ROUND_ROBIN, delays=DELAYS)
    floor.agent("ann")
    floor.agent("bob")
    assert floor.caller("1") == "ann for 1"
    floor.answered("1", "ann")
    floor.agent("ann", idle_since=0.0)
    assert floor.caller("2") == "bob for 2"
    floor.answered("2", "bob")
    assert floor.caller("3") == "ann for 3"


def test_who_becomes_free_gets_who_waits_longest() -> None:
    floor = Floor()
    floor.caller("1")
    floor.caller("2")
    assert floor.agent("ann") == "ann for 1"
    assert floor.agent("bob") == "bob for 2"


def test_a_caller_s_and_a_queue_s_priority_come_before_the_wait() -> None:
    floor = Floor()
    floor.queue(2, priority=5)
    floor.caller("1")
    floor.caller("2", priority=1)
    floor.caller("3", queue=2)
    both = {QUEUE: Place(), 2: Place()}
    assert floor.agent("ann", places=both) == "ann for 3"
    assert floor.agent("bob", places=both) == "bob for 2"
    assert floor.agent("cat", places=both) == "cat for 1"
    assert floor.matcher.length(QUEUE) == 2  # who is being rung for still waits


def test_one_seat_whatever_queues_it_is_in() -> None:
    floor = Floor()
    floor.queue(2)
    floor.agent("ann", places={QUEUE: Place(), 2: Place()})
    assert floor.caller("1", queue=2) == "ann for 1"
    assert floor.caller("2") == ""


def test_work_of_other_channels_takes_capacity() -> None:
    floor = Floor()
    floor.agent("ann", capacity=2, load=2)
    assert floor.caller("1") == ""
    assert floor.agent("ann", capacity=2, load=1) == "ann for 1"


def test_tiers_open_with_the_wait() -> None:
    floor = Floor(tier_wait=30.0, tier_skip_empty=False)
    floor.agent("cat", tier=3)
    floor.agent("bob", tier=2)
    floor.caller("1")
    assert floor.after(29) == ""
    assert floor.after(2) == "bob for 1"
    floor.answered("1", "bob")
    floor.caller("2")
    assert floor.after(59) == ""
    assert floor.after(2) == "cat for 2"


def test_a_tier_opens_at_once_while_nobody_of_those_before_is_logged_in() -> None:
    floor = Floor(tier_wait=30.0)
    floor.agent("ann", ready=False)
    floor.agent("bob", tier=2)
    assert floor.caller("1") == ""
    assert floor.agent("ann", ready=False, logged_in=False) == "bob for 1"
    floor.answered("1", "bob")
    floor.agent("bob", tier=2)
    assert floor.caller("2") == "bob for 2"


def test_needs_relax_by_rule_with_the_wait() -> None:
    rules = ((20.0, ENGLISH), (40.0, frozenset()))
    floor = Floor(needs=GOOD_ENGLISH, relaxation=rules)
    floor.agent("ann")
    floor.agent("bob", skills={"english": 2})
    assert floor.caller("1") == ""
    assert floor.after(19) == ""
    assert floor.after(2) == "bob for 1"
    floor.caller("2")
    assert floor.after(39) == ""
    assert floor.after(2) == "ann for 2"


def test_a_caller_s_own_needs_stay() -> None:
    floor = Floor(relaxation=((10.0, frozenset()),))
    floor.agent("ann")
    floor.caller("1", own_needs=ENGLISH)
    assert floor.after(60) == ""
    assert floor.agent("bob", skills={"english": 1}) == "bob for 1"


def test_who_did_not_answer_is_left_alone_for_a_while() -> None:
    floor = Floor(delays=DELAYS)
    floor.agent("ann")
    floor.caller("1")
    assert floor.ended("1", "ann", NO_ANSWER) == ""
    assert floor.after(9) == ""
    assert floor.after(2) == "ann for 1"
    floor.ended("1", "ann", REJECTED)
    assert floor.after(4) == ""
    assert floor.after(2) == "ann for 1"
    floor.ended("1", "ann", NO_ANSWER)
    floor.agent("ann", ready=False)
    assert floor.agent("ann") == "ann for 1"  # who says that she is back is rung at once


@pytest.mark.parametrize("outcome", [NO_ANSWER, REJECTED])
def test_top_down_does_not_stay_with_the_first_who_takes_nobody(outcome: OfferOutcome) -> None:
    """mod_callcenter #1216, #1221: callers were stuck on the first agent of the list."""
    floor = Floor(Strategy.PRIORITY, delays=DELAYS)
    for level, name in enumerate(("ann", "bob", "cat"), start=1):
        floor.agent(name, level=level)
    assert floor.caller("1") == "ann for 1"
    assert floor.ended("1", "ann", outcome) == "bob for 1"
    assert floor.caller("2") == "cat for 2"
    assert floor.ended("1", "bob", outcome) == ""
    assert floor.after(11).startswith("ann for 1")


def test_a_caller_who_leaves_while_an_agent_rings_frees_her_when_her_phone_is_quiet() -> None:
    floor = Floor(delays=DELAYS)
    floor.agent("ann")
    floor.caller("1")
    assert floor.leaves("1") == "not ann"
    assert floor.caller("2") == ""  # her phone still rings
    assert floor.ended("1", "ann", OfferOutcome.CALLER_LEFT) == "ann for 2"
    assert floor.ended("1", "ann", OfferOutcome.CALLER_LEFT) == ""  # a late event


def test_ring_all_the_first_takes_the_caller_and_who_comes_free_joins() -> None:
    floor = Floor(Strategy.RING_ALL, delays=DELAYS)
    floor.agent("ann")
    floor.agent("bob")
    assert floor.caller("1") == "ann+bob for 1"
    assert floor.agent("cat") == "cat for 1"
    assert floor.ended("1", "bob", REJECTED) == ""
    assert floor.answered("1", "cat") == "not ann"
    assert floor.matcher.length(QUEUE) == 0


def test_the_longest_wait_and_an_agent_who_rings_at_its_end() -> None:
    floor = Floor(max_wait=30.0, delays=DELAYS)
    floor.caller("1")
    assert floor.after(29) == ""
    assert floor.after(2) == "1 leaves: wait"
    floor.caller("2")
    floor.after(25)
    assert floor.agent("ann") == "ann for 2"
    assert floor.after(10) == ""  # she may still answer
    assert floor.ended("2", "ann", NO_ANSWER) == "2 leaves: wait"
    floor.caller("3", max_wait=5.0)
    assert floor.after(6) == "3 leaves: wait"


def test_no_agents_at_the_door_and_later() -> None:
    floor = Floor(no_agents_after=0.0)
    assert floor.caller("1") == "1 leaves: no-agents"
    floor.agent("ann", ready=False)
    assert floor.caller("2") == ""
    floor.agent("ann", ready=False, logged_in=False)
    assert floor.after(0.1) == "2 leaves: no-agents"
    floor = Floor(no_agents_after=20.0)
    floor.caller("1")
    assert floor.after(19) == ""
    assert floor.after(2) == "1 leaves: no-agents"


def test_a_sticky_agent_is_waited_for_and_not_for_ever() -> None:
    floor = Floor()
    floor.agent("ann")
    floor.agent("bob", ready=False)
    until = floor.now + 30
    assert floor.caller("1", sticky="bob", sticky_until=until) == ""
    assert floor.after(20) == ""
    assert floor.agent("bob") == "bob for 1"
    assert floor.caller("2", sticky="bob", sticky_until=floor.now + 10) == ""
    assert floor.after(20) == "ann for 2"
    floor.agent("cat", logged_in=False, ready=False)
    floor.answered("1", "bob")
    floor.agent("bob")
    assert floor.caller("3", sticky="cat", sticky_until=floor.now + 10) == "bob for 3"


def test_positions_follow_priority_then_time() -> None:
    floor = Floor()
    floor.caller("1")
    floor.caller("2")
    floor.caller("3", priority=1)
    floor.caller("4", place_at=floor.now - 100)  # came back
    assert [floor.matcher.position(each) for each in "1234"] == [3, 4, 1, 2]


def test_new_rules_hold_for_who_waits_already() -> None:
    floor = Floor(needs=GOOD_ENGLISH)
    floor.agent("ann")
    assert floor.caller("1") == ""
    assert floor.rules(strategy=Strategy.RING_ALL) == "ann for 1"
    floor.caller("2")
    assert floor.rules(max_wait=60.0) == ""
    assert floor.after(61) == "2 leaves: wait"


def test_an_agent_who_logs_out_while_reserved_may_still_answer() -> None:
    floor = Floor()
    floor.agent("ann")
    floor.caller("1")
    assert floor.agent("ann", ready=False, logged_in=False) == ""
    assert floor.ended("1", "ann", NO_ANSWER) == ""
    assert floor.agent("bob") == "bob for 1"


def test_an_offer_of_an_engine_that_is_gone_is_taken_up_once() -> None:
    floor = Floor()
    floor.agent("ann", ready=False)
    floor.caller("1")
    ann = floor.id_of("ann")
    assert floor.matcher.resume_offer("1", ann)
    assert not floor.matcher.resume_offer("1", ann)
    assert not floor.matcher.resume_offer("9", ann)
    assert floor.agent("bob") == ""  # the caller is being offered already
    assert floor.answered("1", "ann") == ""
