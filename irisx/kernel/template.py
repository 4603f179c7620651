"""The one template language of tenants: `{{ expression }}`, in a sandbox without statements.

Jinja2's syntax, of which only expressions are there: names, fields, indexes, comparisons,
`a if b else c`, arithmetic on numbers, `~`, and the filters of `_FILTERS`. No statements, no calls,
no attributes of Python's objects: a name's fields are those of its JSON. Everything that a template
can do takes time and room in proportion to its own length.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from html import escape
from typing import Any
from zoneinfo import ZoneInfo

from jinja2 import StrictUndefined, Template, Undefined, UndefinedError, nodes
from jinja2.exceptions import SecurityError, TemplateSyntaxError
from jinja2.sandbox import SandboxedEnvironment

MAX_LENGTH = 4000
MAX_OUTPUT = 8000
_MAX_TEXT = 16_384
_MAX_ARGUMENT = 200
_MAX_NUMBER = 2**63
_DATE_FORMAT = re.compile(r"(?:[^%]|%-?[A-Za-z%]){1,60}")


class BadTemplate(Exception):
    """No template of this language; the text says what is wrong."""


class RenderFailed(Exception):
    """A template that can't be rendered with these values; the text says why."""


@dataclass(frozen=True, slots=True)
class Use:
    """A value that a template uses. `guarded`: it has a `default` if the value is missing."""

    path: str
    guarded: bool

    @property
    def name(self) -> str:
        """The variable: the path's first part."""
        return self.path.partition(".")[0]


def check(template: str) -> None:
    """Raises BadTemplate."""
    _compiled(template, MAX_LENGTH, html=False)


def uses(template: str, *, max_length: int = MAX_LENGTH) -> list[Use]:
    """The values that a template uses. Raises BadTemplate."""
    return list(_uses(_parsed(template, max_length), guarded=False))


def render(
    template: str,
    values: Mapping[str, Any],
    *,
    html: bool = False,
    max_length: int = MAX_LENGTH,
    max_output: int = MAX_OUTPUT,
) -> str:
    """The template's text. A null is rendered as nothing; `html`: values are escaped.

    Raises RenderFailed.
    """
    if "{" not in template:
        return template
    try:
        text = _compiled(template, max_length, html=html).render(values)
    except (
        BadTemplate, UndefinedError, SecurityError, ArithmeticError, LookupError, ValueError,
        TypeError,
    ) as error:  # fmt: skip
        raise RenderFailed(str(error)[:300]) from None
    if len(text) > max_output:
        raise RenderFailed(f"the text is longer than {max_output} characters")
    return text


# -- the language ---------------------------------------------------------------------------------

_ALLOWED = (
    nodes.Template, nodes.Output, nodes.TemplateData, nodes.Name, nodes.Const, nodes.Getattr,
    nodes.Getitem, nodes.Slice, nodes.Filter, nodes.Compare, nodes.Operand, nodes.And, nodes.Or,
    nodes.Not, nodes.CondExpr, nodes.Concat, nodes.Add, nodes.Sub, nodes.Mul, nodes.Div,
    nodes.FloorDiv, nodes.Mod, nodes.Neg, nodes.Pos,
)  # fmt: skip


def _number(value: Any) -> int | float:
    if isinstance(value, str):
        value = float(value) if re.fullmatch(r"-?[0-9]+\.[0-9]+", value.strip()) else int(value)
    if not isinstance(value, int | float) or isinstance(value, Undefined):
        raise TypeError(f"{value!r} is no number")
    if not abs(value) < _MAX_NUMBER:
        raise ValueError("a number is too large")
    return value


def _text(value: Any) -> str:
    text = "" if value is None else str(value)
    if len(text) > _MAX_TEXT:
        raise ValueError(f"a text is longer than {_MAX_TEXT} characters")
    return text


def _argument(value: Any) -> str:
    text = _text(value)
    if len(text) > _MAX_ARGUMENT:
        raise ValueError(f"a filter's argument is longer than {_MAX_ARGUMENT} characters")
    return text


def _date(value: Any, format: str = "%A, %B %-d, %Y", zone: str = "UTC") -> str:
    moment = value if isinstance(value, datetime) else datetime.fromisoformat(_text(value))
    if not _DATE_FORMAT.fullmatch(format):
        raise ValueError(f"{format[:60]!r} is no format of a date")
    try:
        return moment.astimezone(ZoneInfo(zone)).strftime(format)
    except (LookupError, OSError):
        raise ValueError(f"there is no time zone {zone[:60]!r}") from None


def _default(value: Any, instead: Any = "") -> Any:
    return instead if value is None or isinstance(value, Undefined) or value == "" else value


_FILTERS: dict[str, Callable[..., Any]] = {
    "abs": lambda value: abs(_number(value)),
    "capitalize": lambda value: _text(value).capitalize(),
    "date": _date,
    "default": _default,
    "first": lambda value: value[0],
    "float": lambda value: float(_number(value)),
    "int": lambda value: int(_number(value)),
    "join": lambda value, by=", ": _text(_argument(by).join(map(_text, value))),
    "last": lambda value: value[-1],
    "length": len,
    "lower": lambda value: _text(value).lower(),
    "replace": lambda value, old, new: _text(
        _text(value).replace(_argument(old) or "\0", _argument(new))
    ),
    "round": lambda value, digits=0: round(_number(value), max(-12, min(12, int(digits)))),
    "title": lambda value: _text(value).title(),
    "trim": lambda value: _text(value).strip(),
    "truncate": lambda value, length=100: _text(value)[: max(0, int(length))],
    "upper": lambda value: _text(value).upper(),
}


class _Sandbox(SandboxedEnvironment):
    intercepted_binops = frozenset({"+", "-", "*", "/", "//", "%"})

    def getattr(self, obj: Any, attribute: str) -> Any:
        """A field of a JSON object; nothing else has fields."""
        if isinstance(obj, Mapping) and attribute in obj:
            return obj[attribute]
        return self.undefined(obj=obj, name=attribute)

    def getitem(self, obj: Any, argument: Any) -> Any:
        if isinstance(obj, str | list) and isinstance(argument, int | slice):
            try:
                return obj[argument]
            except IndexError:
                return self.undefined(obj=obj, name=str(argument))
        return self.getattr(obj, str(argument))

    def call_binop(self, context: Any, operator: str, left: Any, right: Any) -> Any:
        result = super().call_binop(context, operator, _number(left), _number(right))
        return _number(result)


def _plain(value: Any) -> Any:
    return "" if value is None else value


def _escaped(value: Any) -> Any:
    # An undefined value must stay one, to be refused.
    return value if isinstance(value, Undefined) else escape(str(_plain(value)))


def _environment(finalize: Callable[[Any], Any]) -> _Sandbox:
    environment = _Sandbox(
        undefined=StrictUndefined,
        finalize=finalize,
        keep_trailing_newline=True,
        cache_size=0,
    )
    environment.filters = _FILTERS
    environment.globals = {}
    environment.tests = {}
    return environment


_TEXT = _environment(_plain)
_HTML = _environment(_escaped)


def _parsed(template: str, max_length: int) -> nodes.Template:
    if len(template) > max_length:
        raise BadTemplate(f"longer than {max_length} characters")
    try:
        tree = _TEXT.parse(template)
    except (TemplateSyntaxError, RecursionError) as error:
        raise BadTemplate(str(error) or "nested too deep") from None
    for node in tree.find_all(nodes.Node):
        if not isinstance(node, _ALLOWED):
            raise BadTemplate(f"{type(node).__name__.lower()} is not part of the template language")
        if isinstance(node, nodes.Filter) and node.name not in _FILTERS:
            raise BadTemplate(
                f"there is no filter {node.name!r}; filters are {', '.join(_FILTERS)}"
            )
    return tree


@lru_cache(maxsize=2000)
def _compiled(template: str, max_length: int, *, html: bool) -> Template:
    tree = _parsed(template, max_length)
    environment = _HTML if html else _TEXT
    try:
        code = environment.compile(tree)
    except (TemplateSyntaxError, RecursionError, SyntaxError, MemoryError) as error:
        raise BadTemplate(str(error) or "nested too deep") from None
    return Template.from_code(environment, code, {})


def _uses(node: nodes.Node, guarded: bool) -> Iterator[Use]:
    path = _path(node)
    if path is not None:
        yield Use(path, guarded)
        return
    if isinstance(node, nodes.Filter) and node.name == "default" and node.node is not None:
        yield from _uses(node.node, guarded=True)
        for argument in node.args:
            yield from _uses(argument, guarded)
        return
    for child in node.iter_child_nodes():
        yield from _uses(child, guarded)


def _path(node: nodes.Node) -> str | None:
    """`contact.name` of a name and the fields that are taken of it."""
    match node:
        case nodes.Name(name=name):
            return str(name)
        case nodes.Getattr(node=inner, attr=field):
            head = _path(inner)
            return None if head is None else f"{head}.{field}"
        case nodes.Getitem(node=inner, arg=nodes.Const(value=key)):
            head = _path(inner)
            return None if head is None else f"{head}.{key}"
    return None
