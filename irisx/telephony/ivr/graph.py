"""A flow as a graph: which node leads to which, what is reached, what goes round in circles."""

from collections.abc import Collection, Iterator, Mapping
from graphlib import CycleError, TopologicalSorter

from irisx.telephony.ivr.flow import Flow, Node
from irisx.telephony.ivr.nodes.base import NEXT

#: Node id -> ids of the nodes that it leads to.
Graph = Mapping[str, frozenset[str]]


def edges(node: Node) -> Iterator[tuple[str, str]]:
    """Every branch of a node, `next` among them, with the node that it names."""
    if node.next is not None:
        yield NEXT, node.next
    yield from node.branches.items()


def of_flow(flow: Flow) -> Graph:
    """All edges between nodes that are there."""
    known = {node.id for node in flow.nodes}
    return {node.id: frozenset(to for _, to in edges(node) if to in known) for node in flow.nodes}


def reached(graph: Graph, start: str) -> frozenset[str]:
    """The nodes that can be reached from one, and itself."""
    found: set[str] = set()
    waiting = [start] if start in graph else []
    while waiting:
        node = waiting.pop()
        if node not in found:
            found.add(node)
            waiting += graph[node] - found
    return frozenset(found)


def circles(graph: Graph, through: Collection[str], most: int = 20) -> Iterator[list[str]]:
    """Circles of which every node is one of `through`; of those that share a node only one."""
    left = {node: graph[node].intersection(through) for node in graph if node in through}
    for _ in range(most):
        try:
            TopologicalSorter(left).prepare()
            return
        except CycleError as error:
            circle = list(reversed(error.args[1]))[:-1]
        yield circle
        broken = set(circle)
        left = {node: to - broken for node, to in left.items() if node not in broken}
