"""A call's variables, and how much they may take."""

import pytest

from irisx.telephony.ivr.scope import (
    MAX_TOTAL_BYTES,
    MAX_VALUE_BYTES,
    MAX_VARIABLES,
    Scope,
    VariableRefused,
)


def test_a_variable_is_set_noted_and_seen_beside_the_facts() -> None:
    scope = Scope({"caller": {"number": "+15555550100"}})
    scope.set("x", [1])
    assert scope.values == {"x": [1], "caller": {"number": "+15555550100"}}
    assert scope.changed == {"x"}


@pytest.mark.parametrize("name", ["", "1x", "a-b", "a b", "_x", "x" * 65, "caller", "now", "true"])
def test_names_that_are_none_or_taken(name: str) -> None:
    with pytest.raises(VariableRefused, match="no name"):
        Scope({}).set(name, 1)


def test_one_value_all_values_and_their_number_are_bounded() -> None:
    large = "x" * (MAX_VALUE_BYTES - 2)
    scope = Scope({})
    with pytest.raises(VariableRefused, match="larger than 4096"):
        scope.set("x", f"{large}y")
    fitting = MAX_TOTAL_BYTES // (MAX_VALUE_BYTES + 10)
    for number in range(fitting):
        scope.set(f"v{number}", large)
    with pytest.raises(VariableRefused, match="all variables together"):
        scope.set("more", large)
    scope.set("v0", large)
    many = Scope({})
    for number in range(MAX_VARIABLES):
        many.set(f"v{number}", number)
    with pytest.raises(VariableRefused, match="more than 200"):
        many.set("more", 1)
    many.set("v0", 2)
