"""Values in words."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from irisx.telephony.ivr.audio import Say, SayAs
from irisx.telephony.ivr.say import words


@pytest.mark.parametrize(
    ("value", "way", "spoken"),
    [
        ("1209#", "digits", "one, two, zero, nine, pound"),
        ("+1 5*", "digits", "plus, one, five, star"),
        ("42", "number", "forty-two"),
        ("1,234", "number", "one thousand, two hundred and thirty-four"),
        ("-3.5", "number", "minus three point five"),
        ("21", "ordinal", "twenty-first"),
        ("-5", "ordinal", "-5"),
        ("2026-02-17", "date", "February seventeenth, twenty twenty-six"),
        ("2026-02-17T14:05:00Z", "date", "February seventeenth, twenty twenty-six"),
        ("2026-02-17T14:05:00Z", "time", "two oh five P M"),
        ("09:00", "time", "nine A M"),
        ("00:30", "time", "twelve thirty A M"),
        ("12.5", "currency", "twelve dollars, fifty cents"),
        ("1", "currency", "one dollar, zero cents"),
    ],
)
def test_spoken_as_what_it_is(value: str, way: str, spoken: str) -> None:
    assert words(Say(say=value, as_=SayAs(way))) == spoken


def test_other_currencies_and_languages() -> None:
    assert words(Say(say="2", as_=SayAs.CURRENCY, currency="EUR")) == "two euro, zero cents"
    assert words(Say(say="3", as_=SayAs.CURRENCY, currency="XTS")).startswith("three")
    assert words(Say(say="42", as_=SayAs.NUMBER, language="de-DE")) == "zweiundvierzig"


@pytest.mark.parametrize("value", ["abc", "1e9999999", "", "12/13", "nan", "9" * 40])
@pytest.mark.parametrize("way", [SayAs.NUMBER, SayAs.DATE, SayAs.TIME, SayAs.CURRENCY])
def test_what_is_something_else_is_spoken_as_it_stands(value: str, way: SayAs) -> None:
    assert words(Say.model_construct(say=value, as_=way, currency="USD", language=None)) == value


@given(st.text(max_size=60), st.sampled_from(SayAs))
def test_no_value_breaks_a_call(value: str, way: SayAs) -> None:
    item = Say.model_construct(say=value, as_=way, currency="USD", language=None)
    assert len(words(item)) < 2000
