"""Conditions: what holds, and what never takes long."""

import time
from typing import Any

import pytest
from pydantic import TypeAdapter

from irisx.kernel.template import render
from irisx.telephony.ivr import patterns
from irisx.telephony.ivr.expressions import Condition, holds

VALUES: dict[str, Any] = {
    "n": "3",
    "pin": "007",
    "yes": True,
    "none": None,
    "items": ["a", 2],
    "order": {"lines": [{"id": 7}]},
    "caller": {"number": "+4930123456"},
}
_CONDITION: TypeAdapter[Condition] = TypeAdapter(Condition)


def is_true(condition: dict[str, Any]) -> bool:
    return holds(_CONDITION.validate_python(condition), VALUES, lambda text: render(text, VALUES))


@pytest.mark.parametrize(
    ("value", "how", "to", "expected"),
    [
        ("n", "equal", 3, True),
        ("n", "equal", "3.0", True),
        ("pin", "equal", 7, False),
        ("pin", "equal", "007", True),
        ("n", "not_equal", 4, True),
        ("yes", "equal", True, True),
        ("yes", "equal", "true", True),
        ("none", "equal", None, True),
        ("none", "equal", "", True),
        ("n", "less", 10, True),
        ("n", "less", "10", True),
        ("n", "at_most", 3, True),
        ("n", "greater", 3, False),
        ("n", "at_least", 3, True),
        ("missing", "less", 10, False),
        ("missing", "greater", 10, False),
        ("n", "in", [1, 2, 3], True),
        ("n", "in", ["a"], False),
        ("items", "contains", "2", True),
        ("caller.number", "contains", "301", True),
        ("caller.number", "starts_with", "+49", True),
        ("caller.number", "ends_with", "456", True),
        ("caller.number", "matches", r"\+49[0-9]+", True),
        ("caller.number", "matches", r"\+49", False),
        ("order.lines.0.id", "equal", 7, True),
        ("order.lines.9.id", "exists", None, False),
        ("n", "exists", None, True),
        ("none", "exists", None, False),
        ("none", "empty", None, True),
        ("n", "empty", None, False),
        ("n", "equal", "{{ order.lines[0].id - 4 }}", True),
    ],
)
def test_comparing(value: str, how: str, to: Any, expected: bool) -> None:
    assert is_true({"value": value, "is": how, "to": to}) is expected


def test_groups() -> None:
    three = {"value": "n", "is": "equal", "to": 3}
    four = {"value": "n", "is": "equal", "to": 4}
    assert is_true({"all": [three, {"not": four}]})
    assert not is_true({"all": [three, four]})
    assert is_true({"any": [four, three]})
    assert not is_true({"any": [four, {"not": three}]})


def test_a_pattern_that_would_take_for_ever_does_not_match_and_is_not_tried_again() -> None:
    evil = "(a|a)+(a|aa)+(a|aaa)+b"
    began = time.process_time()
    for length in range(40, 400):
        assert not patterns.matches(evil, "a" * length)
    assert time.process_time() - began < 1


@pytest.mark.parametrize("evil", ["(?:a{1000}){1000}", "((a{,99}){2,99}){99,}", "(a{ 9999}){9}"])
def test_a_pattern_that_would_grow_is_refused(evil: str) -> None:
    with pytest.raises(patterns.BadPattern, match="multiply"):
        patterns.check(evil)
    assert not patterns.matches(evil, "a")


def test_a_long_text_does_not_match() -> None:
    assert patterns.matches("a*", "a" * patterns.MAX_TEXT)
    assert not patterns.matches("a*", "a" * (patterns.MAX_TEXT + 1))
