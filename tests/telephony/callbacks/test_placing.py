"""Callbacks by the worker: when they are placed, how often, and what comes of them."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import gevent
import pytest
from sqlalchemy import select, update

from irisx.kernel.clock import now
from irisx.kernel.db import transaction
from irisx.kernel.events import DomainEvent, publish
from irisx.telephony.acd.models import Queue, QueueCall, QueueCallStatus, QueueMember, Strategy
from irisx.telephony.callbacks import placing
from irisx.telephony.callbacks.models import Callback, CallbackStatus, Priority
from irisx.telephony.calls.models import Call
from irisx.telephony.calls.states import CallStatus
from irisx.tenancy import agents
from irisx.tenancy.access import SYSTEM
from irisx.tenancy.agent_models import AgentStatus
from irisx.tenancy.models import PhoneNumber, Tenant
from irisx.tenancy.settings import TenantSettings

pytestmark = pytest.mark.usefixtures("number")


def zone_at(hour: int) -> str:
    """A time zone in which it is that hour now."""
    ahead = (hour - datetime.now(UTC).hour + 12) % 24 - 12
    return f"Etc/GMT{'-' if ahead >= 0 else '+'}{abs(ahead)}"


def stored(tenant: Tenant, **columns: Any) -> Callback:
    values = {
        "phone_number": "+15555550100",
        "scheduled_at": now(),
        "due_at": now(),
        "time_zone": zone_at(12),
    }
    with transaction() as session:
        row = Callback(tenant_id=tenant.id, **values | columns)
        session.add(row)
    return row


def fresh(row: Callback) -> Callback:
    with transaction() as session:
        return session.get_one(Callback, row.id)


def calls() -> list[Call]:
    with transaction() as session:
        return list(session.scalars(select(Call).order_by(Call.initiated_at)))


def ended(status: CallStatus, reason: str | None = None) -> None:
    with transaction() as session:
        session.execute(update(Call).values(status=status, reason=reason, ended_at=now()))


def told() -> list[str]:
    with transaction() as session:
        found = session.scalars(
            select(DomainEvent.type)
            .where(DomainEvent.type.startswith("callback."))
            .order_by(DomainEvent.id)
        )
        return list(found)


def queue_with_agent(tenant: Tenant, status: AgentStatus) -> Queue:
    agent = agents.create(
        SYSTEM, tenant.id, name="Ann", contact={"type": "number", "phone_number": "+15557770002"}
    )
    agents.set_status(SYSTEM, tenant.id, agent.id, status, None)
    with transaction() as session:
        row = Queue(
            tenant_id=tenant.id,
            name="Sales",
            strategy=Strategy.ROUND_ROBIN,
            music_on_hold="default",
            skills_required=[],
            options={},
        )
        session.add(row)
        session.flush()
        session.add(QueueMember(queue_id=row.id, agent_id=agent.id))
    return row


def test_what_is_due_is_called_once(tenant: Tenant) -> None:
    row, later = stored(tenant), stored(tenant, due_at=now() + timedelta(hours=1))
    placing.place_due()
    placing.place_due()
    [call] = calls()
    assert fresh(row).call_id == call.id
    assert call.metadata_ == {"callback_id": row.public_id}
    assert fresh(later).status is CallbackStatus.SCHEDULED


def test_many_workers_call_each_customer_once(tenant: Tenant) -> None:
    for _ in range(5):
        stored(tenant)
    gevent.joinall([gevent.spawn(placing.place_due) for _ in range(6)], raise_error=True)
    assert len(calls()) == 5


@pytest.mark.parametrize("survives", [False, True])
def test_a_worker_that_dies_leaves_callback_and_call_or_neither(
    tenant: Tenant, monkeypatch: pytest.MonkeyPatch, survives: bool
) -> None:
    """Killed before the commit, or after it and before the engine was woken."""
    row = stored(tenant)
    with monkeypatch.context() as patched:
        where = placing.bus if survives else placing
        name = "wake_dialer" if survives else "tell"
        patched.setattr(where, name, lambda *_: (_ for _ in ()).throw(SystemExit))
        with pytest.raises(SystemExit):
            placing.place_due()
    assert len(calls()) == (1 if survives else 0)
    assert fresh(row).attempts == len(calls())
    placing.place_due()
    assert len(calls()) == 1


def test_the_most_urgent_is_called_first(tenant: Tenant, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(placing, "BATCH", 1)
    stored(tenant)
    high = stored(tenant, priority=Priority.HIGH, rank=10)
    placing.place_due()
    assert fresh(high).status is CallbackStatus.CALLING


def test_at_night_the_morning_is_waited_for(tenant: Tenant) -> None:
    row = stored(tenant, time_zone=zone_at(2))
    placing.place_due()
    assert calls() == []
    until = fresh(row).due_at - now()
    assert timedelta(hours=5) < until <= timedelta(hours=6)


def test_hours_are_the_customer_s(tenant: Tenant) -> None:
    """New York by the number; noon in UTC is 7 in the morning there."""
    row = Callback(phone_number="+12125550100", time_zone=None)
    noon = datetime(2026, 1, 14, 12, tzinfo=UTC)
    opening = placing.opening_for(row, TenantSettings(timezone="Asia/Tokyo"), noon)
    assert opening == datetime(2026, 1, 14, 13, tzinfo=UTC)


@pytest.mark.parametrize(
    ("status", "placed"),
    [(AgentStatus.AVAILABLE, 1), (AgentStatus.AWAY, 0), (AgentStatus.OFFLINE, 0)],
)
def test_nobody_is_called_for_a_queue_without_a_free_agent(
    tenant: Tenant, status: AgentStatus, placed: int
) -> None:
    queue = queue_with_agent(tenant, status)
    row = stored(tenant, queue_id=queue.id)
    placing.place_due()
    assert len(calls()) == placed
    assert fresh(row).attempts == placed


def test_no_more_customers_are_called_than_agents_are_free(tenant: Tenant) -> None:
    queue = queue_with_agent(tenant, AgentStatus.AVAILABLE)
    for _ in range(3):
        stored(tenant, queue_id=queue.id)
    placing.place_due()
    assert len(calls()) == 1


def test_an_attempt_for_which_no_agent_came_does_not_count(tenant: Tenant) -> None:
    queue = queue_with_agent(tenant, AgentStatus.AVAILABLE)
    row = stored(tenant, queue_id=queue.id, first="agent", max_attempts=1)
    placing.place_due()
    [call] = calls()
    assert call.options["agent_first"] is True
    ended(CallStatus.FAILED, "NO_AGENT")
    placing.settle()
    later = fresh(row)
    assert (later.status, later.attempts) == (CallbackStatus.SCHEDULED, 0)
    assert later.due_at > now()
    assert told() == ["callback.calling", "callback.postponed"]


def test_a_queue_that_is_gone_fails_the_callback(tenant: Tenant) -> None:
    row = stored(tenant, queue_id=9_999)
    placing.place_due()
    assert (fresh(row).status, fresh(row).reason) == (CallbackStatus.FAILED, "QUEUE_DELETED")


def test_the_tenant_s_caps_are_waited_for(make_tenant: Callable[..., Tenant]) -> None:
    tenant = make_tenant("Small", max_concurrent_calls=1)
    with transaction() as session:
        session.add(PhoneNumber(number="+15550001001", tenant_id=tenant.id))
    for _ in range(2):
        stored(tenant)
    placing.place_due()
    assert len(calls()) == 1


def test_who_does_not_answer_is_tried_again_and_then_given_up(tenant: Tenant) -> None:
    row = stored(tenant, max_attempts=2, retry_delay_seconds=60)
    placing.place_due()
    ended(CallStatus.NO_ANSWER, "NO_ANSWER")
    placing.settle()
    again = fresh(row)
    assert (again.status, again.last_result) == (CallbackStatus.SCHEDULED, "no-answer")
    assert timedelta(seconds=50) < again.due_at - now() <= timedelta(seconds=60)
    with transaction() as session:
        session.execute(update(Callback).values(due_at=now()))
    placing.place_due()
    ended(CallStatus.BUSY, "USER_BUSY")
    placing.settle()
    placing.settle()
    assert fresh(row).status is CallbackStatus.FAILED
    assert told() == [
        "callback.calling",
        "callback.retried",
        "callback.calling",
        "callback.failed",
    ]


def test_a_number_that_does_not_exist_is_not_tried_again(tenant: Tenant) -> None:
    row = stored(tenant)
    placing.place_due()
    ended(CallStatus.FAILED, "UNALLOCATED_NUMBER")
    placing.settle()
    assert (fresh(row).status, fresh(row).attempts) == (CallbackStatus.FAILED, 1)


@pytest.mark.parametrize(
    ("talked", "status", "result"),
    [
        (True, CallbackStatus.COMPLETED, "completed"),
        (False, CallbackStatus.SCHEDULED, "abandoned"),
    ],
)
def test_a_customer_whom_no_agent_came_for_is_called_again(
    tenant: Tenant, talked: bool, status: CallbackStatus, result: str
) -> None:
    queue = queue_with_agent(tenant, AgentStatus.AVAILABLE)
    row = stored(tenant, queue_id=queue.id)
    placing.place_due()
    [call] = calls()
    with transaction() as session:
        session.add(
            QueueCall(
                id=uuid4(),
                entered_at=now(),
                tenant_id=tenant.id,
                queue_id=queue.id,
                call_id=call.id,
                number=call.to_number,
                place_at=now(),
                status=QueueCallStatus.COMPLETED if talked else QueueCallStatus.ABANDONED,
                answered_at=now() if talked else None,
            )
        )
    ended(CallStatus.COMPLETED, "NORMAL_CLEARING")
    placing.settle()
    assert (fresh(row).status, fresh(row).last_result) == (status, result)


def requested(tenant: Tenant, **data: Any) -> None:
    with transaction() as session:
        publish(
            session,
            key=str(uuid4()),
            tenant_id=tenant.id,
            type=placing.REQUESTED,
            data=data,
            occurred_at=now(),
        )


def made() -> list[Callback]:
    with transaction() as session:
        return list(session.scalars(select(Callback).order_by(Callback.id)))


def test_what_is_asked_for_is_taken_up_once(tenant: Tenant) -> None:
    queue = queue_with_agent(tenant, AgentStatus.AVAILABLE)
    waited = "2026-01-02T03:04:05.000Z"
    requested(tenant, **{"from": "+15555550100"}, queue_id=queue.public_id, place_at=waited)
    requested(tenant, number="+15555550101", at="2036-01-02T03:04:05Z", reason="busy")
    requested(
        tenant,
        phone_number="+15555550102",
        scheduled_at="2036-01-02T03:04:05.000Z",
        queue_id=None,
        notes="About shoes",
    )
    placing.take_up()
    placing.take_up()
    first, second, third = made()
    assert (first.queue_id, first.place_at) == (
        queue.id,
        datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC),
    )
    assert second.due_at == datetime(2036, 1, 2, 3, 4, 5, tzinfo=UTC)
    assert second.metadata_ == {"requested_in": {"reason": "busy"}}
    assert (third.phone_number, third.due_at, third.notes) == (
        "+15555550102",
        second.due_at,
        "About shoes",
    )


@pytest.mark.parametrize(
    "data", [{}, {"number": "anonymous"}, {"number": "+1" * 40}, {"number": 5, "at": "soon"}]
)
def test_what_can_t_be_called_fails_and_stands_in_nobody_s_way(
    tenant: Tenant, data: dict[str, Any]
) -> None:
    requested(tenant, **data)
    requested(tenant, number="+15555550100", queue_id="queue_nonsense")
    placing.take_up()
    faulty, good = made()
    assert (faulty.status, faulty.reason) == (CallbackStatus.FAILED, "INVALID_NUMBER")
    assert (good.status, good.queue_id) == (CallbackStatus.SCHEDULED, None)
