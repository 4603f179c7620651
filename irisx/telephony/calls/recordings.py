"""What a tenant sees of its recordings: lists, links that expire, deletion."""

import hashlib
import hmac
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from uuid import UUID

from sqlalchemy import ColumnElement, Select, TextClause, and_, func, or_, select, text

from irisx.kernel import clock, crypto
from irisx.kernel.db import transaction
from irisx.kernel.errors import Conflict, Forbidden, NotFound, Unavailable
from irisx.kernel.ids import call_sid
from irisx.kernel.logging import get_logger
from irisx.kernel.storage import StorageError, storage_of
from irisx.settings import get_settings
from irisx.telephony.calls.models import Call, Recording, RecordingStatus
from irisx.telephony.calls.states import CallStatus, Direction
from irisx.tenancy import audit
from irisx.tenancy.access import Actor

log = get_logger(__name__)

CONTENT_TYPE = "audio/wav"
#: How long a download link works, in seconds.
LINK_SECONDS = 3600
#: How long a link to the storage itself works once a download link was followed.
_PRESIGNED_SECONDS = 300


@dataclass(frozen=True)
class RecordingView:
    """A recording with what its call says of it; `recording_url` only while there are bytes."""

    id: int
    call_sid: str
    call_uuid: UUID
    from_number: str | None
    to_number: str | None
    direction: Direction | None
    call_status: CallStatus | None
    recording_url: str | None
    recording_status: RecordingStatus
    recording_duration_seconds: int | None
    recording_size_bytes: int | None
    transcription_text: str | None
    transcription_confidence: float | None
    failure_reason: str | None
    created_at: datetime


@dataclass(frozen=True)
class RecordingFilter:
    """`search`: digits of the caller's or the called number. `start` <= created < `end`.

    `transcript`: words of the transcript, as a search engine takes them.
    """

    status: RecordingStatus | None = None
    start: datetime | None = None
    end: datetime | None = None
    search: str | None = None
    transcript: str | None = None


@dataclass(frozen=True)
class Statistics:
    """Of completed recordings; `total_duration` in seconds, `total_size` in bytes."""

    total_recordings: int
    total_duration: int
    total_size: int
    transcribed_count: int


def list_recordings(
    tenant_id: int, wanted: RecordingFilter, *, limit: int, offset: int
) -> tuple[list[RecordingView], int]:
    """Newest first, and how many there are. Deleted ones only where the filter asks for them."""
    where = _conditions(tenant_id, wanted)
    page = _joined().where(*where).order_by(Recording.id.desc()).limit(limit).offset(offset)
    count = select(func.count()).select_from(Recording).where(*where)
    if wanted.search is not None:
        count = select(func.count()).select_from(_joined().where(*where).subquery())
    with transaction() as session:
        rows = session.execute(page).all()
        total = session.scalars(count).one()
    return [_view(recording, call) for recording, call in rows], total


def get_recording(tenant_id: int, recording_id: int) -> RecordingView:
    """A recording, also one that was deleted."""
    mine = _joined().where(Recording.tenant_id == tenant_id, Recording.id == recording_id)
    with transaction() as session:
        row = session.execute(mine).one_or_none()
    if row is None:
        raise _not_found(recording_id)
    return _view(*row)


def recording_for_call(tenant_id: int, call_id: UUID) -> RecordingView:
    """The newest recording of a call that is not deleted; NotFound if there is none."""
    mine = (
        _joined()
        .where(
            Recording.tenant_id == tenant_id,
            Recording.call_id == call_id,
            Recording.status != RecordingStatus.DELETED,
        )
        .order_by(Recording.id.desc())
        .limit(1)
    )
    with transaction() as session:
        row = session.execute(mine).one_or_none()
    if row is None:
        raise NotFound(f"The call {call_sid(call_id)} has no recording.")
    return _view(*row)


def urls(tenant_id: int, call_ids: Iterable[UUID]) -> dict[UUID, str]:
    """The download link of each call's newest completed recording, where there is one."""
    newest = (
        select(Recording.call_id, func.max(Recording.id))
        .where(
            Recording.tenant_id == tenant_id,
            Recording.call_id.in_(list(call_ids)),
            Recording.status == RecordingStatus.COMPLETED,
        )
        .group_by(Recording.call_id)
    )
    with transaction() as session:
        return {call_id: download_url(key) for call_id, key in session.execute(newest)}


def statistics(tenant_id: int) -> Statistics:
    """Sums over the tenant's completed recordings; zeros where there are none."""
    sums = select(
        func.count(),
        func.sum(Recording.duration_ms),
        func.sum(Recording.size_bytes),
        func.count(Recording.transcription_text),
    ).where(Recording.tenant_id == tenant_id, Recording.status == RecordingStatus.COMPLETED)
    with transaction() as session:
        count, milliseconds, size, transcribed = session.execute(sums).one()
    return Statistics(count, round(int(milliseconds or 0) / 1000), int(size or 0), transcribed)


def delete_recording(by: Actor, tenant_id: int, recording_id: int) -> None:
    """Delete a recording with its bytes; again is no error.

    Its link is dead when this returns. Where the storage is away, the worker removes the bytes
    later.
    """
    mine = select(Recording).where(Recording.tenant_id == tenant_id, Recording.id == recording_id)
    with transaction() as session:
        recording = session.scalars(mine.with_for_update()).one_or_none()
        if recording is None:
            raise _not_found(recording_id)
        if recording.status is RecordingStatus.DELETED:
            return
        if recording.status is RecordingStatus.RECORDING:
            raise Conflict("The recording is still under way; stop it or end its call first.")
        recording.status = RecordingStatus.DELETED
        recording.deleted_at = clock.now()
        target = str(recording.id)
        audit.record(session, by, "recording.deleted", target, tenant_id=tenant_id)
    try:
        erase(recording)
    except StorageError as error:
        log.warning("recording_bytes_remain", recording=recording.id, reason=str(error))


def erase(recording: Recording) -> None:
    """Remove a deleted recording's bytes, here and in the storage, and what it said.

    Raises StorageError.
    """
    if recording.location is not None:
        storage_of(recording.location).delete(recording.location)
    try:
        source_of(recording).unlink(missing_ok=True)
    except OSError as error:
        raise StorageError(f"{recording.path}: {error.strerror}") from error
    with transaction() as session:
        row = session.get_one(Recording, recording.id)
        row.location = row.transcription_text = row.transcription_confidence = None


def source_of(recording: Recording) -> Path:
    """The file that the switch wrote."""
    return get_settings().recording_path / recording.path


# --- download links -----------------------------------------------------------------------------


def download_url(recording_id: int) -> str:
    """A link to the bytes that works without a key for LINK_SECONDS."""
    expires = int(time.time()) + LINK_SECONDS
    path = f"/v1/recordings/{recording_id}/download"
    signature = _signature(recording_id, expires)
    return f"{get_settings().base_url}{path}?expires={expires}&signature={signature}"


def follow_download(recording_id: int, expires: int, signature: str) -> Path | str:
    """What a link leads to: a local file, or a URL of the storage.

    Raises Forbidden for a link that is not ours or has expired, NotFound once it is deleted.
    """
    if not hmac.compare_digest(signature.encode(), _signature(recording_id, expires).encode()):
        raise Forbidden("The signature of this link is not valid.", code="INVALID_SIGNATURE")
    if expires < time.time():
        raise Forbidden("This link has expired; fetch a new one.", code="LINK_EXPIRED")
    with transaction() as session:
        recording = session.get(Recording, recording_id)
    if recording is None or recording.status is not RecordingStatus.COMPLETED:
        raise _not_found(recording_id)
    location = recording.location or ""
    try:
        found = storage_of(location).link(location, CONTENT_TYPE, _PRESIGNED_SECONDS)
    except StorageError as error:
        log.error("recording_storage_away", recording=recording_id, reason=str(error))
        raise Unavailable("The storage of recordings does not answer. Try again.") from error
    if isinstance(found, Path) and not found.is_file():
        log.error("recording_bytes_missing", recording=recording_id, path=str(found))
        raise _not_found(recording_id)
    return found


def _signature(recording_id: int, expires: int) -> str:
    key = crypto.derive_key("recording-download")
    return hmac.new(key, f"{recording_id}.{expires}".encode(), hashlib.sha256).hexdigest()


# --- rows ---------------------------------------------------------------------------------------


def _joined() -> Select[Recording, Call]:
    # Outer: a recording may be kept longer than its call's row.
    return select(Recording, Call).outerjoin(Call, Call.id == Recording.call_id)


# Transcripts are another room's rows: the two meet in the database.
_TRANSCRIBED = text("""
    recordings.id IN (
        SELECT recording_id FROM transcripts
        WHERE tenant_id = :tenant_id AND words @@ websearch_to_tsquery('english', :said)
    )
""")


def _conditions(
    tenant_id: int, wanted: RecordingFilter
) -> Sequence[ColumnElement[bool] | TextClause]:
    conditions: list[ColumnElement[bool] | TextClause] = [Recording.tenant_id == tenant_id]
    if wanted.status is None:
        conditions.append(Recording.status != RecordingStatus.DELETED)
    else:
        conditions.append(Recording.status == wanted.status)
    if wanted.start is not None:
        conditions.append(Recording.created_at >= wanted.start)
    if wanted.end is not None:
        conditions.append(Recording.created_at < wanted.end)
    if wanted.search is not None:
        matches = or_(
            Call.from_number.contains(wanted.search, autoescape=True),
            Call.to_number.contains(wanted.search, autoescape=True),
        )
        conditions.append(and_(Call.tenant_id == tenant_id, matches))
    if wanted.transcript is not None:
        conditions.append(_TRANSCRIBED.bindparams(tenant_id=tenant_id, said=wanted.transcript))
    return conditions


def _view(recording: Recording, call: Call | None) -> RecordingView:
    completed = recording.status is RecordingStatus.COMPLETED
    duration = recording.duration_ms
    return RecordingView(
        id=recording.id,
        call_sid=call_sid(recording.call_id),
        call_uuid=recording.call_id,
        from_number=call.from_number if call else None,
        to_number=call.to_number if call else None,
        direction=call.direction if call else None,
        call_status=call.status if call else None,
        recording_url=download_url(recording.id) if completed else None,
        recording_status=recording.status,
        recording_duration_seconds=None if duration is None else round(duration / 1000),
        recording_size_bytes=recording.size_bytes,
        transcription_text=recording.transcription_text,
        transcription_confidence=recording.transcription_confidence,
        failure_reason=recording.reason,
        created_at=recording.created_at,
    )


def _not_found(recording_id: int) -> NotFound:
    return NotFound(f"There is no recording with the id {recording_id}.")
