"""What the API, IVR flows and rules do with text messages."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.orm import Session

from irisx.kernel import http
from irisx.kernel.db import transaction
from irisx.kernel.errors import IrisxError, ValidationError, invalid
from irisx.messaging import accepting
from irisx.messaging.accepting import NewMessage
from irisx.messaging.channels.sms import segments
from irisx.messaging.channels.sms.addresses import is_number, normalise
from irisx.messaging.conversations.models import Conversation
from irisx.messaging.conversations.service import Reply
from irisx.messaging.models import Message, ProviderAccount
from irisx.messaging.senders import address, choose, numbers_of, settings_of
from irisx.messaging.states import Category
from irisx.tenancy.access import Caller
from irisx.tenancy.barring import check_destination
from irisx.tenancy.settings import TenantSettings

CHANNEL = "sms"
MAX_SEGMENTS = 10
MAX_RECIPIENTS = 1000


@dataclass(frozen=True, kw_only=True)
class Text:
    """A text message as somebody wants it sent; `from_` None: the tenant's usual sender."""

    body: str
    from_: str | None = None
    media_urls: Sequence[str] = ()
    metadata: Mapping[str, Any] = field(default_factory=dict)
    category: Category = Category.TRANSACTIONAL
    smart_encoding: bool = False
    send_at: datetime | None = None
    expires_at: datetime | None = None
    origin: str = "api"
    conversation_id: int | None = None


@dataclass(frozen=True)
class Result:
    """What became of one recipient of many: a message, or why there is none."""

    to: str
    message: Message | None = None
    error: IrisxError | None = None


def send(caller: Caller, to: str, text: Text) -> Message:
    """Accept a message. Raises ValidationError, Forbidden DESTINATION_NOT_ALLOWED, and what
    `accepting.accept` raises."""
    check_media(text.media_urls)
    ids = accepting.repeatable_ids(caller)
    with transaction() as session:
        message = accept(session, caller.tenant_id, to, text, test=caller.test, ids=ids)
    accepting.wake_senders()
    return message


def send_bulk(caller: Caller, recipients: Sequence[str], text: Text) -> list[Result]:
    """Accept a message to each recipient, all in one transaction; one that can't be accepted is
    told and keeps nobody else from theirs. A number that is named twice gets one."""
    check_media(text.media_urls)
    seen: set[str] = set()
    found: dict[int, NewMessage | IrisxError] = {}
    with transaction() as session:
        settings = settings_of(session, caller.tenant_id)
        sender = _sender(session, caller.tenant_id, settings, text.from_)
        for index, to in enumerate(recipients):
            ids = accepting.repeatable_ids(caller, index)
            try:
                new = _new(settings, sender, to, text, test=caller.test, ids=ids)
                if new.to in seen:
                    raise invalid("to", "named twice; it gets one message")
                seen.add(new.to)
                found[index] = new
            except IrisxError as error:
                found[index] = error
        news = {i: new for i, new in found.items() if isinstance(new, NewMessage)}
        accepted = accepting.accept_many(session, caller.tenant_id, list(news.values()))
        outcomes = found | dict(zip(news, accepted, strict=True))
    accepting.wake_senders()
    return [_result(to, outcomes[index]) for index, to in enumerate(recipients)]


def _result(to: str, outcome: object) -> Result:
    if isinstance(outcome, IrisxError):
        return Result(to, error=outcome)
    return Result(to, outcome if isinstance(outcome, Message) else None)


def accept(
    session: Session,
    tenant_id: int,
    to: str,
    text: Text,
    *,
    test: bool = False,
    ids: tuple[UUID, UUID] | None = None,
) -> Message:
    """Check a message and accept it in the caller's transaction."""
    settings = settings_of(session, tenant_id)
    sender = _sender(session, tenant_id, settings, text.from_)
    new = _new(settings, sender, to, text, test=test, ids=ids)
    return accepting.accept(session, tenant_id, new)


def _new(
    settings: TenantSettings,
    sender: str,
    to: str,
    text: Text,
    *,
    test: bool,
    ids: tuple[UUID, UUID] | None,
) -> NewMessage:
    """The message, if it may go there and is not too long."""
    number = _recipient(to)
    if is_number(number):
        check_destination(number, settings)
    body = segments.plain(text.body) if text.smart_encoding else text.body
    parts = segments.split(body)
    if parts.count > MAX_SEGMENTS:
        raise invalid(
            "body", f"takes {parts.count} segments of {parts.encoding}; at most {MAX_SEGMENTS}"
        )
    return NewMessage(
        channel=CHANNEL,
        from_=sender,
        to=number,
        body=body,
        media_urls=text.media_urls,
        content={"encoding": parts.encoding},
        metadata=text.metadata,
        segments=parts.count,
        category=text.category,
        origin=text.origin,
        send_at=text.send_at,
        expires_at=text.expires_at,
        conversation_id=text.conversation_id,
        test=test,
        ids=ids,
    )


def reply(
    session: Session,
    conversation: Conversation,
    answer: Reply,
    *,
    test: bool,
    ids: tuple[UUID, UUID] | None,
) -> Message:
    """Answer in a conversation (`Channel.reply`)."""
    check_media(answer.media_urls)
    if answer.content:
        raise invalid("content", "a text message has a body and media_urls only")
    text = Text(
        body=answer.body,
        from_=conversation.our_address,
        media_urls=answer.media_urls,
        origin="conversation",
        conversation_id=conversation.id,
    )
    tenant_id = conversation.tenant_id
    return accept(session, tenant_id, conversation.their_address, text, test=test, ids=ids)


def check_media(urls: Sequence[str]) -> None:
    """Providers fetch media: only public http(s) URLs are passed on."""
    faults = []
    for index, url in enumerate(urls):
        try:
            http.check_url(f"media_urls.{index}", url)
        except ValidationError as error:
            faults += error.details
    if faults:
        raise ValidationError(f"{faults[0]['field']}: {faults[0]['message']}", details=faults)


def _recipient(to: str) -> str:
    number = address("to", to, normalise)
    if not number.lstrip("+").isdigit():
        raise invalid("to", "a name gets no messages; give a number, +15555550100")
    return number


def _sender(session: Session, tenant_id: int, settings: TenantSettings, wanted: str | None) -> str:
    """A number of the tenant's, or a sender of one of its accounts."""
    senders = select(ProviderAccount.senders).filter_by(
        tenant_id=tenant_id, channel=CHANNEL, enabled=True
    )
    ordered = senders.order_by(ProviderAccount.priority, ProviderAccount.id)
    own = [sender for row in session.scalars(ordered) for sender in row]
    own += numbers_of(session, tenant_id)
    return choose(wanted, own, settings.default_caller_id, normalise)
