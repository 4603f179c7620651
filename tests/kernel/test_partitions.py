"""Monthly partitions."""

from datetime import UTC, datetime
from uuid import uuid4

import pytest
from sqlalchemy import text

from irisx.kernel import clock
from irisx.kernel.db import transaction
from irisx.kernel.partitions import ensure_partitions
from irisx.telephony.calls.models import CallEvent

FAR = datetime(2041, 12, 31, 23, 59, tzinfo=UTC)


def _partition_of(event: CallEvent) -> str:
    query = text("SELECT tableoid::regclass::text FROM call_events WHERE call_id = :id")
    with transaction() as session:
        return str(session.execute(query, {"id": event.call_id}).scalar_one())


def _store(moment: datetime) -> CallEvent:
    event = CallEvent(call_id=uuid4(), key="k", occurred_at=moment, type="dtmf", data={})
    with transaction() as session:
        session.add(event)
    return event


def test_a_row_of_now_lies_in_this_month() -> None:
    moment = clock.now()
    assert _partition_of(_store(moment)) == f"call_events_y{moment:%Y}m{moment:%m}"


def test_a_row_without_a_month_is_kept_and_moves_when_its_month_is_made(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    event = _store(FAR)
    assert _partition_of(event) == "call_events_default"

    monkeypatch.setattr(clock, "now", lambda: FAR)
    with transaction() as session:
        made = ensure_partitions(session, months_ahead=1)
    try:
        assert {"call_events_y2041m12", "call_events_y2042m01"} <= set(made)
        assert _partition_of(event) == "call_events_y2041m12"
        with transaction() as session:
            assert ensure_partitions(session, months_ahead=1) == []
    finally:
        with transaction() as session:
            for name in made:
                session.execute(text(f"DROP TABLE {name}"))
