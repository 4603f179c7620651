"""Rows of what calls did in flows: written later, never waited for, never twice."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from uuid import uuid4

import gevent
import pytest
from sqlalchemy import select
from sqlalchemy.exc import OperationalError

from irisx.kernel.clock import now
from irisx.kernel.db import Session, transaction
from irisx.settings import get_settings
from irisx.telephony.calls.journal import Journal
from irisx.telephony.calls.live import LiveCall
from irisx.telephony.calls.states import Direction
from irisx.telephony.ivr import visits
from irisx.telephony.ivr.flow import Node
from irisx.telephony.ivr.step import RecordingPurpose, RecordingRequest
from irisx.telephony.ivr.visit_models import Message, Visit
from irisx.telephony.ivr.walk import Place, Position
from irisx.tenancy.models import Tenant

NODE = Node.model_validate({"id": "bye", "type": "hangup", "config": {}})


@pytest.fixture
def call(tenant: Tenant) -> LiveCall:
    return LiveCall(
        id=uuid4(),
        tenant_id=tenant.id,
        direction=Direction.INBOUND,
        initiated_at=now(),
        from_number="+15550009999",
        to_number="+15550001000",
        journal=Journal(get_settings().home / "unused.jsonl"),
    )


def leave(call: LiveCall, step: int, entered_at: datetime | None = None) -> None:
    place = Position(Place(1, "bye"), (), step)
    visits.record(
        call, place, NODE, step=step, entered_at=entered_at or call.initiated_at, outcome="end"
    )


def steps() -> list[int]:
    with transaction() as session:
        return list(session.scalars(select(Visit.step).order_by(Visit.step)))


def test_many_are_written_in_few_batches(call: LiveCall) -> None:
    for step in range(1200):
        leave(call, step)
    assert steps() == []  # nobody waited
    assert visits.flush(10)
    assert steps() == list(range(1200))


def test_the_same_visit_twice_is_one_row(call: LiveCall) -> None:
    leave(call, 1)
    leave(call, 1)
    assert visits.flush(10)
    assert steps() == [1]


def test_a_database_that_comes_back_gets_every_row(
    call: LiveCall, monkeypatch: pytest.MonkeyPatch
) -> None:
    away = True

    @contextmanager
    def sometimes() -> Iterator[Session]:
        if away:
            raise OperationalError("INSERT", {}, Exception("connection refused"))
        with transaction() as session:
            yield session

    monkeypatch.setattr(visits, "transaction", sometimes)
    monkeypatch.setattr(visits, "_RETRY_SECONDS", 0.05)
    leave(call, 1)
    gevent.sleep(0)
    leave(call, 2)
    assert not visits.flush(0.2)
    away = False
    assert visits.flush(10)
    assert steps() == [1, 2]


def test_a_row_that_is_refused_does_not_stop_the_others(call: LiveCall) -> None:
    leave(call, 2**40)  # no such number fits
    leave(call, 3)
    assert visits.flush(10)
    assert steps() == [3]


def test_a_message_is_from_whom_the_call_reached(call: LiveCall) -> None:
    call.direction = Direction.OUTBOUND
    request = RecordingRequest(RecordingPurpose.VOICEMAIL, 60, 1, 5, "#", True, "sales")
    visits.message(call, visits.recording_file(call, 1), request)
    assert visits.flush(10)
    with transaction() as session:
        assert session.scalars(select(Message)).one().from_number == "+15550001000"


def test_a_recordings_name_is_the_same_for_every_engine(call: LiveCall) -> None:
    first = visits.recording_file(call, 2)
    assert first == visits.recording_file(call, 2) != visits.recording_file(call, 3)
    assert first.is_relative_to(get_settings().recording_path)
