"""One queue as the matcher keeps it: callers in their order and groups, free seats by strategy."""

from bisect import bisect_left, insort
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TypeVar

from irisx.telephony.acd.models import Strategy
from irisx.telephony.acd.rules import Caller, Needs, Order, Place, QueueRules, Seat

Key = tuple[float, ...]
_Name = TypeVar("_Name")


@dataclass(slots=True)
class Line:
    """A queue and who is in it.

    `line`: all callers. `groups`: those who can be offered, by what they need and the tier that
    is open to them; `stuck`: those who wait for one agent; `ringing`: those of ring-all for whom
    agents are rung. `free`: seats that are free, by the strategy's key. `members`: the tier of
    every seat; `logged_in`: of those who are.
    """

    rules: QueueRules
    unstaffed_since: float | None
    line: list[Order] = field(default_factory=list)
    groups: dict[tuple[Needs, int], list[Order]] = field(default_factory=dict)
    stuck: dict[int, list[Order]] = field(default_factory=dict)
    ringing: list[Order] = field(default_factory=list)
    free: list[tuple[Key, int]] = field(default_factory=list)
    free_keys: dict[int, Key] = field(default_factory=dict)
    members: dict[int, int] = field(default_factory=dict)
    logged_in: dict[int, int] = field(default_factory=dict)
    first_tier: int = 1
    last_tier: int = 1

    def reach(self, open_tier: int) -> int:
        """The highest tier that is rung for a caller to whom `open_tier` is open."""
        return max(open_tier, self.first_tier) if self.rules.tier_skip_empty else open_tier

    # -- callers ----------------------------------------------------------------------------------

    def group(self, caller: Caller) -> None:
        """The caller can be offered, by the needs and the tier that time has brought it to."""
        if caller.sticky is not None:
            insort(self.stuck.setdefault(caller.sticky, []), caller.order)
        else:
            insort(self.groups.setdefault((caller.needs, caller.open_tier), []), caller.order)

    def ungroup(self, caller: Caller) -> None:
        if caller.sticky is not None:
            _discard(self.stuck, caller.sticky, caller.order)
        _discard(self.groups, (caller.needs, caller.open_tier), caller.order)

    def take_out(self, caller: Caller) -> None:
        self.ungroup(caller)
        remove(self.ringing, caller.order)
        remove(self.line, caller.order)

    def heads(self, seat: Seat, place: Place) -> Iterator[Order]:
        """The first caller of each group that the seat may have."""
        stuck = self.stuck.get(seat.id)
        if stuck:
            yield stuck[0]
        tier, always = place.tier, place.tier <= self.reach(0)
        for (needs, open_tier), group in self.groups.items():
            if (always or tier <= open_tier) and seat.has(needs):
                yield group[0]

    # -- seats ------------------------------------------------------------------------------------

    def file(self, seat: Seat, place: Place) -> None:
        """The seat is free."""
        if seat.id not in self.free_keys:
            key = (float(place.tier), *_key(self.rules, seat, place))
            insort(self.free, (key, seat.id))
            self.free_keys[seat.id] = key

    def unfile(self, agent_id: int) -> None:
        key = self.free_keys.pop(agent_id, None)
        if key is not None:
            del self.free[bisect_left(self.free, (key, agent_id))]

    def enrol(self, seat: Seat) -> bool:
        """Keep who is a member and who is logged in; False if that was known."""
        place = seat.places.get(self.rules.id)
        member = None if place is None else place.tier
        logged_in = member if seat.logged_in else None
        known = (self.members.get(seat.id), self.logged_in.get(seat.id))
        if known == (member, logged_in) and self.logged_in:
            return False
        _set(self.members, seat.id, member)
        _set(self.logged_in, seat.id, logged_in)
        self.first_tier = min(self.logged_in.values(), default=1)
        self.last_tier = max(self.members.values(), default=1)
        return True


def _key(rules: QueueRules, seat: Seat, place: Place) -> Key:
    """By what the free seats of a tier are ordered; the lowest is rung first."""
    match rules.strategy:
        case Strategy.ROUND_ROBIN:
            return (seat.turns.get(rules.id, 0),)
        case Strategy.LEAST_OCCUPIED:
            return (seat.load, seat.idle_since)
        case Strategy.PRIORITY:
            return (place.level, seat.idle_since)
    return (seat.idle_since,)


def _set(table: dict[int, int], key: int, value: int | None) -> None:
    if value is None:
        table.pop(key, None)
    else:
        table[key] = value


def remove(orders: list[Order], order: Order) -> bool:
    """Take an order out of a sorted list; False if it is not there."""
    index = bisect_left(orders, order)
    found = index < len(orders) and orders[index] == order
    if found:
        del orders[index]
    return found


def _discard(table: dict[_Name, list[Order]], key: _Name, order: Order) -> None:
    """Take an order out of one of the lists of a table, which holds no empty ones."""
    orders = table.get(key)
    if orders is not None and remove(orders, order) and not orders:
        del table[key]
