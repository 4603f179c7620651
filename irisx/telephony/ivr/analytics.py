"""What calls did in a flow's nodes, from their visits."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from sqlalchemy import func, select

from irisx.kernel.db import transaction
from irisx.telephony.ivr.models import IvrFlowVersion
from irisx.telephony.ivr.visit_models import Visit
from irisx.telephony.ivr.visits import HUNG_UP


@dataclass(slots=True)
class NodeTraffic:
    """Calls in a node, of all versions of the flow. `outcomes`: how many left it by which.

    `dropped`: calls that ended in it, by the caller or by an error. `seconds`: all together.
    """

    node: str
    type: str
    entered: int = 0
    dropped: int = 0
    seconds: float = 0.0
    outcomes: dict[str, int] = field(default_factory=dict)

    @property
    def average_seconds(self) -> float | None:
        return round(self.seconds / self.entered, 3) if self.entered else None


def traffic(tenant_id: int, flow_id: int, since: datetime) -> Mapping[str, NodeTraffic]:
    """Traffic of each node that a call was in since then, by the node's id."""
    versions = select(IvrFlowVersion.id).where(
        IvrFlowVersion.flow_id == flow_id, IvrFlowVersion.tenant_id == tenant_id
    )
    seconds = func.extract("epoch", Visit.left_at - Visit.entered_at)
    query = (
        select(Visit.node, Visit.node_type, Visit.outcome, func.count(), func.sum(seconds))
        .where(Visit.version_id.in_(versions), Visit.entered_at >= since)
        .group_by(Visit.node, Visit.node_type, Visit.outcome)
        .order_by(Visit.node, Visit.outcome)
    )
    with transaction() as session:
        rows = session.execute(query).all()
    found: dict[str, NodeTraffic] = {}
    for node, type_, outcome, calls, total in rows:
        of_node = found.setdefault(node, NodeTraffic(node, type_))
        of_node.entered += calls
        of_node.seconds += float(total or 0)
        if outcome == HUNG_UP:
            of_node.dropped += calls
        else:
            of_node.outcomes[outcome] = of_node.outcomes.get(outcome, 0) + calls
    return found
