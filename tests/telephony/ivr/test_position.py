"""The position that a channel carries."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from irisx.telephony.esl import commands
from irisx.telephony.ivr.position import VARIABLE, Kept, Unreadable
from irisx.telephony.ivr.walk import Place, Position

KEYS = st.integers(0, 2**60)
NAMES = st.text(min_size=1, max_size=20)
PLACES = st.builds(Place, KEYS, NAMES)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**50), 2**50) | st.text(max_size=30),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(NAMES, inner, max_size=4),
    max_leaves=20,
)
KEPT = st.builds(
    Kept,
    position=st.builds(Position, PLACES, st.tuples(PLACES, PLACES) | st.just(()), KEYS),
    variables=st.dictionaries(NAMES, JSON, max_size=5),
    entries=st.lists(st.tuples(KEYS, KEYS), max_size=4),
    answers=st.lists(JSON, max_size=4),
    queued=KEYS,
    wait=KEYS,
    waiting=st.booleans(),
    target=KEYS,
    typed=st.text("0123456789*#", max_size=10),
    wideband=st.booleans(),
)


@given(KEPT)
def test_it_comes_back_as_it_was(kept: Kept) -> None:
    assert Kept.decode(kept.encode()) == kept


@given(KEPT)
def test_nothing_in_it_means_anything_to_the_switch(kept: Kept) -> None:
    value = kept.encode()
    assert value.replace("-", "").replace("_", "").isalnum() and value.isascii()
    commands.assignment(VARIABLE, value)


@given(st.text(max_size=200) | KEPT.map(lambda kept: kept.encode()[:-7]))
def test_anything_else_is_unreadable(value: str) -> None:
    with pytest.raises(Unreadable):
        Kept.decode(value)


def test_a_large_one_is_small() -> None:
    variables = {f"name_{n}": "the same text again and again" for n in range(200)}
    assert len(Kept(Position(Place(1, "a")), variables).encode()) < 3000
