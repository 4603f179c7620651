"""The sandbox provider's future: receipts and replies that it promised when it took a message."""

from sqlalchemy import select
from sqlalchemy.orm import Session

from irisx.kernel import clock
from irisx.kernel.db import transaction
from irisx.messaging.channels.sandbox import NAME
from irisx.messaging.exchanges import RECEIPT, note_received
from irisx.messaging.models import Message, SandboxHappening
from irisx.messaging.provider import Inbound
from irisx.messaging.receiving import store
from irisx.messaging.states import MessageStatus
from irisx.messaging.statuses import move, sid_of

_BATCH = 200


def happen() -> bool:
    """Let happen what is due, in order; True: there may be more."""
    query = (
        select(SandboxHappening)
        .where(SandboxHappening.due_at <= clock.now())
        .order_by(SandboxHappening.due_at, SandboxHappening.id)
        .limit(_BATCH)
        .with_for_update(skip_locked=True)
    )
    with transaction() as session:
        due = session.scalars(query).all()
        for happening in due:
            _happen(session, happening)
            session.delete(happening)
    return len(due) == _BATCH


def _happen(session: Session, happening: SandboxHappening) -> None:
    named = select(Message).filter_by(
        id=happening.message_id, created_at=happening.message_created_at
    )
    message = session.scalar(named.with_for_update())
    if message is None:
        return  # erased meanwhile
    exchange = {"sandbox": True, "sid": sid_of(message)}
    if happening.reply is not None:
        reply = Inbound(
            f"sandbox-reply-{happening.id}",
            from_=message.to_address,
            to=message.from_address,
            body=happening.reply,
        )
        store(
            session,
            message.tenant_id,
            message.channel,
            reply,
            provider=NAME,
            account_id=None,
            exchange=exchange | {"body": happening.reply},
        )
        return
    status = MessageStatus(happening.status or MessageStatus.DELIVERED)
    note_received(session, message, RECEIPT, clock.now(), exchange | {"status": status})
    move(session, message, status, clock.now(), error_code=happening.error_code)
