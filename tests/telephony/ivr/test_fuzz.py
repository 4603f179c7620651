"""Any flow, any script: nothing crashes and nothing runs for ever.

IVR_FUZZ_EXAMPLES=10000 for the long run.
"""

import os
from typing import Any

from hypothesis import HealthCheck, event, given, settings

from irisx.telephony.ivr import diagram
from irisx.telephony.ivr.flow import Flow
from irisx.telephony.ivr.linter import lint
from irisx.telephony.ivr.script import Script
from irisx.telephony.ivr.simulator import simulate
from irisx.telephony.ivr.walk import MAX_STEPS, Version
from tests.telephony.ivr import flows
from tests.telephony.ivr.documents import Document, Tenant, bye, flow, say

EXAMPLES = int(os.environ.get("IVR_FUZZ_EXAMPLES", "150"))
LONG = settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=[HealthCheck.too_slow])
INNER = Version(1, flow(say("in", "{{ x }}", next="bye"), bye()))


@LONG
@given(flows.documents(), flows.scripts)
def test_any_flow_is_linted_simulated_and_drawn(document: Document, script: Document) -> None:
    report = lint(document, Tenant())
    for issue in report.issues:
        assert issue.message
    if report.flow is None:
        assert report.errors
        return
    again = Flow.model_validate(report.flow.model_dump(mode="json", by_alias=True))
    assert again == report.flow
    assert diagram.svg(report.flow, {}).endswith("</svg>")
    result = simulate(report.flow, Script.model_validate(script), _published)
    assert len(result.steps) <= MAX_STEPS
    event(f"passed {min(len(result.steps), 20)} nodes")
    assert all(step.outcome for step in result.steps)
    assert result.cause


@LONG
@given(flows.anything)
def test_anything_is_linted(document: Any) -> None:
    assert lint(document, Tenant()).errors


def _published(flow_id: str) -> Version | None:
    return INNER if flow_id == "flow_1" else None
