import pytest
from hypothesis import given
from hypothesis import strategies as st

from irisx.messaging.channels.sms.segments import SEPTETS, Encoding, plain, split

any_text = st.text(max_size=400)
gsm_text = st.text(alphabet=sorted(SEPTETS), max_size=700)


@pytest.mark.parametrize(
    ("text", "encoding", "count"),
    [
        ("", Encoding.GSM7, 1),
        ("a" * 160, Encoding.GSM7, 1),
        ("a" * 161, Encoding.GSM7, 2),
        ("a" * 306, Encoding.GSM7, 2),
        ("a" * 307, Encoding.GSM7, 3),
        ("€" * 80, Encoding.GSM7, 1),
        ("€" * 81, Encoding.GSM7, 2),
        # 76 euro signs leave one septet of 153 unused: none is split between two parts.
        ("€" * 153, Encoding.GSM7, 3),
        ("ş" * 70, Encoding.UCS2, 1),
        ("ş" * 71, Encoding.UCS2, 2),
        ("😀" * 35, Encoding.UCS2, 1),
        ("😀" * 36, Encoding.UCS2, 2),
        ("a" * 69 + "’", Encoding.UCS2, 1),
    ],
)
def test_segments(text: str, encoding: Encoding, count: int) -> None:
    found = split(text)
    assert (found.encoding, found.count) == (encoding, count)


@given(any_text | gsm_text)
def test_parts_are_the_text_and_each_fits(text: str) -> None:
    found = split(text)
    assert "".join(found.parts) == text
    room = {Encoding.GSM7: (160, 153), Encoding.UCS2: (70, 67)}[found.encoding][found.count > 1]
    for part in found.parts:
        size = (
            sum(len(SEPTETS[char]) for char in part)
            if found.encoding is Encoding.GSM7
            else len(part.encode("utf-16-be", "surrogatepass")) // 2
        )
        assert size <= room


@given(any_text)
def test_smart_encoding_leaves_what_it_does_not_know(text: str) -> None:
    assert plain(plain(text)) == plain(text)


def test_smart_encoding_keeps_a_typographic_text_in_gsm_7() -> None:
    assert split(plain("“Don’t” – wait…")).encoding is Encoding.GSM7
