"""The wallboard's figures against rows that are known, and what is told of them."""

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any
from uuid import uuid4

import gevent
import pytest
from sqlalchemy import select, update

from irisx.kernel.clock import now
from irisx.kernel.db import transaction
from irisx.kernel.events import DomainEvent
from irisx.telephony.acd.models import Queue, QueueCall, QueueCallStatus, QueueMember, Strategy
from irisx.telephony.wallboard import service, watch
from irisx.telephony.wallboard.config import Alert, WallboardConfig
from irisx.telephony.wallboard.models import Wallboard
from irisx.tenancy import agents
from irisx.tenancy.access import SYSTEM
from irisx.tenancy.agent_models import AgentStatus
from irisx.tenancy.models import Tenant


def queue(tenant: Tenant, name: str = "Sales", **options: Any) -> Queue:
    with transaction() as session:
        row = Queue(
            tenant_id=tenant.id,
            name=name,
            strategy=Strategy.ROUND_ROBIN,
            music_on_hold="default",
            skills_required=[],
            options=options,
        )
        session.add(row)
    return row


def caller(
    row: Queue,
    status: QueueCallStatus,
    wait_s: float | None = None,
    *,
    answered: bool = False,
    talk_s: float | None = None,
    wrap_s: float | None = None,
    at: datetime | None = None,
) -> None:
    moment = at or now()
    with transaction() as session:
        session.add(
            QueueCall(
                id=uuid4(),
                entered_at=moment,
                tenant_id=row.tenant_id,
                queue_id=row.id,
                call_id=uuid4(),
                number="+15550009999",
                place_at=moment,
                status=status,
                answered_at=moment if answered else None,
                wait_ms=None if wait_s is None else round(wait_s * 1000),
                talk_ms=None if talk_s is None else round(talk_s * 1000),
                wrap_ms=None if wrap_s is None else round(wrap_s * 1000),
            )
        )


def agent(tenant: Tenant, status: AgentStatus, *queues: Queue) -> None:
    row = agents.create(
        SYSTEM, tenant.id, name="Ann", contact={"type": "number", "phone_number": "+15557770002"}
    )
    agents.set_status(SYSTEM, tenant.id, row.id, status, None)
    with transaction() as session:
        session.add_all([QueueMember(queue_id=each.id, agent_id=row.id) for each in queues])


def view(tenant: Tenant) -> dict[str, Any]:
    return service.read(tenant.id).total.view()


EMPTY = {
    "calls_in_queue": 0,
    "agents_available": 0,
    "agents_busy": 0,
    "avg_wait_time": None,
    "avg_handle_time": None,
    "service_level": None,
    "abandoned_rate": None,
    "longest_wait": None,
}


def test_an_empty_system_is_zeros_and_nulls(tenant: Tenant) -> None:
    assert view(tenant) == EMPTY
    queue(tenant)
    assert view(tenant) == EMPTY


def known_day(tenant: Tenant, sales: Queue) -> None:
    """Of four answered three in time, of two who hung up one at once; an overflow, a waiting one;
    agents in two queues."""
    completed = QueueCallStatus.COMPLETED
    for wait in (5, 10, 20):
        caller(sales, completed, wait, answered=True, talk_s=100, wrap_s=20)
    caller(sales, QueueCallStatus.TALKING, 41, answered=True)
    caller(sales, QueueCallStatus.ABANDONED, 30)
    caller(sales, QueueCallStatus.ABANDONED, 2)
    caller(sales, QueueCallStatus.OVERFLOWED, 60)
    caller(sales, QueueCallStatus.WAITING, at=now() - timedelta(seconds=90))
    other = queue(tenant, "Support")
    agent(tenant, AgentStatus.AVAILABLE, sales, other)
    agent(tenant, AgentStatus.BUSY, sales)
    agent(tenant, AgentStatus.AWAY, other)


def test_the_figures_are_of_the_rows(tenant: Tenant, make_tenant: Callable[..., Tenant]) -> None:
    sales = queue(tenant)
    known_day(tenant, sales)
    known_day(make_tenant("Other"), queue(make_tenant("Third")))
    board = service.read(tenant.id)
    shown = board.total.view()
    assert 89 <= shown.pop("longest_wait") <= 95
    assert shown == {
        "calls_in_queue": 1,
        "agents_available": 1,
        "agents_busy": 1,
        "avg_wait_time": 24,  # (5 + 10 + 20 + 41 + 30 + 2 + 60) / 7
        "avg_handle_time": 120,
        "service_level": 60.0,  # 3 of 4 + 1
        "abandoned_rate": 20.0,  # 1 of 4 + 1
    }
    support, sales_figures = sorted(board.queues, key=lambda each: -len(each.queue.name))  # type: ignore[union-attr]
    assert sales_figures.agents == {"available": 1, "busy": 1}
    assert support.agents == {"available": 1, "away": 1}
    assert support.service_level is None


@pytest.mark.parametrize(
    ("config", "level"),
    [
        ({"service_level_seconds": 60}, 80.0),
        ({"service_level_denominator": "answered"}, 75.0),
        ({"service_level_denominator": "offered"}, 50.0),
        ({"short_abandon_seconds": 0}, 50.0),
        ({"short_abandon_seconds": 60}, 75.0),
    ],
)
def test_the_service_level_is_as_configured(
    tenant: Tenant, config: dict[str, Any], level: float
) -> None:
    known_day(tenant, queue(tenant))
    service.configure(SYSTEM, tenant.id, WallboardConfig.model_validate(config))
    assert view(tenant)["service_level"] == level


def test_each_queue_counts_by_its_own_options(tenant: Tenant) -> None:
    strict = queue(tenant, "Strict", service_level_seconds=1)
    for each in (strict, queue(tenant, "Easy", service_level_seconds=60)):
        caller(each, QueueCallStatus.COMPLETED, 30, answered=True, talk_s=1)
    assert {
        each.queue.name: each.service_level for each in service.read(tenant.id).queues if each.queue
    } == {"Strict": 0.0, "Easy": 100.0}
    assert view(tenant)["service_level"] == 50.0


def test_what_is_older_than_the_period_does_not_count(tenant: Tenant) -> None:
    row = queue(tenant)
    caller(row, QueueCallStatus.ABANDONED, 30, at=now() - timedelta(minutes=10))
    for minutes, rate in ((15, 100.0), (5, None)):
        service.configure(SYSTEM, tenant.id, WallboardConfig(period_minutes=minutes))
        assert view(tenant)["abandoned_rate"] == rate


def told(type: str) -> list[dict[str, Any]]:
    with transaction() as session:
        rows = session.scalars(
            select(DomainEvent.data).where(DomainEvent.type == type).order_by(DomainEvent.id)
        )
        return list(rows)


def look() -> None:
    """Every wallboard is due."""
    with transaction() as session:
        session.execute(update(Wallboard).values(look_at=now()))
    watch.watch()


def test_a_change_is_told_once(tenant: Tenant) -> None:
    row = queue(tenant)
    watch.watch()
    look()
    assert len(told(watch.UPDATED)) == 1
    caller(row, QueueCallStatus.WAITING)
    look()
    look()
    first, second = told(watch.UPDATED)
    assert (first["calls_in_queue"], second["calls_in_queue"]) == (0, 1)
    assert [each["calls_in_queue"] for each in second["queues"]] == [1]


def test_it_is_not_told_more_often_than_configured(tenant: Tenant) -> None:
    row = queue(tenant)
    watch.watch()
    caller(row, QueueCallStatus.WAITING)
    watch.watch()
    assert len(told(watch.UPDATED)) == 1
    service.configure(SYSTEM, tenant.id, WallboardConfig(push_seconds=None))
    watch.watch()
    assert len(told(watch.UPDATED)) == 1


def test_an_alert_is_raised_and_cleared_once_by_however_many_workers(tenant: Tenant) -> None:
    row = queue(tenant)
    alerts = [
        Alert(id="crowd", metric="calls_in_queue", above=1, queue_id=row.public_id),
        Alert(id="alone", metric="agents_available", below=1),
        Alert(id="slow", metric="service_level", below=80),
    ]
    service.configure(SYSTEM, tenant.id, WallboardConfig(alerts=alerts))
    for _ in range(2):
        caller(row, QueueCallStatus.WAITING)
    gevent.joinall([gevent.spawn(watch.watch) for _ in range(4)], raise_error=True)
    look()
    assert [(each["id"], each["state"], each["value"]) for each in told(watch.ALERT)] == [
        ("crowd", "raised", 2),
        ("alone", "raised", 0),
    ]
    agent(tenant, AgentStatus.AVAILABLE, row)
    with transaction() as session:
        session.execute(update(QueueCall).values(status=QueueCallStatus.ABANDONED, wait_ms=9000))
    look()
    look()
    assert sorted((each["id"], each["state"]) for each in told(watch.ALERT)[2:]) == [
        ("alone", "cleared"),
        ("crowd", "cleared"),
        ("slow", "raised"),
    ]
