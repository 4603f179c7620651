"""When a number may be called: where it lies, and which hours hold there."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo

import holidays
import phonenumbers
from phonenumbers import timezone

from irisx.telephony.dialer.options import CallingHours, Weekday, WindowRule
from irisx.telephony.dialer.region_rules import rule_of
from irisx.telephony.dialer.us_area_codes import STATES
from irisx.tenancy.barring import country

_DAYS: tuple[Weekday, ...] = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
#: A prefix that lies in more zones tells none: freephone, numbers that are not assigned.
_MAX_ZONES = 8
_UNKNOWN_ZONE = "Etc/Unknown"
#: How far ahead an opening is looked for.
_HORIZON_DAYS = 21


@dataclass(frozen=True, slots=True)
class Place:
    """Where somebody is called. `region`: `US-FL`, `DE`; `zones`: IANA names that it may be."""

    region: str
    zones: tuple[str, ...]

    def __str__(self) -> str:
        return f"{self.region} {','.join(self.zones)}"

    @classmethod
    def parse(cls, text: str) -> "Place":
        region, _, zones = text.partition(" ")
        return cls(region, tuple(zones.split(",")) if zones else ())


def place_of(number: str, *, time_zone: str | None, region: str | None = None) -> Place:
    """Where an E.164 number lies: as was said of the contact, or else by the number's prefix.

    Without zones if the prefix tells none.
    """
    return Place(region or region_of(number), (time_zone,) if time_zone else zones_of(number))


def region_of(number: str) -> str:
    """`US-FL` for +1 305 …; the country alone where there are no states to tell apart."""
    found = country(number)
    return STATES.get(number[2:5], found) if found == "US" else found


def zones_of(number: str) -> tuple[str, ...]:
    try:
        parsed = phonenumbers.parse(number)
    except phonenumbers.NumberParseException:
        return ()
    # By the prefix, whether or not the rest is in service.
    zones: tuple[str, ...] = timezone.time_zones_for_geographical_number(parsed)
    return () if _UNKNOWN_ZONE in zones or len(zones) > _MAX_ZONES else tuple(sorted(zones))


def may_call(place: Place, hours: CallingHours, moment: datetime) -> bool:
    """Whether `moment` is within every rule of every zone of the place."""
    zones = _zones(place, hours)
    return bool(zones) and all(
        _is_open(place.region, hours, moment.astimezone(ZoneInfo(zone))) for zone in zones
    )


def next_opening(place: Place, hours: CallingHours, after: datetime) -> datetime | None:
    """The first moment from `after` on at which `may_call`; None: not within three weeks."""
    if may_call(place, hours, after):
        return after
    # The hours are intervals, and where several overlap they begin with one of them.
    starts = sorted(
        {start for zone in _zones(place, hours) for start in _starts(place, hours, zone, after)}
    )
    return next((start for start in starts if may_call(place, hours, start)), None)


def _zones(place: Place, hours: CallingHours) -> Sequence[str]:
    if place.zones:
        return place.zones
    return (hours.default_time_zone,) if hours.default_time_zone else ()


def _starts(place: Place, hours: CallingHours, zone: str, after: datetime) -> Iterator[datetime]:
    today = after.astimezone(ZoneInfo(zone)).date()
    rule = _rule(place.region, hours)
    weeklies = [hours.weekly] + ([rule.weekly] if rule is not None else [])
    for ahead in range(_HORIZON_DAYS):
        day = today + timedelta(days=ahead)
        clocks = {time(0)} | {_ends(w)[0] for weekly in weeklies for w in _of_day(weekly, day)}
        for clock in clocks:
            start = datetime.combine(day, clock, ZoneInfo(zone)).astimezone(UTC)
            if start > after:
                yield start


def _rule(region: str, hours: CallingHours) -> WindowRule | None:
    own = hours.regions.get(region) or hours.regions.get(region.partition("-")[0])
    return own or (rule_of(region) if hours.region_rules else None)


def _is_open(region: str, hours: CallingHours, local: datetime) -> bool:
    day = local.date()
    if {day.isoformat(), f"{day:%m-%d}"} & set(hours.closed_days):
        return False
    rule = _rule(region, hours)
    holidays_too = hours.public_holidays and (rule is None or rule.holidays)
    if not holidays_too and is_public_holiday(region, day):
        return False
    return _within(hours.weekly, local) and (rule is None or _within(rule.weekly, local))


def _within(weekly: Mapping[Weekday, Iterable[str]], local: datetime) -> bool:
    day, clock = local.date(), local.time().replace(tzinfo=None)
    for window in _of_day(weekly, day):
        start, end = _ends(window)
        if start <= clock and (end is None or clock < end or end < start):
            return True
    for window in _of_day(weekly, day - timedelta(days=1)):
        start, end = _ends(window)
        if end is not None and clock < end < start:  # began yesterday
            return True
    return False


def _of_day(weekly: Mapping[Weekday, Iterable[str]], day: date) -> Iterable[str]:
    return weekly.get(_DAYS[day.weekday()], ())


@lru_cache(maxsize=1000)
def _ends(window: str) -> tuple[time, time | None]:
    """Begin and end of `09:00-17:30`; an end at 24:00 is None."""
    start, _, end = window.partition("-")
    return time.fromisoformat(start), None if end == "24:00" else time.fromisoformat(end)


@lru_cache(maxsize=500)
def _holidays_of(region: str, year: int) -> frozenset[date]:
    name, _, part = region.partition("-")
    try:
        found = holidays.country_holidays(name, subdiv=part or None, years=year)
    except NotImplementedError:  # a country or a part of one that the library does not know
        if not part:
            return frozenset()
        return _holidays_of(name, year)
    return frozenset(found)


def is_public_holiday(region: str, day: date) -> bool:
    """By the `holidays` library; False for regions that it does not know."""
    return day in _holidays_of(region, day.year)
