"""What templates and conditions of a flow can see: its variables, the call, caller and contact."""

import json
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Annotated, Any

from pydantic import AfterValidator, Field

#: A variable's name; the names of RESERVED are taken.
VARIABLE = re.compile(r"[A-Za-z][A-Za-z0-9_]{0,63}\Z")
RESERVED = frozenset({"call", "caller", "contact", "now", "true", "false", "none", "not", "and"})
MAX_VARIABLES = 200
MAX_VALUE_BYTES = 4096
MAX_TOTAL_BYTES = 32_768

Json = None | bool | int | float | str | list[Any] | dict[str, Any]


def _not_reserved(name: str) -> str:
    if name in RESERVED:
        raise ValueError(f"{name} is taken; give the variable another name")
    return name


VariableName = Annotated[
    str,
    Field(pattern=r"^[A-Za-z][A-Za-z0-9_]{0,63}$", examples=["account"]),
    AfterValidator(_not_reserved),
]


class VariableRefused(Exception):
    """A variable that is too big, or one too many. The text says which."""


class Lazily(Mapping[str, Any]):
    """Facts that are looked up when a flow first asks for one: most flows ask for none."""

    def __init__(self, look_up: Callable[[], dict[str, Any]]) -> None:
        self._look_up = look_up

    @cached_property
    def _found(self) -> dict[str, Any]:
        return self._look_up()

    def __getitem__(self, name: str) -> Any:
        return self._found[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._found)

    def __len__(self) -> int:
        return len(self._found)

    def __repr__(self) -> str:
        return repr(self._found)


@dataclass(slots=True)
class Scope:
    """The values of one call.

    `facts`: `call` (sid, from, to, direction, started_at), `caller` (number, name, country) and
    `contact` (the fields of the caller's contact; empty if there is none).
    `changed`: names set since somebody last cleared it.
    """

    facts: Mapping[str, Mapping[str, Any]]
    variables: dict[str, Json] = field(default_factory=dict)
    changed: set[str] = field(default_factory=set)

    def set(self, name: str, value: Json) -> None:
        """Set a variable. Raises VariableRefused."""
        if not VARIABLE.match(name) or name in RESERVED:
            raise VariableRefused(f"{name!r} is no name of a variable")
        size = len(json.dumps(value))
        if size > MAX_VALUE_BYTES:
            raise VariableRefused(f"{name} is larger than {MAX_VALUE_BYTES} bytes")
        others = {key: kept for key, kept in self.variables.items() if key != name}
        if len(others) >= MAX_VARIABLES:
            raise VariableRefused(f"there are more than {MAX_VARIABLES} variables")
        if len(json.dumps(others)) + size > MAX_TOTAL_BYTES:
            raise VariableRefused(f"all variables together are larger than {MAX_TOTAL_BYTES} bytes")
        self.variables[name] = value
        self.changed.add(name)

    @property
    def values(self) -> dict[str, Any]:
        """All names as a template sees them."""
        return {**self.variables, **self.facts}
