"""Regular expressions that administrators write, bounded in time: some take exponential time."""

import math
import re
from functools import lru_cache

import regex
import structlog

log = structlog.get_logger(__name__)

MAX_LENGTH = 200
MAX_TEXT = 1000
_SECONDS = 0.02
_MAX_SIZE = 10_000
_COUNT = re.compile(r"[{,]\s*([0-9]+)")
_WRONG = (regex.error, RecursionError, OverflowError)
#: Patterns that took too long; they are not tried again.
_slow: set[str] = set()


class BadPattern(Exception):
    """No regular expression; the text says why."""


@lru_cache(maxsize=1000)
def _compiled(pattern: str) -> "regex.Pattern[str]":
    return regex.compile(pattern)


def _size(pattern: str) -> int:
    """How large it may become: regex writes out what is repeated a fixed number of times."""
    counts = [int(number) for number in _COUNT.findall(pattern)]
    return math.prod(max(1, count) for count in counts)


def check(pattern: str) -> None:
    """Raises BadPattern."""
    if _size(pattern) > _MAX_SIZE:
        raise BadPattern(f"its repetitions multiply to more than {_MAX_SIZE}; use * or +")
    try:
        _compiled(pattern)
    except _WRONG as error:
        raise BadPattern(f"no regular expression: {error}") from None


def matches(pattern: str, text: str) -> bool:
    """Whether all of the text matches.

    No pattern, no long text and no pattern that once took longer than 20 ms matches: while a
    pattern is tried nothing else runs in this process.
    """
    if len(text) > MAX_TEXT or pattern in _slow or _size(pattern) > _MAX_SIZE:
        return False
    try:
        return _compiled(pattern).fullmatch(text, timeout=_SECONDS) is not None
    except TimeoutError:
        log.warning("ivr.slow_pattern", pattern=pattern)
        _slow.add(pattern)
        return False
    except _WRONG:
        return False
