"""The flows that calls run: immutable versions, kept in memory once read."""

from functools import lru_cache

from sqlalchemy import bindparam, select

from irisx.kernel.db import transaction
from irisx.kernel.errors import NotFound
from irisx.kernel.ids import row_key
from irisx.telephony.ivr.flow import Flow
from irisx.telephony.ivr.models import IvrFlow, IvrFlowVersion
from irisx.telephony.ivr.walk import Version


@lru_cache(maxsize=500)
def flow_of(version_id: int) -> Flow:
    """The flow of a version, by its row key. Raises NotFound."""
    with transaction() as session:
        row = session.get(IvrFlowVersion, version_id)
    if row is None:
        raise NotFound(f"There is no version {version_id} of a flow.")
    return Flow.model_validate(row.document)


# Made once: to build such a statement costs more than to run it.
_PUBLISHED = (
    select(IvrFlowVersion.id)
    .join(IvrFlow, IvrFlow.id == IvrFlowVersion.flow_id)
    .where(
        IvrFlow.id == bindparam("flow"),
        IvrFlow.tenant_id == bindparam("tenant"),
        IvrFlow.deleted_at.is_(None),
        IvrFlowVersion.number == IvrFlow.published,
    )
)


def published(tenant_id: int, flow_id: str) -> Version | None:
    """What a new call gets in the tenant's flow `flow_3`; None if that has nothing published."""
    try:
        key = row_key(IvrFlow.PREFIX, flow_id)
    except NotFound:
        return None
    with transaction() as session:
        version_id = session.scalar(_PUBLISHED, {"flow": key, "tenant": tenant_id})
    return None if version_id is None else Version(version_id, flow_of(version_id))
