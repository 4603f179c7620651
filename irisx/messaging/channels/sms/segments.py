"""How many parts a text message takes, by the alphabets of 3GPP TS 23.038.

160 septets of the GSM default alphabet fit into one message, 153 into a part of several (the rest
is the header of TS 23.040 §9.2.3.24.1); of UCS-2, which any other character asks for, 70 and 67
code units. A character of the extension table takes two septets and is never split between parts,
nor is a surrogate pair.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

_BASIC = (
    "@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞ\x1bÆæßÉ !\"#¤%&'()*+,-./0123456789:;<=>?"
    "¡ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§¿abcdefghijklmnopqrstuvwxyzäöñüà"
)
_EXTENSION = {
    "\f": 0x0A, "^": 0x14, "{": 0x28, "}": 0x29, "\\": 0x2F, "[": 0x3C, "~": 0x3D, "]": 0x3E,
    "|": 0x40, "€": 0x65,
}  # fmt: skip
ESCAPE = 0x1B
#: Character -> its septets.
SEPTETS: dict[str, tuple[int, ...]] = {
    char: (code,) for code, char in enumerate(_BASIC) if code != ESCAPE
} | {char: (ESCAPE, code) for char, code in _EXTENSION.items()}

#: Look-alikes that would make a whole message UCS-2.
_PLAIN = str.maketrans(
    {
        "‘": "'", "’": "'", "‚": ",", "“": '"', "”": '"', "„": '"', "–": "-", "—": "-", "−": "-",
        "…": "...", "\u00a0": " ", "\u2009": " ", "\u202f": " ", "\t": " ", "•": "*", "`": "'",
    }
)  # fmt: skip


class Encoding(StrEnum):
    GSM7 = "GSM-7"
    UCS2 = "UCS-2"


_SINGLE = {Encoding.GSM7: 160, Encoding.UCS2: 70}
_PART = {Encoding.GSM7: 153, Encoding.UCS2: 67}


@dataclass(frozen=True, slots=True)
class Segments:
    """`parts`: the text of each message on the air. An empty text is one empty part."""

    encoding: Encoding
    parts: tuple[str, ...]

    @property
    def count(self) -> int:
        return len(self.parts)


def split(text: str) -> Segments:
    """The text in the parts that it is sent in."""
    gsm = all(char in SEPTETS for char in text)
    encoding = Encoding.GSM7 if gsm else Encoding.UCS2
    sizes = [(char, _size(char, encoding)) for char in text]
    if sum(size for _, size in sizes) <= _SINGLE[encoding]:
        return Segments(encoding, (text,))
    return Segments(encoding, tuple(_parts(sizes, _PART[encoding])))


def plain(text: str) -> str:
    """The text with typographic characters replaced by look-alikes of the GSM alphabet."""
    return text.translate(_PLAIN)


def _size(char: str, encoding: Encoding) -> int:
    if encoding is Encoding.GSM7:
        return len(SEPTETS[char])
    return 2 if ord(char) > 0xFFFF else 1


def _parts(sizes: Iterable[tuple[str, int]], room: int) -> Iterable[str]:
    part, used = "", 0
    for char, size in sizes:
        if used + size > room:
            yield part
            part, used = "", 0
        part += char
        used += size
    yield part
