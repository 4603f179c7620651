"""What the database knows of supervisors."""

from collections.abc import Collection, Iterable
from uuid import UUID

from sqlalchemy import func, select, update
from sqlalchemy.orm import Session

from irisx.telephony.supervision.models import SupervisionRecord
from irisx.telephony.supervision.state import Status

_GONE = "ENDED_WITHOUT_ENGINE"


def end_gone(session: Session, node: str, channels: Collection[str]) -> None:
    """Close the records of legs that a node has no more and whose end no engine has seen."""
    open_here = select(SupervisionRecord.id).where(
        SupervisionRecord.node == node, SupervisionRecord.status != Status.ENDED
    )
    gone = [leg for leg in session.scalars(open_here) if str(leg) not in channels]
    if gone:
        session.execute(
            update(SupervisionRecord)
            .where(SupervisionRecord.id.in_(gone))
            .values(status=Status.ENDED, ended_at=func.now(), reason=_GONE)
        )


def of_calls(session: Session, call_ids: Iterable[UUID]) -> list[SupervisionRecord]:
    """The supervisors who are on these calls now."""
    return list(
        session.scalars(
            select(SupervisionRecord)
            .where(
                SupervisionRecord.call_id.in_(list(call_ids)),
                SupervisionRecord.status != Status.ENDED,
            )
            .order_by(SupervisionRecord.started_at)
        )
    )
