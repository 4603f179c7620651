"""Conditions as JSON: comparisons of values of the scope, and groups of them. Nothing is evaluated
that is not spelled out here."""

import re
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime
from typing import Annotated, Any, Literal
from zoneinfo import ZoneInfo

from pydantic import BaseModel, ConfigDict, Discriminator, Field, JsonValue, Tag

from irisx.telephony.ivr import patterns
from irisx.telephony.ivr.values import rendered_values, templates_in

Path = Annotated[
    str,
    Field(
        pattern=r"^[A-Za-z][A-Za-z0-9_]*(\.[A-Za-z0-9_\-]{1,64}){0,9}$",
        max_length=200,
        description="A variable, or a field of call, caller, contact or now.",
        examples=["digits", "caller.number", "contact.language", "now.hour"],
    ),
]
_UNARY = frozenset({"exists", "empty"})
_NUMBER = re.compile(r"-?(?:0|[1-9][0-9]{0,14})(?:\.[0-9]{1,9})?")


class _Condition(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Comparison(_Condition):
    """A value compared with another one. Numbers, and texts that are numbers, compare as such."""

    value: Path
    is_: Literal[
        "equal", "not_equal", "less", "at_most", "greater", "at_least",
        "in", "contains", "starts_with", "ends_with", "matches", "exists", "empty",
    ] = Field(alias="is")  # fmt: skip
    to: JsonValue = Field(None, description="What it is compared with; strings are templates.")

    model_config = ConfigDict(populate_by_name=True)


class All(_Condition):
    """Every one of them holds."""

    all: list["Condition"] = Field(min_length=1, max_length=50)


class Some(_Condition):
    """At least one of them holds."""

    any: list["Condition"] = Field(min_length=1, max_length=50)


class Not(_Condition):
    """It does not hold."""

    not_: "Condition" = Field(alias="not")

    model_config = ConfigDict(populate_by_name=True)


_KINDS = {"value": "value", "all": "all", "any": "any", "not": "not", "not_": "not"}


def _kind_of(condition: Any) -> str | None:
    names = condition if isinstance(condition, dict) else vars(condition)
    return next((kind for name, kind in _KINDS.items() if name in names), None)


Condition = Annotated[
    Annotated[Comparison, Tag("value")]
    | Annotated[All, Tag("all")]
    | Annotated[Some, Tag("any")]
    | Annotated[Not, Tag("not")],
    Discriminator(
        _kind_of,
        custom_error_type="condition",
        custom_error_message="a condition has one of value, all, any and not",
    ),
]
for _model in (All, Some, Not):
    _model.model_rebuild()


def comparisons(condition: Condition, field: str) -> Iterator[tuple[str, Comparison]]:
    """Every comparison in a condition with its field."""
    match condition:
        case Comparison():
            yield field, condition
        case All(all=inner) | Some(any=inner):
            name = "all" if isinstance(condition, All) else "any"
            for index, one in enumerate(inner):
                yield from comparisons(one, f"{field}.{name}.{index}")
        case Not(not_=one):
            yield from comparisons(one, f"{field}.not")


def faults(comparison: Comparison) -> Iterator[str]:
    """What is wrong with a comparison."""
    if comparison.is_ in _UNARY:
        if comparison.to is not None:
            yield f"`{comparison.is_}` compares with nothing; leave `to` out"
        return
    if comparison.to is None and comparison.is_ not in ("equal", "not_equal"):
        yield f"`{comparison.is_}` needs `to`, what it is compared with"
    elif comparison.is_ == "in" and not isinstance(comparison.to, list):
        yield "`in` needs a list in `to`"
    elif comparison.is_ == "matches":
        yield from _pattern_faults(comparison.to)
    elif comparison.is_ in _ORDERS and isinstance(comparison.to, list | dict | bool):
        yield f"`{comparison.is_}` compares numbers or texts"


def _pattern_faults(pattern: JsonValue) -> Iterator[str]:
    if not isinstance(pattern, str) or len(pattern) > patterns.MAX_LENGTH or "{{" in pattern:
        yield f"`matches` needs a pattern of at most {patterns.MAX_LENGTH} characters in `to`"
        return
    try:
        patterns.check(pattern)
    except patterns.BadPattern as error:
        yield str(error)


def templates(comparison: Comparison, field: str) -> Iterator[tuple[str, str]]:
    """The templates in what it compares with."""
    if comparison.is_ != "matches":
        yield from templates_in(f"{field}.to", comparison.to)


def holds(condition: Condition, values: Mapping[str, Any], render: Callable[[str], str]) -> bool:
    """Whether it holds for the values of a scope."""
    match condition:
        case All(all=inner):
            return all(holds(one, values, render) for one in inner)
        case Some(any=inner):
            return any(holds(one, values, render) for one in inner)
        case Not(not_=one):
            return not holds(one, values, render)
    to = condition.to if condition.is_ == "matches" else rendered_values(condition.to, render)
    return _compare(lookup(condition.value, values), condition.is_, to)


def lookup(path: str, values: Mapping[str, Any]) -> Any:
    """The value at a path; None if there is none."""
    found: Any = values
    for key in path.split("."):
        if isinstance(found, Mapping):
            found = found.get(key)
        elif isinstance(found, list) and key.isdecimal() and int(key) < len(found):
            found = found[int(key)]
        else:
            return None
    return found


def time_values(now: datetime, zone: str) -> dict[str, Any]:
    """`now` in conditions: weekday 1 is Monday; date and time are ISO 8601 (`09:30`)."""
    local = now.astimezone(ZoneInfo(zone))
    return {
        "hour": local.hour,
        "minute": local.minute,
        "weekday": local.isoweekday(),
        "day": local.day,
        "month": local.month,
        "year": local.year,
        "date": local.date().isoformat(),
        "time": local.strftime("%H:%M"),
    }


_ORDERS: dict[str, Callable[[Any, Any], bool]] = {
    "less": lambda left, right: left < right,
    "at_most": lambda left, right: left <= right,
    "greater": lambda left, right: left > right,
    "at_least": lambda left, right: left >= right,
}


def _compare(left: Any, how: str, right: Any) -> bool:
    match how:
        case "exists":
            return left is not None
        case "empty":
            return left is None or left in ("", [], {})
        case "equal":
            return _equal(left, right)
        case "not_equal":
            return not _equal(left, right)
        case "in":
            return isinstance(right, list) and any(_equal(left, one) for one in right)
        case "contains" if isinstance(left, list):
            return any(_equal(one, right) for one in left)
    if left is None or right is None:
        return False
    if how in _ORDERS:
        return _ordered(left, how, right)
    text, other = _text(left), _text(right)
    match how:
        case "contains":
            return other in text
        case "starts_with":
            return text.startswith(other)
        case "ends_with":
            return text.endswith(other)
        case _:
            return patterns.matches(other, text)


def _ordered(left: Any, how: str, right: Any) -> bool:
    low, high = _number(left), _number(right)
    if low is not None and high is not None:
        return _ORDERS[how](low, high)
    return _ORDERS[how](_text(left), _text(right))


def _equal(left: Any, right: Any) -> bool:
    low, high = _number(left), _number(right)
    if low is not None and high is not None:
        return low == high
    if isinstance(left, list | dict) or isinstance(right, list | dict):
        return bool(left == right)
    return _text(left) == _text(right)


def _number(value: Any) -> float | None:
    """A number, or a text that a person would read as one: `007` and `+1555` are none."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    if isinstance(value, str):
        return float(value) if _NUMBER.fullmatch(value) else None
    return float(value) if abs(value) < 2**63 else None


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return "" if value is None else str(value)
