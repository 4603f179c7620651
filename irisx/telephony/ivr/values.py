"""JSON with templates in its strings."""

from collections.abc import Callable, Iterator

from pydantic import JsonValue


def templates_in(field: str, value: JsonValue) -> Iterator[tuple[str, str]]:
    """Every string of a JSON value, with its field."""
    if isinstance(value, str):
        yield field, value
    elif isinstance(value, dict):
        for key, inner in value.items():
            yield from templates_in(f"{field}.{key}", inner)
    elif isinstance(value, list):
        for index, inner in enumerate(value):
            yield from templates_in(f"{field}.{index}", inner)


def rendered_values(value: JsonValue, render: Callable[[str], str]) -> JsonValue:
    """The value with its strings rendered."""
    if isinstance(value, str):
        return render(value)
    if isinstance(value, dict):
        return {key: rendered_values(inner, render) for key, inner in value.items()}
    if isinstance(value, list):
        return [rendered_values(inner, render) for inner in value]
    return value
