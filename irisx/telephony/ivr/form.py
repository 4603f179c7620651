"""From a JSON document to a flow, or to what is wrong with its form."""

from collections.abc import Iterator, Mapping
from typing import Any

from pydantic import ValidationError as PydanticError
from pydantic_core import ErrorDetails

from irisx.telephony.ivr.flow import Flow
from irisx.telephony.ivr.issues import Issue, error
from irisx.telephony.ivr.nodes import TYPES

MAX_JSON_DEPTH = 24
_MAX_INT = 2**63 - 1
_MAX_ISSUES = 200
#: Names that pydantic puts into a place for the alternative that it chose.
_ALTERNATIVES = ("text", "prompt", "url", "say", "silence_ms", "value", "all", "any", "not")
_CONDITIONS = ("when", "not")


def read(document: Any) -> tuple[Flow | None, list[Issue]]:
    """The flow, or an error for every fault of the document's form."""
    if not isinstance(document, dict):
        return None, [error("form", "a flow is a JSON object with name, entry_point and nodes")]
    if (wrong := _not_storable(document)) is not None:
        return None, [error("form", wrong)]
    try:
        return Flow.model_validate(document), []
    except PydanticError as faults:
        return None, [_issue(document, fault) for fault in faults.errors()[:_MAX_ISSUES]]


def _not_storable(document: Any) -> str | None:
    """Why a document can't be kept as JSON, or be worked on within bounds."""
    waiting: list[tuple[Any, int]] = [(document, 0)]
    while waiting:
        value, depth = waiting.pop()
        if depth > MAX_JSON_DEPTH:
            return f"the document is nested more than {MAX_JSON_DEPTH} deep; make it flatter"
        if isinstance(value, float) and not abs(value) <= _MAX_INT:
            return "numbers must be finite and fit in 64 bits"
        if isinstance(value, int) and abs(value) > _MAX_INT:
            return "integers must fit in 64 bits"
        if isinstance(value, str) and not _is_text(value):
            return "texts must be Unicode without the character 0"
        if isinstance(value, dict):
            waiting += ((inner, depth + 1) for pair in value.items() for inner in pair)
        elif isinstance(value, list):
            waiting += ((inner, depth + 1) for inner in value)
    return None


def _is_text(value: str) -> bool:
    """Whether PostgreSQL can keep it: no character 0, no lone surrogates."""
    return "\0" not in value and not any("\ud800" <= c <= "\udfff" for c in value)


def _issue(document: Any, fault: ErrorDetails) -> Issue:
    place = fault["loc"]
    node = None
    named = ""
    if place[:1] == ("nodes",) and len(place) > 1 and isinstance(place[1], int):
        raw = document["nodes"][place[1]]
        node = raw.get("id") if isinstance(raw, Mapping) else None
        node = node if isinstance(node, str) else None
        # After the index comes the node type, which tells pydantic's alternatives apart.
        place = place[2:]
        place = place[1:] if place and place[0] in TYPES else place
        named = f"{node or 'the node without an id'}: "
    field = ".".join(map(str, _visible(place)))
    return error(*_words(fault, named, field), node, field)


def _visible(place: tuple[int | str, ...]) -> Iterator[int | str]:
    """The parts of a place that stand in the document, not the names of pydantic's alternatives."""
    previous: int | str = ""
    for part in place:
        chosen = part in _ALTERNATIVES and (isinstance(previous, int) or previous in _CONDITIONS)
        if part != "[key]" and not chosen:
            yield part
        previous = part


def _words(fault: ErrorDetails, named: str, field: str) -> tuple[str, str]:
    """Code and message of a fault."""
    match fault["type"]:
        case "union_tag_invalid":
            given = fault.get("ctx", {}).get("tag", "")
            return "unknown_type", f"{named}there is no node type {given!r}; use {_types()}"
        case "union_tag_not_found":
            return "missing_field", f"{named}a node needs a `type`: {_types()}"
        case "extra_forbidden":
            return (
                "unknown_field",
                f"{named}there is no field {field}; remove or rename it",
            )
        case "missing":
            return "missing_field", f"{named}{field or 'a field'} is missing; add it"
        case "value_error":
            message = fault["msg"].removeprefix("Value error, ")
            return "form", f"{named}{field}: {message}"
        case _:
            message = fault["msg"]
            return "form", f"{named}{field}: {message[:1].lower()}{message[1:]}"


def _types() -> str:
    return ", ".join(TYPES)
