"""Where messaging and telephony meet over SIP MESSAGE: one asks, an engine takes and settles.

A row is taken by one engine, and taken back only while none has it, so that the asker knows
whether a text was surely not sent.
"""

from collections.abc import Sequence
from datetime import timedelta
from uuid import UUID

from sqlalchemy import delete, select, update

from irisx.kernel import clock
from irisx.kernel.db import transaction
from irisx.kernel.jobs import wake
from irisx.tenancy.sip_message_models import SipMessage, SipMessageStatus

#: What an engine listens to.
TOPIC = "sip.messages"
#: A row that nobody asks about any more.
_FORGOTTEN = timedelta(hours=1)
_S = SipMessageStatus


def ask(row: SipMessage) -> None:
    """Have an engine send it."""
    with transaction() as session:
        session.merge(row)
    wake(TOPIC)


def outcome(message_id: UUID, attempt: int) -> SipMessage | None:
    """The row once it is settled, which forgets it; None before."""
    settled = (
        delete(SipMessage)
        .where(
            SipMessage.message_id == message_id,
            SipMessage.attempt == attempt,
            SipMessage.status.not_in([_S.ASKED, _S.SENDING]),
        )
        .returning(SipMessage)
    )
    with transaction() as session:
        return session.scalars(settled).one_or_none()


def take_back(message_id: UUID, attempt: int) -> bool:
    """Forget what no engine has taken; False if one has it."""
    asked = (
        delete(SipMessage)
        .where(
            SipMessage.message_id == message_id,
            SipMessage.attempt == attempt,
            SipMessage.status == _S.ASKED,
        )
        .returning(SipMessage.message_id)
    )
    with transaction() as session:
        return session.scalars(asked).one_or_none() is not None


def take(limit: int) -> Sequence[SipMessage]:
    """Rows for an engine to send, oldest first."""
    asked = (
        select(SipMessage)
        .where(SipMessage.status == _S.ASKED)
        .order_by(SipMessage.created_at)
        .limit(limit)
        .with_for_update(skip_locked=True)
    )
    with transaction() as session:
        rows = session.scalars(asked).all()
        for row in rows:
            row.status = _S.SENDING
    return rows


def settle(row: SipMessage, status: SipMessageStatus, detail: str | None = None) -> None:
    """Write down what became of a row that was taken."""
    values = {"status": status, "detail": detail and detail[:300]}
    mine = update(SipMessage).where(
        SipMessage.message_id == row.message_id, SipMessage.attempt == row.attempt
    )
    with transaction() as session:
        session.execute(mine.values(values))


def forget_old() -> bool:
    """The job that deletes rows whose asker has gone."""
    old = delete(SipMessage).where(SipMessage.created_at < clock.now() - _FORGOTTEN)
    with transaction() as session:
        session.execute(old)
    return False
