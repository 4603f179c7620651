"""Kept audio of detections: to listen to; stored and, one day, erased by the worker."""

from datetime import timedelta
from pathlib import Path

from sqlalchemy import or_, select

from irisx.kernel.clock import now
from irisx.kernel.db import transaction
from irisx.kernel.errors import NotFound, Unavailable
from irisx.kernel.logging import get_logger
from irisx.kernel.storage import StorageError, storage, storage_of
from irisx.settings import get_settings
from irisx.telephony.amd.models import AmdResult
from irisx.tenancy import rows

log = get_logger(__name__)

CONTENT_TYPE = "audio/flac"
BATCH = 20
_LINK_SECONDS = 300
#: A file that is not there so long after the decision will not come: the process was killed.
_MISSING_AFTER = timedelta(minutes=5)


def of(tenant_id: int, result_id: int) -> Path | str:
    """The audio of a result: a file, or a URL that works for five minutes.

    Raises NotFound where there is none (any more), or Unavailable with the storage away.
    """
    with transaction() as session:
        row = rows.fetch(session, AmdResult, result_id, tenant_id=tenant_id)
    if row.audio_location is None:
        raise NotFound("The audio of this detection is not kept.", code="AUDIO_NOT_KEPT")
    try:
        found = storage_of(row.audio_location).link(row.audio_location, CONTENT_TYPE, _LINK_SECONDS)
    except StorageError as error:
        raise Unavailable("The storage of audio is away.", code="STORAGE_UNAVAILABLE") from error
    if isinstance(found, Path) and not found.is_file():
        raise NotFound("The file of this audio is gone.", code="AUDIO_NOT_KEPT")
    return found


def store() -> bool:
    """Store a batch of files; True: there may be more.

    A storage that is away leaves file and row as they are, for the next time.
    """
    waiting = (
        select(AmdResult)
        .where(AmdResult.audio_path.is_not(None), AmdResult.audio_location.is_(None))
        .order_by(AmdResult.id)
        .limit(BATCH)
    )
    with transaction() as session:
        found = session.scalars(waiting).all()
    return len([row for row in found if _store(row)]) == BATCH


def _store(row: AmdResult) -> bool:
    assert row.audio_path is not None
    source = get_settings().recording_path / row.audio_path
    location = None
    if source.is_file():
        try:
            location = storage().put(source, row.audio_path, CONTENT_TYPE)
        except StorageError as error:
            log.warning("amd.audio_not_stored", result=row.public_id, reason=str(error))
            return False
    elif row.decided_at > now() - _MISSING_AFTER:
        return False
    with transaction() as session:
        kept = session.get_one(AmdResult, row.id, with_for_update=True)
        kept.audio_location = location
        kept.audio_path = None
    if location is not None and not location.endswith(str(source.absolute())):
        source.unlink(missing_ok=True)
    return True


def erase() -> bool:
    """Erase a batch of audio that its tenant keeps no longer; True: there may be more."""
    over = (
        select(AmdResult)
        .where(
            AmdResult.audio_until <= now(),
            or_(AmdResult.audio_path.is_not(None), AmdResult.audio_location.is_not(None)),
        )
        .order_by(AmdResult.audio_until)
        .limit(BATCH)
    )
    with transaction() as session:
        found = session.scalars(over).all()
    return len([row for row in found if _erase(row)]) == BATCH


def _erase(row: AmdResult) -> bool:
    try:
        if row.audio_location is not None:
            storage_of(row.audio_location).delete(row.audio_location)
        if row.audio_path is not None:
            (get_settings().recording_path / row.audio_path).unlink(missing_ok=True)
    except (StorageError, OSError) as error:
        log.warning("amd.audio_remains", result=row.public_id, reason=str(error))
        return False
    with transaction() as session:
        kept = session.get_one(AmdResult, row.id, with_for_update=True)
        kept.audio_location = kept.audio_path = kept.audio_until = None
    return True
