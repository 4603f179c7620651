"""Voicemail: messages that callers left, told of by an event, listed, heard, deleted."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import Select, func, select
from sqlalchemy.orm import Session

from irisx.kernel.clock import isoformat, now
from irisx.kernel.db import transaction
from irisx.kernel.errors import NotFound
from irisx.kernel.events import publish
from irisx.kernel.ids import call_sid
from irisx.telephony.calls import recordings
from irisx.telephony.calls.models import Recording, RecordingStatus
from irisx.telephony.ivr import message_waiting
from irisx.telephony.ivr.visit_models import Message
from irisx.tenancy import audit, rows
from irisx.tenancy.access import Actor

RECEIVED = "voicemail.received"
_BATCH = 100
#: A message whose recording never came to be is forgotten after so long.
_NEVER = timedelta(days=1)


@dataclass(frozen=True)
class MessageView:
    """A message with its sound."""

    row: Message
    recording_url: str
    duration_ms: int


def announce() -> bool:
    """Publish the event of messages that are whole, and forget those too short to be any.

    True: there may be more.
    """
    whole = (RecordingStatus.COMPLETED, RecordingStatus.FAILED)
    statement = (
        select(Message, Recording)
        .join(Recording, Recording.path == Message.path)
        .where(Message.announced_at.is_(None), Recording.status.in_(whole))
        .order_by(Message.id)
        .limit(_BATCH)
        .with_for_update(of=Message, skip_locked=True)
    )
    with transaction() as session:
        found = session.execute(statement).all()
        for message, recording in found:
            _announce(session, message, recording)
        _forget_lost(session)
    for message, _ in found:
        message_waiting.changed(message.tenant_id, message.mailbox)
    return len(found) == _BATCH


def _announce(session: Session, message: Message, recording: Recording) -> None:
    failed = recording.status is RecordingStatus.FAILED
    if failed or (recording.duration_ms or 0) < message.min_ms:
        session.delete(message)
        return
    message.announced_at = now()
    publish(
        session,
        key=f"voicemail:{message.id}",
        tenant_id=message.tenant_id,
        type=RECEIVED,
        occurred_at=message.created_at,
        data={
            "id": message.public_id,
            "mailbox": message.mailbox,
            "from": message.from_number,
            "call_sid": call_sid(message.call_id),
            "duration_ms": recording.duration_ms,
            "received_at": isoformat(message.created_at),
        },
    )


def _forget_lost(session: Session) -> None:
    lost = select(Message).where(
        Message.announced_at.is_(None),
        Message.created_at < now() - _NEVER,
        Message.path.not_in(select(Recording.path).where(Recording.path == Message.path)),
    )
    for message in session.scalars(lost.limit(_BATCH)):
        session.delete(message)


def list_page(
    tenant_id: int, *, mailbox: str | None, heard: bool | None, limit: int, offset: int
) -> tuple[Sequence[MessageView], int]:
    """Newest first, and how many there are."""
    mine = _mine(tenant_id)
    if mailbox is not None:
        mine = mine.where(Message.mailbox == mailbox)
    if heard is not None:
        mine = mine.where(Message.heard_at.is_not(None) if heard else Message.heard_at.is_(None))
    with transaction() as session:
        found = session.execute(mine.order_by(Message.id.desc()).limit(limit).offset(offset)).all()
        total = session.scalar(select(func.count()).select_from(mine.subquery())) or 0
    return [_view(message, recording) for message, recording in found], total


def mark(by: Actor, tenant_id: int, message_id: int, *, heard: bool) -> MessageView:
    """Say that a message was heard, or is to be heard again."""
    with transaction() as session:
        found = session.execute(
            _mine(tenant_id).where(Message.id == message_id).with_for_update(of=Message)
        ).one_or_none()
        if found is None:
            raise NotFound("There is no vm with this id.")
        message, recording = found
        before = audit.snapshot(message)
        message.heard_at = _heard_at(message, heard)
        audit.updated(session, by, message, before)
    message_waiting.changed(tenant_id, message.mailbox)
    return _view(message, recording)


def _heard_at(message: Message, heard: bool) -> datetime | None:
    return (message.heard_at or now()) if heard else None


def delete(by: Actor, tenant_id: int, message_id: int) -> None:
    """Delete a message with its sound."""
    with transaction() as session:
        message = rows.fetch(session, Message, message_id, tenant_id=tenant_id, lock=True)
        recording_id = session.scalar(select(Recording.id).where(Recording.path == message.path))
        audit.deleted(session, by, message)
        session.delete(message)
    message_waiting.changed(tenant_id, message.mailbox)
    if recording_id is not None:
        recordings.delete_recording(by, tenant_id, recording_id)


def _mine(tenant_id: int) -> Select[Message, Recording]:
    return (
        select(Message, Recording)
        .join(Recording, Recording.path == Message.path)
        .where(
            Message.tenant_id == tenant_id,
            Message.announced_at.is_not(None),
            Recording.status == RecordingStatus.COMPLETED,
        )
    )


def _view(message: Message, recording: Recording) -> MessageView:
    return MessageView(message, recordings.download_url(recording.id), recording.duration_ms or 0)
