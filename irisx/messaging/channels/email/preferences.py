"""What recipients decide by the link in a message: nothing more, everything again, which lists.

Lists are shown by their public names only; one that has none is the tenant's own affair.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from uuid import UUID

from sqlalchemy import delete, select
from sqlalchemy.orm import Session

from irisx.kernel.db import transaction
from irisx.kernel.errors import NotFound
from irisx.messaging import suppressions
from irisx.messaging.channels.email.engagement import UNSUBSCRIBE, find, note, tell
from irisx.messaging.contacts import consents, lists
from irisx.messaging.contacts.models import ContactList, ContactListMember
from irisx.messaging.models import Message
from irisx.messaging.statuses import sid_of
from irisx.tenancy import contacts

#: A page shows no more lists.
MAX_TOPICS = 100
_PAGE = "preference page"


@dataclass(frozen=True, slots=True)
class Topic:
    """A list with a public name; `joined`: the recipient is on it."""

    list_id: str
    name: str
    joined: bool


@dataclass(frozen=True, slots=True)
class Preferences:
    """Of the recipient of a message. `gone`: the address gets nothing any more."""

    address: str
    gone: bool
    topics: Sequence[Topic]


def of_recipient(message_id: UUID) -> Preferences:
    """Raises NotFound if the message, or its recipient, was erased; so do the others."""
    with transaction() as session:
        return _shown(session, _message(session, message_id))


def unsubscribe(message_id: UUID, user_agent: str) -> Preferences:
    """The recipient gets nothing any more; a second time changes nothing."""
    with transaction() as session:
        message = _message(session, message_id)
        key = (message.tenant_id, message.channel, message.to_address)
        if key not in suppressions.suppressed(session, [key]):
            consents.note(
                session, *key, consents.OPT_OUT, source=sid_of(message), evidence="unsubscribe link"
            )
            note(session, message, UNSUBSCRIBE, user_agent, None, machine=False)
            tell(session, message, "unsubscribed", {})
        return _shown(session, message)


def resubscribe(message_id: UUID) -> Preferences:
    """Take an unsubscription back; bounces and complaints stay."""
    with transaction() as session:
        message = _message(session, message_id)
        key = (message.tenant_id, message.channel, message.to_address)
        if suppressions.suppressed(session, [key]).get(key) == "opt_out":
            consents.note(session, *key, consents.OPT_IN, source=sid_of(message), evidence=_PAGE)
        return _shown(session, message)


def choose(message_id: UUID, wanted: Collection[str]) -> Preferences:
    """Be on these of the lists that are shown, and on none of the others that are. Ids of other
    lists mean nothing."""
    with transaction() as session:
        message = _message(session, message_id)
        before = _topics(session, message)
        joins = [t for t in before if t.list_id in wanted and not t.joined]
        leaves = [t for t in before if t.list_id not in wanted and t.joined]
        if joins or leaves:
            contact = contacts.find_or_create(
                session, message.tenant_id, contacts.EMAIL, message.to_address
            )
            for topic in joins:
                lists.put_on(session, _key(topic), [contact.id])
            session.execute(
                delete(ContactListMember).where(
                    ContactListMember.contact_id == contact.id,
                    ContactListMember.list_id.in_([_key(topic) for topic in leaves]),
                )
            )
            ids = {"joined": joins, "left": leaves}
            chosen = {word: [topic.list_id for topic in topics] for word, topics in ids.items()}
            tell(session, message, "preferences_changed", chosen)
        return _shown(session, message)


def _key(topic: Topic) -> int:
    return int(topic.list_id.rpartition("_")[2])


def _shown(session: Session, message: Message) -> Preferences:
    key = (message.tenant_id, message.channel, message.to_address)
    gone = key in suppressions.suppressed(session, [key])
    return Preferences(message.to_address, gone, _topics(session, message))


def _topics(session: Session, message: Message) -> list[Topic]:
    public = (
        select(ContactList)
        .where(ContactList.tenant_id == message.tenant_id, ContactList.public_name.is_not(None))
        .order_by(ContactList.public_name, ContactList.id)
        .limit(MAX_TOPICS)
    )
    found = session.scalars(public).all()
    contact = contacts.find(session, message.tenant_id, contacts.EMAIL, message.to_address)
    joined: Collection[int] = ()
    if contact is not None and found:
        mine = select(ContactListMember.list_id).filter_by(contact_id=contact.id)
        joined = set(session.scalars(mine))
    return [Topic(row.public_id, row.public_name or "", row.id in joined) for row in found]


def _message(session: Session, message_id: UUID) -> Message:
    message = find(session, message_id)
    if message is None or "@" not in message.to_address:
        raise NotFound("The message that this link is from is no longer there.")
    return message
