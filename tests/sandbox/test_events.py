"""The wire form of events."""

from urllib.parse import unquote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from irisx.sandbox.events import Event, url_encode
from tests.sandbox.client import parse_event


@pytest.mark.parametrize(
    ("value", "encoded"),
    [
        ("+15551234567", "%2B15551234567"),
        ("sofia/carriers/a@b", "sofia/carriers/a%40b"),
        ("two words", "two%20words"),
        ("a\nb: c", "a%0Ab%3A%20c"),
        ("50%", "50%25"),
        ("%0A", "%0A"),
        ("%0a", "%250a"),
        ("Müller", "M%C3%BCller"),
    ],
)
def test_values_are_encoded_as_freeswitch_does(value: str, encoded: str) -> None:
    assert url_encode(value) == encoded


@given(st.text(st.characters(codec="utf-8", exclude_characters="%")))
def test_encoding_can_be_undone(value: str) -> None:
    assert unquote(url_encode(value)) == value


@given(
    st.dictionaries(st.sampled_from(["A", "B-C", "variable_x"]), st.text(max_size=50), min_size=1)
)
def test_no_value_breaks_the_framing(headers: dict[str, str]) -> None:
    block = Event("X", headers).plain()
    assert block.count(b"\n") == len(headers) + 1
    assert set(parse_event(block[:-1])) >= set(headers)


def test_a_body_follows_its_length() -> None:
    assert Event("X", {"A": ""}, "+OK ü\n").plain() == (
        b"A: _undef_\nContent-Length: 7\n\n+OK \xc3\xbc\n"
    )
