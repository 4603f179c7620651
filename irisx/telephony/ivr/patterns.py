"""Regular expressions that administrators write, bounded in time: some take exponential time."""

from functools import lru_cache

import regex

MAX_LENGTH = 200
_SECONDS = 0.05


class BadPattern(Exception):
    """No regular expression; the text says why."""


@lru_cache(maxsize=1000)
def _compiled(pattern: str) -> "regex.Pattern[str]":
    return regex.compile(pattern)


def check(pattern: str) -> None:
    """Raises BadPattern."""
    try:
        _compiled(pattern)
    except (regex.error, RecursionError, OverflowError) as error:
        raise BadPattern(f"no regular expression: {error}") from None


def matches(pattern: str, text: str) -> bool:
    """Whether all of the text matches. What takes longer than 50 ms does not match."""
    try:
        return _compiled(pattern).fullmatch(text, timeout=_SECONDS) is not None
    except TimeoutError:
        return False
