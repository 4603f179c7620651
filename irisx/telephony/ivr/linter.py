"""What is wrong with a flow, told before a call runs into it.

Every message names the node and the fix. Errors refuse publishing; warnings are what an
administrator should know.
"""

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

from irisx.kernel.template import BadTemplate, check
from irisx.telephony.ivr import graph
from irisx.telephony.ivr.audio import AudioUrl, UploadedPrompt
from irisx.telephony.ivr.flow import Flow, Node
from irisx.telephony.ivr.form import read
from irisx.telephony.ivr.issues import Issue, Severity, error, warning
from irisx.telephony.ivr.nodes.asking import DIGITS, TIMEOUT
from irisx.telephony.ivr.nodes.base import DEFAULT, FAILED, NEXT, TIME_LIMIT, Catalog
from irisx.telephony.ivr.nodes.condition import ConditionNode
from irisx.telephony.ivr.nodes.subflow import Subflow
from irisx.telephony.ivr.scope import Scope, VariableRefused
from irisx.telephony.ivr.variables import variable_issues

#: So many issues are listed; who has more mends these first.
MAX_ISSUES = 200


@dataclass(frozen=True, slots=True)
class Report:
    """What was found. `flow`: the document as a flow, None if it has not the form of one."""

    issues: Sequence[Issue]
    flow: Flow | None

    @property
    def errors(self) -> list[Issue]:
        return [issue for issue in self.issues if issue.severity is Severity.ERROR]


def lint(document: Any, catalog: Catalog, flow_id: str | None = None) -> Report:
    """Everything that is wrong with a document. `flow_id`: the flow that it is a version of."""
    flow, issues = read(document)
    if flow is not None:
        issues = list(islice(_issues(flow, catalog, flow_id), MAX_ISSUES))
        issues.sort(key=lambda issue: issue.severity)
    return Report(issues, flow)


def _issues(flow: Flow, catalog: Catalog, flow_id: str | None) -> Iterator[Issue]:
    yield from _structure(flow)
    for node in flow.nodes:
        yield from _exits(node)
        yield from _own(node, catalog)
        yield from _entered(node, catalog, flow_id)
    yield from _unreached(flow)
    yield from _loops(flow)
    yield from variable_issues(flow, catalog)


def _structure(flow: Flow) -> Iterator[Issue]:
    scope = Scope({})
    for name, value in flow.variables.items():
        try:
            scope.set(name, value)
        except VariableRefused as refused:
            yield error("variables", f"variables: {refused}; make it smaller", field="variables")
            return
    known: set[str] = set()
    for node in flow.nodes:
        if node.id in known:
            yield error(
                "duplicate_id",
                f"there are two nodes {node.id}; give one of them another id",
                node.id,
                "id",
            )
        known.add(node.id)
    if flow.entry_point not in known:
        yield error(
            "entry_point",
            f"there is no node {flow.entry_point}; set entry_point to the node that comes first",
            field="entry_point",
        )
    for node in flow.nodes:
        for branch, target in graph.edges(node):
            if target not in known:
                field = "next" if branch == NEXT else f"branches.{branch}"
                yield error(
                    "dangling",
                    f"{node.id}: {field} leads to {target}, which is not there; "
                    "add that node or name another",
                    node.id,
                    field,
                )


def _exits(node: Node) -> Iterator[Issue]:
    """Branches that are never taken, and outcomes without one."""
    outcomes = node.config.outcomes()
    for branch in node.branches:
        if branch == TIME_LIMIT and node.time_limit is None:
            yield error(
                "unknown_branch",
                f"{node.id} has a branch time_limit, but no time_limit; set one",
                node.id,
                f"branches.{branch}",
            )
        elif branch == NEXT or not (outcomes.allows(branch) or branch in (TIME_LIMIT, FAILED)):
            usual = outcomes.named | outcomes.required | outcomes.optional
            names = [*sorted(usual - {NEXT, DEFAULT}), DEFAULT]
            names += [outcomes.keys_are] if outcomes.keys else []
            fix = "use the field `next`" if branch == NEXT else f"it can have {', '.join(names)}"
            yield error(
                "unknown_branch",
                f"{node.id} ({node.type}) is never left by {branch!r}; {fix}",
                node.id,
                f"branches.{branch}",
            )
    if node.next is not None and NEXT not in outcomes.required | outcomes.optional:
        yield error(
            "unused_next",
            f"{node.id} ({node.type}) never goes on by next; remove it"
            + (", or use branches" if outcomes.required else ""),
            node.id,
            "next",
        )
    missing = {name for name in outcomes.required - {NEXT} if node.target(name) is None}
    for outcome in sorted(missing | (outcomes.named - node.branches.keys())):
        fix = f"{outcome!r} or {DEFAULT!r}" if outcome in missing - {DEFAULT} else repr(outcome)
        yield error(
            "missing_outcome",
            f"{node.id} ({node.type}) leads nowhere after {outcome!r}; add a branch {fix}",
            node.id,
            f"branches.{outcome}",
        )
    if NEXT in outcomes.required and node.target(NEXT) is None:
        yield warning(
            "ends_here",
            f"the flow ends after {node.id}, and the caller is hung up on; "
            "say so by a hangup or return node",
            node.id,
            "next",
        )
    yield from _input(node)


def _input(node: Node) -> Iterator[Issue]:
    """Questions whose answer makes no difference."""
    if not node.config.ASKS:
        return
    takes = any(DIGITS.fullmatch(branch) for branch in node.branches)
    if not takes and node.next is None:
        yield error(
            "no_input_branch",
            f"{node.id} ({node.type}) goes nowhere whatever the caller types; "
            "add a branch for a digit" + (" or `next`" if node.type == "gather" else ""),
            node.id,
            "branches",
        )


def _own(node: Node, catalog: Catalog) -> Iterator[Issue]:
    """What the node's type, its templates and its prompts say."""
    for fault in node.config.check(catalog):
        field = f"config.{fault.field}".rstrip(".")
        say = warning if fault.warning else error
        yield say("config", f"{node.id} ({node.type}): {fault.message}", node.id, field)
    for name, text in node.config.templates():
        try:
            check(text)
        except BadTemplate as wrong:
            yield error(
                "template",
                f"{node.id}: config.{name} is no template: {wrong}",
                node.id,
                f"config.{name}",
            )
    for name, item in node.config.played():
        if isinstance(item, UploadedPrompt) and not catalog.has_prompt(item.prompt):
            yield error(
                "missing_prompt",
                f"{node.id}: there is no prompt {item.prompt}; upload it or name another",
                node.id,
                f"config.{name}",
            )
        elif isinstance(item, AudioUrl) and (wrong_url := _refused(item.url, catalog)):
            yield error("url", f"{node.id}: config.{name}: {wrong_url}", node.id, f"config.{name}")
    if node.time_limit is not None and not (node.config.WAITS or node.config.TIMED):
        yield warning(
            "time_limit",
            f"{node.id} ({node.type}) takes no time, so its time_limit does nothing; remove it",
            node.id,
            "time_limit",
        )


def _refused(url: str, catalog: Catalog) -> str | None:
    return None if "{{" in url else catalog.refuses_url(url)


def _entered(node: Node, catalog: Catalog, flow_id: str | None) -> Iterator[Issue]:
    """Subflows that would come back into this flow for ever."""
    config = node.config
    if not isinstance(config, Subflow) or flow_id is None:
        return
    if config.flow == flow_id or flow_id in catalog.flows_entered(config.flow):
        yield error(
            "recursion",
            f"{node.id}: the subflow {config.flow} leads back into this flow; "
            "use a node of this flow in place of it",
            node.id,
            "config.flow",
        )


def _unreached(flow: Flow) -> Iterator[Issue]:
    leads = graph.of_flow(flow)
    if flow.entry_point not in leads:
        return
    reached = graph.reached(leads, flow.entry_point)
    for node in flow.nodes:
        if node.id not in reached:
            yield warning(
                "unreachable",
                f"no way leads to {node.id}; lead one to it or remove it",
                node.id,
            )


def _loops(flow: Flow) -> Iterator[Issue]:
    """Circles in which nobody is waited for, and such as a silent caller never leaves."""
    leads = graph.of_flow(flow)
    limits = set(_limits(flow, leads))
    turning = {node.id for node in flow.nodes if not node.config.WAITS and node.id not in limits}
    for circle in graph.circles(leads, turning):
        yield error(
            "endless_loop",
            f"{' → '.join([*circle, circle[0]])} goes round for ever: {_why(flow, leads, circle)}",
            circle[0],
        )
    silent = {
        node.id: leads[node.id].intersection({node.target(TIMEOUT) or ""})
        if node.config.ASKS
        else leads[node.id]
        for node in flow.nodes
    }
    asking = {node.id for node in flow.nodes if node.config.ASKS}
    for circle in graph.circles(silent, turning | (asking - limits)):
        if asking.intersection(circle):
            yield warning(
                "silent_loop",
                f"{' → '.join([*circle, circle[0]])}: a caller who types nothing goes round until "
                "the call's longest duration; lead the timeout out, and set attempts instead",
                circle[0],
            )


def _why(flow: Flow, leads: graph.Graph, circle: Collection[str]) -> str:
    for node in flow.nodes:
        inside = node.id in circle and isinstance(node.config, ConditionNode)
        if inside and leads[node.id] <= set(circle):
            return f"all branches of {node.id} lead back into it; lead one out"
    return (
        "nothing in it waits for the caller or counts; put a gather or menu into it, or count with "
        "set_variable and leave by a condition"
    )


def _limits(flow: Flow, leads: graph.Graph) -> Iterator[str]:
    """Conditions that end a circle: they compare what the circle counts, and can lead out."""
    setters: dict[str, set[str]] = {}
    for node in flow.nodes:
        for name in node.config.sets():
            setters.setdefault(name, set()).add(node.id)
    behind: dict[str, frozenset[str]] = {}
    for node in flow.nodes:
        reads = {path.partition(".")[0] for _, path in node.config.reads()}
        counting = frozenset().union(*(setters.get(name, ()) for name in reads))
        if not counting:
            continue
        for to in leads[node.id] - behind.keys():
            behind[to] = graph.reached(leads, to)
        back = {to for to in leads[node.id] if node.id in behind[to]}
        counted = any(counting & behind[to] for to in back)
        if counted and (back != leads[node.id] or _may_end(node)):
            yield node.id


def _may_end(node: Node) -> bool:
    """Whether an outcome of the node is the flow's end."""
    outcomes = node.config.outcomes()
    return any(node.target(outcome) is None for outcome in outcomes.required | outcomes.named)
