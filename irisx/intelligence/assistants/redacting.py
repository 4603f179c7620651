"""What of a conversation is kept: without the numbers that the tenant does not keep."""

from collections.abc import Collection
from typing import Any

from irisx.intelligence.transcripts.redaction import REDACTED, marked


def redacted(value: Any, kinds: Collection[str]) -> Any:
    """The same JSON value, in every text of it REDACTED for each number of these kinds."""
    if isinstance(value, str):
        return _text(value, kinds)
    if isinstance(value, list):
        return [redacted(each, kinds) for each in value]
    if isinstance(value, dict):
        return {name: redacted(each, kinds) for name, each in value.items()}
    return value


def _text(text: str, kinds: Collection[str]) -> str:
    words = text.split()
    found = marked(words, kinds)
    if not found:
        return text
    shown = [
        REDACTED if index in found else word
        for index, word in enumerate(words)
        if index not in found or index - 1 not in found
    ]
    return " ".join(shown)
