from datetime import UTC, datetime

import pytest

from irisx.messaging.quiet_hours import wait_until
from irisx.tenancy.settings import QuietHours

NIGHT = QuietHours(start="21:00", end="08:00")


def at(hour: int, minute: int = 0, day: int = 1) -> datetime:
    return datetime(2026, 7, day, hour, minute, tzinfo=UTC)


@pytest.mark.parametrize(
    ("number", "now", "until"),
    [
        ("+12125550100", at(16), None),  # New York, 12:00
        ("+12125550100", at(2), at(12)),  # 22:00 the day before
        ("+12125550100", at(11, 59), at(12)),
        ("+12125550100", at(12), None),
        ("+4930123456", at(5), at(6)),  # Berlin, 07:00
        ("nobody@example.com", at(22), at(8, day=2)),  # the tenant's own zone
        (
            "+61412345678",
            at(21),
            at(1, 30, day=2),
        ),  # an Australian mobile: Perth, the Cocos Islands …
        ("+18005550100", at(22), at(8, day=2)),  # toll-free: the tenant's zone
    ],
)
def test_until_it_is_day(number: str, now: datetime, until: datetime | None) -> None:
    assert wait_until(NIGHT, number, "UTC", now) == until


def test_hours_within_a_day() -> None:
    noon = QuietHours(start="12:00", end="14:00")
    assert wait_until(noon, "x", "UTC", at(13)) == at(14)
    assert wait_until(noon, "x", "UTC", at(14)) is None
    assert wait_until(noon, "x", "UTC", at(11, 59)) is None


def test_without_a_common_hour_the_first_zone_decides() -> None:
    nearly_always = QuietHours(start="09:00", end="08:00")
    assert wait_until(nearly_always, "+61412345678", "UTC", at(12)) is not None
