"""What anybody may ask: `/`, `/health`, liveness, readiness, metrics."""

from typing import Literal

import structlog
from flask import Response
from redis import RedisError
from sqlalchemy import text
from sqlalchemy.exc import SQLAlchemyError

from irisx import __version__
from irisx.api.auth import PUBLIC
from irisx.api.http import Rate, Router
from irisx.api.schemas import Answer, Timestamp
from irisx.kernel import metrics
from irisx.kernel.clock import now
from irisx.kernel.db import transaction
from irisx.kernel.errors import Unavailable
from irisx.kernel.redis import redis

log = structlog.get_logger(__name__)

router = Router("Health Check")


class Root(Answer):
    name: str
    version: str
    health: str
    openapi: str
    docs: str


class Connection(Answer):
    status: Literal["connected", "disconnected"]


class Health(Answer):
    status: Literal["healthy", "degraded", "unhealthy"]
    timestamp: Timestamp
    database: Connection
    redis: Connection
    version: str


class Alive(Answer):
    status: Literal["ok"]


def connected(answers: bool) -> Connection:
    return Connection(status="connected" if answers else "disconnected")


def database_answers() -> bool:
    try:
        with transaction() as session:
            session.execute(text("SELECT 1"))
    except SQLAlchemyError as error:
        log.warning("health: the database does not answer", error=str(error))
        return False
    return True


def redis_answers() -> bool:
    try:
        return bool(redis().ping())
    except RedisError as error:
        log.warning("health: redis does not answer", error=str(error))
        return False


def overall(*, database: bool, others: bool) -> Literal["healthy", "degraded", "unhealthy"]:
    """Without the database nothing works; without anything else, less does."""
    if not database:
        return "unhealthy"
    return "healthy" if others else "degraded"


@router.get("/", access=PUBLIC, rate=Rate.NONE, answer=Root)
def root() -> dict[str, str]:
    """What this is, and where to read on."""
    return {
        "name": "IRISX",
        "version": __version__,
        "health": "/health",
        "openapi": "/openapi.json",
        "docs": "/docs",
    }


@router.get("/health", access=PUBLIC, rate=Rate.NONE, answer=Health, also={503: Health})
def health() -> Health | Response:
    """Check API server health and connectivity."""
    database, cache = database_answers(), redis_answers()
    answer = Health(
        status=overall(database=database, others=cache),
        timestamp=now(),
        database=connected(database),
        redis=connected(cache),
        version=__version__,
    )
    if database:
        return answer
    return Response(answer.model_dump_json(), 503, mimetype="application/json")


@router.get("/livez", access=PUBLIC, rate=Rate.NONE, answer=Alive)
def livez() -> dict[str, str]:
    """This process answers; a supervisor restarts it when not."""
    return {"status": "ok"}


@router.get("/readyz", access=PUBLIC, rate=Rate.NONE, answer=Alive)
def readyz() -> dict[str, str]:
    """This process can serve; a load balancer asks."""
    if not database_answers():
        raise Unavailable("The database does not answer.")
    return {"status": "ok"}


@router.get("/metrics", access=PUBLIC, rate=Rate.NONE, produces="text/plain")
def prometheus_metrics() -> Response:
    """Metrics of all parts, for Prometheus."""
    body, content_type = metrics.render()
    return Response(body, content_type=content_type)
