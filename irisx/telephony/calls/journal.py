"""What the engine writes of calls, in order, and never loses.

Changes queue in memory and a greenlet writes them in batches, one transaction each, so that
hundreds of calls a second cost a few commits. When the database is away the queue is also kept in
a spool file, call handling goes on, and everything arrives afterwards. Every change is idempotent:
a batch that was committed although its answer got lost may be written again.

An engine that is killed loses at most what it had not yet written here; what ended a call stays
in the switch (`ended.py`) until the journal reports its change as written.
"""

import json
import os
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass, field
from datetime import datetime
from functools import lru_cache
from pathlib import Path
from typing import Any, cast
from uuid import UUID

import gevent
import structlog
from gevent.event import Event as Signal
from sqlalchemy import Table, bindparam, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.exc import InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.orm import Session

from irisx.kernel.db import transaction
from irisx.kernel.events import publish_many
from irisx.telephony.acd.models import QueueCall, QueueOffer
from irisx.telephony.amd.models import AmdResult
from irisx.telephony.calls.models import Call, CallEvent, Recording, RecordingStatus
from irisx.telephony.calls.states import ENDED, LIVE
from irisx.telephony.supervision.models import SupervisionRecord
from irisx.telephony.supervision.state import Status

log = structlog.get_logger()

BATCH = 500
#: Changes are gathered for so long before they are written: what one call does comes in bursts,
#: and a commit costs more than what is in it.
_GATHER_SECONDS = 0.03
_KEPT_ROWS = {
    model.__tablename__: cast(Table, model.__table__) for model in (QueueCall, QueueOffer)
}
_RETRY_SECONDS = (0.2, 0.5, 1.0, 2.0)
# Tables, not classes: of rows that nobody reads again the session would make objects first.
_CALLS = cast(Table, Call.__table__)
_INSERT_CALL = insert(_CALLS).on_conflict_do_nothing()
_INSERT_EVENT = insert(cast(Table, CallEvent.__table__)).on_conflict_do_nothing()
_TIMES = {
    "initiated_at",
    "ringing_at",
    "answered_at",
    "ended_at",
    "occurred_at",
    "decided_at",
    "audio_until",
}


@dataclass(slots=True)
class Change:
    """What one event did to one call; all parts are optional and written together.

    `supervision`: a supervisor's leg as it is now (`supervision/models.py`).

    `insert`: a new call, by the table's columns. `update`: columns that changed. `timeline`:
    (key, time, type, data) lines. `events`: (type, data) domain events, keyed by call and type.
    `recording`: columns of a recording that began. `amd`: those of a detection's result, or, with
    no `result`, what became known of it later. `rows`: (table, all columns) of a queue's
    records, written over what is there.
    """

    call_id: UUID
    initiated_at: datetime
    tenant_id: int
    insert: dict[str, Any] | None = None
    supervision: dict[str, Any] | None = None
    update: dict[str, Any] = field(default_factory=dict)
    timeline: list[tuple[str, datetime, str, dict[str, Any]]] = field(default_factory=list)
    events: list[tuple[str, datetime, dict[str, Any]]] = field(default_factory=list)
    recording: dict[str, Any] | None = None
    amd: dict[str, Any] | None = None
    rows: list[tuple[str, dict[str, Any]]] = field(default_factory=list)

    def to_json(self) -> str:
        return json.dumps(asdict(self), default=str)

    @classmethod
    def from_json(cls, line: str) -> "Change":
        raw = json.loads(line)
        if raw.get("supervision"):
            raw["supervision"] = SupervisionRecord.read(raw["supervision"])
        raw["call_id"] = UUID(raw["call_id"])
        raw["initiated_at"] = datetime.fromisoformat(raw["initiated_at"])
        for part in ("insert", "update", "amd"):
            columns = raw.get(part) or {}
            for name in _TIMES & columns.keys():
                columns[name] = columns[name] and datetime.fromisoformat(columns[name])
        if raw["recording"]:
            raw["recording"]["call_id"] = UUID(raw["recording"]["call_id"])
        if raw.get("amd"):
            raw["amd"]["call_id"] = UUID(raw["amd"]["call_id"])
        if raw["insert"]:
            raw["insert"]["id"] = UUID(raw["insert"]["id"])
        raw["timeline"] = [
            (key, datetime.fromisoformat(at), type, data) for key, at, type, data in raw["timeline"]
        ]
        raw["events"] = [
            (type, datetime.fromisoformat(at), data) for type, at, data in raw["events"]
        ]
        raw["rows"] = [(table, _typed(table, row)) for table, row in raw.get("rows", [])]
        return cls(**raw)


def _typed(table: str, row: dict[str, Any]) -> dict[str, Any]:
    """A row as it was before it was JSON."""
    kinds = {column.name: column.type.python_type for column in _KEPT_ROWS[table].columns}
    readers: dict[type, Callable[[Any], Any]] = {datetime: datetime.fromisoformat, UUID: UUID}
    return {
        name: value if value is None else readers.get(kinds[name], lambda same: same)(value)
        for name, value in row.items()
    }


_Queued = tuple[Change, Callable[[], None] | None]


class Journal:
    """The engine's one writer of calls. `record` returns at once; `start` begins the writing."""

    def __init__(self, spool: Path) -> None:
        self._spool = spool
        self._queue: list[_Queued] = []
        self._spooled = 0  # how many changes at the head of the queue are in the spool file
        self._work = Signal()
        self._idle = Signal()
        self._idle.set()
        self._greenlet: gevent.Greenlet | None = None

    def start(self) -> None:
        """Take up what an earlier engine left in the spool, then write as changes come."""
        if self._spool.exists():
            lines = self._spool.read_text().splitlines()
            self._queue = [(change, None) for change in _readable(lines)] + self._queue
            self._spooled = len(self._queue)
            self._work.set()
            log.info("journal.spool_taken_up", changes=self._spooled)
        self._greenlet = gevent.spawn(self._run)

    def record(self, change: Change, written: Callable[[], None] | None = None) -> None:
        """Queue a change; `written` is called once it is safe (committed or on disk)."""
        self._queue.append((change, written))
        self._idle.clear()
        self._work.set()

    def flush(self, timeout: float) -> bool:
        """Wait until everything queued is written; False if it was not in `timeout` seconds."""
        return bool(self._idle.wait(timeout))

    @property
    def backlog(self) -> int:
        """Changes that wait to be written."""
        return len(self._queue)

    def _run(self) -> None:
        failures = 0
        while True:
            if not self._queue:
                self._work.clear()
                self._idle.set()
                self._work.wait()
            if len(self._queue) < BATCH:
                gevent.sleep(_GATHER_SECONDS)
            batch = self._queue[:BATCH]
            try:
                self._write(batch)
            except (OperationalError, InterfaceError, PoolTimeout) as error:
                self._keep_on_disk()
                delay = _RETRY_SECONDS[min(failures, len(_RETRY_SECONDS) - 1)]
                failures += 1
                log.warning("journal.database_away", error=str(error)[:200], backlog=self.backlog)
                gevent.sleep(delay)
                continue
            failures = 0
            self._done(batch)

    def _write(self, batch: list[_Queued]) -> None:
        """One transaction. A batch that can't be written holds a faulty change: it alone is set
        aside, since every call of the engine waits for this writer."""
        changes = [change for change, _ in batch]
        try:
            with transaction() as session:
                write(session, changes)
        except (OperationalError, InterfaceError, PoolTimeout):
            raise
        except Exception as error:
            log.warning("journal.batch_refused", changes=len(changes), error=str(error)[:200])
            for change in changes:
                self._write_alone(change)

    def _write_alone(self, change: Change) -> None:
        try:
            with transaction() as session:
                write(session, [change])
        except (OperationalError, InterfaceError, PoolTimeout):
            raise
        except Exception as error:
            rejected = self._spool.with_suffix(".rejected")
            rejected.parent.mkdir(parents=True, exist_ok=True)
            with rejected.open("a") as file:
                file.write(change.to_json() + "\n")
            log.error(
                "journal.change_refused",
                call_id=str(change.call_id),
                kept=str(rejected),
                error=f"{type(error).__name__}: {error}"[:500],
            )

    def _done(self, batch: list[_Queued]) -> None:
        del self._queue[: len(batch)]
        if self._spooled:
            self._spooled = max(0, self._spooled - len(batch))
            if self._spooled == 0:
                self._spool.unlink(missing_ok=True)
        for _, written in batch:
            if written is not None:
                written()

    def _keep_on_disk(self) -> None:
        fresh = self._queue[self._spooled :]
        if not fresh:
            return
        self._spool.parent.mkdir(parents=True, exist_ok=True)
        try:
            with self._spool.open("a") as file:
                file.writelines(change.to_json() + "\n" for change, _ in fresh)
                file.flush()
                os.fsync(file.fileno())
        except OSError as error:  # a full disk: memory still holds everything
            log.error("journal.spool_failed", error=str(error), backlog=self.backlog)
            return
        self._spooled = len(self._queue)


def _readable(lines: Iterable[str]) -> Iterable[Change]:
    for line in lines:
        try:
            yield Change.from_json(line)
        except (ValueError, KeyError, TypeError):  # the line that a crash cut off
            log.warning("journal.spool_line_unreadable", line=line[:200])


def write(session: Session, changes: list[Change]) -> None:
    """Write changes in order, few statements whatever their number. Idempotent."""
    inserts = [change.insert for change in changes if change.insert is not None]
    connection = session.connection()
    for rows in _alike(inserts):
        connection.execute(_INSERT_CALL, rows)
    for columns, rows in _updates(changes).items():
        connection.execute(_update_statement(columns), rows)
    for change in changes:
        if change.supervision is not None:
            _write_supervision(session, change.supervision)
    timeline = [
        {"call_id": change.call_id, "key": key, "occurred_at": at, "type": type, "data": data}
        for change in changes
        for key, at, type, data in change.timeline
    ]
    if timeline:
        connection.execute(_INSERT_EVENT, timeline)
    for change in changes:
        if change.recording is not None:
            _write_recording(session, change.recording)
        if change.amd is not None:
            _write_amd(session, change.amd)
        for table, row in change.rows:
            _write_row(session, _KEPT_ROWS[table], row)
    publish_many(
        session,
        [
            {
                "key": f"{change.call_id.hex}:{type}:{data.get('key', '')}",
                "tenant_id": change.tenant_id,
                "type": type,
                "data": data,
                "occurred_at": at,
            }
            for change in changes
            for type, at, data in change.events
        ],
    )


def _alike(rows: list[dict[str, Any]]) -> Iterable[list[dict[str, Any]]]:
    """Rows of the same columns together."""
    groups: dict[tuple[str, ...], list[dict[str, Any]]] = {}
    for row in rows:
        groups.setdefault(tuple(row), []).append(row)
    return groups.values()


def _updates(changes: list[Change]) -> dict[tuple[str, ...], list[dict[str, Any]]]:
    """Merge each call's updates; group them by the columns that they set."""
    merged: dict[UUID, tuple[Change, dict[str, Any]]] = {}
    for change in changes:
        if change.update:
            merged.setdefault(change.call_id, (change, {}))[1].update(change.update)
    groups: dict[tuple[str, ...], list[dict[str, Any]]] = {}
    for change, columns in merged.values():
        row = {f"set_{name}": value for name, value in columns.items()}
        row |= {"call": change.call_id, "at": change.initiated_at}
        groups.setdefault(tuple(sorted(columns)), []).append(row)
    return groups


@lru_cache
def _update_statement(columns: tuple[str, ...]) -> Any:
    # The first end of a call stands: what comes later from a replay or a second report is stale.
    return (
        update(_CALLS)
        .where(_CALLS.c.id == bindparam("call"), _CALLS.c.initiated_at == bindparam("at"))
        .where(*(_CALLS.c.status != status.value for status in ENDED))  # executemany takes no IN
        .values({name: bindparam(f"set_{name}") for name in columns})
    )


def _write_supervision(session: Session, columns: dict[str, Any]) -> None:
    """The end of a leg stands, as a call's does."""
    statement = insert(SupervisionRecord).values(columns)
    session.execute(
        statement.on_conflict_do_update(
            index_elements=["id"], set_=columns, where=SupervisionRecord.status != Status.ENDED
        )
    )


def _write_recording(session: Session, columns: dict[str, Any]) -> None:
    statement = insert(Recording).values(status=RecordingStatus.RECORDING, **columns)
    session.execute(statement.on_conflict_do_nothing(index_elements=["path"]))


def _write_amd(session: Session, columns: dict[str, Any]) -> None:
    if "result" in columns:
        statement = insert(AmdResult).values(columns)
        session.execute(statement.on_conflict_do_nothing(index_elements=["call_id"]))
    else:
        of_call = AmdResult.call_id == columns["call_id"]
        session.execute(update(AmdResult).where(of_call).values(columns))


def _write_row(session: Session, table: Table, row: dict[str, Any]) -> None:
    keys = [column.name for column in table.primary_key]
    others = {name: value for name, value in row.items() if name not in keys}
    statement = insert(table).values(row)
    session.execute(statement.on_conflict_do_update(index_elements=keys, set_=others))


def unfinished_calls(session: Session, node: str) -> list[Call]:
    """Calls that, by their rows, live on a node."""
    statement = select(Call).where(Call.node == node, Call.status.in_(LIVE))
    return list(session.scalars(statement))
