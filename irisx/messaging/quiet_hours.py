"""Quiet hours: marketing waits until it is day where the recipient is."""

from datetime import datetime, time, timedelta
from zoneinfo import ZoneInfo

import phonenumbers
from phonenumbers import timezone as zones_of

from irisx.tenancy.settings import QuietHours

_UNKNOWN = zones_of.UNKNOWN_TIMEZONE
#: More zones than this (a toll-free number) are no information.
_MAX_ZONES = 12


def zones(address: str, default: str) -> list[ZoneInfo]:
    """Time zones in which a recipient may live: by E.164 number, else the tenant's."""
    try:
        number = phonenumbers.parse(address)
    except phonenumbers.NumberParseException:
        return [ZoneInfo(default)]
    names = [name for name in zones_of.time_zones_for_number(number) if name != _UNKNOWN]
    if not 0 < len(names) <= _MAX_ZONES:
        return [ZoneInfo(default)]
    return [ZoneInfo(name) for name in names]


def wait_until(
    quiet: QuietHours, address: str, default_zone: str, now: datetime
) -> datetime | None:
    """When the quiet hours are over in every zone where the recipient may be; None: they are.

    Zones spread over the day may have no common hour outside; then the one after the first
    zone's quiet hours is taken.
    """
    moment = now
    candidates = zones(address, default_zone)
    for _ in range(len(candidates) + 1):
        ends = [end for zone in candidates if (end := _end(quiet, zone, moment)) is not None]
        if not ends:
            return moment if moment > now else None
        moment = max(ends)
    return _end(quiet, candidates[0], now)


def _end(quiet: QuietHours, zone: ZoneInfo, moment: datetime) -> datetime | None:
    """The end of the quiet hours that `moment` is in."""
    local = moment.astimezone(zone)
    start, end = time.fromisoformat(quiet.start), time.fromisoformat(quiet.end)
    at = local.time()
    over_midnight = end <= start
    inside = (at >= start or at < end) if over_midnight else start <= at < end
    if not inside:
        return None
    day = local.date() + timedelta(days=1 if over_midnight and at >= start else 0)
    return datetime.combine(day, end, zone).astimezone(moment.tzinfo)
