"""A long text in passages that can be embedded and quoted."""

import re
from collections.abc import Iterator
from dataclasses import dataclass

from irisx.intelligence.chat import sentences

#: Characters of a passage: some 250 tokens of English, half of what the local model reads.
MAX_CHARACTERS = 900
_HEADING = re.compile(r"\s{0,3}#{1,6}\s+(\S.*?)\s*#*\s*")
_MAX_HEADING = 200


@dataclass(frozen=True)
class Piece:
    """`heading`: the last one above it."""

    heading: str | None
    text: str


def split(text: str) -> list[Piece]:
    """Pieces of at most MAX_CHARACTERS, cut between paragraphs, else sentences, else words.

    A heading (`# …`, as in Markdown) begins a new piece and goes with each below it.
    """
    pieces: list[Piece] = []
    heading: str | None = None
    held = ""
    for block in _blocks(text):
        found = _HEADING.fullmatch(block)
        if held and (found or len(held) + 2 + len(block) > MAX_CHARACTERS):
            pieces.append(Piece(heading, held))
            held = ""
        if found:
            heading = found[1][:_MAX_HEADING]
        else:
            held = f"{held}\n\n{block}" if held else block
    if held:
        pieces.append(Piece(heading, held))
    return pieces


def _blocks(text: str) -> Iterator[str]:
    """Headings, and paragraphs or parts of them that fit in a piece."""
    for paragraph in re.split(r"\n\s*\n|\n(?=\s{0,3}#{1,6}\s)|(?<=\n)(?=\s{0,3}#{1,6}\s)", text):
        lines = paragraph.strip().split("\n")
        if _HEADING.fullmatch(lines[0]):
            yield lines[0]
            lines = lines[1:]
        if block := "\n".join(lines).strip():
            yield from _parts(block)


def _parts(paragraph: str) -> Iterator[str]:
    if len(paragraph) <= MAX_CHARACTERS:
        yield paragraph
        return
    held = ""
    for sentence in sentences([paragraph]):
        for part in _cut(sentence):
            if held and len(held) + 1 + len(part) > MAX_CHARACTERS:
                yield held
                held = ""
            held = f"{held} {part}" if held else part
    if held:
        yield held


def _cut(sentence: str) -> Iterator[str]:
    while len(sentence) > MAX_CHARACTERS:
        end = sentence.rfind(" ", 1, MAX_CHARACTERS)
        end = end if end > 0 else MAX_CHARACTERS
        yield sentence[:end].strip()
        sentence = sentence[end:].strip()
    if sentence:
        yield sentence
