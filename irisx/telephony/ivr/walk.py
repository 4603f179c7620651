"""Walking through flows, node by node: the same for a live call and for the simulator."""

from dataclasses import dataclass, replace
from typing import Protocol

from irisx.kernel.template import RenderFailed
from irisx.telephony.ivr.flow import Flow, Node
from irisx.telephony.ivr.nodes.base import FAILED, NEXT, TIME_LIMIT, End, Enter, Leave, Result
from irisx.telephony.ivr.scope import VariableRefused
from irisx.telephony.ivr.step import Step, TimeLimit

#: So many nodes a call may pass; a flow that needs more goes round in circles.
MAX_STEPS = 1000
MAX_DEPTH = 8
#: The outcome of a node in which the flow ended the call.
ENDED = "end"


@dataclass(frozen=True, slots=True)
class Place:
    """A node of a flow's version."""

    version: int
    node: str


@dataclass(frozen=True, slots=True)
class Position:
    """Where a call is: all that a runner must keep to go on.

    `place`: the node that runs; `callers`: nodes of the flows that wait for it to return, outermost
    first. `steps` counts the nodes from 1 and so names the visit: what a replayed node does can be
    told from what another visit of the same node did.
    """

    place: Place
    callers: tuple[Place, ...] = ()
    steps: int = 1


@dataclass(frozen=True, slots=True)
class Version:
    """A published flow, by the row key of its version."""

    id: int
    flow: Flow


class Walker(Step, Protocol):
    """A Step that also keeps the position and knows the flows."""

    def version(self, version_id: int) -> Flow:
        """A version that the call is on already; it is there as long as calls are."""

    def published(self, flow_id: str) -> Version | None:
        """The tenant's flow `flow_3` as it is published now; None if it is not."""

    def entered(self, position: Position, node: Node) -> None:
        """A node begins. Keep the position, start the node's `time_limit`."""

    def left(self, position: Position, node: Node, outcome: str) -> None:
        """The node is done; its row for the analytics."""

    def hang_up(self, cause: str) -> None:
        """Queue the end of the call."""


def begin(version: Version) -> Position:
    """The position at the start of a flow."""
    return Position(Place(version.id, version.flow.entry_point))


def walk(walker: Walker, position: Position) -> str:
    """Run nodes from `position` to the end, and hang up. Gives the cause.

    CallEnded of the walker's verbs passes through.
    """
    while True:
        node = walker.version(position.place.version).node(position.place.node)
        if node is None:  # of a draft; what is published has all its nodes
            walker.explain(f"there is no node {position.place.node}")
            _leave_callers(walker, position)
            cause = "NORMAL_TEMPORARY_FAILURE"
            break
        if position.steps > MAX_STEPS:
            walker.explain(f"more than {MAX_STEPS} nodes: the flow goes round in circles")
            _leave_callers(walker, position)
            cause = "EXCHANGE_ROUTING_ERROR"
            break
        walker.entered(position, node)
        result = _run(walker, node)
        following = _after(walker, position, node, result)
        if isinstance(following, End):
            cause = following.cause
            break
        position = replace(following, steps=position.steps + 1)
    walker.hang_up(cause)
    return cause


def _run(walker: Walker, node: Node) -> Result:
    try:
        return node.config.run(walker, node.exits)
    except TimeLimit:
        walker.explain(f"its time limit of {node.time_limit:g} s passed")
        return TIME_LIMIT
    except (RenderFailed, VariableRefused) as error:
        walker.explain(str(error))
        return FAILED


def _after(walker: Walker, position: Position, node: Node, result: Result) -> Position | End:
    """Where the call goes on."""
    match result:
        case End():
            walker.left(position, node, ENDED)
            _leave_callers(walker, position)
            return result
        case Enter():
            return _enter(walker, position, node, result)
        case Leave(outcome=outcome):
            walker.left(position, node, outcome)
            return _return(walker, position, outcome)
    walker.left(position, node, result)
    target = node.target(result)
    if target is not None:
        return replace(position, place=replace(position.place, node=target))
    if result != NEXT:
        walker.explain(f"the outcome {result} leads nowhere")
    return _return(walker, position, NEXT)


def _leave_callers(walker: Walker, position: Position) -> None:
    """The call ends in a subflow: the nodes that wait for it are left as well."""
    for depth in reversed(range(len(position.callers))):
        place = position.callers[depth]
        waiting = walker.version(place.version).node(place.node)
        assert waiting is not None, "it ran when the subflow was entered"
        walker.left(
            replace(position, place=place, callers=position.callers[:depth]), waiting, ENDED
        )


def _enter(walker: Walker, position: Position, node: Node, enter: Enter) -> Position | End:
    found = walker.published(enter.flow)
    if found is None or len(position.callers) >= MAX_DEPTH:
        reason = "is not published" if found is None else f"is more than {MAX_DEPTH} flows deep"
        walker.explain(f"{enter.flow} {reason}")
        return _after(walker, position, node, FAILED)
    try:
        for name, value in found.flow.variables.items():
            if name not in walker.scope.variables:
                walker.scope.set(name, value)
    except VariableRefused as error:
        walker.explain(str(error))
        return _after(walker, position, node, FAILED)
    callers = (*position.callers, position.place) if enter.returns else ()
    if not enter.returns:
        walker.left(position, node, "flow")
    return Position(begin(found).place, callers)


def _return(walker: Walker, position: Position, outcome: str) -> Position | End:
    """Back to the flow that waits, or the end."""
    if not position.callers:
        return End()
    back = replace(position, place=position.callers[-1], callers=position.callers[:-1])
    node = walker.version(back.place.version).node(back.place.node)
    assert node is not None, "it ran when the subflow was entered"
    return _after(walker, back, node, outcome)
