"""A message is accepted: its row and its entry in the queue, in one transaction."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID, uuid4, uuid5

from sqlalchemy import delete, select
from sqlalchemy.orm import Session

from irisx.kernel import clock
from irisx.kernel.db import transaction
from irisx.kernel.errors import Conflict, IrisxError, NotFound, invalid
from irisx.kernel.jobs import wake
from irisx.messaging import accounts
from irisx.messaging.channels import channel as channel_of
from irisx.messaging.channels.sandbox import NAME as SANDBOX
from irisx.messaging.conversations.linking import link_outbound
from irisx.messaging.models import Message, ProviderAccount, QueueEntry
from irisx.messaging.states import WAITING, Category, Direction, MessageStatus
from irisx.messaging.statuses import move
from irisx.messaging.suppressions import suppressed
from irisx.tenancy import idempotency
from irisx.tenancy.access import Caller

#: What `kernel.jobs.wake` is told when there is something to send.
TOPIC = "messages.send"
#: Origin of the answer to a keyword such as STOP.
KEYWORD = "keyword"
MAX_DELAY = timedelta(days=35)
_REPEATED = UUID("0a4f7c62-58a5-4d0c-9a53-5f1c9e1f0d2b")


@dataclass(frozen=True, kw_only=True)
class NewMessage:
    """A message that its channel has checked; addresses are in the channel's form.

    `keyword`: it answers STOP, and goes to one who has opted out. `test`: it must not leave the
    sandbox. `ids`: where a repeated request must not make a second message (`repeatable_ids`): the
    new message's id, and the one that it would have had yesterday.
    """

    channel: str
    from_: str
    to: str
    body: str
    media_urls: Sequence[str] = ()
    content: Mapping[str, Any] = field(default_factory=dict)
    metadata: Mapping[str, Any] = field(default_factory=dict)
    segments: int = 1
    category: Category = Category.TRANSACTIONAL
    origin: str = "api"
    send_at: datetime | None = None
    expires_at: datetime | None = None
    conversation_id: int | None = None
    keyword: bool = False
    test: bool = False
    ids: tuple[UUID, UUID] | None = None


def accept(session: Session, tenant_id: int, new: NewMessage) -> Message:
    """Store a message to be sent; `wake_senders` after the commit makes it quick.

    Raises Conflict RECIPIENT_OPTED_OUT or RECIPIENT_SUPPRESSED, Unavailable NO_PROVIDER_ACCOUNT,
    ValidationError about `send_at` or `expires_at`. A message of `ids` that is there already is
    answered.
    """
    (result,) = accept_many(session, tenant_id, [new])
    if isinstance(result, IrisxError):
        raise result
    return result


def accept_many(
    session: Session, tenant_id: int, news: Sequence[NewMessage]
) -> list[Message | IrisxError]:
    """Store messages of one channel in few statements; of each the message, or what `accept` would
    have raised."""
    if not news:
        return []
    now = clock.now()
    channel = news[0].channel
    before = _accepted_before(session, tenant_id, news, now)
    keys = [(tenant_id, channel, new.to) for new in news if not new.keyword]
    reasons = suppressed(session, keys)
    every = accounts.of_channel(session, tenant_id, channel)
    results: list[Message | IrisxError] = []
    fresh: list[Message] = []
    for new in news:
        known = next((before[key] for key in new.ids or () if key in before), None)
        if known is not None:
            results.append(known)
            continue
        try:
            _check_times(new, now)
            if not new.keyword:
                _refuse(new.to, reasons.get((tenant_id, channel, new.to)))
            account = None if new.test else accounts.pick(every, channel, new.from_)
        except IrisxError as error:
            results.append(error)
            continue
        fresh.append(_message(tenant_id, new, account, now))
        results.append(fresh[-1])
    link_outbound(session, tenant_id, fresh)
    session.add_all(fresh)
    session.add_all(_entry(message, now) for message in fresh)
    return results


def _message(
    tenant_id: int, new: NewMessage, account: ProviderAccount | None, now: datetime
) -> Message:
    due = max(new.send_at or now, now)
    return Message(
        id=new.ids[0] if new.ids else uuid4(),
        created_at=now,
        tenant_id=tenant_id,
        channel=new.channel,
        direction=Direction.OUTBOUND,
        status=MessageStatus.SCHEDULED if due > now else MessageStatus.QUEUED,
        category=new.category,
        from_address=new.from_,
        to_address=new.to,
        body=new.body,
        media_urls=list(new.media_urls),
        content=dict(new.content),
        metadata_=dict(new.metadata),
        segments=new.segments,
        origin=KEYWORD if new.keyword else new.origin,
        sandbox=account is None or accounts.is_sandbox(account),
        provider=account.provider if account else SANDBOX,
        account_id=account.id if account else None,
        conversation_id=new.conversation_id,
        send_at=new.send_at,
        expires_at=new.expires_at or due + channel_of(new.channel).validity,
    )


def _entry(message: Message, now: datetime) -> QueueEntry:
    return QueueEntry(
        message_id=message.id,
        message_created_at=message.created_at,
        tenant_id=message.tenant_id,
        lane=lane_of(message.tenant_id, message.account_id),
        account_id=message.account_id,
        due_at=max(message.send_at or now, now),
        attempts=0,
        handed=False,
        pinned=False,
        tried=[],
    )


def lane_of(tenant_id: int, account_id: int | None) -> int:
    """What a rate holds for: an account, or the sandbox of a tenant."""
    return account_id if account_id is not None else -tenant_id


def wake_senders() -> None:
    """Call it after the transaction that accepted something."""
    wake(TOPIC)


def repeatable_ids(caller: Caller, index: int = 0) -> tuple[UUID, UUID] | None:
    """Ids of the n-th message of a request with an Idempotency-Key, if it was made today or
    yesterday.

    The kept answer of a POST is written after the messages: a crash between them must not send
    twice.
    """
    if caller.idempotency_key is None:
        return None
    moment = clock.now()
    today, yesterday = (
        uuid5(_REPEATED, f"{caller.tenant_id} {day:%Y-%m-%d} {caller.idempotency_key} {index}")
        for day in (moment, moment - idempotency.KEPT)
    )
    return today, yesterday


def _accepted_before(
    session: Session, tenant_id: int, news: Sequence[NewMessage], now: datetime
) -> dict[UUID, Message]:
    """Messages that an earlier request with the same key made."""
    ids = [key for new in news for key in new.ids or ()]
    if not ids:
        return {}
    query = select(Message).where(
        Message.id.in_(ids),
        Message.tenant_id == tenant_id,
        Message.created_at > now - idempotency.KEPT,
    )
    return {message.id: message for message in session.scalars(query)}


def refuse_suppressed(session: Session, tenant_id: int, channel: str, address: str) -> None:
    """Raises Conflict for an address that gets nothing."""
    key = (tenant_id, channel, address)
    _refuse(address, suppressed(session, [key]).get(key))


def _refuse(address: str, reason: str | None) -> None:
    if reason == "opt_out":
        raise Conflict(f"{address} has opted out of messages from you.", code="RECIPIENT_OPTED_OUT")
    if reason is not None:
        raise Conflict(
            f"{address} is suppressed ({reason}); see /v1/messaging/suppressions.",
            code="RECIPIENT_SUPPRESSED",
        )


def find(
    session: Session, tenant_id: int, message_id: UUID, *, lock: bool = False
) -> Message | None:
    """The tenant's message of that id."""
    query = select(Message).filter_by(id=message_id, tenant_id=tenant_id)
    return session.scalar(query.with_for_update() if lock else query)


def cancel(tenant_id: int, message_id: UUID) -> Message:
    """Take back what was not handed to a provider. Raises Conflict ALREADY_SENT."""
    with transaction() as session:
        message = find(session, tenant_id, message_id, lock=True)
        if message is None:
            raise NotFound("There is no message with this id.")
        taken_back = (
            delete(QueueEntry)
            .where(QueueEntry.message_id == message_id, QueueEntry.handed.is_(False))
            .returning(QueueEntry.message_id)
        )
        if message.status not in WAITING or session.scalar(taken_back) is None:
            raise Conflict("The message has been handed to a provider.", code="ALREADY_SENT")
        move(session, message, MessageStatus.CANCELED, clock.now())
    return message


def _check_times(new: NewMessage, now: datetime) -> None:
    if new.send_at is not None and new.send_at > now + MAX_DELAY:
        raise invalid("send_at", f"at most {MAX_DELAY.days} days from now")
    if new.expires_at is not None and new.expires_at <= max(new.send_at or now, now):
        raise invalid("expires_at", "must be later than now and than send_at")
