"""Comparisons of a contact, an event and what became of emails."""

from collections.abc import Mapping, Sequence
from typing import Any

from irisx.messaging.channels.email.automation.steps import EmailComparison


def hold(comparisons: Sequence[EmailComparison], values: Mapping[str, Any]) -> bool:
    """Whether all of them do. Never raises: what can't be compared does not hold."""
    return all(_holds(each, _lookup(each.field, values)) for each in comparisons)


def _lookup(path: str, values: Mapping[str, Any]) -> Any:
    """The value at a dotted path; None if there is none."""
    found: Any = values
    for name in path.split("."):
        if not isinstance(found, Mapping):
            return None
        found = found.get(name)
    return found


def _holds(comparison: EmailComparison, left: Any) -> bool:
    right = comparison.value
    match comparison.operator:
        case "exists":
            return left is not None
        case "missing":
            return left is None
        case "equals":
            return _same(left, right)
        case "not_equals":
            return not _same(left, right)
        case "contains":
            return _contains(left, right)
        case "one_of":
            return isinstance(right, list) and any(_same(left, each) for each in right)
        case "greater_than" | "less_than":
            a, b = _number(left), _number(right)
            if a is None or b is None:
                return False
            return a > b if comparison.operator == "greater_than" else a < b


def _same(left: Any, right: Any) -> bool:
    if isinstance(left, str) and isinstance(right, str):
        return left.casefold() == right.casefold()
    a, b = _number(left), _number(right)
    if a is not None and b is not None:
        return a == b
    return bool(left == right)


def _contains(left: Any, right: Any) -> bool:
    if isinstance(left, list):
        return any(_same(each, right) for each in left)
    return isinstance(left, str) and isinstance(right, str) and right.casefold() in left.casefold()


def _number(value: Any) -> float | None:
    """A number, also one that is written as a text: attributes that were imported are texts."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        return float(value)
    except (ValueError, OverflowError):
        return None
