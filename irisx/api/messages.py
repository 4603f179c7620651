"""What the views of every channel share: a message in an answer, and pages of them."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from pydantic import Field, JsonValue

from irisx.api.schemas import (
    Answer,
    OffsetPagination,
    OffsetQuery,
    Timestamp,
    read_cursor,
    write_cursor,
)
from irisx.kernel.errors import invalid
from irisx.messaging import queries
from irisx.messaging.models import Message
from irisx.messaging.queries import MessageFilter
from irisx.messaging.states import Category, Direction, MessageStatus
from irisx.messaging.statuses import provider_of, sid_of


class ProviderDetails(Answer):
    """Who carries the message. `sandbox`: nobody does, it is simulated."""

    name: str
    account_id: str | None
    reference: str | None = Field(description="The provider's id of the message.")
    sandbox: bool


class MessageFields(Answer):
    """What messages of all channels have. The times are null until it happens."""

    sid: str
    direction: Direction
    status: MessageStatus
    category: Category
    to: str
    from_: str = Field(alias="from")
    metadata: dict[str, JsonValue]
    origin: str = Field(description="api, bulk, ivr, rule, conversation, provider, …")
    error_code: str | None
    error_message: str | None
    provider: ProviderDetails
    created_at: Timestamp
    send_at: Timestamp | None
    expires_at: Timestamp | None
    sent_at: Timestamp | None
    delivered_at: Timestamp | None
    read_at: Timestamp | None
    failed_at: Timestamp | None


class MessagesPagination(OffsetPagination):
    """`total` is null in pages by cursor."""

    total: int | None  # type: ignore[assignment]
    next_cursor: str | None


class MessagesQuery(OffsetQuery):
    cursor: str | None = Field(
        None, max_length=1000, description="`next_cursor` of the page before, in place of offset."
    )
    direction: Direction | None = None
    status: MessageStatus | None = None


_SAME_NAME = (
    "direction", "status", "category", "origin", "error_code", "error_message", "created_at",
    "send_at", "expires_at", "sent_at", "delivered_at", "read_at", "failed_at",
)  # fmt: skip


def message_fields(message: Message) -> dict[str, Any]:
    """A message for `MessageFields` and its kin."""
    return {name: getattr(message, name) for name in _SAME_NAME} | {
        "sid": sid_of(message),
        "to": message.to_address,
        "from": message.from_address,
        "metadata": message.metadata_,
        "provider": provider_of(message),
    }


def find_message(tenant_id: int, sid: str, *, channel: str) -> Message:
    return queries.get(tenant_id, sid, channel)


def message_page(
    tenant_id: int, channel: str, query: MessagesQuery
) -> tuple[Sequence[Message], dict[str, Any]]:
    """A page of a channel's messages, by offset or by cursor, and its pagination."""
    limit, offset = query.limit, query.offset
    if query.cursor is not None and offset:
        raise invalid("offset", "not together with cursor")
    listing = f"messages/{channel}"
    position = read_cursor(listing, tenant_id, query.cursor)
    after = (datetime.fromisoformat(position[0]), UUID(position[1])) if position else None
    chosen = MessageFilter(tenant_id, channel, query.direction, query.status)
    found = queries.list_messages(chosen, limit=limit + 1, offset=offset, after=after)
    page = found[:limit]
    last = page[-1] if len(found) > limit else None
    return page, {
        "limit": limit,
        "offset": offset,
        "total": queries.count_messages(chosen) if after is None else None,
        "next_cursor": last
        and write_cursor(listing, tenant_id, [last.created_at.isoformat(), last.id.hex]),
    }
