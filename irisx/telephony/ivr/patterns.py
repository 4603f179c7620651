"""Regular expressions that administrators write, bounded in time: some take exponential time."""

from functools import lru_cache

import regex

MAX_LENGTH = 200
_SECONDS = 0.05
_WRONG = (regex.error, RecursionError, OverflowError)


class BadPattern(Exception):
    """No regular expression; the text says why."""


@lru_cache(maxsize=1000)
def _compiled(pattern: str) -> "regex.Pattern[str]":
    return regex.compile(pattern)


def check(pattern: str) -> None:
    """Raises BadPattern."""
    try:
        _compiled(pattern)
    except _WRONG as error:
        raise BadPattern(f"no regular expression: {error}") from None


def matches(pattern: str, text: str) -> bool:
    """Whether all of the text matches. What takes longer than 50 ms, or is no pattern, does not."""
    try:
        return _compiled(pattern).fullmatch(text, timeout=_SECONDS) is not None
    except (TimeoutError, *_WRONG):
        return False
