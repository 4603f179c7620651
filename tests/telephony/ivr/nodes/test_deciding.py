"""`condition` and `hours`."""

import pytest

from tests.telephony.ivr.documents import Document, node
from tests.telephony.ivr.nodes.calling import call, first, path


def case(branch: str, value: str, how: str, to: object) -> Document:
    return {"branch": branch, "when": {"value": value, "is": how, "to": to}}


def test_the_first_case_that_holds() -> None:
    cases = [
        case("gold", "contact.tier", "equal", "gold"),
        case("german", "caller.number", "starts_with", "+49"),
        case("late", "now.hour", "at_least", 20),
    ]
    condition = node(
        "c",
        "condition",
        {"cases": cases, "time_zone": "Europe/Berlin"},
        branches={"gold": "a", "german": "b", "late": "c2", "default": "d"},
    )
    noon, evening = "2026-02-17T12:00:00Z", "2026-02-17T19:30:00Z"
    assert path(call(condition, time=noon, contact={"tier": "gold"}, caller="+4930")) == ["c", "a"]
    assert path(call(condition, time=noon, caller="+4930")) == ["c", "b"]
    assert path(call(condition, time=evening)) == ["c", "c2"]
    none = call(condition, time=noon)
    assert path(none) == ["c", "d"]
    assert first(none).reasons == ["no case holds"]


WEEKLY = {"mon": ["09:00-12:00", "13:00-17:30"], "fri": ["22:00-02:00"], "sun": ["00:00-24:00"]}
HOLIDAYS = [
    {"date": "12-25", "name": "Christmas"},
    {"date": "2026-02-16", "open": ["10:00-11:00"]},
]


@pytest.mark.parametrize(
    ("time", "outcome"),
    [
        ("2026-02-09T09:00:00+01:00", "open"),
        ("2026-02-09T08:59:59+01:00", "closed"),
        ("2026-02-09T12:00:00+01:00", "closed"),
        ("2026-02-09T17:29:59+01:00", "open"),
        ("2026-02-09T16:00:00Z", "open"),
        ("2026-02-09T16:30:00Z", "closed"),
        ("2026-02-10T10:00:00+01:00", "closed"),
        ("2026-02-13T22:00:00+01:00", "open"),
        ("2026-02-14T01:59:00+01:00", "open"),
        ("2026-02-14T02:00:00+01:00", "closed"),
        ("2026-02-15T23:59:00+01:00", "open"),
        ("2026-02-16T09:30:00+01:00", "holiday"),
        ("2026-02-16T10:30:00+01:00", "open"),
        ("2028-12-25T10:00:00+01:00", "holiday"),
        # The clocks go forward: 02:30 is not there, 03:30 is closed all the same.
        ("2026-03-29T03:30:00+02:00", "open"),
        ("2026-10-25T02:30:00+01:00", "open"),
    ],
)
def test_open_closed_and_holidays(time: str, outcome: str) -> None:
    config = {"time_zone": "Europe/Berlin", "weekly": WEEKLY, "holidays": HOLIDAYS}
    branches = {"open": "o", "closed": "c", "holiday": "h"}
    step = first(call(node("a", "hours", config, branches=branches), time=time))
    assert step.outcome == outcome


def test_a_holiday_without_a_branch_is_closed() -> None:
    config = {"time_zone": "UTC", "weekly": WEEKLY, "holidays": HOLIDAYS}
    hours = node("a", "hours", config, branches={"open": "o", "closed": "c"})
    result = call(hours, time="2026-12-25T10:00:00Z")
    assert (path(result), first(result).outcome) == (["a", "c"], "holiday")
    assert "Christmas" in first(result).reasons[0]
