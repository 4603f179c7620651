"""Which variables are set when a node is reached: on some way to it, and on every way."""

from collections.abc import Iterator
from dataclasses import dataclass

from irisx.kernel.template import BadTemplate, Use
from irisx.telephony.ivr import graph
from irisx.telephony.ivr.flow import Flow, Node
from irisx.telephony.ivr.issues import Issue, error, warning
from irisx.telephony.ivr.nodes.base import Catalog
from irisx.telephony.ivr.nodes.subflow import Subflow

#: What templates and conditions see beside the flow's variables. A contact's fields are the
#: tenant's own; any of them may be missing.
_FACTS = {
    "call": frozenset({"sid", "from", "to", "direction", "started_at"}),
    "caller": frozenset({"number", "name", "country"}),
    "contact": None,
    "now": frozenset({"hour", "minute", "weekday", "day", "month", "year", "date", "time"}),
}


@dataclass(frozen=True, slots=True)
class _Known:
    """Variables at a node's beginning: set on every way to it, set on some way."""

    always: frozenset[str]
    sometimes: frozenset[str]


def variable_issues(flow: Flow, catalog: Catalog) -> Iterator[Issue]:
    """Variables that are read where they are not set, and facts that there are not."""
    known = _known(flow, catalog)
    for node in flow.nodes:
        if node.id in known:
            yield from _issues_of(node, known[node.id])


def _issues_of(node: Node, known: _Known) -> Iterator[Issue]:
    own = frozenset(node.config.sets()) if node.config.SETS_FIRST else frozenset()
    try:
        uses = list(node.config.uses())
    except BadTemplate:
        return  # told by the linter
    for field, use in uses:
        yield from _of_template(node, f"config.{field}", use, known, own)
    for field, path in node.config.reads():
        yield from _of_condition(node, f"config.{field}", path, known)


def _of_template(
    node: Node, field: str, use: Use, known: _Known, own: frozenset[str]
) -> Iterator[Issue]:
    if use.name in _FACTS:
        yield from _of_fact(node, field, use)
    elif use.guarded or use.name in known.always | own:
        return
    elif use.name in known.sometimes:
        yield warning(
            "variable_maybe_unset",
            f"{node.id} uses {use.name}, which is not set on every way to it; write "
            f"{{{{ {use.path}|default('…') }}}} or give it a value in the flow's `variables`",
            node.id,
            field,
        )
    else:
        yield error(
            "variable_unset",
            f"{node.id} uses {use.name}, which nothing sets before it; set it in a node before, or "
            "give it a value in the flow's `variables`",
            node.id,
            field,
        )


def _of_fact(node: Node, field: str, use: Use) -> Iterator[Issue]:
    fields = _FACTS[use.name]
    rest = use.path.partition(".")[2]
    if use.name == "now" or (fields is not None and rest in fields):
        return
    if fields is None:
        if not rest or not use.guarded:
            yield error(
                "contact_unguarded",
                f"{node.id} uses {use.path}, which an unknown caller does not have; write "
                f"{{{{ contact.{rest or 'name'}|default('…') }}}}",
                node.id,
                field,
            )
        return
    yield error(
        "unknown_field",
        f"{node.id} uses {use.path}; the fields of {use.name} are {', '.join(sorted(fields))}",
        node.id,
        field,
    )


def _of_condition(node: Node, field: str, path: str, known: _Known) -> Iterator[Issue]:
    """A condition may read what is not set: it is null then."""
    name, _, rest = path.partition(".")
    if name in _FACTS:
        fields = _FACTS[name]
        if (fields is None and not rest) or (fields is not None and rest not in fields):
            there = ", ".join(sorted(fields)) if fields else "those of your contacts"
            yield error(
                "unknown_field",
                f"{node.id} compares {path}; the fields of {name} are {there}",
                node.id,
                field,
            )
    elif name not in known.sometimes:
        yield error(
            "variable_unset",
            f"{node.id} compares {name}, which nothing sets before it; set it in a node before, or "
            "give it a value in the flow's `variables`",
            node.id,
            field,
        )


def _known(flow: Flow, catalog: Catalog) -> dict[str, _Known]:
    """What is set at each node that can be reached; a fixed point over the ways to it."""
    first = frozenset(flow.variables)
    known = {flow.entry_point: _Known(first, first)}
    nodes = {node.id: node for node in flow.nodes}
    leads = graph.of_flow(flow)
    waiting = [flow.entry_point] if flow.entry_point in nodes else []
    while waiting:
        name = waiting.pop()
        after = _after(nodes[name], known[name], catalog)
        for following in leads[name]:
            before = known.get(following)
            merged = after if before is None else _merged(before, after)
            if merged != before:
                known[following] = merged
                waiting.append(following)
    return {name: state for name, state in known.items() if name in nodes}


def _after(node: Node, before: _Known, catalog: Catalog) -> _Known:
    own = frozenset(node.config.sets())
    maybe = own
    if isinstance(node.config, Subflow):
        maybe |= catalog.variables_set(node.config.flow)
    return _Known(before.always | own, before.sometimes | maybe)


def _merged(one: _Known, other: _Known) -> _Known:
    return _Known(one.always & other.always, one.sometimes | other.sometimes)
