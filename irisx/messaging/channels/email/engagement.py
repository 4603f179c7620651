"""What recipients do with a message: open it, follow a link, unsubscribe.

Each is a row. The first open by a person moves the message to `read` (`email.opened`); each click
of a person is told as `email.clicked`, and proves the open where pictures are blocked.
"""

import re
from collections.abc import Mapping
from datetime import timedelta
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.orm import Session

from irisx.kernel import clock
from irisx.kernel.db import transaction
from irisx.kernel.events import publish
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


def _happened(message_id: UUID, kind: str, user_agent: str, url: str | None = None) -> None:
    with transaction() as session:
        message = find(session, message_id)
        if message is None:
            return
        now = clock.now()
        at_once = message.sent_at is None or now - message.sent_at < _SCANNED
        machine = at_once or _PREFETCHERS.search(user_agent) is not None
        note(session, message, kind, user_agent, url, machine=machine)
        if machine:
            return
        move(session, message, MessageStatus.READ, now)
        if kind == CLICK:
            tell(session, message, "clicked", {"url": url})


def note(
    session: Session,
    message: Message,
    kind: str,
    user_agent: str,
    url: str | None,
    *,
    machine: bool,
) -> None:
    """Keep what a recipient did."""
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


def tell(session: Session, message: Message, word: str, more: Mapping[str, object]) -> None:
    """The event `email.<word>` about a message."""
    now = clock.now()
    publish(
        session,
        key=f"message:{message.id.hex}:{word}:{now.isoformat()}",
        tenant_id=message.tenant_id,
        type=f"email.{word}",
        data=described(message) | dict(more),
        occurred_at=now,
    )


def find(session: Session, message_id: UUID) -> Message | None:
    """The message of a link, locked."""
    return session.scalar(select(Message).filter_by(id=message_id).with_for_update())
