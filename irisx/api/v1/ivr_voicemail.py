"""`/v1/ivr/voicemail`: messages that callers left in flows."""

from typing import Annotated, Any

from pydantic import Field

from irisx.api.http import Router
from irisx.api.schemas import (
    Answer,
    Body,
    OffsetPagination,
    OffsetQuery,
    PublicId,
    Success,
    Timestamp,
    listed,
)
from irisx.kernel.ids import call_sid
from irisx.telephony.ivr import messages
from irisx.telephony.ivr.messages import MessageView
from irisx.tenancy.access import Caller

router = Router("IVR Voicemail")

MessageId = Annotated[int, PublicId("vm")]


class MessagesQuery(OffsetQuery):
    mailbox: str | None = Field(None, max_length=64)
    heard: bool | None = None


class MessageAnswer(Answer):
    id: MessageId
    mailbox: str
    from_: str = Field(alias="from")
    call_sid: str
    duration_ms: int
    recording_url: str = Field(description="A link that works for an hour, without a key.")
    received_at: Timestamp
    heard_at: Timestamp | None


class Messages(Answer):
    messages: list[MessageAnswer]
    pagination: OffsetPagination


class MessageChange(Body):
    heard: bool


@router.get("/v1/ivr/voicemail", access="ivr:read", answer=Success[Messages])
def list_messages(caller: Caller, query: MessagesQuery) -> dict[str, Any]:
    """List voicemail messages, newest first."""
    found, total = messages.list_page(
        caller.tenant_id,
        mailbox=query.mailbox,
        heard=query.heard,
        limit=query.limit,
        offset=query.offset,
    )
    return listed("messages", [_shown(view) for view in found], query, total)


@router.put("/v1/ivr/voicemail/<message_id>", access="ivr:write", answer=MessageAnswer)
def mark_message(caller: Caller, message_id: MessageId, body: MessageChange) -> dict[str, Any]:
    """Say that a message was heard, or is to be heard again."""
    return _shown(messages.mark(caller, caller.tenant_id, message_id, heard=body.heard))


@router.delete("/v1/ivr/voicemail/<message_id>", access="ivr:write")
def delete_message(caller: Caller, message_id: MessageId) -> None:
    """Delete a message with its recording."""
    messages.delete(caller, caller.tenant_id, message_id)


def _shown(view: MessageView) -> dict[str, Any]:
    row = view.row
    return {
        "id": row.id,
        "mailbox": row.mailbox,
        "from": row.from_number,
        "call_sid": call_sid(row.call_id),
        "duration_ms": view.duration_ms,
        "recording_url": view.recording_url,
        "received_at": row.created_at,
        "heard_at": row.heard_at,
    }
