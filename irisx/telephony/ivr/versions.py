"""The flows that calls run: immutable versions, kept in memory once read."""

import time
from collections.abc import Callable
from functools import lru_cache
from typing import TypeVar

import gevent
import structlog
from sqlalchemy import bindparam, select
from sqlalchemy.exc import OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from irisx.kernel.db import reading, transaction
from irisx.kernel.errors import NotFound
from irisx.kernel.ids import row_key
from irisx.kernel.kept import kept
from irisx.telephony.ivr.flow import Flow
from irisx.telephony.ivr.models import IvrFlow, IvrFlowVersion
from irisx.telephony.ivr.walk import Version

log = structlog.get_logger()

T = TypeVar("T")

_PATIENCE_SECONDS = 30.0
_LOOK_SECONDS = 0.5
_last_published: dict[tuple[int, int], int | None] = {}


def patiently(read: Callable[[], T]) -> T:
    """What the database says, waited for if it is away: a caller would rather wait than be lost.

    Raises OperationalError or TimeoutError in the end.
    """
    deadline = time.monotonic() + _PATIENCE_SECONDS
    while True:
        try:
            return read()
        except (OperationalError, PoolTimeout) as error:
            if time.monotonic() > deadline:
                raise
            log.info("ivr.database_away", error=str(error)[:200])
            gevent.sleep(_LOOK_SECONDS)


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


def _published(tenant_id: int, key: int) -> int | None:
    with reading() as connection:
        version_id: int | None = connection.scalar(_PUBLISHED, {"flow": key, "tenant": tenant_id})
    return version_id


def published(tenant_id: int, flow_id: str) -> Version | None:
    """What a new call gets in the tenant's flow `flow_3`; None if that has nothing published.

    With the database away: as it was when it was asked for last.
    """
    try:
        key = row_key(IvrFlow.PREFIX, flow_id)
    except NotFound:
        return None
    try:
        version_id = kept(("flow", tenant_id, key), lambda: _published(tenant_id, key))
    except (OperationalError, PoolTimeout) as error:
        if (tenant_id, key) not in _last_published:
            raise
        log.warning("ivr.version_from_memory", flow=flow_id, error=str(error)[:200])
        version_id = _last_published[tenant_id, key]
    _last_published[tenant_id, key] = version_id
    return None if version_id is None else Version(version_id, flow_of(version_id))
