"""Long inbound messages put together."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from uuid import uuid4

from sqlalchemy import delete, func, select
from sqlalchemy.dialects.postgresql import insert

from irisx.kernel import clock
from irisx.kernel.db import transaction
from irisx.messaging.channels.sms.smpp.models import SmsPart
from irisx.messaging.channels.sms.smpp.text import Part
from irisx.messaging.receiving import storable

#: Parts that wait longer are of a message that will never be whole; their number comes again.
PATIENCE = timedelta(hours=1)


@dataclass(frozen=True, slots=True)
class Whole:
    """A whole text. `reference` is the same when its last part is delivered again; a message of one
    part has nothing by which a repetition could be known. `parts`: rows to forget once it is
    stored."""

    text: str
    reference: str
    parts: Sequence[int] = ()


def collect(account_id: int, source: str, destination: str, part: Part) -> Whole | None:
    """The message that this part completes; None: others are missing still."""
    if part.total == 1:
        return Whole(part.text, uuid4().hex)
    same = {
        "account_id": account_id,
        "source": storable(source),
        "destination": storable(destination),
        "reference": part.reference,
        "total": part.total,
    }
    with transaction() as session:
        # Two last parts at the same moment must not each wait for the other.
        key = func.hashtextextended(" ".join(map(str, same.values())), 0)
        session.execute(select(func.pg_advisory_xact_lock(key)))
        session.execute(delete(SmsPart).where(SmsPart.created_at < clock.now() - PATIENCE))
        row = insert(SmsPart).values(**same, number=part.number, text=storable(part.text))
        session.execute(row.on_conflict_do_nothing())
        mine = select(SmsPart).filter_by(**same).order_by(SmsPart.number)
        parts = session.scalars(mine).all()
    if len(parts) < part.total:
        return None
    ids = [each.id for each in parts]
    reference = hashlib.sha256(repr(ids).encode()).hexdigest()[:32]
    return Whole("".join(each.text for each in parts), reference, ids)


def forget(whole: Whole) -> None:
    """Its message is stored; before that a crash must find the parts again."""
    if whole.parts:
        with transaction() as session:
            session.execute(delete(SmsPart).where(SmsPart.id.in_(whole.parts)))
