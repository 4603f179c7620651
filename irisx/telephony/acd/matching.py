"""Who is rung for whom: pure, in memory, by event. No polling and no tick.

Nothing here waits or reads a clock. After every event no agent is free who may have a caller who
waits: an agent who becomes free looks at the first caller of each group of callers with the same
needs, a caller who enters looks at the free agents in the order of the queue's strategy. What time
alone changes (tiers that open, needs that relax, delays that end) is a deadline of `next_due`.
"""

import heapq
from bisect import bisect_left, insort
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import Enum, auto
from itertools import count

from irisx.telephony.acd.lines import Key, Line, remove
from irisx.telephony.acd.models import OfferOutcome, Strategy
from irisx.telephony.acd.rules import (
    Caller,
    Decision,
    Expire,
    Needs,
    Offer,
    Order,
    QueueRules,
    Seat,
    Withdraw,
)

#: Agents that are rung together for one caller at most.
RING_ALL_AT_MOST = 50


class _Due(Enum):
    CALLER = auto()
    SEAT = auto()
    QUEUE = auto()


class Matcher:
    """The callers and agents of one tenant; agents have one seat, whatever queues they are in."""

    def __init__(self) -> None:
        self._queues: dict[int, Line] = {}
        self._seats: dict[int, Seat] = {}
        self._callers: dict[str, Caller] = {}
        self._turn = count(1)
        self._due: list[tuple[float, int, _Due, int | str]] = []
        self._serial = count()

    # -- what there is ----------------------------------------------------------------------------

    def has_queue(self, queue_id: int) -> bool:
        return queue_id in self._queues

    def caller(self, caller_id: str) -> Caller | None:
        return self._callers.get(caller_id)

    def seat(self, agent_id: int) -> Seat | None:
        return self._seats.get(agent_id)

    def length(self, queue_id: int) -> int:
        """How many wait."""
        return len(self._queues[queue_id].line)

    def position(self, caller_id: str) -> int:
        """1 for who is next."""
        caller = self._callers[caller_id]
        return bisect_left(self._queues[caller.queue].line, caller.order) + 1

    def staffed(self, queue_id: int) -> int:
        """Agents of the queue who are logged in."""
        return len(self._queues[queue_id].logged_in)

    def free(self, queue_id: int) -> int:
        """Agents of the queue who could be rung now."""
        return len(self._queues[queue_id].free)

    def next_due(self) -> float | None:
        """When `due` is to be called at the latest."""
        return self._due[0][0] if self._due else None

    # -- queues and agents ------------------------------------------------------------------------

    def set_queue(self, rules: QueueRules, now: float) -> list[Decision]:
        """A queue is new or has other rules. Callers in it go on by these."""
        queue = self._queues.get(rules.id)
        if queue is None:
            queue = self._queues[rules.id] = Line(rules, unstaffed_since=now)
        queue.rules = rules
        for seat in self._seats.values():
            if rules.id in seat.places:
                self._unfile(seat)
                self._file(seat, now)
                self._enrol(queue, seat, now)
        for caller in self._in_line(queue):
            self._set_deadlines(caller, now)
        return self._regroup(queue, now)

    def remove_queue(self, queue_id: int) -> None:
        """A queue is no more. Nobody may be in it."""
        queue = self._queues.pop(queue_id, None)
        if queue is not None and queue.line:
            raise ValueError("callers are in the queue")

    def set_seat(self, seat: Seat, now: float) -> list[Decision]:
        """An agent is new or has changed. What the matcher itself keeps of a seat stays; who
        comes back from being not ready is left alone no longer."""
        known = self._seats.get(seat.id)
        if known is not None:
            self._unfile(known)
            seat.take_over(known)
        if seat.alone_until > now:
            self._push(seat.alone_until, _Due.SEAT, seat.id)
        self._seats[seat.id] = seat
        self._file(seat, now)
        decisions: list[Decision] = []
        for queue_id in seat.places.keys() | (known.places.keys() if known else set()):
            queue = self._queues.get(queue_id)
            if queue is not None and self._enrol(queue, seat, now):
                decisions += self._regroup(queue, now)
        return decisions + self._serve_seat(seat, now)

    def remove_seat(self, agent_id: int, now: float) -> list[Decision]:
        """An agent is no more. One who is being rung at this moment may still answer."""
        decisions = self.set_seat(Seat(id=agent_id), now)
        if self._seats[agent_id].offer is None:
            del self._seats[agent_id]
        return decisions

    # -- callers ----------------------------------------------------------------------------------

    def enter(self, caller: Caller, now: float) -> list[Decision]:
        """Somebody waits from now on (or goes on waiting, after an engine was lost)."""
        self._callers[caller.id] = caller
        queue = self._queues[caller.queue]
        insort(queue.line, caller.order)
        sticky = self._seats.get(caller.sticky) if caller.sticky is not None else None
        if sticky is None or not sticky.logged_in or caller.queue not in sticky.places:
            caller.sticky = None
        self._set_deadlines(caller, now)
        if self._is_unstaffed(queue, caller, now):
            return [self._expire(caller, "no-agents")]
        self._group(caller, now)
        return self._serve([caller], now)

    def leave(self, caller_id: str) -> list[Decision]:
        """The caller is out of the queue, for whatever reason."""
        caller = self._callers.pop(caller_id, None)
        if caller is None:
            return []
        self._queues[caller.queue].take_out(caller)
        return [Withdraw(caller_id, agent_id) for agent_id in sorted(caller.offers)]

    def answered(self, caller_id: str, agent_id: int) -> list[Decision]:
        """An agent has taken the caller, and is not ready until `set_seat` says so."""
        caller = self._callers.get(caller_id)
        if caller is None or agent_id not in caller.offers:
            return []
        caller.offers.discard(agent_id)
        seat = self._seats[agent_id]
        seat.offer, seat.ready = None, False
        return self.leave(caller_id)

    def resume_offer(self, caller_id: str, agent_id: int) -> bool:
        """An engine that is gone has had the agent rung; False if that can't be so."""
        caller, seat = self._callers.get(caller_id), self._seats.get(agent_id)
        if caller is None or seat is None or seat.offer is not None:
            return False
        self._reserve(caller, seat)
        return True

    def offer_ended(
        self, caller_id: str, agent_id: int, outcome: OfferOutcome, now: float
    ) -> list[Decision]:
        """The agent is not rung any more, and did not take the caller."""
        decisions: list[Decision] = []
        caller, seat = self._callers.get(caller_id), self._seats.get(agent_id)
        if seat is not None and seat.offer == caller_id:
            seat.offer = None
            queue = None if caller is None else self._queues[caller.queue]
            delay = 0.0 if queue is None else queue.rules.delays.get(outcome, 0.0)
            if delay:
                seat.alone_until = now + delay
                self._push(seat.alone_until, _Due.SEAT, agent_id)
            self._file(seat, now)
        if caller is not None and agent_id in caller.offers:
            caller.offers.discard(agent_id)
            if not caller.offers:
                decisions += self._back(caller, now)
        if seat is not None:
            decisions += self._serve_seat(seat, now)
        return decisions

    def _back(self, caller: Caller, now: float) -> list[Decision]:
        """Nobody is rung for the caller any more."""
        if caller.expired is not None:
            return [self._expire(caller, caller.expired)]
        remove(self._queues[caller.queue].ringing, caller.order)
        self._group(caller, now)
        return self._serve([caller], now)

    def due(self, now: float) -> list[Decision]:
        """What time alone has changed."""
        decisions: list[Decision] = []
        while self._due and self._due[0][0] <= now:
            _, _, kind, subject = heapq.heappop(self._due)
            decisions += self._one_due(kind, subject, now)
        return decisions

    def _one_due(self, kind: _Due, subject: int | str, now: float) -> list[Decision]:
        if kind is _Due.CALLER:
            caller = self._callers.get(str(subject))
            return [] if caller is None else self._caller_due(caller, now)
        if kind is _Due.QUEUE:
            queue = self._queues.get(int(subject))
            callers = [] if queue is None else self._in_line(queue)
            return [each for caller in callers for each in self._caller_due(caller, now)]
        seat = self._seats.get(int(subject))
        if seat is None:
            return []
        self._unfile(seat)
        self._file(seat, now)
        return self._serve_seat(seat, now)

    # -- deadlines --------------------------------------------------------------------------------

    def _push(self, at: float, kind: _Due, subject: int | str) -> None:
        heapq.heappush(self._due, (at, next(self._serial), kind, subject))

    def _set_deadlines(self, caller: Caller, now: float) -> None:
        rules = self._queues[caller.queue].rules
        since = caller.waits_since
        marks = [since + after for after, _ in rules.relaxation]
        if (max_wait := self._max_wait(caller)) is not None:
            marks.append(since + max_wait)
        if caller.sticky is not None:
            marks.append(caller.sticky_until)
        if rules.no_agents_after:
            marks.append(max(now, since) + rules.no_agents_after)
        for mark in marks:
            self._push(max(mark, now), _Due.CALLER, caller.id)

    def _max_wait(self, caller: Caller) -> float | None:
        own = caller.max_wait
        return self._queues[caller.queue].rules.max_wait if own is None else own

    def _caller_due(self, caller: Caller, now: float) -> list[Decision]:
        queue, max_wait = self._queues[caller.queue], self._max_wait(caller)
        reason = None
        if max_wait is not None and now >= caller.waits_since + max_wait:
            reason = "wait"
        elif self._is_unstaffed(queue, caller, now):
            reason = "no-agents"
        if caller.offers:
            caller.expired = reason  # whoever is rung may still answer
            return []
        if reason is not None:
            return [self._expire(caller, reason)]
        queue.ungroup(caller)
        self._group(caller, now)
        return self._serve([caller], now)

    def _is_unstaffed(self, queue: Line, caller: Caller, now: float) -> bool:
        after = queue.rules.no_agents_after
        if after is None or queue.unstaffed_since is None:
            return False
        return now >= max(queue.unstaffed_since, caller.waits_since) + after

    def _expire(self, caller: Caller, reason: str) -> Expire:
        del self._callers[caller.id]
        self._queues[caller.queue].take_out(caller)
        return Expire(caller.id, reason)

    # -- groups of callers ------------------------------------------------------------------------

    def _in_line(self, queue: Line) -> list[Caller]:
        return [self._callers[order[-1]] for order in queue.line]

    def _group(self, caller: Caller, now: float) -> None:
        """Put a caller who can be offered into the group that time has brought it to."""
        queue = self._queues[caller.queue]
        if caller.sticky is not None and now >= caller.sticky_until:
            caller.sticky = None
        waited = now - caller.waits_since
        caller.needs = queue.rules.needs_after(waited) | caller.own_needs
        caller.open_tier = min(queue.rules.open_tier(waited), queue.last_tier)
        if caller.open_tier < queue.last_tier:
            opens_at = caller.waits_since + caller.open_tier * queue.rules.tier_wait
            self._push(max(opens_at, now), _Due.CALLER, caller.id)
        queue.group(caller)

    def _regroup(self, queue: Line, now: float) -> list[Decision]:
        """All callers again: the queue's rules or tiers have changed."""
        waiting = [caller for caller in self._in_line(queue) if not caller.offers]
        for caller in waiting:
            queue.ungroup(caller)
            self._group(caller, now)
        return self._serve(waiting, now)

    # -- seats ------------------------------------------------------------------------------------

    def _file(self, seat: Seat, now: float) -> None:
        """Put a seat among the free ones of its queues, if it is free."""
        if not seat.is_free(now):
            return
        for queue_id, place in seat.places.items():
            queue = self._queues.get(queue_id)
            if queue is not None:
                queue.file(seat, place)

    def _unfile(self, seat: Seat) -> None:
        for queue_id in seat.places:
            queue = self._queues.get(queue_id)
            if queue is not None:
                queue.unfile(seat.id)

    def _enrol(self, queue: Line, seat: Seat, now: float) -> bool:
        """Keep who is a member and who is logged in; True if other tiers may be rung now."""
        tiers = (queue.first_tier, queue.last_tier)
        if not queue.enrol(seat):
            return False
        if queue.logged_in:
            queue.unstaffed_since = None
        elif queue.unstaffed_since is None:
            queue.unstaffed_since = now
            if queue.rules.no_agents_after is not None:
                self._push(now + queue.rules.no_agents_after, _Due.QUEUE, queue.rules.id)
        return tiers != (queue.first_tier, queue.last_tier)

    # -- matching ---------------------------------------------------------------------------------

    def _serve(self, callers: Iterable[Caller], now: float) -> list[Decision]:
        """Offer those of the callers for whom somebody is free."""
        decisions: list[Decision] = []
        for caller in callers:
            seats = self._pick(caller, now)
            if seats:
                for seat in seats:
                    self._reserve(caller, seat)
                decisions.append(Offer(caller.id, tuple(seat.id for seat in seats)))
        return decisions

    def _pick(self, caller: Caller, now: float) -> list[Seat]:
        queue = self._queues[caller.queue]
        if caller.sticky is not None:
            seat = self._seats.get(caller.sticky)
            return [seat] if seat is not None and seat.is_free(now) else []
        able = self._able(queue, caller)
        match queue.rules.strategy:
            case Strategy.RING_ALL:
                return [seat for seat, _ in zip(able, range(RING_ALL_AT_MOST), strict=False)]
            case Strategy.SKILLS_BASED:
                return (
                    [min(found, key=_SkillKey(queue.rules.id, caller.needs))]
                    if (found := list(able))
                    else []
                )
        return [first] if (first := next(able, None)) is not None else []

    def _able(self, queue: Line, caller: Caller) -> Iterator[Seat]:
        """Free seats that may have the caller, in the order of the strategy."""
        reach = queue.reach(caller.open_tier)
        for key, agent_id in queue.free:
            if key[0] > reach:
                return
            seat = self._seats[agent_id]
            if seat.has(caller.needs):
                yield seat

    def _serve_seat(self, seat: Seat, now: float) -> list[Decision]:
        """Find the first of all callers for a seat that is free."""
        if not seat.is_free(now):
            return []
        best: tuple[int, Order] | None = None
        for queue_id, place in seat.places.items():
            queue = self._queues.get(queue_id)
            if queue is None or not queue.line:
                continue
            for order in queue.heads(seat, place):
                candidate = (-queue.rules.priority, order)
                if best is None or candidate < best:
                    best = candidate
        if best is None:
            return self._join(seat)
        caller = self._callers[best[1][-1]]
        self._reserve(caller, seat)
        return [Offer(caller.id, (seat.id,))]

    def _join(self, seat: Seat) -> list[Decision]:
        """Ring a seat for a caller of a ring-all queue for whom others are rung already."""
        for queue_id, place in seat.places.items():
            queue = self._queues.get(queue_id)
            for order in queue.ringing if queue is not None else ():
                caller = self._callers[order[-1]]
                may = queue is not None and place.tier <= queue.reach(caller.open_tier)
                if may and seat.has(caller.needs) and len(caller.offers) < RING_ALL_AT_MOST:
                    self._reserve(caller, seat)
                    return [Offer(caller.id, (seat.id,))]
        return []

    def _reserve(self, caller: Caller, seat: Seat) -> None:
        queue = self._queues[caller.queue]
        if not caller.offers:
            queue.ungroup(caller)
            if queue.rules.strategy is Strategy.RING_ALL:
                insort(queue.ringing, caller.order)
        self._unfile(seat)
        caller.offers.add(seat.id)
        seat.offer = caller.id
        seat.turns[caller.queue] = next(self._turn)


@dataclass(frozen=True, slots=True)
class _SkillKey:
    """Within a tier: who is best at what the caller needs, then who is idle longest."""

    queue_id: int
    needs: Needs

    def __call__(self, seat: Seat) -> Key:
        level = sum(seat.skills.get(skill, 0) for skill, _ in self.needs)
        return (seat.places[self.queue_id].tier, -level, seat.idle_since, seat.id)
