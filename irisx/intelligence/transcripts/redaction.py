"""Numbers that a transcript must not keep, found in spoken words.

A card number comes in groups, with pauses, as digits or as words ("four one one one"), so runs of
number words of one speaker are looked at as one row of digits.
"""

import re
from collections.abc import Callable, Collection, Iterator, Sequence

REDACTED = "[redacted]"
#: PCI DSS 4.0, 3.5.1: the primary account number is rendered unreadable wherever it is stored.
CARD = "card"
IDENTITY = "identity"
KINDS = (CARD, IDENTITY)

_SPOKEN = {
    "zero": "0", "oh": "0", "o": "0", "one": "1", "two": "2", "three": "3", "four": "4",
    "five": "5", "six": "6", "seven": "7", "eight": "8", "nine": "9",
}  # fmt: skip
_TIMES = {"double": 2, "triple": 3}
_DNI_LETTERS = "TRWAGMYFPDXBNJZSQVHLCKE"


def marked(words: Sequence[str], kinds: Collection[str]) -> frozenset[int]:
    """Indices of the words that belong to a number of these kinds."""
    found: set[int] = set()
    for digits, places in _runs(words):
        for kind in kinds:
            for start, end in _FINDERS[kind](digits):
                found.update(places[start:end])
    return frozenset(found)


def _runs(words: Sequence[str]) -> Iterator[tuple[str, list[int]]]:
    """Rows of digits, and of which word each digit is. A single letter may end or begin a row."""
    digits, places, times = "", [], 1
    for index, word in enumerate(words):
        bare = re.sub(r"[\s.,\-–/()#:;!?]", "", word).lower()
        if bare in _TIMES:
            times = _TIMES[bare]
            continue
        spoken = _SPOKEN.get(bare)
        if spoken is not None:
            part = spoken * times
        elif re.fullmatch(r"[a-z]?[0-9]+[a-z]?|[a-z]", bare):
            part = bare
        else:
            part = ""
        times = 1
        if part:
            digits += part
            places += [index] * len(part)
        elif digits:
            yield digits, places
            digits, places = "", []
    if digits:
        yield digits, places


def _cards(row: str) -> Iterator[tuple[int, int]]:
    """Spans of 13 to 19 digits with a valid check digit (ISO/IEC 7812-1), the longest first."""
    for length in range(19, 12, -1):
        for start in range(len(row) - length + 1):
            part = row[start : start + length]
            if part.isdigit() and luhn(part) and len(set(part)) > 1:
                yield start, start + length


def luhn(digits: str) -> bool:
    """Whether the last digit is the check digit of the others (ISO/IEC 7812-1, annex B)."""
    doubled = (int(digit) * (1 + index % 2) for index, digit in enumerate(reversed(digits)))
    return sum(value // 10 + value % 10 for value in doubled) % 10 == 0


def _identities(row: str) -> Iterator[tuple[int, int]]:
    for pattern, valid in _IDENTITIES:
        for match in pattern.finditer(row):
            if valid(match[0]):
                yield match.span()


def _ssn(digits: str) -> bool:
    area, group, serial = digits[:3], digits[3:5], digits[5:]
    return area not in ("000", "666") and area < "900" and group != "00" and serial != "0000"


def _dni(text: str) -> bool:
    return _DNI_LETTERS[int(text[:8]) % 23] == text[8].upper()


def _cpf(digits: str) -> bool:
    def check(length: int) -> int:
        total = sum(int(digits[i]) * (length + 1 - i) for i in range(length))
        return total * 10 % 11 % 10

    return len(set(digits)) > 1 and [check(9), check(10)] == [int(d) for d in digits[9:]]


def _nir(digits: str) -> bool:
    return 97 - int(digits[:13]) % 97 == int(digits[13:])


#: US social security number, Spanish DNI, Brazilian CPF, French NIR; each a whole row of digits.
_IDENTITIES: tuple[tuple[re.Pattern[str], Callable[[str], bool]], ...] = (
    (re.compile(r"(?<!\d)\d{9}(?!\d)"), _ssn),
    (re.compile(r"(?<!\d)\d{8}[a-z]"), _dni),
    (re.compile(r"(?<!\d)\d{11}(?!\d)"), _cpf),
    (re.compile(r"(?<!\d)[12]\d{14}(?!\d)"), _nir),
)

_FINDERS: dict[str, Callable[[str], Iterator[tuple[int, int]]]] = {
    CARD: _cards,
    IDENTITY: _identities,
}
