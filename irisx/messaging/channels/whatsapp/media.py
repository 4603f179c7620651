"""WhatsApp's files: uploaded to Meta for messages, and kept here when they come with one.

Source: the Cloud API's "Media" reference. Meta keeps an upload for 30 days, for the number that
it was uploaded to; what came with a message is fetched with the account's token.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from types import MappingProxyType
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session
from urllib3.filepost import encode_multipart_formdata

from irisx.kernel import clock, http
from irisx.kernel.crypto import BadToken
from irisx.kernel.db import transaction
from irisx.kernel.errors import Conflict, IrisxError, Unavailable, ValidationError, invalid
from irisx.kernel.ids import row_key
from irisx.kernel.jobs import wake
from irisx.kernel.logging import get_logger
from irisx.kernel.storage import StorageError, storage_of
from irisx.messaging import accounts, media
from irisx.messaging.channels.whatsapp import graph, waha
from irisx.messaging.models import MediaFile, MediaStatus, Message, ProviderAccount
from irisx.messaging.provider import Account
from irisx.settings import get_settings
from irisx.tenancy import audit
from irisx.tenancy.access import Caller

log = get_logger(__name__)

CHANNEL = "whatsapp"
CLOUD = "cloud-api"
TOPIC = "whatsapp.media"
_MIB = 1024 * 1024
#: Largest file that may be uploaded at all.
MAX_BYTES = 100 * _MIB
#: Kind -> largest file ("Supported media types").
LIMITS: Mapping[str, int] = MappingProxyType(
    {
        "audio": 16 * _MIB,
        "document": MAX_BYTES,
        "image": 5 * _MIB,
        "sticker": 500 * 1024,
        "video": 16 * _MIB,
    }
)
_OFFICE = "application/vnd.openxmlformats-officedocument"
#: Content type -> kind.
KINDS: Mapping[str, str] = MappingProxyType(
    {
        **dict.fromkeys(
            ("audio/aac", "audio/amr", "audio/mpeg", "audio/mp4", "audio/ogg"), "audio"
        ),
        **dict.fromkeys(
            (
                "text/plain",
                "application/pdf",
                "application/msword",
                "application/vnd.ms-excel",
                "application/vnd.ms-powerpoint",
                f"{_OFFICE}.wordprocessingml.document",
                f"{_OFFICE}.spreadsheetml.sheet",
                f"{_OFFICE}.presentationml.presentation",
            ),
            "document",
        ),
        "image/jpeg": "image",
        "image/png": "image",
        "image/webp": "sticker",
        "video/mp4": "video",
        "video/3gpp": "video",
    }
)
#: Meta forgets an upload after 30 days.
_USABLE = timedelta(days=29)
#: A link to a file of a message outlives the time in which that is sent.
_SENT_WITHIN = timedelta(hours=25)
_UPLOAD_SECONDS = 25.0
_FETCH_SECONDS = 60.0
#: Another worker takes a fetch up again after this.
_LEASE = timedelta(minutes=3)
_PAUSES = (timedelta(seconds=10), timedelta(minutes=1), timedelta(minutes=10), timedelta(hours=1))
_ID = re.compile(r"med_[0-9]{1,19}")


@dataclass(frozen=True, slots=True)
class Upload:
    """A file of a client."""

    filename: str
    content_type: str
    data: bytes


def upload(caller: Caller, given: Upload, account_id: int | None) -> MediaFile:
    """Keep a file, and give it to Meta if the account (None: the tenant's first) is one there.

    Raises ValidationError for what WhatsApp does not take, and what `graph.ask` raises.
    """
    kind = _checked(given.content_type, len(given.data))
    with transaction() as session:
        row = _account(session, caller, account_id)
    reference = None
    if row is not None and row.provider == CLOUD:
        reference = _uploaded(accounts.opened(row), given)
    try:
        location = media.keep(caller.tenant_id, given.data, given.content_type)
    except StorageError as error:
        log.error("media_storage_away", reason=str(error))
        raise Unavailable("The storage of files is away or full. Try again.") from error
    file = MediaFile(
        tenant_id=caller.tenant_id,
        channel=CHANNEL,
        account_id=row.id if row else None,
        reference=reference,
        kind=kind,
        content_type=given.content_type,
        filename=given.filename,
        size_bytes=len(given.data),
        status=MediaStatus.STORED,
        location=location,
    )
    with transaction() as session:
        session.add(file)
        audit.created(session, caller, file)
    return file


def remove(caller: Caller, file_id: int) -> None:
    """Delete a file here and, if it was uploaded, at Meta; one that Meta has not is gone there."""
    file = media.get(caller.tenant_id, CHANNEL, file_id)
    with transaction() as session:
        account = session.get(ProviderAccount, file.account_id or 0)
    if account is not None and account.provider == CLOUD and file.reference is not None:
        try:
            graph.ask(accounts.opened(account), "DELETE", file.reference)
        except Conflict as refused:
            log.info("meta does not delete a file", file=file.id, reason=refused.message)
    media.remove(caller, caller.tenant_id, CHANNEL, file_id)


def resolved(
    session: Session, tenant_id: int, content: dict[str, Any], account: ProviderAccount | None
) -> dict[str, Any]:
    """A message's content with the provider's id in place of ours (`med_3`) in each medium, or
    with a link for a provider that fetches files.

    `account` None: the sandbox, where ours stay. Raises ValidationError.
    """

    def walk(value: Any, path: str) -> Any:
        if isinstance(value, list):
            return [walk(item, f"{path}.{index}") for index, item in enumerate(value)]
        if not isinstance(value, dict):
            return value
        found = {name: walk(item, f"{path}.{name}".lstrip(".")) for name, item in value.items()}
        for kind in LIMITS:
            part = found.get(kind)
            if isinstance(part, dict) and _ID.fullmatch(str(part.get("id"))):
                where = f"{path}.{kind}.id".lstrip(".")
                del part["id"]
                found[kind] = part | _resolved(
                    session, tenant_id, value[kind]["id"], kind, account, where
                )
        return found

    return dict(walk(content, ""))


def _resolved(
    session: Session,
    tenant_id: int,
    public_id: str,
    kind: str,
    account: ProviderAccount | None,
    where: str,
) -> dict[str, str]:
    file = session.get(MediaFile, row_key(MediaFile.PREFIX, public_id))
    if file is None or file.tenant_id != tenant_id or file.status is not MediaStatus.STORED:
        raise invalid(where, f"there is no file {public_id}")
    if file.kind != kind:
        raise invalid(where, f"{public_id} is of the kind {file.kind}")
    if account is None:
        return {"id": public_id}
    if account.provider == waha.NAME:
        named = {"filename": file.filename} if file.filename else {}
        return {"link": media.link(file, _SENT_WITHIN), "mime_type": file.content_type, **named}
    if file.account_id != account.id or file.reference is None:
        raise invalid(where, f"{public_id} was not uploaded for this number; upload it again")
    if file.created_at < clock.now() - _USABLE:
        raise invalid(where, "uploaded more than 29 days ago, and gone at Meta; upload it again")
    return {"id": file.reference}


# --- what comes with messages ---------------------------------------------------------------------


def received(session: Session, message: Message) -> None:
    """The file of an inbound message will be kept (`Channel.received`); the message's URL of it
    becomes ours."""
    kind = str(message.content.get("type"))
    part = message.content.get(kind) if kind in LIMITS else None
    if not isinstance(part, Mapping) or not message.media_urls:
        return
    file = MediaFile(
        tenant_id=message.tenant_id,
        channel=CHANNEL,
        account_id=message.account_id,
        message_id=message.id,
        reference=str(part["id"]) if "id" in part else None,
        source_url=message.media_urls[0],
        kind=kind,
        content_type=str(part.get("mime_type") or "application/octet-stream")[:200],
        filename=str(part["filename"])[:240] if part.get("filename") else None,
        status=MediaStatus.PENDING,
        due_at=clock.now(),
    )
    session.add(file)
    session.flush()
    message.media_urls = [f"{get_settings().base_url}/v1/whatsapp/media/{file.public_id}"]
    wake(TOPIC)


@dataclass(frozen=True, slots=True)
class Fetched:
    """`content_type` None: as the message said."""

    data: bytes
    content_type: str | None = None


class FetchFailed(Exception):
    """A file could not be had. `final`: nor will it be."""

    def __init__(self, reason: str, *, final: bool = False) -> None:
        super().__init__(reason)
        self.final = final


def fetch_next() -> bool:
    """The job that fetches one file that came with a message; True: there may be more."""
    due = (
        select(MediaFile)
        .where(MediaFile.status == MediaStatus.PENDING, MediaFile.due_at <= clock.now())
        .order_by(MediaFile.due_at)
        .limit(1)
        .with_for_update(skip_locked=True)
    )
    with transaction() as session:
        file = session.scalars(due).one_or_none()
        if file is None:
            return False
        file.attempts += 1
        file.due_at = clock.now() + _LEASE
        account = session.get(ProviderAccount, file.account_id or 0)
    try:
        fetched = _fetched(account, file)
        content_type = fetched.content_type or file.content_type
        location = media.keep(file.tenant_id, fetched.data, content_type)
    except (FetchFailed, StorageError) as error:
        _not_fetched(file, error)
        return True
    with transaction() as session:
        row = session.get(MediaFile, file.id, with_for_update=True)
        if row is not None and row.status is MediaStatus.PENDING:
            row.location, row.size_bytes = location, len(fetched.data)
            row.content_type = content_type
            row.status, row.due_at, row.reason = MediaStatus.STORED, None, None
            return True
    storage_of(location).delete(location)  # it was deleted, or fetched by another worker
    return True


def _not_fetched(file: MediaFile, error: Exception) -> None:
    final = isinstance(error, FetchFailed) and (error.final or file.attempts > len(_PAUSES))
    log.warning("a file can't be fetched", file=file.id, reason=str(error), final=final)
    with transaction() as session:
        row = session.get(MediaFile, file.id, with_for_update=True)
        if row is None or row.status is not MediaStatus.PENDING:
            return
        row.reason = str(error)[:300]
        if final:
            row.status, row.due_at = MediaStatus.FAILED, None
        else:
            row.due_at = clock.now() + _PAUSES[min(file.attempts, len(_PAUSES)) - 1]


def _fetched(account: ProviderAccount | None, file: MediaFile) -> Fetched:
    """Raises FetchFailed."""
    if account is None:
        raise FetchFailed("the account is not there any more", final=True)
    try:
        opened = accounts.opened(account)
    except (BadToken, ValueError):
        raise FetchFailed("the account's credentials can't be read") from None
    if account.provider == waha.NAME:
        return Fetched(read_url(file.source_url or "", waha.key_of(opened), LIMITS[file.kind]))
    return _from_meta(opened, file)


def _from_meta(account: Account, file: MediaFile) -> Fetched:
    try:
        about = graph.ask(account, "GET", file.reference or "")
    except IrisxError as refused:
        final = refused.code == "PROVIDER_REFUSED"
        raise FetchFailed(refused.message, final=final) from refused
    url, token = str(about.get("url")), account.credentials.access_token
    kind = about.get("mime_type")
    data = read_url(url, {"Authorization": f"Bearer {token}"}, LIMITS[file.kind])
    return Fetched(data, str(kind)[:200] if kind else None)


def read_url(url: str, headers: Mapping[str, str], max_bytes: int) -> bytes:
    """A file of a provider, through the guarded client. Raises FetchFailed."""
    try:
        reply = http.request(
            "GET", url, headers=headers, timeout=_FETCH_SECONDS, max_bytes=max_bytes
        )
    except http.HttpFailure as failure:
        refused = isinstance(failure, http.AddressRefused)
        raise FetchFailed(f"the file can't be fetched: {failure}", final=refused) from failure
    if reply.truncated:
        raise FetchFailed(f"the file is larger than {max_bytes} bytes", final=True)
    if reply.status != 200:
        raise FetchFailed(f"the file is answered with status {reply.status}")
    return reply.body


# --- uploads --------------------------------------------------------------------------------------


def _checked(content_type: str, size: int) -> str:
    """The kind of a file that WhatsApp takes."""
    kind = KINDS.get(content_type)
    if kind is None:
        raise invalid(
            "file",
            f"WhatsApp takes no {content_type or 'unknown type'}; it takes {', '.join(KINDS)}",
        )
    if not 0 < size <= LIMITS[kind]:
        message = f"is {size} bytes; WhatsApp takes 1 to {LIMITS[kind]} of the kind {kind}"
        raise ValidationError(f"file: {message}", details=[{"field": "file", "message": message}])
    return kind


def _account(session: Session, caller: Caller, account_id: int | None) -> ProviderAccount | None:
    if caller.test:
        return None
    every = [
        row
        for row in accounts.of_channel(session, caller.tenant_id, CHANNEL)
        if row.enabled and not accounts.is_sandbox(row)
    ]
    if account_id is None:
        return every[0] if every else None
    found = next((row for row in every if row.id == account_id), None)
    if found is None:
        raise invalid("account_id", "this is no enabled WhatsApp account of yours")
    return found


def _uploaded(account: Account, given: Upload) -> str:
    file = (given.filename, given.data, given.content_type)
    fields: dict[str, str | tuple[str, bytes, str]] = {
        "messaging_product": "whatsapp",
        "type": given.content_type,
        "file": file,
    }
    body, form = encode_multipart_formdata(fields)
    path = f"{account.settings.phone_number_id}/media"
    answer = graph.ask(account, "POST", path, body=body, content_type=form, timeout=_UPLOAD_SECONDS)
    try:
        return str(answer["id"])
    except KeyError:
        raise Unavailable(
            f"WhatsApp's answer has no id: {json.dumps(answer)[:200]}", code="PROVIDER_UNAVAILABLE"
        ) from None
