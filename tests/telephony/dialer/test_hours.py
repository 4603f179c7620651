"""When a number may be called."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from irisx.telephony.dialer.hours import Place, may_call, next_opening, place_of
from irisx.telephony.dialer.options import CallingHours
from irisx.telephony.dialer.region_rules import RULES

DEFAULT = CallingHours()
NEW_YORK, MIAMI, BIRMINGHAM = "+12125550123", "+13055550123", "+12055550123"
PARIS, FREEPHONE, NOBODY = "+33142685300", "+18005550123", "+15555550100"


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


@pytest.mark.parametrize(
    ("number", "place"),
    [
        (NEW_YORK, "US-NY America/New_York"),
        (MIAMI, "US-FL America/New_York"),
        ("+14165550123", "CA America/Toronto"),
        (PARIS, "FR Europe/Paris"),
        (FREEPHONE, "US "),
        (NOBODY, "US "),
    ],
)
def test_where_a_number_lies(number: str, place: str) -> None:
    found = place_of(number, time_zone=None)
    assert str(found) == place
    assert Place.parse(place) == found


def test_what_is_said_of_a_contact_counts_more_than_the_prefix() -> None:
    place = place_of(MIAMI, time_zone="America/Denver", region="US-CO")
    assert str(place) == "US-CO America/Denver"


@pytest.mark.parametrize(
    ("number", "moment", "hours", "open_"),
    [
        # 2026-11-24 is a Tuesday; New York is at UTC-5.
        (NEW_YORK, "2026-11-24T12:59", {}, False),
        (NEW_YORK, "2026-11-24T13:00", {}, True),
        (NEW_YORK, "2026-11-25T01:59", {}, True),
        (NEW_YORK, "2026-11-25T02:00", {}, False),
        (MIAMI, "2026-11-25T00:59", {}, True),
        (MIAMI, "2026-11-25T01:00", {}, False),  # Florida: until 20:00
        (MIAMI, "2026-11-25T01:00", {"region_rules": False}, True),
        (MIAMI, "2026-11-24T15:00", {"regions": {"US-FL": {"weekly": {}}}}, False),
        (MIAMI, "2026-11-24T15:00", {"regions": {"US": {"weekly": {}}}}, False),
        (BIRMINGHAM, "2026-11-22T18:00", {}, False),  # Alabama: not on Sundays
        (BIRMINGHAM, "2026-11-26T18:00", {}, False),  # nor on Thanksgiving
        (NEW_YORK, "2026-11-26T18:00", {}, True),
        (NEW_YORK, "2026-11-26T18:00", {"public_holidays": False}, False),
        (NEW_YORK, "2026-11-24T18:00", {"closed_days": ["11-24"]}, False),
        (NEW_YORK, "2026-11-24T18:00", {"closed_days": ["2026-11-24"]}, False),
        (PARIS, "2026-11-24T12:30", {}, False),  # France: not at noon
        (FREEPHONE, "2026-11-24T18:00", {}, False),  # nobody knows where
        (FREEPHONE, "2026-11-24T18:00", {"default_time_zone": "America/Chicago"}, True),
        (NEW_YORK, "2026-11-24T04:00", {"weekly": {"mon": ["22:00-24:00"]}}, False),
        # Over midnight: Monday's window is still open on Tuesday at 01:00.
        (
            NEW_YORK,
            "2026-11-24T06:00",
            {"weekly": {"mon": ["22:00-02:00"]}, "region_rules": False},
            True,
        ),
        (
            NEW_YORK,
            "2026-11-24T07:00",
            {"weekly": {"mon": ["22:00-02:00"]}, "region_rules": False},
            False,
        ),
    ],
)
def test_when_a_number_may_be_called(
    number: str, moment: str, hours: dict[str, Any], open_: bool
) -> None:
    place = place_of(number, time_zone=None)
    assert may_call(place, CallingHours.model_validate(hours), at(moment)) is open_


def test_a_prefix_in_two_zones_is_called_when_it_is_time_in_both() -> None:
    place = Place("US-TN", ("America/Chicago", "America/New_York"))
    # 8:30 in New York, 7:30 in Chicago.
    assert not may_call(place, DEFAULT, at("2026-11-24T13:30"))
    assert next_opening(place, DEFAULT, at("2026-11-24T13:30")) == at("2026-11-24T14:00")


def test_clocks_that_change_are_followed() -> None:
    place = place_of(NEW_YORK, time_zone=None)
    assert next_opening(place, DEFAULT, at("2026-03-08T04:00")) == at("2026-03-08T12:00")
    assert next_opening(place, DEFAULT, at("2026-03-07T04:00")) == at("2026-03-07T13:00")


def test_where_nobody_may_ever_be_called_there_is_no_opening() -> None:
    hours = CallingHours(weekly={"mon": ["08:00-09:00"]}, closed_days=["2026-11-30"])
    never = CallingHours.model_validate({"regions": {"US-NY": {"weekly": {}}}})
    place = place_of(NEW_YORK, time_zone=None)
    assert next_opening(place, never, at("2026-11-24T18:00")) is None
    assert next_opening(place, hours, at("2026-11-24T18:00")) == at("2026-12-07T13:00")


MOMENTS = st.datetimes(datetime(2026, 1, 1), datetime(2027, 12, 31), timezones=st.just(UTC))
PLACES = st.sampled_from(
    [place_of(number, time_zone=None) for number in (NEW_YORK, BIRMINGHAM, PARIS, "+61291234567")]
    + [Place("US-TN", ("America/Chicago", "America/New_York"))]
)


@given(PLACES, MOMENTS)
def test_the_next_opening_is_open_and_nothing_before_it_is(place: Place, moment: datetime) -> None:
    opening = next_opening(place, DEFAULT, moment)
    assert opening is not None and opening >= moment
    assert may_call(place, DEFAULT, opening)
    if opening > moment:
        for share in (0.0, 0.3, 0.6, 0.999):
            assert not may_call(place, DEFAULT, moment + (opening - moment) * share)
        assert not may_call(place, DEFAULT, opening - timedelta(seconds=1))


def test_every_rule_lets_somebody_be_called() -> None:
    for region, rule in RULES.items():
        assert any(rule.weekly.values()), region
