"""Every message finds its conversation and its contact, in the transaction that stores it."""

from datetime import datetime, timedelta

from sqlalchemy import case, func, select, update
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


def link_outbound(session: Session, message: Message) -> None:
    """The conversation that a message to be sent belongs to, if there is one; its contact, if it
    is one. A campaign does not fill the inbox: who never wrote has no conversation."""
    mine = select(Conversation).filter_by(tenant_id=message.tenant_id)
    if message.conversation_id is not None:
        mine = mine.where(Conversation.id == message.conversation_id)
    else:
        mine = mine.filter_by(
            channel=message.channel,
            our_address=message.from_address,
            their_address=message.to_address,
            thread="",
        )
    conversation = session.scalar(mine)
    if conversation is not None:
        message.conversation_id = conversation.id
        message.contact_id = conversation.contact_id
        touched = update(Conversation).where(Conversation.id == conversation.id)
        session.execute(touched.values(last_message_at=message.created_at))
        return
    kind = channel_of(message.channel).identity
    contact = contacts.find(session, message.tenant_id, kind, message.to_address)
    message.contact_id = contact.id if contact else None


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
