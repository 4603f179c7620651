"""FreeSWITCH nodes as the engines report them, and which of them are drained.

Engines write the Redis hash `irisx:nodes`, a JSON object by node name. A drained node takes no
new calls: kept in PostgreSQL, shown to engines as the Redis set `irisx:draining`.
"""

import json
from typing import Any

import structlog
from redis import RedisError
from sqlalchemy import select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.exc import OperationalError

from irisx.kernel.db import transaction
from irisx.kernel.errors import NotFound
from irisx.kernel.redis import redis
from irisx.tenancy import audit
from irisx.tenancy.access import Actor
from irisx.tenancy.models import SwitchNode

log = structlog.get_logger(__name__)

REPORTS = "irisx:nodes"
DRAINING = "irisx:draining"


def reports() -> dict[str, dict[str, Any]]:
    """What the engines said last of each node; raises RedisError."""
    hashed = redis().hgetall(REPORTS)
    return {name.decode(): json.loads(report) for name, report in hashed.items()}


def draining() -> set[str]:
    """Names of the nodes that get no new calls; an engine asks when it starts."""
    with transaction() as session:
        return set(session.scalars(select(SwitchNode.name).where(SwitchNode.draining)))


def drain(by: Actor, name: str, *, on: bool) -> None:
    """Take a node out of service for new calls, or back into it. NotFound if none has the name."""
    if name not in reports():
        raise NotFound(f"No engine reports a node {name!r}.")
    statement = insert(SwitchNode).values(name=name, draining=on)
    with transaction() as session:
        session.execute(
            statement.on_conflict_do_update(index_elements=["name"], set_={"draining": on})
        )
        verb = "drained" if on else "undrained"
        audit.record(session, by, f"switch_node.{verb}", name, tenant_id=None)
    publish_draining()


def publish_draining() -> None:
    """Show the set to the engines: after a change, and when the API starts on an empty Redis."""
    try:
        names = draining()
        with redis().pipeline() as pipe:
            pipe.delete(DRAINING)
            if names:
                pipe.sadd(DRAINING, *names)
            pipe.execute()
    except (OperationalError, RedisError) as error:
        log.warning("engines were not shown the drained nodes", error=str(error))
