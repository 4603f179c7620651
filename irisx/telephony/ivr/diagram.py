"""A flow as a picture: plain SVG, nodes in layers from the entry down, traffic on the edges."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape

from irisx.telephony.ivr import graph
from irisx.telephony.ivr.analytics import NodeTraffic
from irisx.telephony.ivr.audio import Say, Text
from irisx.telephony.ivr.flow import Flow, Node

_WIDTH, _HEIGHT = 190, 58
_GAP_X, _GAP_Y = 40, 70
_MARGIN = 30
_LETTERS = 26
_STYLE = (
    "text{font-family:system-ui,sans-serif;font-size:12px;fill:#1b2733}"
    ".id{font-weight:600}.kind{fill:#5a6b7b;font-size:11px}"
    ".node{fill:#f5f8fb;stroke:#8aa0b4;rx:8}.entry{stroke:#1266b0;stroke-width:2}"
    ".missing{fill:#fdecec;stroke:#c43333}"
    ".edge{fill:none;stroke:#8aa0b4}.used{stroke:#1266b0}"
    ".label{font-size:11px;fill:#33475a;paint-order:stroke;stroke:#fff;stroke-width:3px}"
)


@dataclass(frozen=True, slots=True)
class _Box:
    """Where a node stands: its upper left corner, in pixels."""

    x: int
    y: int


def svg(flow: Flow, traffic: Mapping[str, NodeTraffic]) -> str:
    """The picture. `traffic` by node id; edges without any are grey."""
    boxes = _laid_out(flow)
    width = max(box.x for box in boxes.values()) + _WIDTH + _GAP_X + _MARGIN
    height = max(box.y for box in boxes.values()) + _HEIGHT + _GAP_Y
    nodes = {node.id: node for node in flow.nodes}
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" '
        f'viewBox="0 0 {width} {height}" role="img">',
        f"<title>{_clean(flow.name)}</title><style>{_STYLE}</style>",
        '<defs><marker id="end" viewBox="0 0 8 8" refX="8" refY="4" markerWidth="9" '
        'markerHeight="9" markerUnits="userSpaceOnUse" orient="auto-start-reverse">'
        '<path d="M0 0L8 4L0 8z" fill="#8aa0b4"/></marker></defs>',
    ]
    for node in nodes.values():
        parts += _edges(node, boxes, traffic.get(node.id))
    for name, box in boxes.items():
        parts += _node(flow, nodes.get(name), name, box, traffic.get(name))
    return "".join([*parts, "</svg>"])


def _laid_out(flow: Flow) -> dict[str, _Box]:
    """Every node, and every name that no node has, in the layer of its distance from the entry."""
    boxes: dict[str, _Box] = {}
    for depth, layer in enumerate(_layers(flow)):
        for index, name in enumerate(layer):
            x = _MARGIN + index * (_WIDTH + _GAP_X)
            boxes[name] = _Box(x, _MARGIN + depth * (_HEIGHT + _GAP_Y))
    return boxes


def _layers(flow: Flow) -> Sequence[Sequence[str]]:
    """Names by distance, those that no way leads to last; in a layer, as the nodes before name
    them, which keeps most edges from crossing."""
    following = {node.id: [to for _, to in graph.edges(node)] for node in flow.nodes}
    placed: set[str] = set()
    layers: list[list[str]] = []
    layer = [flow.entry_point]
    while layer:
        placed.update(layer)
        layers.append(layer)
        further = [to for name in layer for to in following.get(name, [])]
        layer = [name for name in dict.fromkeys(further) if name not in placed]
    rest = [name for name in following if name not in placed]
    dangling = [to for name in rest for to in following[name]]
    left = [name for name in dict.fromkeys([*rest, *dangling]) if name not in placed]
    return [*layers, left] if left else layers


def _edges(node: Node, boxes: Mapping[str, _Box], traffic: NodeTraffic | None) -> list[str]:
    """Arrows to the nodes that it leads to, branches to one node as one arrow."""
    names: dict[str, list[str]] = {}
    for branch, to in graph.edges(node):
        names.setdefault(to, []).append(branch)
    calls: dict[str, int] = {}
    for outcome, count in (traffic.outcomes if traffic else {}).items():
        if (target := node.target(outcome)) is not None:
            calls[target] = calls.get(target, 0) + count
    parts = []
    for index, (to, branches) in enumerate(names.items()):
        label = ", ".join(branches[:6]) + (" …" if len(branches) > 6 else "")
        count = calls.get(to, 0)
        if count:
            label = f"{label}: {count}"
        parts += _arrow(boxes[node.id], boxes[to], index, label, count)
    return parts


def _arrow(start: _Box, end: _Box, index: int, label: str, count: int) -> list[str]:
    x, y = start.x + _WIDTH // 2, start.y + _HEIGHT
    to_x, to_y = end.x + _WIDTH // 2, end.y
    if end.y > start.y:
        bend = _GAP_Y // 2
        path = f"M{x} {y}C{x} {y + bend} {to_x} {to_y - bend} {to_x} {to_y}"
        at = (x + (to_x - x) * 2 // 5, y + 16 + 13 * (index % 4))
    elif end.y == start.y and end.x != start.x:  # to a neighbour: below what stands between
        to_y = end.y + _HEIGHT
        dip = y + 30 + 6 * (index % 4)
        path = f"M{x} {y}C{x} {dip} {to_x} {dip} {to_x} {to_y}"
        at = ((x + to_x) // 2 - 20, y + 26)
    else:  # back, or to itself: round the right side
        x, y = start.x + _WIDTH, start.y + _HEIGHT // 2
        to_x, to_y = end.x + _WIDTH, end.y + _HEIGHT // 2 - 8
        out = max(x, to_x) + 24 + 10 * (index % 4)
        path = f"M{x} {y}C{out} {y} {out} {to_y} {to_x} {to_y}"
        at = (x + 6, y - 6 + 13 * (index % 4))
    used = " used" if count else ""
    stroke = min(6, 1 + len(str(count))) if count else 1
    return [
        f'<path class="edge{used}" d="{path}" stroke-width="{stroke}" marker-end="url(#end)"/>',
        f'<text class="label" x="{at[0]}" y="{at[1]}">{_clean(label)}</text>',
    ]


def _node(
    flow: Flow, node: Node | None, name: str, box: _Box, traffic: NodeTraffic | None
) -> list[str]:
    kind = "missing" if node is None else "entry" if name == flow.entry_point else ""
    says = "is not there" if node is None else f"{node.type}  {_summary(node)}".strip()
    calls = f"{traffic.entered} in, {traffic.dropped} dropped" if traffic else ""
    tip = "" if node is None else f"<title>{_clean(_summary(node, 300) or node.type)}</title>"
    return [
        f'<g>{tip}<rect class="node {kind}" x="{box.x}" y="{box.y}" width="{_WIDTH}" '
        f'height="{_HEIGHT}"/>',
        f'<text class="id" x="{box.x + 10}" y="{box.y + 19}">{_clean(_short(name))}</text>',
        f'<text class="kind" x="{box.x + 10}" y="{box.y + 35}">{_clean(_short(says, 30))}</text>',
        f'<text class="kind" x="{box.x + 10}" y="{box.y + 50}">{_clean(calls)}</text></g>',
    ]


def _summary(node: Node, longest: int = _LETTERS) -> str:
    """What a node says first."""
    for _, item in node.config.played():
        if isinstance(item, Text | Say):
            return _short(item.text if isinstance(item, Text) else item.say, longest)
    return ""


def _short(text: str, longest: int = _LETTERS) -> str:
    return text if len(text) <= longest else f"{text[: longest - 1]}…"


def _clean(text: str) -> str:
    """Text for XML: escaped, without the characters that XML can't carry."""
    printable = "".join(c if c.isprintable() else " " for c in text)
    return escape(printable)
