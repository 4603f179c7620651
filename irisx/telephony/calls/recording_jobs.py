"""The worker's part in recordings: what the switch wrote is measured, stored and, one day, erased.

A row leaves `recording` only when its file is safe in the storage, or when there will never be
one. A storage that is full or away leaves the row and the file as they are, and `reason` says why.
"""

from datetime import timedelta
from typing import Any

from sqlalchemy import TextClause, text, update

from irisx.kernel import clock, events
from irisx.kernel.db import transaction
from irisx.kernel.ids import call_sid
from irisx.kernel.logging import get_logger
from irisx.kernel.storage import FILE, StorageError, storage
from irisx.telephony.calls.models import Recording, RecordingStatus
from irisx.telephony.calls.recordings import CONTENT_TYPE, erase, source_of
from irisx.telephony.calls.wav import Measured, measure

log = get_logger(__name__)

BATCH = 20
#: Longer than storing a long recording takes; then another worker tries.
LEASE = timedelta(minutes=10)
#: Pause after a storage that was away or full.
RETRY = timedelta(minutes=1)
#: A file that is not there so long after its call's end will not come.
MISSING_AFTER = timedelta(seconds=60)

# Complete is what the switch reported as stopped, and whatever belongs to a call that ended: the
# engine may have been dead when it stopped.
_TAKE = text("""
    UPDATE recordings SET next_try_at = now() + :lease
    WHERE id IN (
        SELECT r.id FROM recordings r
        WHERE r.status = 'recording' AND (r.next_try_at IS NULL OR r.next_try_at <= now())
            AND (
                EXISTS (
                    SELECT FROM calls c WHERE c.id = r.call_id
                    AND c.status NOT IN ('initiated', 'ringing', 'in-progress')
                ) OR EXISTS (
                    SELECT FROM call_events e WHERE e.call_id = r.call_id
                    AND e.type = 'recording.stopped' AND e.data->>'path' = r.path
                )
            )
        ORDER BY r.id LIMIT :limit FOR UPDATE SKIP LOCKED
    )
    RETURNING id, (
        SELECT max(c.ended_at) FROM calls c WHERE c.id = recordings.call_id
    ) AS ended_at
""")

_EXPIRED = text("""
    UPDATE recordings SET status = 'deleted', deleted_at = now(), next_try_at = now() + :lease
    WHERE id IN (
        SELECT r.id FROM recordings r JOIN tenants t ON t.id = r.tenant_id
        WHERE r.status IN ('completed', 'failed')
            AND r.created_at < now() - make_interval(
                days => CAST(t.settings->>'recording_retention_days' AS integer)
            )
        ORDER BY r.id LIMIT :limit FOR UPDATE OF r SKIP LOCKED
    )
    RETURNING id
""")

_REMAINING = text("""
    UPDATE recordings SET next_try_at = now() + :lease
    WHERE id IN (
        SELECT id FROM recordings
        WHERE status = 'deleted' AND location IS NOT NULL
            AND (next_try_at IS NULL OR next_try_at <= now())
        ORDER BY id LIMIT :limit FOR UPDATE SKIP LOCKED
    )
    RETURNING id
""")


def finish_recordings() -> bool:
    """Measure and store the files of a batch of recordings whose writing is over."""
    with transaction() as session:
        taken = session.execute(_TAKE, {"lease": LEASE, "limit": BATCH}).all()
        over = {row.id: row.ended_at for row in taken}
        rows = [session.get_one(Recording, key) for key in over]
    for recording in rows:
        ended_at = over[recording.id]
        gone = ended_at is not None and ended_at < clock.now() - MISSING_AFTER
        _finish(recording, gone)
    return len(taken) == BATCH


def _finish(recording: Recording, gone: bool) -> None:
    source = source_of(recording)
    if not source.exists():
        if gone:
            _fail(recording, "the switch left no file; its disk may have been full")
        else:
            _try_later(recording, "the file is not there yet", timedelta(seconds=5))
        return
    measured = measure(source)
    if measured.error is not None:
        _fail(recording, measured.error)
        return
    try:
        location = storage().put(source, recording.path, CONTENT_TYPE)
    except StorageError as error:
        log.error("recording_not_stored", recording=recording.id, reason=str(error))
        _try_later(recording, f"not stored yet: {error}", RETRY)
        return
    if _complete(recording, measured, location) and location != FILE + str(source.absolute()):
        source.unlink(missing_ok=True)


def _complete(recording: Recording, measured: Measured, location: str) -> bool:
    data = {"duration_ms": measured.duration_ms, "size_bytes": measured.size_bytes}
    columns = data | {"location": location, "reason": None}
    return _settle(recording, RecordingStatus.COMPLETED, columns, "call.recording.completed", data)


def _fail(recording: Recording, reason: str) -> None:
    log.error("recording_failed", recording=recording.id, reason=reason)
    data = {"reason": reason}
    _settle(recording, RecordingStatus.FAILED, data, "call.recording.failed", data)


def _settle(
    recording: Recording,
    status: RecordingStatus,
    columns: dict[str, Any],
    event: str,
    data: dict[str, Any],
) -> bool:
    """Write the end of a recording with its event; False if another worker had done so."""
    still = (Recording.id == recording.id, Recording.status == RecordingStatus.RECORDING)
    with transaction() as session:
        done = update(Recording).where(*still).values(status=status, next_try_at=None, **columns)
        if session.execute(done.returning(Recording.id)).one_or_none() is None:
            return False
        events.publish(
            session,
            key=f"recording:{recording.id}:{status}",
            tenant_id=recording.tenant_id,
            type=event,
            data={"sid": call_sid(recording.call_id), "recording_id": recording.id, **data},
            occurred_at=clock.now(),
        )
    return True


def _try_later(recording: Recording, reason: str, pause: timedelta) -> None:
    with transaction() as session:
        session.execute(
            update(Recording)
            .where(Recording.id == recording.id)
            .values(next_try_at=clock.now() + pause, reason=reason)
        )


def delete_expired() -> bool:
    """Delete a batch of recordings that their tenants keep no longer."""
    return _erase_taken(_EXPIRED)


def erase_deleted() -> bool:
    """Remove the bytes of deleted recordings whose storage was away when they were deleted."""
    return _erase_taken(_REMAINING)


def _erase_taken(take: TextClause) -> bool:
    with transaction() as session:
        taken = session.scalars(take, {"lease": RETRY, "limit": BATCH}).all()
        rows = [session.get_one(Recording, key) for key in taken]
    for recording in rows:
        try:
            erase(recording)
        except StorageError as error:
            log.warning("recording_bytes_remain", recording=recording.id, reason=str(error))
    return len(rows) == BATCH
