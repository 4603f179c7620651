"""`/admin/system`: how the platform is, what it logs, and how it is configured."""

import time
from typing import Any, Literal

import psutil
from pydantic import Field, JsonValue, SecretStr
from redis import RedisError
from sqlalchemy import func, select, text

from irisx.api.admin import logs
from irisx.api.auth import ADMIN
from irisx.api.http import Router
from irisx.api.public.system import (
    Connection,
    connected,
    database_answers,
    overall,
    redis_answers,
)
from irisx.api.schemas import Answer, Query, Success, Timestamp
from irisx.api.v1.audit import AuditQuery, Entries, entries_page
from irisx.kernel import health
from irisx.kernel.clock import now
from irisx.kernel.db import transaction
from irisx.kernel.logging import HIDDEN, redact
from irisx.kernel.redis import redis
from irisx.settings import Settings, get_settings
from irisx.telephony.calls.models import Call
from irisx.telephony.calls.states import LIVE
from irisx.tenancy import nodes
from irisx.tenancy.access import Admin

router = Router("System Management")

#: A node that no engine has reported for so long is shown as down.
_NODE_STALE_SECONDS = 10.0


class NodeReport(Answer):
    """What the node's engine wrote last."""

    host: str | None = None
    up: bool = False
    core_uuid: str | None = None
    version: str | None = None
    api_expansion: bool | None = None
    calls: int | None = None
    max_calls: int | None = None
    engine: str | None = None
    sandbox: bool | None = None
    error: str | None = None
    journal_backlog: int | None = Field(
        None, description="Changes of calls that are not in the database yet."
    )
    seen_at: Timestamp | None = None


class Node(NodeReport):
    name: str
    draining: bool
    problems: list[str]


class Part(Answer):
    name: str
    status: Literal["up", "silent", "never-started"]
    pid: int | None
    age_seconds: float | None


class Disk(Answer):
    path: str
    total_bytes: int
    free_bytes: int


class SystemHealth(Answer):
    status: Literal["healthy", "degraded", "unhealthy"]
    timestamp: Timestamp
    database: Connection
    redis: Connection
    nodes: list[Node]
    parts: list[Part]
    disk: Disk


class ProcessMetrics(Answer):
    uptime_seconds: float
    cpu_seconds: float
    memory_bytes: int


class DatabaseMetrics(Answer):
    size_bytes: int
    connections: int


class RedisMetrics(Answer):
    used_memory_bytes: int
    connected_clients: int


class SystemMetrics(Answer):
    timestamp: Timestamp
    api: ProcessMetrics
    database: DatabaseMetrics
    redis: RedisMetrics | None = Field(description="null: Redis does not answer.")
    live_calls: dict[str, int] = Field(description="By status, of all tenants.")


class LogQuery(Query):
    part: logs.PartName | None = None
    level: logs.Level = Field("info", description="This level and worse.")
    limit: int = Field(100, ge=1, le=1000)


class LogEntry(Answer):
    timestamp: str
    level: str
    part: str
    event: str
    fields: dict[str, JsonValue]


class LogEntries(Answer):
    entries: list[LogEntry]


class Setting(Answer):
    name: str
    value: str | None
    description: str


class Configuration(Answer):
    settings: list[Setting]


class NodeState(Answer):
    name: str
    draining: bool


@router.get("/admin/system/health", access=ADMIN, answer=SystemHealth)
def admin_system_health() -> SystemHealth:
    """System health: database, Redis, every switch node, every part, the disk."""
    database, cache = database_answers(), redis_answers()
    found = _nodes(database=database) if cache else []
    parts = [_part(name) for name in health.PARTS]
    others = cache and all(part.status == "up" for part in parts)
    return SystemHealth(
        status=overall(
            database=database,
            others=others and bool(found) and not any(node.problems for node in found),
        ),
        timestamp=now(),
        database=connected(database),
        redis=connected(cache),
        nodes=found,
        parts=parts,
        disk=_disk(),
    )


@router.get("/admin/system/metrics", access=ADMIN, answer=SystemMetrics)
def admin_system_metrics() -> SystemMetrics:
    """System metrics. `/metrics` has all of them, for Prometheus."""
    with transaction() as session:
        counts = select(Call.status, func.count()).where(Call.status.in_(LIVE))
        by_status = {
            status: count for status, count in session.execute(counts.group_by(Call.status))
        }
        size, connections = session.execute(
            text(
                "SELECT pg_database_size(current_database()), count(*) FROM pg_stat_activity "
                "WHERE datname = current_database()"
            )
        ).one()
    process = psutil.Process()
    times = process.cpu_times()
    return SystemMetrics(
        timestamp=now(),
        api=ProcessMetrics(
            uptime_seconds=round(time.time() - process.create_time(), 3),
            cpu_seconds=round(times.user + times.system, 3),
            memory_bytes=process.memory_info().rss,
        ),
        database=DatabaseMetrics(size_bytes=size, connections=connections),
        redis=_redis_metrics(),
        live_calls={status.value: by_status.get(status, 0) for status in LIVE},
    )


@router.get(
    "/admin/system/logs",
    access=ADMIN,
    answer=Success[LogEntries],
    also={404: "Logs are not kept in files here."},
)
def admin_system_logs(query: LogQuery) -> dict[str, Any]:
    """System logs, newest last, as far as they are kept in files on this machine."""
    found = logs.tail(part=query.part, level=query.level, limit=query.limit)
    return {"data": {"entries": found}}


@router.get("/admin/system/config", access=ADMIN, answer=Success[Configuration])
def admin_system_config() -> dict[str, Any]:
    """System configuration: every setting; of secrets only whether they are set."""
    return {"data": {"settings": _settings(get_settings())}}


@router.get("/admin/system/audit-log", access=ADMIN, answer=Success[Entries])
def admin_audit_log(query: AuditQuery) -> dict[str, Any]:
    """Changes by anybody to anything, newest first."""
    return entries_page(None, query)


@router.post("/admin/system/nodes/<name>/drain", access=ADMIN, answer=NodeState)
def admin_drain_node(caller: Admin, name: str) -> NodeState:
    """Give a switch node no new calls; those on it go on."""
    nodes.drain(caller, name, on=True)
    return NodeState(name=name, draining=True)


@router.post("/admin/system/nodes/<name>/undrain", access=ADMIN, answer=NodeState)
def admin_undrain_node(caller: Admin, name: str) -> NodeState:
    """Give a drained switch node calls again."""
    nodes.drain(caller, name, on=False)
    return NodeState(name=name, draining=False)


def _nodes(*, database: bool) -> list[Node]:
    draining = nodes.draining() if database else set()
    return [
        _node(name, NodeReport.model_validate(report), draining=name in draining)
        for name, report in sorted(nodes.reports().items())
    ]


def _node(name: str, report: NodeReport, *, draining: bool) -> Node:
    problems = []
    age = (now() - report.seen_at).total_seconds() if report.seen_at else None
    if age is None or age > _NODE_STALE_SECONDS:
        problems.append("no engine has reported it lately")
    elif not report.up:
        problems.append(f"the engine can't reach it: {report.error or 'not connected'}")
    facts = report.model_dump() | {"up": report.up and not problems}
    if report.api_expansion:
        problems.append("api-expansion is on: what callers send could run commands there")
    return Node(**facts, name=name, draining=draining, problems=problems)


def _part(name: str) -> Part:
    said = health.readiness(name)
    if said is None:
        return Part(name=name, status="never-started", pid=None, age_seconds=None)
    status: Literal["up", "silent"] = "up" if said.alive else "silent"
    return Part(name=name, status=status, pid=said.pid, age_seconds=round(said.age, 3))


def _disk() -> Disk:
    home = get_settings().home
    usage = psutil.disk_usage(str(home))
    return Disk(path=str(home), total_bytes=usage.total, free_bytes=usage.free)


def _redis_metrics() -> RedisMetrics | None:
    try:
        info = redis().info()
    except RedisError:
        return None
    return RedisMetrics(
        used_memory_bytes=info["used_memory"], connected_clients=info["connected_clients"]
    )


def _settings(current: Settings) -> list[Setting]:
    return [
        Setting(
            name=f"IRISX_{name.upper()}",
            value=_shown(getattr(current, name)),
            description=field.description or "",
        )
        for name, field in Settings.model_fields.items()
    ]


def _shown(value: object) -> str | None:
    """A setting's value without its secrets: passwords in URLs are hidden too."""
    if value is None:
        return None
    if isinstance(value, SecretStr):
        return HIDDEN
    return str(redact(None, "", {"value": str(value)})["value"])
