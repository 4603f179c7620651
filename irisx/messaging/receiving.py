"""What providers tell us: receipts and inbound messages, each counted once.

A receiver answers when everything is stored, in one transaction; a provider that gets no answer
tells us again, and the keys of what was stored keep it from counting twice.
"""

import hashlib
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import timedelta
from itertools import islice
from pathlib import PurePosixPath
from typing import Any
from urllib.parse import urlsplit
from uuid import UUID, uuid4

from sqlalchemy import select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from irisx.kernel import clock
from irisx.kernel.db import transaction
from irisx.kernel.errors import Forbidden, NotFound, invalid
from irisx.kernel.logging import get_logger
from irisx.messaging import accounts, media, references
from irisx.messaging.channels import channel as channel_of
from irisx.messaging.conversations.linking import link_inbound
from irisx.messaging.exchanges import INBOUND, note_received
from irisx.messaging.models import MediaFile, Message, ProviderAccount, ReceivedKey, UnreadPart
from irisx.messaging.provider import (
    Inbound,
    InboundFile,
    Reading,
    Receipt,
    ReceiverRequest,
    Unread,
    Wire,
    secrets_of,
)
from irisx.messaging.states import Direction, MessageStatus
from irisx.messaging.statuses import announce
from irisx.settings import get_settings
from irisx.tenancy import rows

log = get_logger(__name__)

MAX_BODY = 100_000
_MAX_ADDRESS = 320
_SHOWN = 4000
#: What is nested deeper was never sent by a provider.
_MAX_DEPTH = 50
#: A clock of theirs may be so far ahead of ours.
_SKEW = timedelta(minutes=5)


def receive(channel: str, token: str, request: ReceiverRequest) -> Reading:
    """Take what a provider posts to an account's receiver; what to answer.

    Raises NotFound for an unknown account, Forbidden SIGNATURE_INVALID, ValidationError for what
    can't be understood.
    """
    channel_of(channel)
    with transaction() as session:
        row = accounts.find_by_token(session, channel, token)
    if row is None:
        raise NotFound("There is no receiver at this path.")
    account, provider = accounts.opened(row), accounts.provider_of(row)
    if not provider.verify(account, request):
        raise Forbidden(
            "The signature is not this account's. Compare its credentials, and the URL that the "
            f"provider posts to with {account.receiver_url}.",
            code="SIGNATURE_INVALID",
        )
    try:
        reading = provider.read(account, request)
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError) as error:
        raise invalid("body", f"this is no message of {provider.name}: {error}") from error
    wire = Wire(secrets_of(account.credentials))
    clean = [Unread(*wire.clean(storable([u.reason, u.part]))) for u in reading.unread]
    take(row, replace(reading, unread=clean), wire.clean(_shown(request)))
    return reading


def take(row: ProviderAccount, reading: Reading, exchange: Mapping[str, Any]) -> None:
    """Store a reading. `exchange`: what was said, for the log, without secrets. `unread`
    has none and can be stored."""
    if not (reading.receipts or reading.messages or reading.unread or reading.notices):
        return
    files = [file for inbound in reading.messages for file in _storable_files(inbound)]
    with (
        media.keeping(row.tenant_id, row.channel, files, row.id) as kept,
        transaction() as session,
    ):
        unclaimed = iter(kept)
        named = [(row.id, r.reference) for r in reading.receipts if r.reference is not None]
        references.lock(session, named)
        for receipt in reading.receipts:
            _receipt(session, row, receipt, dict(exchange))
        for inbound in reading.messages:
            own = list(islice(unclaimed, len(inbound.files)))
            if _is_new(session, row.id, f"message {inbound.reference}"):
                store(
                    session,
                    row.tenant_id,
                    row.channel,
                    inbound,
                    provider=row.provider,
                    account_id=row.id,
                    exchange=exchange,
                    files=own,
                )
        for notice in reading.notices:
            channel_of(row.channel).noticed(session, row, notice)
        for unread in reading.unread:
            _keep(session, row, unread)


def list_unread(
    tenant_id: int, account_id: int, *, limit: int, offset: int
) -> tuple[Sequence[UnreadPart], int]:
    """What an account's provider said that was not understood, newest first."""
    accounts.get(tenant_id, account_id)
    mine = select(UnreadPart).where(UnreadPart.account_id == account_id)
    with transaction() as session:
        return rows.page(session, mine, limit=limit, offset=offset)


def store(
    session: Session,
    tenant_id: int,
    channel_name: str,
    inbound: Inbound,
    *,
    provider: str,
    account_id: int | None,
    exchange: Mapping[str, Any],
    files: Sequence[MediaFile] = (),
) -> Message:
    """An inbound message becomes a row, with all that follows from it. `files`: rows of those that
    came with it, whose bytes are stored."""
    channel = channel_of(channel_name)
    now = clock.now()
    message = Message(
        id=uuid4(),
        created_at=now,
        tenant_id=tenant_id,
        channel=channel_name,
        direction=Direction.INBOUND,
        status=MessageStatus.RECEIVED,
        from_address=_address(channel_name, inbound.from_),
        to_address=_address(channel_name, inbound.to),
        body=storable(inbound.body)[:MAX_BODY],
        media_urls=[storable(url) for url in inbound.media_urls],
        content=storable(dict(inbound.content)),
        metadata_={},
        origin="provider",
        sandbox=account_id is None,
        provider=provider,
        account_id=account_id,
        reference=storable(inbound.reference),
    )
    session.add(message)
    session.flush()
    _attach(session, message, files)
    link_inbound(session, message, name=_name(inbound.name), thread=storable(inbound.thread)[:200])
    note_received(session, message, INBOUND, now, exchange)
    channel.received(session, message)
    announce(session, message, MessageStatus.RECEIVED, min(inbound.at or now, now + _SKEW))
    return message


def _attach(session: Session, message: Message, files: Sequence[MediaFile]) -> None:
    """The files are the message's; it names them by their ids."""
    if not files:
        return
    for file in files:
        file.message_id = message.id
    session.add_all(files)
    session.flush()
    path = f"{get_settings().base_url}/v1/{message.channel}/attachments"
    message.media_urls = [*message.media_urls, *(f"{path}/{file.public_id}" for file in files)]
    message.content = {**message.content, "attachments": [media.described(f) for f in files]}


def _storable_files(inbound: Inbound) -> Sequence[InboundFile]:
    return [
        InboundFile(
            PurePosixPath(str(storable(file.name)).replace("\\", "/")).name or "attachment",
            str(storable(file.content_type)),
            file.data,
        )
        for file in inbound.files
    ]


def storable(value: Any, depth: int = 0) -> Any:
    """The same without what PostgreSQL can't hold: NUL characters, lone surrogates, infinite
    numbers, and JSON that is nested without end."""
    if depth > _MAX_DEPTH:
        return None
    if isinstance(value, str):
        return value.replace("\0", "").encode(errors="replace").decode()
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, dict):
        return {storable(k): storable(v, depth + 1) for k, v in value.items()}
    if isinstance(value, list):
        return [storable(item, depth + 1) for item in value]
    return value


def _keep(session: Session, row: ProviderAccount, unread: Unread) -> None:
    part = json.dumps(unread.part, ensure_ascii=False)
    if not _is_new(session, row.id, f"unread {hashlib.sha256(part.encode()).hexdigest()}"):
        return
    log.warning("part of a request is not understood", account=row.id, reason=unread.reason)
    session.add(UnreadPart(account_id=row.id, reason=unread.reason, part=part[:_SHOWN]))


def _receipt(
    session: Session, row: ProviderAccount, receipt: Receipt, exchange: dict[str, Any]
) -> None:
    if not _is_new(session, row.id, f"receipt {receipt.key}"):
        return
    message = _named(session, row, receipt)
    if message is not None:
        references.apply(session, message, receipt, exchange)
    elif receipt.reference is not None:
        references.keep_early(session, row.id, receipt, exchange)


def _named(session: Session, row: ProviderAccount, receipt: Receipt) -> Message | None:
    """The message that a receipt is about, locked."""
    mine = select(Message).filter_by(tenant_id=row.tenant_id, channel=row.channel)
    if receipt.sid is not None and (message_id := _uuid(receipt.sid)) is not None:
        mine = mine.where(Message.id == message_id)
    elif receipt.reference is not None:
        mine = mine.where(Message.account_id == row.id, Message.reference == receipt.reference)
    else:
        return None
    return session.scalars(mine.with_for_update().limit(1)).one_or_none()


def _uuid(sid: str) -> UUID | None:
    try:
        return UUID(sid[2:])
    except ValueError:
        return None


def _is_new(session: Session, account_id: int, key: str) -> bool:
    claimed = (
        insert(ReceivedKey)
        .values(account_id=account_id, key=storable(key)[:500])
        .on_conflict_do_nothing()
        .returning(ReceivedKey.key)
    )
    return session.execute(claimed).first() is not None


def _address(channel: str, text: str) -> str:
    """In the channel's form; what is none (an alphanumeric sender) as it stands."""
    cleaned = str(storable(text)).strip()[:_MAX_ADDRESS]
    try:
        return channel_of(channel).normalise(cleaned)
    except ValueError:
        return cleaned


def _name(name: str | None) -> str | None:
    text = " ".join(str(storable(name or "")).split())[:200]
    return text or None


def _shown(request: ReceiverRequest) -> dict[str, Any]:
    return {
        "method": request.method,
        "path": urlsplit(request.url).path,
        "query": storable(dict(request.query)),
        "body": storable(request.body[:_SHOWN].decode(errors="replace")),
    }
