"""`gather`."""

from typing import Any

import pytest

from tests.telephony.ivr.documents import node
from tests.telephony.ivr.nodes.calling import call, first, path, said

BRANCHES = {"1": "one", "12": "twelve", "timeout": "silent", "invalid": "wrong"}


@pytest.mark.parametrize(
    ("config", "typed", "leads", "digits"),
    [
        ({"num_digits": 1}, ["1"], "one", "1"),
        ({"num_digits": 2}, ["12"], "twelve", "12"),
        ({"num_digits": 1}, ["12"], "one", "1"),
        ({}, ["12#"], "twelve", "12"),
        ({"terminators": "*"}, ["12*"], "twelve", "12"),
        ({"num_digits": 1}, ["7"], "wrong", "7"),
        ({"num_digits": 4}, ["12"], "wrong", "12"),
        ({}, ["#"], "wrong", ""),
        ({}, [""], "silent", ""),
        ({}, [], "silent", ""),
        ({"attempts": 2}, ["", "1"], "one", "1"),
        ({"attempts": 3, "num_digits": 1}, ["7", "", "1"], "one", "1"),
        ({"attempts": 2, "num_digits": 1}, ["7", "", "1"], "silent", "7"),
        ({"pattern": "[2-9]+"}, ["1#"], "wrong", "1"),
    ],
)
def test_what_is_typed_decides(
    config: dict[str, Any], typed: list[str], leads: str, digits: str
) -> None:
    result = call(node("g", "gather", config, branches=BRANCHES), digits=typed)
    assert path(result) == ["g", leads]
    assert result.variables["digits"] == digits


def test_digits_without_a_branch_go_on_by_next() -> None:
    gather = node(
        "g", "gather", {"num_digits": 5, "variable": "account"}, next="n", branches=BRANCHES
    )
    result = call(gather, digits=["54321"])
    assert path(result) == ["g", "n"]
    assert result.variables == {"account": "54321"}


def test_a_wrong_input_without_a_branch_goes_where_silence_goes() -> None:
    gather = node("g", "gather", {"num_digits": 1}, branches={"1": "one", "timeout": "silent"})
    assert path(call(gather, digits=["7"])) == ["g", "silent"]


def test_each_failure_is_answered_with_its_own_prompt() -> None:
    config = {
        "text": "Number?",
        "num_digits": 1,
        "attempts": 3,
        "invalid": {"text": "Not {{ digits }}."},
        "no_input": {"text": "I hear nothing."},
    }
    result = call(node("g", "gather", config, branches=BRANCHES), digits=["7", "", "1"])
    assert said(result) == ["Number?", "Not 7.", "Number?", "I hear nothing.", "Number?"]


def test_digits_typed_ahead_count_in_the_next_question_unless_it_says_no() -> None:
    one = node("a", "gather", {"num_digits": 1}, branches={"1": "b", "timeout": "x"})
    two = node("b", "gather", {"num_digits": 1}, branches={"2": "y", "timeout": "z"})
    assert path(call(one, two, digits=["12"])) == ["a", "b", "y"]
    two["config"]["typed_ahead"] = False
    assert path(call(one, two, digits=["12"])) == ["a", "b", "z"]


def test_its_time_limit_ends_the_attempts() -> None:
    gather = node(
        "g",
        "gather",
        {"attempts": 10, "timeout": 5},
        branches={**BRANCHES, "time_limit": "late"},
        time_limit=12,
    )
    result = call(gather)
    assert path(result) == ["g", "late"]
    assert result.seconds == 12
    assert first(result).reasons[-1] == "its time limit of 12 s passed"
