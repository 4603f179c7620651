"""Documents become text, text becomes passages."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from irisx.intelligence.knowledge import documents
from irisx.intelligence.knowledge.documents import NotReadable, read
from irisx.intelligence.knowledge.passages import MAX_CHARACTERS, Piece, split
from tests.intelligence import knowledge_files as files


@pytest.mark.parametrize(
    ("data", "name", "title", "text"),
    [
        (files.pdf("Apples cost 2 dollars.", "Pears cost 3."), "x", "Price list", "Pears cost 3."),
        (files.docx("Prices", "Apples: 2."), "x.docx", None, "# Prices\n\nApples: 2."),
        (files.docx("Prices"), "misnamed.txt", None, "Left | Right"),
        (files.HTML, "x", "Help", "# Opening hours\n\nWe are open from 9 am."),
        (b"# Title\r\n\r\n\r\nText \x07 here", "x.md", None, "# Title\n\nText here"),
        ("Grüße".encode("utf-16"), "x.txt", None, "Grüße"),
        (b"\xef\xbb\xbfplain", "", None, "plain"),
    ],
)
def test_a_document_becomes_text(data: bytes, name: str, title: str | None, text: str) -> None:
    document = read(data, name)
    assert text in document.text
    assert document.title == title


def test_a_page_is_what_it_says_without_its_frame() -> None:
    text = read(files.HTML, "").text
    assert not any(word in text for word in ("Home", "alert", "color", "Imprint"))
    assert "Monday\nFriday" in text.replace("\n\n", "\n")


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (b"", "no text"),
        (b"%PDF-1.4 nonsense", "damaged"),
        (files.pdf(), "scanned"),
        (b"PK\x03\x04nonsense", "DOCX"),
        (files.bomb(), "unpacks to more"),
        (bytes(range(256)) * 40, "neither PDF"),
        (b"word " * 250_000, "longer than"),
    ],
)
def test_what_can_t_be_read_says_why(data: bytes, says: str) -> None:
    with pytest.raises(NotReadable, match=says):
        read(data, "x")


def test_a_parser_that_crashes_costs_one_document(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(documents, "__name__", "tests.intelligence.crashing_parser")
    with pytest.raises(NotReadable, match="could not cope"):
        read(b"anything", "x")


@given(st.binary(max_size=300))
def test_the_choice_of_a_parser_never_fails(data: bytes) -> None:
    assert documents._parser_for(data, "") in (
        documents._pdf,
        documents._docx,
        documents._html,
        documents._plain,
    )


def test_headings_go_with_what_is_below_them() -> None:
    text = "Intro.\n\n# Hours\nWe open at 9.\nWe close at 5.\n\n## Holidays\n\nClosed."
    assert split(text) == [
        Piece(None, "Intro."),
        Piece("Hours", "We open at 9.\nWe close at 5."),
        Piece("Holidays", "Closed."),
    ]


def test_paragraphs_are_packed_and_long_ones_cut_between_sentences() -> None:
    long = " ".join(f"Sentence number {n} is here." for n in range(100))
    pieces = split(f"Short one.\n\nShort two.\n\n{long}")
    assert pieces[0].text.startswith("Short one.\n\nShort two.")
    assert all(piece.text.endswith(".") for piece in pieces)
    assert len(pieces) < 6


@given(st.text(alphabet=st.sampled_from("ab .!?\n#"), max_size=4000))
def test_passages_are_small_and_lose_no_letter(text: str) -> None:
    pieces = split(text)
    assert all(0 < len(piece.text) <= MAX_CHARACTERS for piece in pieces)
    letters = [letter for letter in text if letter in "ab"]
    kept = "".join(piece.text for piece in pieces) + "".join({p.heading or "" for p in pieces})
    # Headings are kept once per piece below them, or dropped where there is none.
    if "#" not in text:
        assert [letter for letter in kept if letter in "ab"] == letters
