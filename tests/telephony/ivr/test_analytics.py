"""Traffic of a flow's nodes, in figures and on its diagram."""

from datetime import datetime, timedelta
from uuid import UUID, uuid4

from defusedxml.ElementTree import fromstring

from irisx.kernel.clock import now
from irisx.kernel.db import transaction
from irisx.telephony.ivr import analytics, diagram, service
from irisx.telephony.ivr.visit_models import Visit
from irisx.telephony.ivr.visits import HUNG_UP
from irisx.tenancy.access import SYSTEM
from irisx.tenancy.models import Tenant
from tests.telephony.ivr.documents import bye, document, node, say

FLOW = document(
    say("hello", next="ask"),
    node("ask", "menu", branches={"1": "bye", "2": "bye", "timeout": "hello"}),
    bye(),
)


def visit(
    tenant: Tenant, version: int, call: UUID, step: int, at: datetime, outcome: str = "next"
) -> Visit:
    return Visit(
        call_id=call,
        step=step,
        entered_at=at,
        left_at=at + timedelta(seconds=2 * step),
        tenant_id=tenant.id,
        version_id=version,
        node=("hello", "ask")[step - 1],
        node_type=("play", "menu")[step - 1],
        outcome=outcome,
    )


def test_calls_are_counted_by_node_and_outcome_over_all_versions(tenant: Tenant) -> None:
    first = service.create(SYSTEM, tenant.id, FLOW, publish=True)
    second = service.update(SYSTEM, tenant.id, first.flow.id, FLOW, publish=True)
    at = now() - timedelta(hours=1)
    ways = [(first, "1"), (second, "1"), (second, HUNG_UP), (second, "timeout")]
    with transaction() as session:
        for view, outcome in ways:
            call, version = uuid4(), view.version.id
            session.add_all(
                [
                    visit(tenant, version, call, 1, at),
                    visit(tenant, version, call, 2, at, outcome),
                ]
            )
        old = now() - timedelta(days=3)
        session.add(visit(tenant, version, uuid4(), 1, old))
    day = analytics.traffic(tenant.id, first.flow.id, now() - timedelta(days=1))
    assert (day["hello"].entered, day["hello"].outcomes) == (4, {"next": 4})
    ask = day["ask"]
    assert (ask.entered, ask.dropped, ask.average_seconds) == (4, 1, 4.0)
    assert ask.outcomes == {"1": 2, "timeout": 1}
    week = analytics.traffic(tenant.id, first.flow.id, now() - timedelta(days=7))
    assert week["hello"].entered == 5
    assert analytics.traffic(tenant.id + 1, first.flow.id, now() - timedelta(days=7)) == {}

    drawn = fromstring(diagram.svg(service.flow_of(first), day))
    texts = [element.text for element in drawn.iter() if element.text]
    assert {"next: 4", "1, 2: 2", "timeout: 1", "4 in, 1 dropped"} <= set(texts)
