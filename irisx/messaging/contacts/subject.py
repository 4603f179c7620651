"""What the law gives the person behind a contact: a copy of everything, and its erasure."""

from typing import Any

from sqlalchemy import delete, select, update
from sqlalchemy.orm import Session

from irisx.kernel.db import transaction
from irisx.messaging import media
from irisx.messaging.channels.email.campaigns.models import EmailCampaignRecipient
from irisx.messaging.contacts import consents
from irisx.messaging.contacts.models import ConsentRecord, ContactActivity
from irisx.messaging.contacts.service import ContactView, view
from irisx.messaging.conversations.models import Conversation, ConversationNote
from irisx.messaging.models import MediaFile, Message, MessageExchange, QueueEntry
from irisx.messaging.states import MessageStatus
from irisx.messaging.statuses import described
from irisx.tenancy import audit, rows
from irisx.tenancy.access import Actor
from irisx.tenancy.contact_models import Contact

#: More than a person's history holds; what is beyond is in the message list.
MAX_MESSAGES = 10_000
ERASED = "erased"


def export(tenant_id: int, contact_id: int) -> tuple[ContactView, dict[str, Any]]:
    """The contact, and everything that is kept about it: consents, activities, messages."""
    with transaction() as session:
        row = rows.fetch(session, Contact, contact_id, tenant_id=tenant_id)
        messages = select(Message).filter_by(tenant_id=tenant_id, contact_id=row.id)
        latest = messages.order_by(Message.created_at.desc()).limit(MAX_MESSAGES)
        activities = select(ContactActivity).filter_by(contact_id=row.id)
        return view(session, row), {
            "consents": consents.of_contact(session, row),
            "activities": session.scalars(activities.order_by(ContactActivity.id)).all(),
            "messages": [described(message) for message in session.scalars(latest)],
        }


def erase(by: Actor, tenant_id: int, contact_id: int) -> int:
    """Erase a person: the contact with all addresses, and the content, files and addresses of
    every message, with what was said about it. How many messages there were.

    Suppressions stay, since they keep the person from being written to again; so do lines of the
    consent ledger, of nobody. What is not sent yet will not be.
    """
    with transaction() as session:
        row = rows.fetch(session, Contact, contact_id, tenant_id=tenant_id, lock=True)
        mine = select(Message.id).filter_by(tenant_id=tenant_id, contact_id=row.id)
        ids = session.scalars(mine.order_by(Message.id).with_for_update()).all()
        waiting = delete(QueueEntry).where(QueueEntry.message_id.in_(ids))
        unsent = session.scalars(waiting.returning(QueueEntry.message_id)).all()
        session.execute(
            update(Message).where(Message.id.in_(unsent)).values(status=MessageStatus.CANCELED)
        )
        session.execute(delete(MessageExchange).where(MessageExchange.message_id.in_(ids)))
        session.execute(update(Message).where(Message.id.in_(ids)).values(_nothing()))
        media.forget(session, MediaFile.message_id.in_(ids))
        _erase_conversations(session, row)
        session.execute(
            update(EmailCampaignRecipient)
            .where(
                EmailCampaignRecipient.tenant_id == tenant_id,
                EmailCampaignRecipient.contact_id == row.id,
            )
            .values(contact_id=None, address=None)
        )
        session.execute(
            update(ConsentRecord)
            .where(ConsentRecord.tenant_id == tenant_id, ConsentRecord.contact_id == row.id)
            .values(contact_id=None)
        )
        # Not the usual entry: that would keep what is erased.
        audit.record(session, by, "contact.erased", row.public_id, tenant_id=tenant_id)
        session.delete(row)
    return len(ids)


def _erase_conversations(session: Session, row: Contact) -> None:
    talks = select(Conversation.id).filter_by(tenant_id=row.tenant_id, contact_id=row.id)
    ids = session.scalars(talks).all()
    session.execute(delete(ConversationNote).where(ConversationNote.conversation_id.in_(ids)))
    session.execute(delete(Conversation).where(Conversation.id.in_(ids)))


def _nothing() -> dict[Any, Any]:
    """Columns of an erased message that are not statistics."""
    return {
        Message.from_address: ERASED,
        Message.to_address: ERASED,
        Message.body: "",
        Message.media_urls: [],
        Message.content: {},
        Message.metadata_: {},
        Message.reference: None,
        Message.error_message: None,
        Message.contact_id: None,
        Message.conversation_id: None,
    }
