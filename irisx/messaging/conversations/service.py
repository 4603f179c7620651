"""What people do with conversations: answer, assign, label, snooze, resolve, note."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, TypedDict, Unpack

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from irisx.kernel import clock
from irisx.kernel.db import transaction
from irisx.kernel.errors import Conflict, invalid
from irisx.kernel.events import publish
from irisx.messaging import accepting
from irisx.messaging.channels import channel as channel_of
from irisx.messaging.conversations.linking import wake_snoozed
from irisx.messaging.conversations.models import (
    Conversation,
    ConversationNote,
    ConversationStatus,
)
from irisx.messaging.models import Message
from irisx.tenancy import audit, rows
from irisx.tenancy.access import Actor, Caller
from irisx.tenancy.models import User

UPDATED = "conversation.updated"


@dataclass(frozen=True, kw_only=True)
class Reply:
    """An answer in a conversation; `content` is what only its channel understands."""

    body: str
    media_urls: Sequence[str] = ()
    content: Mapping[str, Any] = field(default_factory=dict)


class Fields(TypedDict, total=False):
    """What may be changed. `assignee`: key of a user, or None."""

    status: ConversationStatus
    snoozed_until: datetime | None
    assignee_id: int | None
    labels: Sequence[str]
    read: bool


def get(tenant_id: int, conversation_id: int) -> Conversation:
    with transaction() as session:
        return rows.fetch(session, Conversation, conversation_id, tenant_id=tenant_id)


def list_page(
    tenant_id: int,
    *,
    status: ConversationStatus | None = None,
    channel: str | None = None,
    assignee: str | None = None,
    label: str | None = None,
    contact_id: int | None = None,
    limit: int,
    offset: int,
) -> tuple[Sequence[Conversation], int]:
    """Conversations, the latest message first."""
    mine = select(Conversation).where(Conversation.tenant_id == tenant_id)
    equal = {
        "status": status,
        "channel": channel,
        "assignee": assignee,
        "contact_id": contact_id,
    }
    mine = mine.filter_by(**{name: value for name, value in equal.items() if value is not None})
    if label is not None:
        mine = mine.where(Conversation.labels.contains([label]))
    latest = mine.order_by(Conversation.last_message_at.desc(), Conversation.id.desc())
    with transaction() as session:
        total = session.scalar(select(func.count()).select_from(mine.subquery())) or 0
        return session.scalars(latest.limit(limit).offset(offset)).all(), total


def change(
    by: Actor, tenant_id: int, conversation_id: int, **fields: Unpack[Fields]
) -> Conversation:
    """Set the given fields. Raises ValidationError about `snoozed_until` or `assignee_id`."""
    with transaction() as session:
        row = rows.fetch(session, Conversation, conversation_id, tenant_id=tenant_id, lock=True)
        before = audit.snapshot(row)
        _set_status(row, fields)
        if "assignee_id" in fields:
            row.assignee = _assignee(session, tenant_id, fields["assignee_id"])
        if "labels" in fields:
            row.labels = list(dict.fromkeys(fields["labels"]))
        if fields.get("read"):
            row.unread = 0
        audit.updated(session, by, row, before)
        session.refresh(row)
        _tell(session, row)
    return row


def reply(caller: Caller, conversation_id: int, answer: Reply) -> Message:
    """Answer the customer by the conversation's channel, from the address that was written to.

    Raises Conflict WINDOW_CLOSED where the channel allows free text for a time only, and what the
    channel's own check raises.
    """
    ids = accepting.repeatable_ids(caller)
    with transaction() as session:
        row = rows.fetch(
            session, Conversation, conversation_id, tenant_id=caller.tenant_id, lock=True
        )
        now = clock.now()
        if row.window_expires_at is not None and row.window_expires_at <= now:
            raise Conflict(
                f"Free text could be sent until {clock.isoformat(row.window_expires_at)}, a time "
                "after the customer's last message. Send a template.",
                code="WINDOW_CLOSED",
            )
        send: Callable[..., Message] = channel_of(row.channel).reply
        message = send(session, row, answer, test=caller.test or row.sandbox, ids=ids)
        row.unread = 0
        row.last_message_at = now
        if row.assignee is None and caller.name.startswith(User.PREFIX):
            row.assignee = caller.name
    accepting.wake_senders()
    return message


def add_note(by: Actor, tenant_id: int, conversation_id: int, text: str) -> ConversationNote:
    with transaction() as session:
        row = rows.fetch(session, Conversation, conversation_id, tenant_id=tenant_id)
        note = ConversationNote(
            tenant_id=tenant_id, conversation_id=row.id, author=by.name, text=text
        )
        session.add(note)
    return note


def notes(tenant_id: int, conversation_id: int) -> Sequence[ConversationNote]:
    """Oldest first."""
    with transaction() as session:
        row = rows.fetch(session, Conversation, conversation_id, tenant_id=tenant_id)
        mine = select(ConversationNote).filter_by(conversation_id=row.id)
        return session.scalars(mine.order_by(ConversationNote.id).limit(1000)).all()


def open_snoozed() -> bool:
    """The job that ends snoozing."""
    with transaction() as session:
        wake_snoozed(session, clock.now())
    return False


def _set_status(row: Conversation, fields: Fields) -> None:
    until = fields.get("snoozed_until")
    if "status" not in fields:
        if until is not None:
            raise invalid("snoozed_until", "goes with the status snoozed")
        return
    snoozed = fields["status"] is ConversationStatus.SNOOZED
    if snoozed and (until is None or until <= clock.now()):
        raise invalid("snoozed_until", "say until when, later than now")
    if not snoozed and until is not None:
        raise invalid("snoozed_until", "goes with the status snoozed")
    row.status, row.snoozed_until = fields["status"], until


def _assignee(session: Session, tenant_id: int, user_id: int | None) -> str | None:
    if user_id is None:
        return None
    user = session.scalar(select(User).filter_by(tenant_id=tenant_id, id=user_id))
    if user is None:
        raise invalid("assignee_id", "there is no such user")
    return user.public_id


def _tell(session: Session, row: Conversation) -> None:
    publish(
        session,
        key=f"conversation:{row.id}:{clock.now().isoformat()}",
        tenant_id=row.tenant_id,
        type=UPDATED,
        data={
            "id": row.public_id,
            "status": row.status,
            "assignee_id": row.assignee,
            "labels": row.labels,
            "unread": row.unread,
        },
        occurred_at=clock.now(),
    )
