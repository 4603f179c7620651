"""Imports of contacts: a file is kept at once, and read by the worker."""

import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from itertools import islice
from pathlib import Path
from typing import TypeVar

import gevent
from sqlalchemy import Select, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from irisx.kernel.clock import isoformat, now
from irisx.kernel.db import transaction
from irisx.kernel.errors import NotFound, Unavailable, invalid
from irisx.kernel.ids import token
from irisx.kernel.jobs import wake
from irisx.kernel.logging import get_logger
from irisx.kernel.storage import StorageError, storage, storage_of
from irisx.telephony.dialer import campaigns, contacts
from irisx.telephony.dialer.contacts import Draft
from irisx.telephony.dialer.import_files import BadFile, FileFormat, Row, format_of, read
from irisx.telephony.dialer.import_rows import (
    BadMapping,
    Fault,
    Reader,
    check_mapping,
    columns,
)
from irisx.telephony.dialer.models import (
    Campaign,
    CampaignImport,
    CampaignImportRow,
    ImportStatus,
)
from irisx.tenancy import audit, rows
from irisx.tenancy.access import Actor

log = get_logger(__name__)

#: `jobs.wake` topic: a file waits.
TOPIC = "campaigns.import"
#: Rows of one transaction.
CHUNK = 500
#: Longer than one chunk takes; then another worker goes on.
_LEASE = timedelta(seconds=60)
_RETRY = timedelta(seconds=60)
_CONTENT_TYPES = {
    FileFormat.CSV: "text/csv",
    FileFormat.XLSX: "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
}
Value = TypeVar("Value")
_OPEN = (ImportStatus.QUEUED, ImportStatus.RUNNING)


def begin(
    by: Actor,
    tenant_id: int,
    campaign_id: int,
    *,
    filename: str,
    content: bytes,
    mapping: Mapping[str, str],
    default_country: str | None,
) -> CampaignImport:
    """Keep a file to be read. Raises ValidationError about `file` or `mapping`, Unavailable."""
    try:
        check_mapping(mapping)
    except BadMapping as error:
        raise invalid(f"mapping.{error.field}", error.message) from None
    campaigns.get(tenant_id, campaign_id)
    format = format_of(content[:4])
    with tempfile.TemporaryDirectory(prefix="irisx-import-") as directory:
        path = Path(directory) / f"contacts.{format}"
        path.write_bytes(content)
        _check_header(path, format, mapping)
        name = f"imports/{tenant_id}/{token('imp')}.{format}"
        try:
            location = storage().put(path, name, _CONTENT_TYPES[format])
        except StorageError as error:
            raise Unavailable("The file could not be kept.", code="STORAGE_UNAVAILABLE") from error
    row = CampaignImport(
        tenant_id=tenant_id,
        campaign_id=campaign_id,
        filename=filename,
        format=format,
        location=location,
        mapping=dict(mapping),
        default_country=default_country,
        size_bytes=len(content),
    )
    with transaction() as session:
        campaigns.fetch(session, tenant_id, campaign_id)
        session.add(row)
        audit.created(session, by, row)
    wake(TOPIC)
    return row


def _check_header(path: Path, format: FileFormat, mapping: Mapping[str, str]) -> None:
    """Refuse at once what can't be read at all."""
    try:
        header = _in_thread(lambda: next(read(path, format), None))
        if header is None:
            raise BadFile("the file is empty")
        columns(header, mapping)
    except BadFile as error:
        raise invalid("file", str(error)) from None
    except BadMapping as error:
        raise invalid(f"mapping.{error.field}", error.message) from None


def get(tenant_id: int, campaign_id: int, import_id: int) -> CampaignImport:
    with transaction() as session:
        campaigns.fetch(session, tenant_id, campaign_id)
        row = session.scalar(_mine(tenant_id, campaign_id).where(CampaignImport.id == import_id))
    if row is None:
        raise NotFound("There is no imp with this id.")
    return row


def list_page(
    tenant_id: int, campaign_id: int, *, limit: int, offset: int
) -> tuple[Sequence[CampaignImport], int]:
    with transaction() as session:
        campaigns.fetch(session, tenant_id, campaign_id)
        return rows.page(session, _mine(tenant_id, campaign_id), limit=limit, offset=offset)


def faults(
    tenant_id: int, campaign_id: int, import_id: int, *, limit: int, offset: int
) -> tuple[Sequence[CampaignImportRow], int]:
    """What was wrong with rows, in the order of the file."""
    row = get(tenant_id, campaign_id, import_id)
    query = select(CampaignImportRow).where(CampaignImportRow.import_id == row.id)
    with transaction() as session:
        return rows.page(session, query, limit=limit, offset=offset)


def _mine(tenant_id: int, campaign_id: int) -> Select[CampaignImport]:
    return select(CampaignImport).where(
        CampaignImport.tenant_id == tenant_id, CampaignImport.campaign_id == campaign_id
    )


# -- the worker's part -----------------------------------------------------------------------------


class _Lost(Exception):
    """Another worker has the import, or the campaign is gone."""


def read_next() -> bool:
    """Read a file that waits, or go on with one whose worker is gone; True: there may be more."""
    row = _take()
    if row is None:
        return False
    try:
        with tempfile.TemporaryDirectory(prefix="irisx-import-") as directory:
            assert row.location is not None
            path = Path(directory) / f"contacts.{row.format}"
            storage_of(row.location).get(row.location, path)
            _read(row, path)
    except BadFile as error:
        _finish(row, ImportStatus.FAILED, str(error))
    except StorageError as error:
        log.warning("import.storage_away", import_id=row.public_id, reason=str(error))
        with transaction() as session:
            session.merge(row).next_try_at = now() + _RETRY
    except _Lost:
        log.info("import.lost", import_id=row.public_id)
    else:
        _finish(row, ImportStatus.COMPLETED, None)
    return True


def _take() -> CampaignImport | None:
    due = (
        select(CampaignImport)
        .where(CampaignImport.status.in_(_OPEN), CampaignImport.next_try_at <= now())
        .order_by(CampaignImport.id)
        .limit(1)
        .with_for_update(skip_locked=True)
    )
    with transaction() as session:
        row = session.scalar(due)
        if row is not None:
            row.status = ImportStatus.RUNNING
            row.next_try_at = now() + _LEASE
        return row


def _read(row: CampaignImport, path: Path) -> None:
    """Chunk by chunk, each a transaction that also says how far it came."""
    lines = read(path, FileFormat(row.format))
    header = _in_thread(lambda: next(lines, None))
    if header is None:
        raise BadFile("the file is empty")
    try:
        places = columns(header, row.mapping)
    except BadMapping as error:
        raise BadFile(f"{error.field}: {error.message}") from None
    done = row.done
    _in_thread(lambda: _skip(lines, done))
    while chunk := _in_thread(lambda: list(islice(lines, CHUNK))):
        _store(row, places, done, chunk)
        done += len(chunk)


def _in_thread(work: Callable[[], Value]) -> Value:
    """Unpacking and parsing takes time in which the worker's other jobs go on."""
    return gevent.get_hub().threadpool.apply(work)  # type: ignore[no-any-return]


def _skip(lines: Iterator[Row], count: int) -> None:
    for _ in islice(lines, count):
        pass


def _store(row: CampaignImport, places: Mapping[str, int], done: int, chunk: Sequence[Row]) -> None:
    with transaction() as session:
        current = session.get(CampaignImport, row.id, with_for_update=True)
        campaign = session.get(Campaign, row.campaign_id)
        if current is None or campaign is None or current.done != done:
            raise _Lost
        if campaign.deleted_at is not None:
            raise BadFile("the campaign was deleted")
        zone = campaigns.options_of(campaign).hours.default_time_zone
        outcome = _Chunk(session, current, campaign, Reader(places, row.default_country, zone))
        # The header is the file's first row.
        outcome.add(done + 2, chunk)
        current.done = done + len(chunk)
        current.next_try_at = now() + _LEASE
    wake(campaigns.TOPIC)


@dataclass(slots=True)
class _Chunk:
    """Some rows of a file on their way into the campaign."""

    session: Session
    row: CampaignImport
    campaign: Campaign
    reader: Reader

    def add(self, first: int, chunk: Sequence[Row]) -> None:
        drafts: list[tuple[int, Draft]] = []
        report: list[tuple[int, Fault]] = []
        for number, cells in enumerate(chunk, first):
            if not any(cells):
                continue
            draft, wrong = self.reader.draft(cells)
            report += [(number, fault) for fault in wrong]
            if draft is None:
                self.row.rejected += 1
            else:
                drafts.append((number, draft))
        added = contacts.store(
            self.session, self.campaign, [draft for _, draft in drafts], import_id=self.row.id
        )
        for index in added.duplicates:
            number, draft = drafts[index]
            known = Fault("number", draft.numbers[0], "the campaign has this number already")
            report.append((number, known))
        self.row.added += len(added.contacts)
        self.row.duplicates += len(added.duplicates)
        self._write(report)

    def _write(self, report: Sequence[tuple[int, Fault]]) -> None:
        values = [
            {
                "import_id": self.row.id,
                "row": number,
                "field": fault.field,
                "value": fault.value,
                "message": fault.message,
            }
            for number, fault in report
        ]
        if values:
            self.session.execute(insert(CampaignImportRow).on_conflict_do_nothing(), values)


def _finish(row: CampaignImport, status: ImportStatus, error: str | None) -> None:
    with transaction() as session:
        current = session.get_one(CampaignImport, row.id, with_for_update=True)
        current.status, current.error, current.finished_at = status, error, now()
        if status is ImportStatus.COMPLETED:
            current.total = current.done
        location, current.location = current.location, None
        campaign = session.get_one(Campaign, row.campaign_id)
        data = {
            "import_id": current.public_id,
            "filename": current.filename,
            "rows": current.done,
            "added": current.added,
            "duplicates": current.duplicates,
            "rejected": current.rejected,
            "error": error,
            "finished_at": isoformat(current.finished_at),
        }
        type = f"campaign.import.{status.value}"
        campaigns.tell(session, campaign, type, data, key=current.public_id, at=current.finished_at)
    try:
        if location is not None:
            storage_of(location).delete(location)
    except StorageError as failure:
        log.warning("import.file_left", location=location, reason=str(failure))
