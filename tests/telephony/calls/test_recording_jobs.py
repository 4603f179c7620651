"""From the file that the switch wrote to a stored recording, and to nothing."""

from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from uuid import UUID, uuid4

import numpy as np
import pytest
import soundfile
from sqlalchemy import select, text

from irisx.kernel import clock, events
from irisx.kernel.db import transaction
from irisx.kernel.ids import call_sid
from irisx.settings import get_settings
from irisx.telephony.calls import recording_jobs
from irisx.telephony.calls.models import Call, CallEvent, Recording, RecordingStatus
from irisx.telephony.calls.recording_jobs import (
    delete_expired,
    erase_deleted,
    finish_recordings,
)
from irisx.telephony.calls.recordings import delete_recording, source_of
from irisx.telephony.calls.states import CallStatus, Direction
from irisx.tenancy.access import SYSTEM
from irisx.tenancy.models import Tenant


@pytest.fixture(autouse=True)
def recordings_dir(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.setenv("IRISX_RECORDINGS_DIR", str(tmp_path / "switch"))
    get_settings.cache_clear()
    yield tmp_path / "switch"
    monkeypatch.undo()
    get_settings.cache_clear()


@pytest.fixture
def keep_elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("IRISX_RECORDINGS_URL", f"file://{tmp_path}/kept")
    get_settings.cache_clear()
    return tmp_path / "kept"


@pytest.fixture
def record(tenant: Tenant) -> Callable[..., Recording]:
    """`record(seconds, status, ended)`: a call with a recording as the engine leaves them."""

    def make(
        seconds: float | None = 2.0,
        status: CallStatus = CallStatus.COMPLETED,
        ended: timedelta = timedelta(),
    ) -> Recording:
        call_id = uuid4()
        row = Recording(
            tenant_id=tenant.id,
            call_id=call_id,
            path=f"2026/02/17/{tenant.id}/{call_sid(call_id)}-1.wav",
            status=RecordingStatus.RECORDING,
        )
        now = clock.now()
        call = Call(
            id=call_id,
            initiated_at=now,
            tenant_id=tenant.id,
            direction=Direction.INBOUND,
            status=status,
            from_number="+15550001111",
            to_number="+15550001000",
            ended_at=now - ended if status is CallStatus.COMPLETED else None,
        )
        with transaction() as session:
            session.add_all([call, row])
        if seconds is not None:
            write_sound(source_of(row), seconds)
        return row

    return make


def write_sound(path: Path, seconds: float) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    sound = np.zeros((int(8000 * seconds), 2), dtype=np.int16)
    soundfile.write(str(path), sound, 8000, subtype="PCM_16")


def stopped(call_id: UUID, path: str) -> None:
    with transaction() as session:
        session.add(
            CallEvent(
                call_id=call_id,
                key="stopped",
                occurred_at=clock.now(),
                type="recording.stopped",
                data={"path": path},
            )
        )


def now_of(recording: Recording) -> Recording:
    with transaction() as session:
        return session.get_one(Recording, recording.id)


def published() -> list[tuple[str, dict[str, object]]]:
    with transaction() as session:
        rows = session.scalars(select(events.DomainEvent).order_by(events.DomainEvent.id)).all()
    return [(row.type, row.data) for row in rows]


def test_the_recording_of_an_ended_call_is_measured_and_stored(record) -> None:
    recording = record(2.5)
    finish_recordings()
    row = now_of(recording)
    assert (row.status, row.duration_ms) == (RecordingStatus.COMPLETED, 2500)
    assert row.size_bytes == source_of(recording).stat().st_size == 2500 * 8 * 4 + 44
    assert row.location == f"file://{source_of(recording)}"
    ((type, data),) = published()
    assert type == "call.recording.completed"
    assert data["sid"] == call_sid(recording.call_id)
    finish_recordings()
    assert len(published()) == 1


def test_it_moves_to_another_storage(record, keep_elsewhere: Path) -> None:
    recording = record()
    finish_recordings()
    assert not source_of(recording).exists()
    assert (keep_elsewhere / recording.path).is_file()


def test_a_live_call_s_recording_waits_until_it_is_stopped(record) -> None:
    recording = record(1.0, CallStatus.IN_PROGRESS)
    finish_recordings()
    assert now_of(recording).status is RecordingStatus.RECORDING
    stopped(recording.call_id, recording.path)
    finish_recordings()
    assert now_of(recording).status is RecordingStatus.COMPLETED


def test_a_file_that_never_comes_is_a_failure_with_a_reason(record) -> None:
    fresh, old = record(None), record(None, ended=timedelta(minutes=2))
    finish_recordings()
    assert now_of(fresh).status is RecordingStatus.RECORDING
    row = now_of(old)
    assert row.status is RecordingStatus.FAILED
    assert "no file" in (row.reason or "")
    assert [type for type, _ in published()] == ["call.recording.failed"]


def test_a_file_without_sound_is_a_failure(record) -> None:
    empty, cut, odd = record(0.0), record(None), record(None)
    for recording, content in ((cut, b""), (odd, b"this is no sound file at all" * 10)):
        source_of(recording).parent.mkdir(parents=True, exist_ok=True)
        source_of(recording).write_bytes(content)
    finish_recordings()
    rows = [now_of(recording) for recording in (empty, cut, odd)]
    assert {row.status for row in rows} == {RecordingStatus.FAILED}
    assert all(row.reason for row in rows)


def test_a_full_storage_loses_nothing_and_says_why(record, keep_elsewhere: Path) -> None:
    recording = record()
    keep_elsewhere.write_text("where the directory should be")
    finish_recordings()
    row = now_of(recording)
    assert (row.status, row.location) == (RecordingStatus.RECORDING, None)
    assert "not stored yet" in (row.reason or "")
    assert source_of(recording).is_file()

    keep_elsewhere.unlink()
    with transaction() as session:
        session.execute(text("UPDATE recordings SET next_try_at = now()"))
    finish_recordings()
    row = now_of(recording)
    assert (row.status, row.reason) == (RecordingStatus.COMPLETED, None)


def test_a_worker_that_died_in_between_is_taken_over(record, monkeypatch) -> None:
    recording = record()
    with monkeypatch.context() as killed:
        killed.setattr(recording_jobs, "_finish", lambda recording, gone: None)
        finish_recordings()
    finish_recordings()
    assert now_of(recording).status is RecordingStatus.RECORDING  # leased
    with transaction() as session:
        session.execute(text("UPDATE recordings SET next_try_at = now()"))
    finish_recordings()
    assert now_of(recording).status is RecordingStatus.COMPLETED


def test_recordings_go_after_the_tenant_s_days(record, make_tenant, tenant: Tenant) -> None:
    kept, expired = record(), record()
    finish_recordings()
    with transaction() as session:
        session.execute(
            text("UPDATE recordings SET created_at = now() - interval '8 days' WHERE id = :id"),
            {"id": expired.id},
        )
    delete_expired()
    assert now_of(expired).status is RecordingStatus.COMPLETED  # this tenant keeps them for ever
    with transaction() as session:
        days = {"days": '{"recording_retention_days": 7}'}
        session.execute(text("UPDATE tenants SET settings = settings || :days ::jsonb"), days)
    delete_expired()
    assert now_of(kept).status is RecordingStatus.COMPLETED
    row = now_of(expired)
    assert (row.status, row.location) == (RecordingStatus.DELETED, None)
    assert not source_of(expired).exists()
    assert source_of(kept).exists()


def test_bytes_that_could_not_be_removed_are_removed_later(
    record, tenant: Tenant, keep_elsewhere: Path
) -> None:
    recording = record()
    finish_recordings()
    stored = keep_elsewhere / recording.path
    stored.rename(stored.with_suffix(".moved"))
    stored.mkdir()  # unlink fails
    delete_recording(SYSTEM, tenant.id, recording.id)
    row = now_of(recording)
    assert row.status is RecordingStatus.DELETED
    assert row.location is not None

    stored.rmdir()
    stored.with_suffix(".moved").rename(stored)
    erase_deleted()
    assert now_of(recording).location is None
    assert not stored.exists()
