"""The template language: what it renders, and what it refuses."""

from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from irisx.kernel.template import (
    MAX_OUTPUT,
    BadTemplate,
    RenderFailed,
    Use,
    check,
    render,
    uses,
)

VALUES: dict[str, Any] = {
    "name": "Ann",
    "n": 3,
    "text": "4",
    "nothing": None,
    "items": ["a", "b"],
    "long": "x" * 4000,
    "caller": {"number": "+15555550123"},
    "order": {"lines": [{"id": 7}], "total": "12.50"},
    "now": datetime(2026, 2, 17, 12, 5, tzinfo=UTC),
}


@pytest.mark.parametrize(
    ("template", "text"),
    [
        ("Hello", "Hello"),
        ("Hello {{ name }}!", "Hello Ann!"),
        ("{{ caller.number[-4:] }}", "0123"),
        ("{{ order.lines[0].id }}", "7"),
        ("{{ order['total'] }}", "12.50"),
        ("{{ nothing }}", ""),
        ("{{ n + 1 }} {{ text * 2 }} {{ 7 // 2 }} {{ -n }}", "4 8 3 -3"),
        ("{{ 'yes' if n > 2 and not nothing else 'no' }}", "yes"),
        ("{{ missing|default('friend') }}", "friend"),
        ("{{ nothing|default('friend') }}", "friend"),
        ("{{ name ~ n }}", "Ann3"),
        ("{{ name|upper }} {{ name|lower }} {{ ' a '|trim }}", "ANN ann a"),
        ("{{ items|join(' and ') }} {{ items|length }} {{ items|first }}", "a and b 2 a"),
        ("{{ order.total|float|round }}", "12.0"),
        ("{{ name|replace('n', 'm') }}", "Amm"),
        ("{{ now|date('%H:%M', 'Europe/Berlin') }}", "13:05"),
        ("{{ now|date }}", "Tuesday, February 17, 2026"),
        ("{{ '2026-03-01'|date('%-d.%-m.') }}", "1.3."),
        ("100 %}, {% raw", None),
        ("a { b } c", "a { b } c"),
    ],
)
def test_rendering(template: str, text: str | None) -> None:
    if text is None:
        with pytest.raises(RenderFailed):
            render(template, VALUES)
    else:
        assert render(template, VALUES) == text


@pytest.mark.parametrize(
    "template",
    [
        "{% for x in items %}{{ x }}{% endfor %}",
        "{% set x = 1 %}",
        "{% include 'x' %}",
        "{% import 'os' as os %}",
        "{{ name() }}",
        "{{ caller.number.format() }}",
        "{{ range(10) }}",
        "{{ cycler.__init__.__globals__ }}{{ x() }}",
        "{{ 2 ** 99999999 }}",
        "{{ [1] * 3 }}",
        "{{ {'a': 1} }}",
        "{{ name|attr('__class__') }}",
        "{{ name|safe }}",
        "{{ items|map('upper') }}",
        "{{ n is defined }}",
        "{{ name",
        "{{ }}",
        "{{ " + "(" * 2000 + "1" + ")" * 2000 + " }}",
        "{{ " + "-" * 2500 + "1 }}",
        "x" * 4001,
    ],
)
def test_what_is_not_of_the_language_is_refused(template: str) -> None:
    with pytest.raises(BadTemplate):
        check(template)


@pytest.mark.parametrize(
    "template",
    [
        "{{ missing }}",
        "{{ caller.missing }}",
        "{{ name.__class__ }}",
        "{{ name['__class__'] }}",
        "{{ name.upper }}",
        "{{ items.append }}",
        "{{ caller.__init__ }}",
        "{{ n / 0 }}",
        "{{ name + 1 }}",
        "{{ name * 1000000000 }}",
        "{{ 99999999999 * 99999999999 }}",
        "{{ name|int }}",
        "{{ name|date }}",
        "{{ now|date('%9999999d') }}",
        "{{ now|date('%H', 'No/Where') }}",
        "{{ now|date('%H', '../../etc/passwd') }}",
        "{{ name|upper('x') }}",
        "{{ n|first }}",
        "{{ long }}{{ long }}{{ long }}",
        "{{ long ~ long ~ long ~ long ~ long|upper }}",
        "{{ long|replace('x', long) }}",
        "{{ long|replace('x', 'yyyyyyyyyyyyyyyyyyyy') }}",
    ],
)
def test_what_can_t_be_rendered_says_so(template: str) -> None:
    with pytest.raises(RenderFailed):
        render(template, VALUES)


def test_the_values_that_a_template_uses() -> None:
    template = "{{ a.b['c'][0]|default(d) }} {{ e if f else g|upper }} {{ h.i[j:] }}"
    assert uses(template) == [
        Use("a.b.c.0", guarded=True),
        Use("d", guarded=False),
        Use("f", guarded=False),
        Use("e", guarded=False),
        Use("g", guarded=False),
        Use("h.i", guarded=False),
        Use("j", guarded=False),
    ]


_ATOMS = st.sampled_from(
    ["name", "n", "long", "order.lines", "items[0]", "'x'", "9", "missing", "now", "nothing"]
)
_EXPRESSIONS = st.recursive(
    _ATOMS,
    lambda inner: st.one_of(
        st.builds("({} {} {})".format, inner, st.sampled_from(["+", "*", "~", "<", "and"]), inner),
        st.builds("{}|{}".format, inner, st.sampled_from(["upper", "int", "last", "length"])),
        st.builds("({})|replace({}, {})".format, inner, inner, inner),
        st.builds("({} if {} else {})".format, inner, inner, inner),
    ),
    max_leaves=12,
)


@given(st.lists(_EXPRESSIONS | st.text(max_size=10), max_size=4))
def test_whatever_is_written_ends_bounded_or_refused(parts: list[str]) -> None:
    template = "".join(f"{{{{ {part} }}}}" for part in parts)
    try:
        assert len(render(template, VALUES)) <= MAX_OUTPUT
    except (BadTemplate, RenderFailed) as refusal:
        assert str(refusal)


@pytest.mark.parametrize(
    "template",
    ["<p>{{ name }}</p>", "<p>{{ name | upper }}</p>", "<p>{{ name ~ '' }}</p>"],
)
def test_values_in_html_are_escaped_and_the_template_is_not(template: str) -> None:
    text = render(template, {"name": '<b>&"'}, html=True)
    assert text.lower() == "<p>&lt;b&gt;&amp;&quot;</p>"


def test_a_missing_value_is_refused_in_html_too() -> None:
    with pytest.raises(RenderFailed):
        render("{{ name }}", {}, html=True)
