"""Sending an email: what was given is checked and accepted into the pipeline."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.orm import Session

from irisx.kernel.db import transaction
from irisx.kernel.errors import ValidationError, invalid
from irisx.messaging import accepting, media
from irisx.messaging.accepting import NewMessage
from irisx.messaging.channels.email import addresses, attachments, templates
from irisx.messaging.channels.email.attachments import Attachment
from irisx.messaging.channels.email.content import MailContent, MailFile
from irisx.messaging.channels.email.templates import Rendered, Source
from irisx.messaging.conversations.models import Conversation
from irisx.messaging.conversations.service import Reply
from irisx.messaging.models import MediaFile, Message, ProviderAccount
from irisx.messaging.states import Category, Direction
from irisx.tenancy.access import Caller

CHANNEL = "email"
#: Headers that are ours to set, or that would change who gets the message.
_RESERVED = frozenset(
    {
        "from", "to", "cc", "bcc", "subject", "date", "sender", "reply-to", "return-path",
        "message-id", "mime-version", "received", "dkim-signature", "list-unsubscribe",
        "list-unsubscribe-post",
    }
)  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Mail:
    """An email as it is asked for: either a template with its variables, or its own words.

    `unsubscribe` None: marketing has it. `ids`: see `accepting.repeatable_ids`.
    """

    from_: str | None = None
    subject: str | None = None
    html: str | None = None
    text: str | None = None
    template_id: int | None = None
    template_version: int | None = None
    variables: Mapping[str, Any] = field(default_factory=dict)
    reply_to: str | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    track_opens: bool = True
    track_clicks: bool = True
    unsubscribe: bool | None = None
    category: Category = Category.TRANSACTIONAL
    metadata: Mapping[str, Any] = field(default_factory=dict)
    origin: str = "api"
    send_at: datetime | None = None
    expires_at: datetime | None = None
    campaign_id: int | None = None
    variant: str | None = None
    in_reply_to: str | None = None
    conversation_id: int | None = None
    attachments: Sequence[Attachment] = ()


def send(caller: Caller, to: str, mail: Mail) -> Message:
    """Accept an email. Raises what `accept` raises."""
    ids = accepting.repeatable_ids(caller)
    tenant_id = caller.tenant_id
    with (
        media.keeping(tenant_id, CHANNEL, attachments.given(mail.attachments)) as kept,
        transaction() as session,
    ):
        message = accept(session, tenant_id, to, mail, test=caller.test, ids=ids, kept=kept)
    accepting.wake_senders()
    return message


def accept(
    session: Session,
    tenant_id: int,
    to: str,
    mail: Mail,
    *,
    test: bool = False,
    ids: tuple[UUID, UUID] | None = None,
    kept: Sequence[MediaFile] = (),
) -> Message:
    """Check an email and accept it in the caller's transaction. `kept`: rows for attachments that
    came with it, in order.

    Raises ValidationError, Conflict RECIPIENT_SUPPRESSED or RECIPIENT_OPTED_OUT, Unavailable.
    """
    try:
        recipient = addresses.normalise(to)
    except ValueError as error:
        raise invalid("to", str(error)) from None
    sender = sender_of(session, tenant_id, mail.from_)
    _check_headers(mail.headers)
    rendered, version = _rendered(session, tenant_id, mail)
    files = attachments.resolved(session, tenant_id, mail.attachments, kept)
    new = composed(mail, recipient, sender, rendered, version, files, test=test, ids=ids)
    message = accepting.accept(session, tenant_id, new)
    for file in kept:
        file.message_id = message.id
    return message


def composed(
    mail: Mail,
    recipient: str,
    sender: tuple[str, str | None],
    rendered: Rendered,
    version: int | None,
    files: Sequence[MailFile] = (),
    *,
    test: bool = False,
    ids: tuple[UUID, UUID] | None = None,
) -> NewMessage:
    """The message of rendered words. `sender`: from `sender_of`. `version`: the template's.
    `files`: from `attachments.resolved`."""
    marketing = mail.category is Category.MARKETING
    from_, from_name = sender
    content = MailContent(
        subject=rendered.subject,
        html=rendered.html,
        from_name=from_name,
        reply_to=reply_to(mail.reply_to),
        headers=dict(mail.headers),
        track_opens=mail.track_opens and rendered.html is not None,
        track_clicks=mail.track_clicks and rendered.html is not None,
        unsubscribe=marketing if mail.unsubscribe is None else mail.unsubscribe,
        template_id=mail.template_id,
        template_version=version,
        campaign_id=mail.campaign_id,
        variant=mail.variant,
        in_reply_to=mail.in_reply_to,
        attachments=list(files),
    )
    return NewMessage(
        channel=CHANNEL,
        from_=from_,
        to=recipient,
        body=rendered.text,
        content=content.stored(),
        metadata=mail.metadata,
        category=mail.category,
        origin=mail.origin,
        send_at=mail.send_at,
        expires_at=mail.expires_at,
        conversation_id=mail.conversation_id,
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
    """Answer in a conversation (`Channel.reply`), in the thread of its last letter.

    `content` may have a `subject`, `html` and `attachments`, a list of ids of uploaded files.
    """
    unknown = sorted(set(answer.content) - {"subject", "html", "attachments"})
    if unknown:
        raise invalid(
            f"content.{unknown[0]}", "an answer by email has subject, html and attachments"
        )
    if answer.media_urls:
        raise invalid("media_urls", "an email takes no media by URL; attach it or link to it")
    last = session.scalar(
        select(Message)
        .filter_by(conversation_id=conversation.id, direction=Direction.INBOUND)
        .order_by(Message.created_at.desc())
        .limit(1)
    )
    theirs = str(last.content.get("subject", "")) if last is not None else ""
    subject = theirs if theirs.lower().startswith("re:") else f"Re: {theirs}".strip()
    mail = Mail(
        from_=conversation.our_address,
        subject=str(answer.content.get("subject") or subject),
        html=answer.content.get("html"),
        text=answer.body,
        origin="conversation",
        track_opens=False,
        track_clicks=False,
        in_reply_to=last.reference if last is not None else None,
        conversation_id=conversation.id,
        attachments=attachments.by_ids(answer.content.get("attachments", [])),
    )
    tenant_id = conversation.tenant_id
    return accept(session, tenant_id, conversation.their_address, mail, test=test, ids=ids)


def _rendered(session: Session, tenant_id: int, mail: Mail) -> tuple[Rendered, int | None]:
    """The words, and the template's version that they are from."""
    own = {"subject": mail.subject, "html": mail.html, "text": mail.text}
    if mail.template_id is not None:
        doubled = sorted(name for name, value in own.items() if value is not None)
        if doubled:
            raise invalid(doubled[0], "either template_id or subject, html and text")
        found = templates.stored(session, tenant_id, mail.template_id, mail.template_version)
        return templates.render(found.version, mail.variables), found.version.version
    faults = [
        {"field": name, "message": "required without template_id"}
        for name in ("subject",)
        if not own[name]
    ]
    if mail.html is None and mail.text is None:
        faults.append({"field": "text", "message": "give html, text or both"})
    if faults:
        raise ValidationError(
            f"{faults[0]['field']}: {faults[0]['message']}",
            details=faults,  # type: ignore[arg-type]
        )
    subject, html, text = mail.subject or "", mail.html, mail.text
    if mail.variables:
        return templates.render(templates.inline(Source(subject, html, text)), mail.variables), None
    return Rendered(" ".join(subject.split()), html, text or ""), None


def sender_of(session: Session, tenant_id: int, wanted: str | None) -> tuple[str, str | None]:
    """Address and name to send as: what was asked for, or the first sender of an account."""
    if wanted is not None:
        try:
            return addresses.split(wanted)
        except ValueError as error:
            raise invalid("from", str(error)) from None
    accounts = (
        select(ProviderAccount.senders)
        .filter_by(tenant_id=tenant_id, channel=CHANNEL, enabled=True)
        .order_by(ProviderAccount.priority, ProviderAccount.id)
    )
    for senders in session.scalars(accounts):
        if senders:
            return senders[0], None
    raise invalid("from", "required: no email account of yours names a sender")


def reply_to(text: str | None) -> str | None:
    """The bare address of a Reply-To. Raises ValidationError."""
    if text is None:
        return None
    try:
        return addresses.split(text)[0]
    except ValueError as error:
        raise invalid("reply_to", str(error)) from None


def _check_headers(headers: Mapping[str, str]) -> None:
    for name in headers:
        if name.lower() in _RESERVED:
            raise invalid(f"headers.{name}", "this header is set by IRISX")
