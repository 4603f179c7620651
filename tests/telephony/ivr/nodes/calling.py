"""Simulated calls through one node."""

from typing import Any

from irisx.telephony.ivr.script import Script
from irisx.telephony.ivr.simulator import Simulation, Visited, simulate
from irisx.telephony.ivr.walk import Version
from tests.telephony.ivr.documents import Document, bye, flow, node

INNER = Version(
    7,
    flow(
        node(
            "pin",
            "gather",
            {"num_digits": 4, "variable": "pin"},
            next="ok",
            branches={"timeout": "no"},
        ),
        node("ok", "return", {"outcome": "verified"}),
        node("no", "return"),
        variables={"tries": 3},
    ),
)
ENDING = Version(6, flow(bye()))


def call(*nodes: Document, variables: Document | None = None, **script: Any) -> Simulation:
    """A call through nodes; every branch that they name and that is no node of theirs hangs up."""
    known = {one["id"] for one in nodes}
    named = {
        target
        for one in nodes
        for target in [*one.get("branches", {}).values(), one.get("next")]
        if target and target not in known
    }
    document = flow(*nodes, *map(bye, sorted(named)), variables=variables or {})
    return simulate(document, Script.model_validate(script), published)


def published(flow_id: str) -> Version | None:
    return {"flow_7": INNER, "flow_6": ENDING}.get(flow_id)


def first(result: Simulation) -> Visited:
    """What the first node did."""
    return result.steps[0]


def path(result: Simulation) -> list[str]:
    return [step.node for step in result.steps]


def said(result: Simulation) -> list[str]:
    """All texts that were heard."""
    return [heard["text"] for step in result.steps for heard in step.heard if "text" in heard]
