"""The worker's part, done by a test."""

from collections.abc import Callable
from datetime import timedelta
from uuid import UUID

from sqlalchemy import select, update

from irisx.kernel import clock
from irisx.kernel.db import transaction
from irisx.kernel.events import DomainEvent
from irisx.messaging import accounts
from irisx.messaging.channels.sms import service
from irisx.messaging.channels.sms.service import Text
from irisx.messaging.models import Message, ProviderAccount, QueueEntry, SandboxHappening
from irisx.messaging.sandbox_jobs import happen
from irisx.messaging.sending import Sender
from irisx.messaging.states import MessageStatus
from tests.waiting import wait_until


def text(
    tenant_id: int, to: str = "+15555550110", body: str = "Hello", **fields: object
) -> Message:
    """An accepted text message."""
    with transaction() as session:
        return service.accept(session, tenant_id, to, Text(body=body, **fields))  # type: ignore[arg-type]


def load(message: Message) -> Message:
    with transaction() as session:
        return session.scalars(select(Message).where(Message.id == message.id)).one()


def entry_of(message: Message) -> QueueEntry | None:
    with transaction() as session:
        return session.get(QueueEntry, message.id)


def work(until: Callable[[], object], timeout: float = 10.0) -> None:
    """Run a worker's messaging jobs until something is so."""
    sender = Sender()

    def step() -> object:
        sender.run()
        happen()
        return until()

    wait_until(step, timeout=timeout)
    sender.finish()


def sent_until(message: Message, *statuses: MessageStatus) -> Message:
    """Work until the message has one of the statuses."""
    work(lambda: load(message).status in statuses)
    return load(message)


def due_now(*messages: Message) -> None:
    """What waits for later is due; also leases end, and accounts are neither paused nor demoted."""
    past = clock.now() - timedelta(seconds=1)
    ids: list[UUID] = [message.id for message in messages]
    with transaction() as session:
        session.execute(
            update(QueueEntry).where(QueueEntry.message_id.in_(ids)).values(due_at=past)
        )
        session.execute(update(ProviderAccount).values(paused_until=None))


def happenings_due() -> None:
    with transaction() as session:
        session.execute(update(SandboxHappening).values(due_at=clock.now()))


def events(*types: str) -> list[dict[str, object]]:
    """Data of the domain events of these types, in order."""
    with transaction() as session:
        query = select(DomainEvent).where(DomainEvent.type.in_(types)).order_by(DomainEvent.id)
        return [{"type": row.type, **row.data} for row in session.scalars(query)]


def reload(account: ProviderAccount) -> ProviderAccount:
    return accounts.get(account.tenant_id, account.id)
