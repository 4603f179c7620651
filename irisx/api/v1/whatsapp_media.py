"""`/v1/whatsapp/media`: files for messages, and those that came with messages."""

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
from irisx.api.v1.messaging import AccountId
from irisx.messaging import media as files
from irisx.messaging.channels import prefix_of
from irisx.messaging.channels.whatsapp import media
from irisx.messaging.channels.whatsapp.media import CHANNEL, Upload
from irisx.messaging.models import MediaFile, MediaStatus
from irisx.tenancy.access import Caller

router = Router("WhatsApp Media")

_READ = "whatsapp:read"
_WRITE = "whatsapp:write"

MediaId = Annotated[int, PublicId("med")]


class NewMedia(Form):
    """A file of the kinds and sizes that WhatsApp takes. `account_id`: which account's number
    will send it; default: the first account's."""

    MAX_BYTES: ClassVar[int] = media.MAX_BYTES + 64 * 1024

    file: FilePart
    account_id: AccountId | None = None


class Media(Answer):
    """`url`: a link to the bytes that works for an hour, without a key; null until there are some.
    `reason`: why there are none."""

    id: MediaId
    kind: str
    content_type: str
    filename: str | None
    size_bytes: int | None
    status: MediaStatus
    reason: str | None
    reference: str | None
    account_id: AccountId | None
    message_sid: str | None
    url: str | None
    created_at: Timestamp


class MediaList(Answer):
    media: list[Media]
    pagination: OffsetPagination


@router.get("/v1/whatsapp/media", access=_READ, answer=Success[MediaList])
def list_whatsapp_media(caller: Caller, query: OffsetQuery) -> dict[str, Any]:
    """List files."""
    found, total = files.list_page(
        caller.tenant_id, CHANNEL, limit=query.limit, offset=query.offset
    )
    return listed("media", [_shown(row) for row in found], query, total)


@router.post("/v1/whatsapp/media", access=_WRITE, answer=Media, status=201)
def upload_whatsapp_media(caller: Caller, form: NewMedia) -> dict[str, Any]:
    """Upload a file; its `id` is what a message's image, document, … names. Meta has it for 30
    days."""
    file = form.file
    given = Upload(file.filename or "file", file.mimetype, file.read())
    return _shown(media.upload(caller, given, form.account_id))


@router.get("/v1/whatsapp/media/<media_id>", access=_READ, answer=Media)
def get_whatsapp_media(caller: Caller, media_id: MediaId) -> dict[str, Any]:
    """Get a file: what it is, and a link to its bytes."""
    return _shown(files.get(caller.tenant_id, CHANNEL, media_id))


@router.delete("/v1/whatsapp/media/<media_id>", access=_WRITE)
def delete_whatsapp_media(caller: Caller, media_id: MediaId) -> None:
    """Delete a file here and, if it was uploaded there, at Meta."""
    media.remove(caller, media_id)


def _shown(row: MediaFile) -> dict[str, Any]:
    names = set(Media.model_fields) - {"message_sid", "url"}
    return {name: getattr(row, name) for name in names} | {
        "message_sid": row.message_id and prefix_of(CHANNEL) + row.message_id.hex,
        "url": files.link(row) if row.status is MediaStatus.STORED else None,
    }
