"""Numbers in spoken words: what is found, and what is left."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from irisx.intelligence.transcripts.redaction import CARD, IDENTITY, KINDS, luhn, marked
from irisx.intelligence.transcripts.utterances import spans


def hidden(text: str, *kinds: str) -> str:
    words = text.split()
    found = marked(words, kinds or KINDS)
    return " ".join("#" if index in found else word for index, word in enumerate(words))


@pytest.mark.parametrize(
    ("said", "kept"),
    [
        ("pay with 4111111111111111 please", "pay with # please"),
        ("4111-1111-1111-1111.", "#"),
        ("it is 4111 1111 1111 1111, thanks", "it is # # # # thanks"),
        ("four one one one 1111 one one one one triple one one", "# # # # # # # # # triple # #"),
        ("3782 822463 10005 is mine", "# # # is mine"),
        ("4111 1111 1111 1114", "4111 1111 1111 1114"),  # no check digit: no card
        ("call 555 123 4567 at 9", "call 555 123 4567 at 9"),
        ("0000 0000 0000 0000", "0000 0000 0000 0000"),
        ("my number is 1 4111 1111 1111 1111 ok", "my number is 1 # # # # ok"),
        ("one of four reasons", "one of four reasons"),
    ],
)
def test_cards(said: str, kept: str) -> None:
    assert hidden(said, CARD) == kept


@pytest.mark.parametrize(
    ("said", "kept"),
    [
        ("social 078 05 1120 ok", "social # # # ok"),
        ("it is 12345678 Z", "it is # #"),
        ("it is 12345678 A", "it is 12345678 A"),
        ("529.982.247-25", "#"),
        ("1 84 12 76 451 089 46", "# # # # # # #"),
        ("000 12 3456", "000 12 3456"),
        ("order 1234567 today", "order 1234567 today"),
    ],
)
def test_identity_numbers(said: str, kept: str) -> None:
    assert hidden(said, IDENTITY) == kept


@given(st.text(alphabet="0123456789", min_size=12, max_size=18), st.integers(1, 6))
def test_every_card_number_is_found_however_it_is_grouped(body: str, size: int) -> None:
    number = next(body + digit for digit in "0123456789" if luhn(body + digit))
    if len(set(number)) == 1:
        return
    groups = [number[at : at + size] for at in range(0, len(number), size)]
    assert marked(["card", *groups, "thanks"], [CARD]) == set(range(1, len(groups) + 1))


@given(st.lists(st.text(max_size=8)))
def test_any_words_can_be_looked_at(words: list[str]) -> None:
    assert marked(words, KINDS) <= set(range(len(words)))


def test_utterances_are_speech_with_its_short_pauses() -> None:
    frames = [False] * 50 + [True] * 50 + [False] * 20 + [True] * 10 + [False] * 100 + [True] * 3
    assert list(spans(frames + [False] * 40 + [True] * 30)) == [(800, 2800), (5260, 6260)]


@given(st.lists(st.booleans(), max_size=3000))
def test_utterances_are_in_order_and_short_enough(frames: list[bool]) -> None:
    found = list(spans(frames))
    assert all(start < end <= start + 25_000 for start, end in found)
    assert found == sorted(found)
