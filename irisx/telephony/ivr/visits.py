"""What calls did in flows, written behind their back: no call ever waits for the database here."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, cast

import gevent
import structlog
from gevent.event import Event as Signal
from sqlalchemy import Table
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.exc import OperationalError, SQLAlchemyError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from irisx.kernel.clock import now
from irisx.kernel.db import Base, transaction
from irisx.settings import get_settings
from irisx.telephony.calls.live import LiveCall
from irisx.telephony.ivr.flow import Node
from irisx.telephony.ivr.step import RecordingRequest
from irisx.telephony.ivr.visit_models import Message, Visit
from irisx.telephony.ivr.walk import Position

log = structlog.get_logger()

#: The outcome of a node in which the call ended, or was taken out of its flow by command.
HUNG_UP = "hung-up"
TAKEN_OUT = "taken-out"
_BATCH = 500
_RETRY_SECONDS = 1.0
_GATHER_SECONDS = 0.05
#: With the database away for long, the oldest rows go: they are statistics, not calls.
_MOST_KEPT = 200_000


def record(
    call: LiveCall,
    position: Position,
    node: Node,
    *,
    step: int,
    entered_at: datetime,
    outcome: str,
) -> None:
    """A node is left. Returns at once."""
    row = {
        "call_id": call.id,
        "step": step,
        "entered_at": entered_at,
        "tenant_id": call.tenant_id,
        "version_id": position.place.version,
        "node": node.id,
        "node_type": node.type,
        "left_at": now(),
        "outcome": outcome,
    }
    _writer.add(Visit, row)


def message(call: LiveCall, file: Path, request: RecordingRequest) -> None:
    """A message begins. Returns at once."""
    row = {
        "tenant_id": call.tenant_id,
        "call_id": call.id,
        "mailbox": request.mailbox,
        "path": str(file.relative_to(get_settings().recording_path)),
        "min_ms": request.min_seconds * 1000,
        "from_number": call.customer_number,
    }
    _writer.add(Message, row)


def recording_file(call: LiveCall, number: int) -> Path:
    """Where the caller's own recording of a flow is written; the same again on a replay."""
    name = f"{call.initiated_at:%Y/%m/%d}/{call.tenant_id}/{call.sid}-flow{number}.wav"
    return get_settings().recording_path / name


_Row = tuple[type[Base], Mapping[str, Any]]


class _Writer:
    """Rows that wait, and the greenlet that writes them while there are any."""

    def __init__(self) -> None:
        self._rows: list[_Row] = []
        self._written = Signal()
        self._written.set()

    def add(self, model: type[Base], row: Mapping[str, Any]) -> None:
        self._rows.append((model, row))
        del self._rows[:-_MOST_KEPT]
        if self._written.is_set():
            self._written.clear()
            gevent.spawn(self._run)

    def flush(self, timeout: float) -> bool:
        """Wait until all is written; False if it was not in `timeout` seconds."""
        return bool(self._written.wait(timeout))

    def _run(self) -> None:
        gevent.sleep(_GATHER_SECONDS)
        while self._rows:
            batch = self._rows[:_BATCH]
            try:
                _write(batch)
            except (OperationalError, PoolTimeout) as error:
                log.warning("ivr.visits_wait", waiting=len(self._rows), error=str(error)[:200])
                gevent.sleep(_RETRY_SECONDS)
                continue
            except SQLAlchemyError:
                self._write_one_by_one(batch)
            del self._rows[: len(batch)]
        self._written.set()

    def _write_one_by_one(self, batch: Sequence[_Row]) -> None:
        """A batch that PostgreSQL refuses holds a faulty row: it alone is dropped."""
        for row in batch:
            try:
                _write([row])
            except SQLAlchemyError as error:
                log.error("ivr.row_refused", table=row[0].__tablename__, error=str(error)[:200])


def _write(batch: Sequence[_Row]) -> None:
    with transaction() as session:
        for model in dict.fromkeys(model for model, _ in batch):
            rows = [row for kind, row in batch if kind is model]
            table = cast(Table, model.__table__)
            session.connection().execute(insert(table).on_conflict_do_nothing(), rows)


_writer = _Writer()


def flush(timeout: float) -> bool:
    """Wait until everything so far is in the database; False if it is not in `timeout` seconds."""
    return _writer.flush(timeout)
