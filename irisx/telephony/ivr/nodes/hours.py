"""`hours`: branch by whether it is open."""

import re
from collections.abc import Iterator
from datetime import date, datetime, time, timedelta
from typing import Annotated, Literal
from zoneinfo import ZoneInfo

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, WithJsonSchema

from irisx.telephony.ivr.nodes.base import Catalog, Fault, NodeConfig, Outcomes, Result
from irisx.telephony.ivr.step import Step
from irisx.tenancy.settings import TimeZone

OPEN, CLOSED, HOLIDAY = "open", "closed", "holiday"
_DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_WINDOW = r"^([01][0-9]|2[0-3]):[0-5][0-9]-([01][0-9]:[0-5][0-9]|2[0-3]:[0-5][0-9]|24:00)$"


def _not_empty(window: str) -> str:
    start, _, end = window.partition("-")
    if start == end:
        raise ValueError("a window that ends when it begins; the whole day is 00:00-24:00")
    return window


Window = Annotated[
    str,
    Field(
        pattern=_WINDOW,
        description="From, up to but not including: 09:00-17:30. 22:00-06:00 ends the next day.",
        examples=["09:00-17:30"],
    ),
    AfterValidator(_not_empty),
]
Windows = Annotated[list[Window], Field(max_length=10)]


def _a_day(text: str) -> str:
    date.fromisoformat(text if len(text) == 10 else f"2024-{text}")
    return text


Day = Annotated[
    str,
    Field(pattern=r"^([0-9]{4}-)?[0-9]{2}-[0-9]{2}$"),
    AfterValidator(_a_day),
    WithJsonSchema(
        {
            "type": "string",
            "pattern": "^([0-9]{4}-)?[0-9]{2}-[0-9]{2}$",
            "examples": ["2026-12-24", "12-25"],
            "description": "A date, or month and day of every year.",
        }
    ),
]


class Holiday(BaseModel):
    """A day with hours of its own."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    date: Day
    name: str | None = Field(None, max_length=100)
    open: Windows = Field(default_factory=list, description="When it is open all the same.")


class Hours(NodeConfig):
    """Take the branch `open` or `closed` by the time; `holiday`, if there is such a branch."""

    time_zone: TimeZone = Field(description="IANA name.", examples=["Europe/Berlin"])
    weekly: dict[Literal["mon", "tue", "wed", "thu", "fri", "sat", "sun"], Windows] = Field(
        examples=[{"mon": ["09:00-12:00", "13:00-17:30"], "sat": ["10:00-14:00"]}]
    )
    holidays: list[Holiday] = Field(
        default_factory=list, max_length=200, examples=[[{"date": "12-25", "name": "Christmas"}]]
    )

    def outcomes(self) -> Outcomes:
        return Outcomes(
            required=frozenset({OPEN, CLOSED}),
            optional=frozenset({HOLIDAY}),
            fallback={HOLIDAY: CLOSED},
        )

    def check(self, catalog: Catalog) -> Iterator[Fault]:
        if not any(self.weekly.values()):
            yield Fault("weekly", "it is never open; give a window", warning=True)

    def run(self, step: Step, exits: frozenset[str]) -> Result:
        local = step.now().astimezone(ZoneInfo(self.time_zone))
        holiday = self._holiday(local.date())
        outcome = OPEN if self.is_open(local) else HOLIDAY if holiday else CLOSED
        named = f", {holiday.name or 'a holiday'}" if holiday else ""
        step.explain(f"{local:%a %Y-%m-%d %H:%M} {self.time_zone}{named}: {outcome}")
        return outcome

    def is_open(self, moment: datetime) -> bool:
        """`moment`: in the time zone."""
        today, clock = moment.date(), moment.time()
        yesterday = today - timedelta(days=1)
        return any(_within(window, clock) for window in self._windows(today)) or any(
            _still_within(window, clock) for window in self._windows(yesterday)
        )

    def _windows(self, day: date) -> list[str]:
        holiday = self._holiday(day)
        if holiday is not None:
            return holiday.open
        for name, windows in self.weekly.items():
            if name == _DAYS[day.weekday()]:
                return windows
        return []

    def _holiday(self, day: date) -> Holiday | None:
        names = (day.isoformat(), f"{day:%m-%d}")
        return next((holiday for holiday in self.holidays if holiday.date in names), None)


def _within(window: str, clock: time) -> bool:
    """Whether a window that begins today is open."""
    start, end = _ends(window)
    minute = clock.hour * 60 + clock.minute
    return start <= minute and (minute < end or end < start)


def _still_within(window: str, clock: time) -> bool:
    """Whether a window that began yesterday is still open."""
    start, end = _ends(window)
    return end < start and clock.hour * 60 + clock.minute < end


def _ends(window: str) -> tuple[int, int]:
    """Begin and end of a window, in minutes of the day."""
    hours = [int(part) for part in re.split("[:-]", window)]
    return hours[0] * 60 + hours[1], hours[2] * 60 + hours[3]
