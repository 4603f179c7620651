"""Files that go with an email: uploaded before, or given with it. Their bytes are in the storage;
a message names them."""

import re
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from email import policy
from email.message import EmailMessage
from pathlib import Path, PurePosixPath
from typing import Any

from sqlalchemy.orm import Session

from irisx.kernel.db import transaction
from irisx.kernel.errors import Detail, IrisxError, NotFound, ValidationError, invalid
from irisx.kernel.ids import row_key
from irisx.kernel.storage import StorageError, storage_of
from irisx.messaging import media
from irisx.messaging.channels.email.content import MailFile
from irisx.messaging.models import MediaFile, MediaStatus
from irisx.messaging.provider import FailureKind, InboundFile, SendFailed
from irisx.tenancy import audit, rows
from irisx.tenancy.access import Caller

CHANNEL = "email"
#: Of all files of a message; servers take little more, and base64 makes it a third larger.
MAX_BYTES = 10 * 1024 * 1024
MAX_FILES = 20
#: What mail servers refuse unread, after Gmail's list of blocked file types.
REFUSED = frozenset(
    {
        "ade", "adp", "apk", "appx", "appxbundle", "bat", "cab", "chm", "cmd", "com", "cpl", "dll",
        "dmg", "ex", "ex_", "exe", "hta", "ins", "isp", "iso", "jar", "js", "jse", "lib", "lnk",
        "mde", "msc", "msi", "msix", "msixbundle", "msp", "mst", "nsh", "pif", "ps1", "scr", "sct",
        "shb", "sys", "vb", "vbe", "vbs", "vhd", "vxd", "wsc", "wsf", "wsh", "xll",
    }
)  # fmt: skip
_TYPE = re.compile(r"[a-z0-9][a-z0-9!#$&^_.+-]{0,63}/[a-z0-9][a-z0-9!#$&^_.+-]{0,63}")
#: Lines of base64 as long as RFC 2045 allows.
_PART_POLICY = policy.SMTP.clone(cte_type="7bit")


@dataclass(frozen=True, slots=True)
class Attachment:
    """Either a file that was uploaded (`file_id`), or `data`. `filename`, `content_type`: of
    `data`. `content_id`: the HTML shows it as `cid:…`."""

    file_id: str | None = None
    filename: str | None = None
    content_type: str | None = None
    data: bytes | None = None
    content_id: str | None = None


def upload(caller: Caller, filename: str, content_type: str, data: bytes) -> MediaFile:
    """Keep a file for messages. Raises ValidationError, Unavailable."""
    faults = _faults("file", filename, content_type, len(data))
    if faults:
        raise _refusal(faults)
    file = InboundFile(filename, content_type, data)
    with (
        media.keeping(caller.tenant_id, CHANNEL, [file]) as kept,
        transaction() as session,
    ):
        session.add(kept[0])
        audit.created(session, caller, kept[0])
    return kept[0]


def by_ids(ids: Any) -> list[Attachment]:
    """Of an answer in a conversation. Raises ValidationError."""
    if not isinstance(ids, list) or not all(isinstance(each, str) for each in ids):
        raise invalid("content.attachments", "a list of ids of uploaded files, such as med_3")
    return [Attachment(file_id=each) for each in ids]


def given(attachments: Sequence[Attachment]) -> list[InboundFile]:
    """The files that come with the message itself. Raises ValidationError."""
    faults: list[Detail] = []
    if len(attachments) > MAX_FILES:
        faults.append({"field": "attachments", "message": f"at most {MAX_FILES} files"})
    files = []
    for index, each in enumerate(attachments):
        if each.data is None:
            continue
        name, kind = each.filename or "", each.content_type or "application/octet-stream"
        faults += _faults(f"attachments.{index}", name, kind, len(each.data))
        files.append(InboundFile(name, kind, each.data))
    if faults:
        raise _refusal(faults)
    return files


def resolved(
    session: Session,
    tenant_id: int,
    attachments: Sequence[Attachment],
    kept: Sequence[MediaFile],
) -> list[MailFile]:
    """The files as a message names them; `kept`: rows of those of `given`, which are added.

    Raises ValidationError.
    """
    session.add_all(kept)
    session.flush()
    fresh = iter(kept)
    files: list[MailFile] = []
    for index, each in enumerate(attachments):
        field = f"attachments.{index}"
        row = next(fresh) if each.data is not None else _uploaded(session, tenant_id, field, each)
        assert row.location is not None
        name = PurePosixPath(each.filename or row.filename or row.public_id).name
        file = {**media.described(row), "name": name, "location": row.location}
        files.append(MailFile.model_validate({**file, "content_id": each.content_id}))
    if sum(file.bytes for file in files) > MAX_BYTES:
        raise invalid("attachments", f"at most {MAX_BYTES // 1024 // 1024} MiB in all")
    return files


def attach(mail: EmailMessage, files: Sequence[MailFile]) -> None:
    """Put files into a mail. Raises SendFailed: UNAVAILABLE while the storage is away, REJECTED for
    a file that was deleted."""
    for file in files:
        part = EmailMessage(policy=_PART_POLICY)
        main, _, sub = file.type.partition("/")
        part.set_content(
            _read(file),
            maintype=main,
            subtype=sub,
            filename=file.name,
            disposition="inline" if file.content_id else "attachment",
            cid=f"<{file.content_id}>" if file.content_id else None,
        )
        if mail.get_content_type() != "multipart/mixed":
            mail.make_mixed()
        mail.attach(part)


def _read(file: MailFile) -> bytes:
    try:
        with tempfile.TemporaryDirectory(prefix="irisx-mail-") as directory:
            return storage_of(file.location).fetch(file.location, Path(directory)).read_bytes()
    except FileNotFoundError:
        raise SendFailed(
            FailureKind.REJECTED, "ATTACHMENT_GONE", f"The attachment {file.id} was deleted."
        ) from None
    except (StorageError, OSError) as error:
        raise SendFailed(FailureKind.UNAVAILABLE, "STORAGE_AWAY", str(error)) from error


def _uploaded(session: Session, tenant_id: int, field: str, given: Attachment) -> MediaFile:
    try:
        key = row_key(MediaFile.PREFIX, given.file_id or "")
        row = rows.fetch(session, MediaFile, key, tenant_id=tenant_id)
    except (NotFound, IrisxError):
        row = None
    if row is None or row.channel != CHANNEL or row.status is not MediaStatus.STORED:
        raise invalid(f"{field}.id", f"there is no file {given.file_id}")
    return row


def _faults(field: str, filename: str, content_type: str, size: int) -> list[Detail]:
    faults: list[Detail] = []
    extension = PurePosixPath(filename).suffix.lstrip(".").lower()
    if not filename.strip() or not filename.isprintable() or len(filename) > 200:
        message = "a name of 1 to 200 printable characters"
        faults.append({"field": f"{field}.filename", "message": message})
    elif extension in REFUSED:
        message = f"mail servers refuse .{extension} files; send a link to it"
        faults.append({"field": f"{field}.filename", "message": message})
    if not _TYPE.fullmatch(content_type):
        message = "a media type such as application/pdf"
        faults.append({"field": f"{field}.content_type", "message": message})
    if not 0 < size <= MAX_BYTES:
        message = f"{size} bytes; a file has 1 byte to {MAX_BYTES // 1024 // 1024} MiB"
        faults.append({"field": field, "message": message})
    return faults


def _refusal(faults: list[Detail]) -> ValidationError:
    return ValidationError(f"{faults[0]['field']}: {faults[0]['message']}", details=faults)
