"""What a change of status makes happen (events, usage, leaving the queue), written a batch at once.

Workers settle many messages in one transaction; a statement for each effect of each message would
cost more than everything else. Outside of `batched` an effect is written at once.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from sqlalchemy import delete, insert
from sqlalchemy.orm import Session

from irisx.kernel import events
from irisx.messaging.models import MessageExchange, QueueEntry
from irisx.tenancy import usage

_BATCH = "irisx_message_effects"


@dataclass
class Effects:
    """`events`: rows of `kernel.events.publish_many`, `usage`: of `tenancy.usage.record_many`;
    `left`: messages that are not ours to send any more; `exchanges`: rows of the log."""

    events: list[dict[str, Any]] = field(default_factory=list)
    usage: list[dict[str, Any]] = field(default_factory=list)
    left: list[UUID] = field(default_factory=list)
    exchanges: list[dict[str, Any]] = field(default_factory=list)

    def write(self, session: Session) -> None:
        if self.left:
            session.execute(delete(QueueEntry).where(QueueEntry.message_id.in_(self.left)))
        if self.exchanges:
            # Not session.add: that inserts each alone, to learn its key.
            session.execute(insert(MessageExchange), self.exchanges)
        usage.record_many(session, self.usage)
        events.publish_many(session, self.events)


@contextmanager
def batched(session: Session) -> Iterator[None]:
    """Effects in this block are written together at its end, in the same transaction."""
    session.info[_BATCH] = effects = Effects()
    try:
        yield
    finally:
        del session.info[_BATCH]
    effects.write(session)


@contextmanager
def collecting(session: Session) -> Iterator[Effects]:
    """Where to put effects: the batch that is open, or one that is written at the end of this."""
    batch = session.info.get(_BATCH)
    if batch is not None:
        yield batch
        return
    effects = Effects()
    yield effects
    effects.write(session)
