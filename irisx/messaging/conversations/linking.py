"""Every message finds its conversation and its contact, in the transaction that stores it."""

from collections.abc import Sequence
from datetime import datetime, timedelta

from sqlalchemy import case, func, select, tuple_, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from irisx.kernel.events import publish
from irisx.messaging.channels import channel as channel_of
from irisx.messaging.conversations.models import Conversation, ConversationStatus
from irisx.messaging.models import Message
from irisx.messaging.states import Direction
from irisx.tenancy import contacts
from irisx.tenancy.contact_models import Contact

#: A first answer takes up what was sent to its writer so lately.
_TAKEN_UP = timedelta(days=7)


def link_inbound(
    session: Session, message: Message, *, name: str | None = None, thread: str = ""
) -> Conversation:
    """The conversation of an inbound message, opened if need be; its writer becomes a contact."""
    channel = channel_of(message.channel)
    contact = _writer(session, message, channel.identity, name)
    at = message.created_at
    window = at + channel.window if channel.window is not None else None
    fresh = insert(Conversation).values(
        tenant_id=message.tenant_id,
        channel=message.channel,
        our_address=message.to_address,
        their_address=message.from_address,
        thread=thread,
        contact_id=contact.id if contact else None,
        status=ConversationStatus.OPEN,
        labels=[],
        sandbox=message.sandbox,
        unread=1,
        last_message_at=at,
        last_inbound_at=at,
        window_expires_at=window,
    )
    stored = fresh.on_conflict_do_update(
        index_elements=["tenant_id", "channel", "our_address", "their_address", "thread"],
        set_={
            "status": ConversationStatus.OPEN,
            "snoozed_until": None,
            "unread": Conversation.unread + 1,
            "contact_id": func.coalesce(Conversation.contact_id, fresh.excluded.contact_id),
            "last_message_at": at,
            "last_inbound_at": at,
            "window_expires_at": window,
        },
    ).returning(Conversation)
    conversation = session.scalars(stored, execution_options={"populate_existing": True}).one()
    message.conversation_id, message.contact_id = conversation.id, conversation.contact_id
    if conversation.created_at >= at and conversation.unread == 1:
        _begun(session, conversation, at)
    return conversation


def link_outbound(session: Session, tenant_id: int, messages: Sequence[Message]) -> None:
    """The conversations that messages to be sent belong to, if there are any; their contacts, if
    they are ones. A campaign does not fill the inbox: who never wrote has no conversation."""
    if not messages:
        return
    by_id, by_addresses = _conversations(session, tenant_id, messages)
    rest = []
    for message in messages:
        conversation = (
            by_id.get(message.conversation_id)
            if message.conversation_id is not None
            else by_addresses.get((message.channel, message.from_address, message.to_address))
        )
        if conversation is None:
            rest.append(message)
            continue
        message.conversation_id = conversation.id
        message.contact_id = conversation.contact_id
        conversation.last_message_at = message.created_at
    kind = channel_of(messages[0].channel).identity
    known = contacts.ids_of(session, tenant_id, kind, [message.to_address for message in rest])
    for message in rest:
        message.contact_id = known.get(message.to_address)


def _conversations(
    session: Session, tenant_id: int, messages: Sequence[Message]
) -> tuple[dict[int, Conversation], dict[tuple[str, str, str], Conversation]]:
    """By id those that are named, by channel and addresses those that are not threads."""
    ids = {m.conversation_id for m in messages if m.conversation_id is not None}
    addresses = {(m.channel, m.from_address, m.to_address) for m in messages}
    pair = tuple_(Conversation.channel, Conversation.our_address, Conversation.their_address)
    unnamed = pair.in_(addresses) & (Conversation.thread == "")
    mine = select(Conversation).where(
        Conversation.tenant_id == tenant_id, Conversation.id.in_(ids) | unnamed
    )
    found = session.scalars(mine).all()
    return {row.id: row for row in found}, {
        (row.channel, row.our_address, row.their_address): row for row in found if not row.thread
    }


def wake_snoozed(session: Session, now: datetime) -> int:
    """Open what was snoozed until now; how many."""
    due = (
        update(Conversation)
        .where(Conversation.status == ConversationStatus.SNOOZED, Conversation.snoozed_until <= now)
        .values(status=ConversationStatus.OPEN, snoozed_until=None)
        .returning(Conversation.id)
    )
    return len(session.execute(due).all())


def _writer(session: Session, message: Message, kind: str, name: str | None) -> Contact | None:
    """None for an address that is no identity, such as a short code."""
    try:
        address = contacts.normalise(kind, message.from_address)
    except ValueError:
        return None
    return contacts.find_or_create(session, message.tenant_id, kind, address, name)


def _begun(session: Session, conversation: Conversation, at: datetime) -> None:
    """A new conversation: it takes up what had been sent before, and is told of."""
    before = update(Message).where(
        Message.tenant_id == conversation.tenant_id,
        Message.to_address == conversation.their_address,
        Message.created_at > at - _TAKEN_UP,
        Message.channel == conversation.channel,
        Message.from_address == conversation.our_address,
        Message.direction == Direction.OUTBOUND,
        Message.conversation_id.is_(None),
    )
    session.execute(
        before.values(
            conversation_id=conversation.id,
            contact_id=case(
                (Message.contact_id.is_(None), conversation.contact_id), else_=Message.contact_id
            ),
        ).execution_options(synchronize_session=False)
    )
    publish(
        session,
        key=f"conversation:{conversation.id}",
        tenant_id=conversation.tenant_id,
        type="conversation.created",
        data={
            "id": conversation.public_id,
            "channel": conversation.channel,
            "our_address": conversation.our_address,
            "their_address": conversation.their_address,
            "contact_id": f"con_{conversation.contact_id}" if conversation.contact_id else None,
            "sandbox": conversation.sandbox,
        },
        occurred_at=at,
    )
