"""The largest flows that are taken: their checks stay quick."""

import time
from collections.abc import Callable
from itertools import pairwise

import pytest

from irisx.telephony.ivr import diagram
from irisx.telephony.ivr.flow import MAX_NODES
from irisx.telephony.ivr.linter import MAX_ISSUES, lint
from irisx.telephony.ivr.script import Script
from irisx.telephony.ivr.simulator import simulate
from irisx.telephony.ivr.walk import MAX_STEPS
from tests.telephony.ivr.documents import Document, Tenant, document, node, say

_SECONDS = 10
_IDS = [f"n{number}" for number in range(MAX_NODES)]


def _all_to_all() -> Document:
    branches = {str(digit): _IDS[digit * 7] for digit in range(70)}
    return document(
        *(node(id, "gather", branches={**branches, "timeout": id}, next=_IDS[0]) for id in _IDS)
    )


def _conditions() -> Document:
    """Each compares what the next one sets, and leads to fifty nodes."""

    def one(number: int) -> Document:
        cases = [
            {"branch": f"b{k}", "when": {"value": f"v{k}", "is": "equal", "to": k}}
            for k in range(50)
        ]
        branches = {f"b{k}": _IDS[(number + k * 9 + 1) % MAX_NODES] for k in range(50)}
        following = _IDS[(number + 1) % MAX_NODES]
        if number % 2:
            return node(
                _IDS[number],
                "condition",
                {"cases": cases},
                branches={**branches, "default": following},
            )
        name = f"v{number % 50}"
        return node(_IDS[number], "set_variable", {"variables": {name: "1"}}, next=following)

    return document(*map(one, range(MAX_NODES)))


def _chain() -> Document:
    texts = "{{ caller.number }}" * 200
    nodes = [say(id, texts, next=to) for id, to in pairwise(_IDS)]
    return document(*nodes, node(_IDS[-1], "hangup"))


def _faults() -> Document:
    return document(*(node(id, "play", {"prompts": [{"x": 1}] * 20}) for id in _IDS))


@pytest.mark.parametrize("make", [_all_to_all, _conditions, _chain, _faults])
def test_the_largest_flows_are_checked_simulated_and_drawn_in_seconds(
    make: Callable[[], Document],
) -> None:
    large = make()
    began = time.process_time()
    report = lint(large, Tenant())
    assert len(report.issues) <= MAX_ISSUES
    if report.flow is not None:
        result = simulate(report.flow, Script(), lambda flow_id: None)
        assert len(result.steps) <= MAX_STEPS
        assert diagram.svg(report.flow, {})
    assert time.process_time() - began < _SECONDS
