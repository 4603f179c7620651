"""What the API and conversations do with WhatsApp messages."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from pydantic import ValidationError as PydanticError
from sqlalchemy import select
from sqlalchemy.orm import Session

from irisx.kernel import clock, http
from irisx.kernel.db import transaction
from irisx.kernel.errors import Conflict, invalid
from irisx.messaging import accepting, accounts
from irisx.messaging.accepting import NewMessage
from irisx.messaging.channels.whatsapp import media, waha
from irisx.messaging.channels.whatsapp.addresses import normalise
from irisx.messaging.channels.whatsapp.content import WhatsAppContent
from irisx.messaging.channels.whatsapp.templates import SANDBOX, checked
from irisx.messaging.conversations.models import Conversation
from irisx.messaging.conversations.service import Reply
from irisx.messaging.models import Message, ProviderAccount
from irisx.messaging.senders import address, choose, numbers_of, settings_of
from irisx.messaging.states import Category
from irisx.tenancy.access import Caller
from irisx.tenancy.barring import check_destination

CHANNEL = "whatsapp"


@dataclass(frozen=True, kw_only=True)
class Draft:
    """A message as somebody wants it sent; `from_` None: the tenant's usual number.
    `template_fields`: what the request calls a template's fields, for errors."""

    content: WhatsAppContent
    from_: str | None = None
    metadata: Mapping[str, Any] = field(default_factory=dict)
    category: Category = Category.TRANSACTIONAL
    origin: str = "api"
    conversation_id: int | None = None
    template_fields: str = "template."


def send(caller: Caller, to: str, draft: Draft) -> Message:
    """Accept a message. Raises ValidationError, Forbidden DESTINATION_NOT_ALLOWED, Conflict
    WINDOW_CLOSED or NOT_SUPPORTED, and what `accepting.accept` raises."""
    ids = accepting.repeatable_ids(caller)
    with transaction() as session:
        message = accept(session, caller.tenant_id, to, draft, test=caller.test, ids=ids)
    accepting.wake_senders()
    return message


def accept(
    session: Session,
    tenant_id: int,
    to: str,
    draft: Draft,
    *,
    test: bool,
    ids: tuple[UUID, UUID] | None,
) -> Message:
    """Check a message and accept it in the caller's transaction."""
    settings = settings_of(session, tenant_id)
    content, number = draft.content, address("to", to, normalise)
    check_destination(number, settings)
    link = content.link()
    if link is not None:
        http.check_url(f"{content.type}.link", link)
    real = _real_accounts(session, tenant_id)
    own = list(real) or numbers_of(session, tenant_id)
    sender = choose(draft.from_, own, settings.default_caller_id, normalise)
    account = None if test else real.get(sender)
    words = content.words()
    if account is not None and account.provider == waha.NAME:
        _check_waha(content)
    elif content.template is None:
        _check_window(session, tenant_id, sender, number, simulated=account is None)
    else:
        business = account.settings.get("business_account_id") if account else SANDBOX
        if business is not None:
            fields = draft.template_fields
            words = checked(session, tenant_id, business, content.template, fields) or words
    dumped = content.model_dump(mode="json", exclude_none=True)
    new = NewMessage(
        channel=CHANNEL,
        from_=sender,
        to=number,
        body=words,
        media_urls=[link] if link else [],
        content=media.resolved(session, tenant_id, dumped, account),
        metadata=draft.metadata,
        category=draft.category,
        origin=draft.origin,
        conversation_id=draft.conversation_id,
        test=test,
        ids=ids,
    )
    return accepting.accept(session, tenant_id, new)


def reply(
    session: Session,
    conversation: Conversation,
    answer: Reply,
    *,
    test: bool,
    ids: tuple[UUID, UUID] | None,
) -> Message:
    """Answer in a conversation (`Channel.reply`): a text, or `content` as POST /v1/whatsapp/send
    takes it."""
    if answer.media_urls:
        raise invalid("media_urls", "give an image or document in content: type, and its link")
    if bool(answer.body) == bool(answer.content):
        raise invalid("body", "give either body or content")
    given = answer.content or {"type": "text", "text": {"body": answer.body}}
    try:
        content = WhatsAppContent.model_validate(given)
    except PydanticError as error:
        fault = error.errors(include_url=False, include_context=False, include_input=False)[0]
        field_name = ".".join(["content", *map(str, fault["loc"])])
        raise invalid(field_name if answer.content else "body", fault["msg"]) from None
    draft = Draft(
        content=content,
        from_=conversation.our_address,
        origin="conversation",
        conversation_id=conversation.id,
    )
    tenant_id = conversation.tenant_id
    return accept(session, tenant_id, conversation.their_address, draft, test=test, ids=ids)


def _real_accounts(session: Session, tenant_id: int) -> dict[str, ProviderAccount]:
    """The tenant's accounts by their numbers, best first; none: everything is the sandbox's."""
    found: dict[str, ProviderAccount] = {}
    for row in accounts.of_channel(session, tenant_id, CHANNEL):
        if row.enabled and not accounts.is_sandbox(row):
            found.setdefault(row.settings["phone_number"], row)
    return found


def _check_waha(content: WhatsAppContent) -> None:
    if content.template or content.interactive:
        raise Conflict(
            f"This number sends by WAHA, which has no {content.type} messages: send a text.",
            code="NOT_SUPPORTED",
        )


def _check_window(
    session: Session, tenant_id: int, ours: str, theirs: str, *, simulated: bool
) -> None:
    """Raises Conflict WINDOW_CLOSED where Meta would refuse (131047): more than 24 h after the
    customer's last message, or before the first one. Customers of the sandbox who never wrote
    count as having written, so that sending can be tried."""
    key = {"channel": CHANNEL, "our_address": ours, "their_address": theirs, "thread": ""}
    query = select(Conversation.window_expires_at).filter_by(tenant_id=tenant_id, **key)
    until = session.scalar(query)
    if until is None and simulated:
        return
    if until is None or until <= clock.now():
        since = f"since {clock.isoformat(until)}" if until else "as they have not written yet"
        raise Conflict(
            f"The 24-hour window of {theirs} is closed {since}: only a template may be sent. Use "
            "POST /v1/whatsapp/template.",
            code="WINDOW_CLOSED",
        )
