"""`/v1/conversations`: the messages with one address, as people work on them."""

from typing import Annotated, Any

from pydantic import Field, JsonValue, StringConstraints

from irisx.api.http import Rate, Router
from irisx.api.messages import MessageFields, message_fields
from irisx.api.schemas import (
    UNSET,
    Answer,
    Body,
    JsonObject,
    Moment,
    OffsetPagination,
    OffsetQuery,
    PublicId,
    Success,
    Timestamp,
    listed,
)
from irisx.api.v1.contacts import ContactId, Tag
from irisx.messaging import queries
from irisx.messaging.conversations import service
from irisx.messaging.conversations.models import (
    Conversation,
    ConversationNote,
    ConversationStatus,
)
from irisx.messaging.conversations.service import Reply
from irisx.messaging.models import Message
from irisx.messaging.queries import MessageFilter
from irisx.tenancy.access import Caller

router = Router("Conversations")

_READ = "conversations:read"
_WRITE = "conversations:write"

ConversationId = Annotated[int, PublicId("conv")]
UserId = Annotated[int, PublicId("usr")]
Text = Annotated[str, StringConstraints(max_length=10_000)]


class ConversationAnswer(Answer):
    """`window_expires_at`: until then free text may be sent; null: always."""

    id: ConversationId
    channel: str
    our_address: str
    their_address: str
    contact_id: ContactId | None
    status: ConversationStatus
    snoozed_until: Timestamp | None
    assignee_id: str | None = Field(validation_alias="assignee")
    labels: list[str]
    unread: int
    sandbox: bool
    last_message_at: Timestamp
    last_inbound_at: Timestamp | None
    window_expires_at: Timestamp | None
    created_at: Timestamp


class Conversations(Answer):
    conversations: list[ConversationAnswer]
    pagination: OffsetPagination


class ConversationsQuery(OffsetQuery):
    status: ConversationStatus | None = None
    channel: str | None = Field(None, max_length=32)
    assignee: str | None = Field(None, max_length=30, examples=["usr_3"])
    label: str | None = Field(None, max_length=100)
    contact_id: ContactId | None = None


class ConversationChange(Body):
    status: ConversationStatus = UNSET
    snoozed_until: Moment | None = UNSET
    assignee_id: UserId | None = UNSET
    labels: list[Tag] = UNSET
    read: bool = UNSET


class ConversationMessage(MessageFields):
    body: str
    media_urls: list[str]
    content: dict[str, JsonValue]


class ConversationMessages(Answer):
    messages: list[ConversationMessage]
    pagination: OffsetPagination


class NewReply(Body):
    body: Text = ""
    media_urls: list[Annotated[str, StringConstraints(max_length=2048)]] = Field(
        default_factory=list, max_length=10
    )
    content: JsonObject = Field(
        default_factory=dict, description="What only the channel understands, such as a template."
    )


class NewConversationNote(Body):
    text: Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=5000)]


class Note(Answer):
    id: Annotated[int, PublicId("note")]
    author: str
    text: str
    created_at: Timestamp


class Notes(Answer):
    notes: list[Note]


@router.get("/v1/conversations", access=_READ, answer=Success[Conversations])
def list_conversations(caller: Caller, query: ConversationsQuery) -> dict[str, Any]:
    """List conversations, the latest message first."""
    rows, total = service.list_page(caller.tenant_id, **query.model_dump())
    return listed("conversations", rows, query, total)


@router.get("/v1/conversations/<conversation_id>", access=_READ, answer=ConversationAnswer)
def get_conversation(caller: Caller, conversation_id: ConversationId) -> Conversation:
    """Get a conversation."""
    return service.get(caller.tenant_id, conversation_id)


@router.put("/v1/conversations/<conversation_id>", access=_WRITE, answer=ConversationAnswer)
def update_conversation(
    caller: Caller, conversation_id: ConversationId, body: ConversationChange
) -> Conversation:
    """Assign, label, resolve, snooze, or mark as read."""
    changes = body.model_dump(exclude_unset=True)
    return service.change(caller, caller.tenant_id, conversation_id, **changes)


@router.get(
    "/v1/conversations/<conversation_id>/messages",
    access=_READ,
    answer=Success[ConversationMessages],
)
def list_conversation_messages(
    caller: Caller, conversation_id: ConversationId, query: OffsetQuery
) -> dict[str, Any]:
    """List a conversation's messages, newest first."""
    service.get(caller.tenant_id, conversation_id)
    chosen = MessageFilter(caller.tenant_id, conversation_id=conversation_id)
    rows = queries.list_messages(chosen, limit=query.limit, offset=query.offset)
    total = queries.count_messages(chosen)
    return listed("messages", [_message(row) for row in rows], query, total)


@router.post(
    "/v1/conversations/<conversation_id>/reply",
    access=_WRITE,
    answer=ConversationMessage,
    status=201,
    rate=Rate.SMS,
)
def reply_in_conversation(
    caller: Caller, conversation_id: ConversationId, body: NewReply
) -> dict[str, Any]:
    """Answer by the conversation's channel; 409 WINDOW_CLOSED when only a template may be sent."""
    return _message(service.reply(caller, conversation_id, Reply(**body.model_dump())))


@router.get("/v1/conversations/<conversation_id>/notes", access=_READ, answer=Success[Notes])
def list_conversation_notes(caller: Caller, conversation_id: ConversationId) -> dict[str, Any]:
    """List the notes that colleagues wrote."""
    return {"data": {"notes": service.notes(caller.tenant_id, conversation_id)}}


@router.post("/v1/conversations/<conversation_id>/notes", access=_WRITE, answer=Note, status=201)
def add_conversation_note(
    caller: Caller, conversation_id: ConversationId, body: NewConversationNote
) -> ConversationNote:
    """Write a note for colleagues; the customer never sees it."""
    return service.add_note(caller, caller.tenant_id, conversation_id, body.text)


def _message(row: Message) -> dict[str, Any]:
    extra = {name: getattr(row, name) for name in ("body", "media_urls", "content")}
    return message_fields(row) | extra
