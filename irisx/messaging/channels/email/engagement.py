"""What recipients do with a message: open it, follow a link, unsubscribe.

Each is a row. The first open by a person moves the message to `read` (`email.opened`); each click
of a person is told as `email.clicked`, and proves the open where pictures are blocked.
"""

import re
from datetime import timedelta
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.orm import Session

from irisx.kernel import clock
from irisx.kernel.db import transaction
from irisx.kernel.errors import NotFound
from irisx.kernel.events import publish
from irisx.messaging import suppressions
from irisx.messaging.channels.email.models import EmailEngagement
from irisx.messaging.models import Message
from irisx.messaging.states import MessageStatus
from irisx.messaging.statuses import described, move

OPEN, CLICK, UNSUBSCRIBE = "open", "click", "unsubscribe"
#: Nobody reads that fast: scanners follow every link as a message arrives.
_SCANNED = timedelta(seconds=2)
#: Apple's Mail Privacy Protection says no more than this, and fetches whether or not it is read.
_PREFETCHERS = re.compile(
    r"^Mozilla/5\.0$|bot\b|crawler|scanner|preview|barracuda|proofpoint", re.IGNORECASE
)
_MAX_AGENT = 500


def opened(message_id: UUID, user_agent: str) -> None:
    """The picture was fetched; unknown messages (erased meanwhile) change nothing."""
    _happened(message_id, OPEN, user_agent)


def clicked(message_id: UUID, url: str, user_agent: str) -> None:
    """A link was followed."""
    _happened(message_id, CLICK, user_agent, url)


def recipient(message_id: UUID) -> tuple[str, bool]:
    """The address that a message went to, and whether it gets nothing any more."""
    with transaction() as session:
        message = _message(session, message_id)
        key = (message.tenant_id, message.channel, message.to_address)
        return message.to_address, key in suppressions.suppressed(session, [key])


def unsubscribe(message_id: UUID, user_agent: str) -> str:
    """The recipient gets nothing any more; a second time changes nothing. The address."""
    with transaction() as session:
        message = _message(session, message_id)
        key = (message.tenant_id, message.channel, message.to_address)
        if key not in suppressions.suppressed(session, [key]):
            suppressions.suppress(session, *key, reason="opt_out", source="unsubscribe-link")
            _note(session, message, UNSUBSCRIBE, user_agent, None, machine=False)
            _tell(session, message, "unsubscribed", {})
        return message.to_address


def resubscribe(message_id: UUID) -> str:
    """Take an unsubscription back; bounces and complaints stay."""
    with transaction() as session:
        message = _message(session, message_id)
        key = (message.tenant_id, message.channel, message.to_address)
        if suppressions.suppressed(session, [key]).get(key) == "opt_out":
            suppressions.release(session, *key)
        return message.to_address


def _happened(message_id: UUID, kind: str, user_agent: str, url: str | None = None) -> None:
    with transaction() as session:
        message = _find(session, message_id)
        if message is None:
            return
        now = clock.now()
        at_once = message.sent_at is None or now - message.sent_at < _SCANNED
        machine = at_once or _PREFETCHERS.search(user_agent) is not None
        _note(session, message, kind, user_agent, url, machine=machine)
        if machine:
            return
        move(session, message, MessageStatus.READ, now)
        if kind == CLICK:
            _tell(session, message, "clicked", {"url": url})


def _note(
    session: Session,
    message: Message,
    kind: str,
    user_agent: str,
    url: str | None,
    *,
    machine: bool,
) -> None:
    session.add(
        EmailEngagement(
            occurred_at=clock.now(),
            tenant_id=message.tenant_id,
            message_id=message.id,
            kind=kind,
            url=url,
            user_agent=user_agent[:_MAX_AGENT].replace("\0", "") or None,
            machine=machine,
        )
    )


def _tell(session: Session, message: Message, word: str, more: dict[str, str | None]) -> None:
    now = clock.now()
    publish(
        session,
        key=f"message:{message.id.hex}:{word}:{now.isoformat()}",
        tenant_id=message.tenant_id,
        type=f"email.{word}",
        data=described(message) | more,
        occurred_at=now,
    )


def _find(session: Session, message_id: UUID) -> Message | None:
    return session.scalar(select(Message).filter_by(id=message_id).with_for_update())


def _message(session: Session, message_id: UUID) -> Message:
    message = _find(session, message_id)
    if message is None:
        raise NotFound("The message that this link is from is no longer there.")
    return message
