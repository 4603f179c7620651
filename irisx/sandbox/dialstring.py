"""Dial strings: `{global vars}[leg vars]endpoint,endpoint|endpoint`.

`|` tries one after the other, `,` at the same time (switch_ivr_originate.c).
"""

import re
from dataclasses import dataclass, field

OPENERS = {"{": "}", "[": "]", "<": ">"}


class DialError(Exception):
    """A dial string that can't be read; the message is a hang-up cause."""


@dataclass(frozen=True)
class Leg:
    """One endpoint with the variables of its leg."""

    endpoint: str
    variables: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class DialString:
    variables: dict[str, str]
    groups: list[list[Leg]]


def parse(text: str) -> DialString:
    """Raises DialError for unbalanced brackets or an empty endpoint."""
    variables, rest = take_variables(text.strip(), "{<")
    groups = []
    for alternative in _split(rest, "|"):
        legs = []
        for part in _split(alternative, ","):
            own, endpoint = take_variables(part.strip(), "[{")
            if not endpoint:
                raise DialError("DESTINATION_OUT_OF_ORDER")
            legs.append(Leg(endpoint, own))
        groups.append(legs)
    return DialString(variables, groups)


def take_variables(text: str, openers: str) -> tuple[dict[str, str], str]:
    """Read the bracketed variables that lead a text; returns them and the rest."""
    variables: dict[str, str] = {}
    while text and text[0] in openers:
        end = _closing(text)
        variables |= assignments(text[1:end])
        text = text[end + 1 :].lstrip()
    return variables, text


def _closing(text: str) -> int:
    """The index of the bracket that closes the one at 0; quotes protect."""
    depth, quoted = 0, False
    opener, closer = text[0], OPENERS[text[0]]
    for index, char in enumerate(text):
        if char == "'" and text[index - 1] != "\\":
            quoted = not quoted
        elif not quoted and char == opener:
            depth += 1
        elif not quoted and char == closer:
            depth -= 1
            if depth == 0:
                return index
    raise DialError("DESTINATION_OUT_OF_ORDER")


def _split(text: str, separator: str) -> list[str]:
    """Split outside brackets."""
    parts, depth, start = [], 0, 0
    for index, char in enumerate(text):
        if char in "{[":
            depth += 1
        elif char in "}]":
            depth -= 1
        elif char == separator and depth <= 0:
            parts.append(text[start:index])
            start = index + 1
    return [*parts, text[start:]]


def assignments(text: str) -> dict[str, str]:
    """`a=1,b='x,y',c=2\\,3`; `^^:` in front chooses another separator."""
    separator = ","
    if text.startswith("^^") and len(text) > 3:
        separator, text = text[2], text[3:]
    quoted = r"'(?:\\.|[^'\\])*'"
    plain = rf"(?:\\.|[^{re.escape(separator)}'\\])"
    found: dict[str, str] = {}
    for item in re.findall(rf"(?:{quoted}|{plain}|')+", text):
        name, equals, value = item.partition("=")
        if name.strip() and equals:
            found[name.strip()] = _unquote(value, separator)
    return found


def _unquote(value: str, separator: str) -> str:
    if len(value) >= 2 and value[0] == value[-1] == "'":
        value = value[1:-1]
    return re.sub(rf"\\([{re.escape(separator)}'\\])", r"\1", value)
