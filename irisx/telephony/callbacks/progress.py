"""What happens to a callback, told to whoever listens."""

from sqlalchemy.orm import Session

from irisx.kernel import events
from irisx.kernel.clock import isoformat, now
from irisx.kernel.ids import call_sid, public_id
from irisx.telephony.callbacks.models import TRANSITIONS, Callback, CallbackStatus


def finish(session: Session, row: Callback, status: CallbackStatus, *, reason: str | None) -> None:
    """The end of a callback; its row must be locked."""
    assert status in TRANSITIONS[row.status]
    row.status, row.reason, row.ended_at = status, reason, now()
    tell(session, row, status.value)


def tell(session: Session, row: Callback, what: str) -> None:
    session.flush()
    events.publish(
        session,
        key=f"{row.public_id}:{what}:{row.call_id}",
        tenant_id=row.tenant_id,
        type=f"callback.{what}",
        data={
            "callback_id": row.public_id,
            "phone_number": row.phone_number,
            "queue_id": row.queue_id and public_id("queue", row.queue_id),
            "priority": row.priority.value,
            "scheduled_at": isoformat(row.scheduled_at),
            "due_at": isoformat(row.due_at),
            "attempts": row.attempts,
            "call_sid": row.call_id and call_sid(row.call_id),
            "last_result": row.last_result,
            "reason": row.reason,
            "metadata": row.metadata_,
        },
        occurred_at=now(),
    )
