"""`/v1/email/attachments`: files for emails, and those that came with emails."""

from typing import Annotated, Any, ClassVar

from irisx.api.http import Router
from irisx.api.schemas import (
    Answer,
    FilePart,
    Form,
    OffsetPagination,
    OffsetQuery,
    PublicId,
    Success,
    Timestamp,
    listed,
)
from irisx.api.v1.email import READ, WRITE
from irisx.messaging import media
from irisx.messaging.channels import prefix_of
from irisx.messaging.channels.email import attachments
from irisx.messaging.channels.email.attachments import CHANNEL
from irisx.messaging.models import MediaFile, MediaStatus
from irisx.tenancy.access import Caller

router = Router("Email Attachments")

MediaId = Annotated[int, PublicId("med")]


class NewEmailAttachment(Form):
    """A file of 10 MiB at most, of a kind that mail servers let through."""

    MAX_BYTES: ClassVar[int] = attachments.MAX_BYTES + 64 * 1024

    file: FilePart


class EmailAttachment(Answer):
    """`url`: a link to the bytes that works for an hour, without a key. `message_id`: the email
    that it came with, or was given with."""

    id: MediaId
    filename: str | None
    content_type: str
    size_bytes: int | None
    message_id: str | None
    url: str | None
    created_at: Timestamp


class EmailAttachments(Answer):
    attachments: list[EmailAttachment]
    pagination: OffsetPagination


@router.get("/v1/email/attachments", access=READ, answer=Success[EmailAttachments])
def list_email_attachments(caller: Caller, query: OffsetQuery) -> dict[str, Any]:
    """List files."""
    found, total = media.list_page(
        caller.tenant_id, CHANNEL, limit=query.limit, offset=query.offset
    )
    return listed("attachments", [_shown(row) for row in found], query, total)


@router.post("/v1/email/attachments", access=WRITE, answer=EmailAttachment, status=201)
def upload_email_attachment(caller: Caller, form: NewEmailAttachment) -> dict[str, Any]:
    """Upload a file; its `id` is what `attachments` of any number of emails name."""
    file = form.file
    name = file.filename or "file"
    return _shown(attachments.upload(caller, name, file.mimetype, file.read()))


@router.get("/v1/email/attachments/<media_id>", access=READ, answer=EmailAttachment)
def get_email_attachment(caller: Caller, media_id: MediaId) -> dict[str, Any]:
    """Get a file: what it is, and a link to its bytes."""
    return _shown(media.get(caller.tenant_id, CHANNEL, media_id))


@router.delete("/v1/email/attachments/<media_id>", access=WRITE)
def delete_email_attachment(caller: Caller, media_id: MediaId) -> None:
    """Delete a file; emails that are to be sent with it fail."""
    media.remove(caller, caller.tenant_id, CHANNEL, media_id)


def _shown(row: MediaFile) -> dict[str, Any]:
    names = set(EmailAttachment.model_fields) - {"message_id", "url"}
    return {name: getattr(row, name) for name in names} | {
        "message_id": row.message_id and prefix_of(CHANNEL) + row.message_id.hex,
        "url": media.link(row) if row.status is MediaStatus.STORED else None,
    }
