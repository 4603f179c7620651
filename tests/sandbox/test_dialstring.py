"""Dial strings, as switch_ivr_originate.c reads them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from irisx.sandbox.dialstring import DialError, Leg, assignments, parse


def test_alternatives_and_simultaneous_legs() -> None:
    dial = parse("{a=1}[b=2]sofia/x/1,sofia/x/2|[c=3]sofia/y/3")
    assert dial.variables == {"a": "1"}
    assert dial.groups == [
        [Leg("sofia/x/1", {"b": "2"}), Leg("sofia/x/2", {})],
        [Leg("sofia/y/3", {"c": "3"})],
    ]


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("a=1,b=2", {"a": "1", "b": "2"}),
        ("a='x,y',b=2", {"a": "x,y", "b": "2"}),
        (r"a=PCMU\,PCMA,b=2", {"a": "PCMU,PCMA", "b": "2"}),
        ("^^:a=1,2:b=3", {"a": "1,2", "b": "3"}),
        ("a=b=c", {"a": "b=c"}),
        ("alone", {}),
        ("", {}),
    ],
)
def test_assignments(text: str, found: dict[str, str]) -> None:
    assert assignments(text) == found


@pytest.mark.parametrize("text", ["{a=b sofia/x/y", "", "[a=b]", "a||b", "{{a=b}sofia/x/1"])
def test_what_is_broken_is_refused(text: str) -> None:
    with pytest.raises(DialError):
        parse(text)


@given(st.text("{}[]<>|,'\\=^:ab/", max_size=60))
def test_no_text_breaks_the_parser(text: str) -> None:
    try:
        dial = parse(text)
    except DialError:
        return
    assert all(leg.endpoint for group in dial.groups for leg in group)
