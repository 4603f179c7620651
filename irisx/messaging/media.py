"""Files of messages: their bytes in the storage, links to them that expire, their end."""

import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

from sqlalchemy import ColumnElement, select, update
from sqlalchemy.orm import Session

from irisx.kernel import clock, crypto
from irisx.kernel.db import transaction
from irisx.kernel.errors import Forbidden, NotFound, Unavailable
from irisx.kernel.logging import get_logger
from irisx.kernel.storage import StorageError, storage, storage_of
from irisx.messaging.models import MediaFile, MediaStatus
from irisx.messaging.provider import InboundFile
from irisx.settings import get_settings
from irisx.tenancy import audit, rows
from irisx.tenancy.access import Actor

log = get_logger(__name__)

#: How long a link to a file works.
LINK = timedelta(hours=1)
_PRESIGNED_SECONDS = 300
_PURPOSE = "media"
#: Kind of a file that came as a part of a message, or goes as one.
ATTACHMENT = "attachment"
_MAX_NAME = 240
_MAX_TYPE = 200
_BATCH = 50
_RETRY = timedelta(minutes=5)


def keep(tenant_id: int, data: bytes, content_type: str) -> str:
    """Store bytes durably; their location. Raises StorageError."""
    name = f"media/{clock.now():%Y/%m/%d}/{tenant_id}/{uuid4().hex}"
    with tempfile.NamedTemporaryFile(prefix="irisx-media-") as file:
        file.write(data)
        file.flush()
        return storage().put(Path(file.name), name, content_type)


@contextmanager
def keeping(
    tenant_id: int, channel: str, files: Sequence[InboundFile], account_id: int | None = None
) -> Iterator[list[MediaFile]]:
    """Rows for files whose bytes are stored. Those that are not in the database when the block
    ends were not wanted: their bytes go again. Raises Unavailable while the storage is away."""
    kept: list[MediaFile] = []
    done = False
    try:
        for file in files:
            kept.append(
                MediaFile(
                    tenant_id=tenant_id,
                    channel=channel,
                    account_id=account_id,
                    kind=ATTACHMENT,
                    content_type=file.content_type[:_MAX_TYPE],
                    filename=file.name[-_MAX_NAME:],
                    size_bytes=len(file.data),
                    status=MediaStatus.STORED,
                    location=keep(tenant_id, file.data, file.content_type),
                )
            )
        yield kept
        done = True
    except StorageError as error:
        log.error("media_storage_away", reason=str(error))
        raise Unavailable("The storage of files is away or full. Try again.") from error
    finally:
        for row in kept:
            if row.location is not None and not (done and row.id is not None):
                with suppress(StorageError):  # bytes that nothing names; nobody can be told
                    storage_of(row.location).delete(row.location)


def get(tenant_id: int, channel: str, file_id: int) -> MediaFile:
    """A file that is not deleted."""
    with transaction() as session:
        row = rows.fetch(session, MediaFile, file_id, tenant_id=tenant_id)
    if row.channel != channel or row.status is MediaStatus.DELETED:
        raise _not_found()
    return row


def list_page(
    tenant_id: int, channel: str, *, limit: int, offset: int
) -> tuple[Sequence[MediaFile], int]:
    mine = select(MediaFile).where(
        MediaFile.tenant_id == tenant_id,
        MediaFile.channel == channel,
        MediaFile.status != MediaStatus.DELETED,
    )
    with transaction() as session:
        return rows.page(session, mine, limit=limit, offset=offset)


def remove(by: Actor, tenant_id: int, channel: str, file_id: int) -> None:
    """Delete a file: its links are dead when this returns, the worker removes the bytes."""
    get(tenant_id, channel, file_id)
    with transaction() as session:
        row = rows.fetch(session, MediaFile, file_id, tenant_id=tenant_id, lock=True)
        audit.deleted(session, by, row)
        forget(session, MediaFile.id == row.id)


def forget(session: Session, which: ColumnElement[bool]) -> None:
    """From now on these files are gone; `erase_deleted` removes the bytes."""
    gone = {"status": MediaStatus.DELETED, "due_at": clock.now(), "filename": None, "reason": None}
    session.execute(update(MediaFile).where(which).values(gone))


def erase_deleted() -> bool:
    """The job that removes the bytes of deleted files, then their rows; True: there may be more."""
    due = (
        select(MediaFile)
        .where(MediaFile.status == MediaStatus.DELETED, MediaFile.due_at <= clock.now())
        .order_by(MediaFile.due_at)
        .limit(_BATCH)
        .with_for_update(skip_locked=True)
    )
    with transaction() as session:
        found = session.scalars(due).all()
        for row in found:
            try:
                if row.location is not None:
                    storage_of(row.location).delete(row.location)
            except StorageError as error:
                log.warning("the bytes of a file remain", file=row.id, reason=str(error))
                row.due_at = clock.now() + _RETRY
            else:
                session.delete(row)
    return len(found) == _BATCH


def described(row: MediaFile) -> dict[str, Any]:
    """A file as a message's content names it."""
    return {
        "id": row.public_id,
        "name": row.filename,
        "type": row.content_type,
        "bytes": row.size_bytes,
    }


def link(row: MediaFile, lasting: timedelta = LINK) -> str:
    """A URL of the bytes that works without a key."""
    token = crypto.sign(_PURPOSE, row.id, round(lasting.total_seconds()))
    return f"{get_settings().base_url}/media/{token}"


def follow(token: str) -> tuple[MediaFile, Path | str]:
    """What a link leads to: a local file, or a URL of the storage. Raises Forbidden, NotFound."""
    try:
        file_id = crypto.verify(_PURPOSE, token)
    except crypto.BadToken:
        raise Forbidden("This link is not valid or has expired.", code="LINK_EXPIRED") from None
    with transaction() as session:
        row = session.get(MediaFile, file_id)
    if row is None or row.status is not MediaStatus.STORED or row.location is None:
        raise _not_found()
    try:
        found = storage_of(row.location).link(row.location, row.content_type, _PRESIGNED_SECONDS)
    except StorageError as error:
        log.error("media_storage_away", file=row.id, reason=str(error))
        raise Unavailable("The storage of files does not answer. Try again.") from error
    if isinstance(found, Path) and not found.is_file():
        log.error("media_bytes_missing", file=row.id, path=str(found))
        raise _not_found()
    return row, found


def _not_found() -> NotFound:
    return NotFound("There is no file with this id.")
