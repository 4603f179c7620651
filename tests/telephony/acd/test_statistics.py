"""Figures of queues and agents: each from rows that a person could count."""

from datetime import datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest

from irisx.kernel.clock import now
from irisx.kernel.db import transaction
from irisx.telephony.acd import live_view, queues, settling, statistics
from irisx.telephony.acd.models import (
    OfferOutcome,
    QueueCall,
    QueueCallStatus,
    QueueOffer,
    Strategy,
)
from irisx.telephony.acd.options import QueueOptions
from irisx.telephony.calls.states import CallStatus
from irisx.tenancy import agent_status, agents
from irisx.tenancy.access import SYSTEM
from irisx.tenancy.agent_models import Activity, Agent, AgentStatus, AgentStatusChange
from irisx.tenancy.models import Tenant
from tests.telephony.calls.rows import store_call

START = now().replace(microsecond=0) - timedelta(hours=3)
END = START + timedelta(hours=2)


def queue_of(tenant: Tenant, **options: Any) -> int:
    return queues.create(
        SYSTEM,
        tenant.id,
        name="Sales",
        strategy=Strategy.ROUND_ROBIN,
        music_on_hold="default",
        skills_required=[],
        options=QueueOptions(**options),
    ).row.id


@pytest.fixture
def ann(tenant: Tenant) -> Agent:
    contact = {"type": "number", "phone_number": "+15555550100"}
    return agents.create(SYSTEM, tenant.id, name="Ann", contact=contact)


def record(
    tenant: Tenant,
    queue_id: int,
    status: str,
    wait_s: float | None = None,
    *,
    at: datetime = START,
    talk_s: float | None = None,
    wrap_s: float | None = None,
    **columns: Any,
) -> QueueCall:
    answered = None if talk_s is None else at + timedelta(seconds=wait_s or 0)
    row = QueueCall(
        id=uuid4(),
        entered_at=at,
        place_at=at,
        tenant_id=tenant.id,
        queue_id=queue_id,
        number="+15550009999",
        status=QueueCallStatus(status),
        wait_ms=None if wait_s is None else round(wait_s * 1000),
        talk_ms=None if talk_s is None else round(talk_s * 1000),
        wrap_ms=None if wrap_s is None else round(wrap_s * 1000),
        answered_at=answered,
        **{"call_id": uuid4(), **columns},
    )
    with transaction() as session:
        session.add(row)
    return row


@pytest.mark.parametrize(
    ("denominator", "expected", "formula"),
    [
        ("answered", (2, 3), "(answered)"),
        ("offered", (2, 5), "(answered + abandoned)"),
        ("offered-without-short", (2, 4), "(answered + abandoned - short_abandons)"),
    ],
)
def test_the_service_level_is_the_queue_s_own(
    tenant: Tenant, denominator: str, expected: tuple[int, int], formula: str
) -> None:
    queue_id = queue_of(tenant, service_level_denominator=denominator)
    for wait_s in (5, 20, 21):
        record(tenant, queue_id, "completed", wait_s, talk_s=60, wrap_s=10)
    record(tenant, queue_id, "abandoned", 4.9)
    record(tenant, queue_id, "abandoned", 5)
    record(tenant, queue_id, "overflowed", 300, reason="wait")
    record(tenant, queue_id, "exited", 7, reason="9")
    record(tenant, queue_id, "callback", 8, reason="1")
    record(tenant, queue_id, "waiting")
    record(tenant, queue_id, "completed", 1, talk_s=60, at=END)  # not of the period
    figures = live_view.figures(tenant.id, queue_id, START, END)
    level = figures.service_level
    assert (level.numerator, level.denominator) == expected
    assert level.value == round(expected[0] / expected[1], 4)
    assert figures.service_level_formula == f"answered within 20 s / {formula}"
    assert (figures.entered, figures.answered, figures.waiting) == (9, 3, 1)
    assert (figures.abandoned, figures.short_abandons) == (2, 1)
    assert (figures.overflowed, figures.exited, figures.callbacks) == ({"wait": 1}, 1, 1)
    assert (figures.abandon_rate.numerator, figures.abandon_rate.denominator) == (1, 4)
    assert (figures.talk_ms_avg, figures.handle_ms_avg) == (60_000, 70_000)
    assert figures.answer_ms_avg == round((5 + 20 + 21) / 3 * 1000)
    assert figures.wait_ms_max == 300_000


def test_an_empty_queue_has_zeros_and_nulls(tenant: Tenant) -> None:
    figures = live_view.figures(tenant.id, queue_of(tenant), START, END)
    assert (figures.entered, figures.service_level.value, figures.wait_ms_avg) == (0, None, None)


def test_an_agent_s_figures(tenant: Tenant, ann: Agent) -> None:
    queue_id = queue_of(tenant)
    record(tenant, queue_id, "completed", 5, talk_s=600, wrap_s=300, agent_id=ann.id)
    record(tenant, queue_id, "completed", 5, talk_s=1200, agent_id=ann.id)
    record(tenant, queue_id, "completed", 5, talk_s=60, agent_id=ann.id + 1)
    outcomes = ["answered", "answered", "no-answer", "rejected", "caller-left"]
    changes = [("available", -60), ("busy", 30), ("away", 60), ("offline", 90)]
    with transaction() as session:
        for outcome in outcomes:
            session.add(
                QueueOffer(
                    id=uuid4(),
                    at=START,
                    tenant_id=tenant.id,
                    queue_id=queue_id,
                    queue_call_id=uuid4(),
                    agent_id=ann.id,
                    outcome=OfferOutcome(outcome),
                )
            )
        for status, minutes in changes:
            session.add(
                AgentStatusChange(
                    at=START + timedelta(minutes=minutes),
                    tenant_id=tenant.id,
                    agent_id=ann.id,
                    status=AgentStatus(status),
                    by="usr_1",
                )
            )
    (figures,) = statistics.of_agents(tenant.id, START, END, [ann])
    minute = 60_000
    assert (figures.answer_rate.numerator, figures.answer_rate.denominator) == (2, 4)
    assert (figures.calls, figures.talk_ms, figures.wrap_ms) == (2, 30 * minute, 5 * minute)
    assert figures.handle_ms_avg == 17.5 * minute
    assert figures.status_ms == {
        "available": 30 * minute,
        "busy": 30 * minute,
        "away": 30 * minute,
        "offline": 30 * minute,
    }
    assert figures.logged_in_ms == 90 * minute
    assert (figures.occupancy.numerator, figures.occupancy.denominator) == (
        35 * minute,
        60 * minute,
    )


def test_what_an_engine_that_is_gone_has_left_is_settled(tenant: Tenant, ann: Agent) -> None:
    queue_id = queue_of(tenant)
    over = store_call(tenant, status=CallStatus.COMPLETED, ended_at=now())
    live = store_call(tenant, status=CallStatus.IN_PROGRESS)
    gave_up = record(tenant, queue_id, "waiting", call_id=over.id)
    talked = record(tenant, queue_id, "talking", 3, talk_s=1, call_id=over.id, agent_id=ann.id)
    waits = record(tenant, queue_id, "waiting", call_id=live.id)
    with transaction() as session:
        row = agents.fetch(session, tenant.id, ann.id, lock=True)
        agent_status.choose(session, row, AgentStatus.AVAILABLE, reason=None, by="usr_1")
        agent_status.take_up(session, row, Activity.CALL, call=over.id)
    assert settling.tenants_with_work() == [tenant.id]
    settling.settle(tenant.id, [])
    with transaction() as session:
        statuses = [
            session.get_one(QueueCall, (each.id, each.entered_at)).status.value
            for each in (gave_up, talked, waits)
        ]
    assert statuses == ["abandoned", "completed", "waiting"]
    assert agents.get(tenant.id, ann.id).status is AgentStatus.AVAILABLE
