"""`/v1/ivr/voicemail`: messages are told of once they are whole, listed, heard, deleted."""

from datetime import timedelta
from uuid import UUID, uuid4

import pytest
from sqlalchemy import select

from irisx.kernel.clock import now
from irisx.kernel.db import transaction
from irisx.kernel.events import DomainEvent
from irisx.kernel.ids import call_sid
from irisx.telephony.calls.models import Recording, RecordingStatus
from irisx.telephony.ivr import messages
from irisx.telephony.ivr.visit_models import Message
from irisx.tenancy.models import Tenant
from tests.api.client import ApiClient


def leave(
    tenant: Tenant,
    status: RecordingStatus = RecordingStatus.COMPLETED,
    *,
    duration_ms: int = 4000,
    mailbox: str = "sales",
) -> UUID:
    """A message as the engine and the recordings' job leave it; its call."""
    call_id, path = uuid4(), f"{uuid4()}-flow1.wav"
    with transaction() as session:
        session.add(
            Message(
                tenant_id=tenant.id,
                call_id=call_id,
                mailbox=mailbox,
                path=path,
                min_ms=2000,
                from_number="+15550009999",
            )
        )
        session.add(
            Recording(
                tenant_id=tenant.id,
                call_id=call_id,
                path=path,
                status=status,
                duration_ms=duration_ms,
                location=f"file:{path}",
            )
        )
    return call_id


def listed(client: ApiClient, query: str = "") -> list[dict[str, object]]:
    data = client.get(f"/v1/ivr/voicemail{query}")["data"]
    assert data["pagination"]["total"] == len(data["messages"])
    return list(data["messages"])


def told() -> list[dict[str, object]]:
    with transaction() as session:
        rows = session.scalars(
            select(DomainEvent).where(DomainEvent.type == messages.RECEIVED)
        ).all()
    return [row.data for row in rows]


def test_a_whole_message_is_told_of_once_and_listed(client: ApiClient, tenant: Tenant) -> None:
    call_id = leave(tenant)
    assert listed(client) == []
    messages.announce()
    messages.announce()
    (event,) = told()
    (shown,) = listed(client)
    assert shown["id"] == event["id"]
    assert (shown["mailbox"], shown["from"], shown["duration_ms"], shown["heard_at"]) == (
        "sales",
        "+15550009999",
        4000,
        None,
    )
    assert shown["call_sid"] == call_sid(call_id)
    assert "signature=" in str(shown["recording_url"])


@pytest.mark.parametrize(
    ("status", "duration_ms"),
    [(RecordingStatus.COMPLETED, 1900), (RecordingStatus.FAILED, 0)],
)
def test_what_is_too_short_or_failed_is_no_message(
    client: ApiClient, tenant: Tenant, status: RecordingStatus, duration_ms: int
) -> None:
    leave(tenant, status, duration_ms=duration_ms)
    messages.announce()
    assert told() == [] and listed(client) == []
    with transaction() as session:
        assert session.scalars(select(Message)).all() == []


def test_one_that_is_still_recorded_waits(client: ApiClient, tenant: Tenant) -> None:
    leave(tenant, RecordingStatus.RECORDING)
    messages.announce()
    assert told() == [] and listed(client) == []
    with transaction() as session:
        session.scalars(select(Recording)).one().status = RecordingStatus.COMPLETED
    messages.announce()
    assert len(listed(client)) == 1


def test_one_without_a_recording_is_forgotten_in_time(tenant: Tenant) -> None:
    leave(tenant)
    with transaction() as session:
        session.delete(session.scalars(select(Recording)).one())
    messages.announce()
    with transaction() as session:
        message = session.scalars(select(Message)).one()
        message.created_at = now() - timedelta(days=2)
    messages.announce()
    with transaction() as session:
        assert session.scalars(select(Message)).all() == []


def test_heard_and_not_heard_are_filters(client: ApiClient, tenant: Tenant) -> None:
    leave(tenant)
    leave(tenant, mailbox="support")
    messages.announce()
    first = listed(client, "?mailbox=sales")[0]["id"]
    heard = client.put(f"/v1/ivr/voicemail/{first}", {"heard": True})
    assert heard["heard_at"] is not None
    assert [row["id"] for row in listed(client, "?heard=true")] == [first]
    assert [row["mailbox"] for row in listed(client, "?heard=false")] == ["support"]
    assert client.put(f"/v1/ivr/voicemail/{first}", {"heard": False})["heard_at"] is None


def test_a_deleted_message_takes_its_recording_along(client: ApiClient, tenant: Tenant) -> None:
    leave(tenant)
    messages.announce()
    (shown,) = listed(client)
    client.delete(f"/v1/ivr/voicemail/{shown['id']}")
    assert listed(client) == []
    with transaction() as session:
        assert session.scalars(select(Recording)).one().status is RecordingStatus.DELETED
