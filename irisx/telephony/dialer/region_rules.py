"""When people may be called by region: data, to be kept in step with the law.

What is here is a start that errs on the strict side, not legal advice: a campaign's `hours.regions`
replaces a rule. Regions that are not here follow the campaign's own windows. Sources: 47 CFR
64.1200(c)(1) and 16 CFR 310.4(c) (United States, 8:00 to 21:00 called party's time), the states'
telemarketing acts; CRTC Unsolicited Telecommunications Rules (Canada); décret n° 2022-1313
(France); Telemarketing and Research Calls Industry Standard 2017 (Australia).
"""

from irisx.telephony.dialer.options import Weekday, WindowRule

_WORKDAYS: tuple[Weekday, ...] = ("mon", "tue", "wed", "thu", "fri")


def _rule(
    workdays: str, saturday: str | None, sunday: str | None, *, holidays: bool = True
) -> WindowRule:
    weekly: dict[Weekday, list[str]] = {day: workdays.split() for day in _WORKDAYS}
    if saturday is not None:
        weekly["sat"] = [saturday]
    if sunday is not None:
        weekly["sun"] = [sunday]
    return WindowRule(weekly=weekly, holidays=holidays)


def _daily(window: str, *, holidays: bool = True) -> WindowRule:
    return _rule(window, window, window, holidays=holidays)


RULES: dict[str, WindowRule] = {
    "US": _daily("08:00-21:00"),
    "US-AL": _rule("08:00-20:00", "08:00-20:00", None, holidays=False),
    "US-CT": _daily("09:00-20:00"),
    "US-FL": _daily("08:00-20:00"),
    "US-IN": _daily("09:00-20:00"),
    "US-KY": _daily("10:00-21:00"),
    "US-LA": _rule("08:00-20:00", "08:00-20:00", None, holidays=False),
    "US-MA": _daily("08:00-20:00"),
    "US-MD": _daily("08:00-20:00"),
    "US-MN": _daily("09:00-21:00"),
    "US-MS": _rule("08:00-20:00", "08:00-20:00", None),
    "US-NM": _daily("09:00-21:00"),
    "US-NV": _daily("09:00-20:00"),
    "US-OK": _daily("08:00-20:00"),
    "US-PA": _rule("08:00-21:00", "08:00-21:00", "13:30-21:00", holidays=False),
    "US-RI": _rule("09:00-18:00", "10:00-17:00", None, holidays=False),
    "US-SD": _rule("09:00-21:00", "09:00-21:00", None),
    "US-TX": _rule("09:00-21:00", "09:00-21:00", "12:00-21:00"),
    "US-UT": _rule("08:00-21:00", "08:00-21:00", None, holidays=False),
    "US-WA": _daily("08:00-20:00"),
    "US-WY": _daily("08:00-20:00"),
    "CA": _rule("09:00-21:30", "10:00-18:00", "10:00-18:00"),
    "FR": _rule("10:00-13:00 14:00-20:00", None, None, holidays=False),
    "AU": _rule("09:00-20:00", "09:00-17:00", None, holidays=False),
}


def rule_of(region: str) -> WindowRule | None:
    """The rule of `US-FL`, or else that of its country."""
    return RULES.get(region) or RULES.get(region.partition("-")[0])
