"""Messages found: one by its sid, many by pages."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy import ColumnElement, func, select

from irisx.kernel.db import transaction
from irisx.kernel.errors import NotFound
from irisx.messaging.accepting import find
from irisx.messaging.channels import NAMES, prefix_of
from irisx.messaging.models import Message
from irisx.messaging.states import Direction, MessageStatus

Position = tuple[datetime, UUID]
_SID = re.compile(r"([A-Z]{2})([0-9a-f]{32})")


@dataclass(frozen=True)
class MessageFilter:
    """Which messages of a tenant; None: any."""

    tenant_id: int
    channel: str | None = None
    direction: Direction | None = None
    status: MessageStatus | None = None
    conversation_id: int | None = None
    contact_id: int | None = None

    def conditions(self) -> list[ColumnElement[bool]]:
        wanted = [Message.tenant_id == self.tenant_id]
        for name in ("channel", "direction", "status", "conversation_id", "contact_id"):
            if (value := getattr(self, name)) is not None:
                wanted.append(getattr(Message, name) == value)
        return wanted


def message_id(sid: str, channel: str | None = None) -> UUID:
    """The id behind a sid; NotFound for one that no message (of the channel) can have."""
    match = _SID.fullmatch(sid)
    prefixes = {prefix_of(name) for name in ([channel] if channel else NAMES)}
    if match is None or match[1] not in prefixes:
        raise NotFound(f"There is no message with the sid {sid!r}.")
    return UUID(match[2])


def get(tenant_id: int, sid: str, channel: str | None = None) -> Message:
    with transaction() as session:
        message = find(session, tenant_id, message_id(sid, channel))
    if message is None or (channel is not None and message.channel != channel):
        raise NotFound(f"There is no message with the sid {sid!r}.")
    return message


def list_messages(
    chosen: MessageFilter, *, limit: int, offset: int = 0, after: Position | None = None
) -> Sequence[Message]:
    """Newest first; `after` continues a list at any depth for the same cost."""
    query = select(Message).where(*chosen.conditions())
    if after is not None:
        query = query.where(func.row(Message.created_at, Message.id) < func.row(*after))
    newest = query.order_by(Message.created_at.desc(), Message.id.desc())
    with transaction() as session:
        return session.scalars(newest.limit(limit).offset(offset)).all()


def count_messages(chosen: MessageFilter) -> int:
    with transaction() as session:
        return session.scalars(select(func.count()).where(*chosen.conditions())).one()
