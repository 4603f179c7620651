"""Contacts of a campaign's lists become recipients, and recipients messages.

Both in transactions that hold the campaign's row: a recipient is written once, and its message is
made in the transaction that says so. A worker that is killed leaves what it was at undone.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sqlalchemy import case, delete, func, insert, literal, select, update
from sqlalchemy.orm import Session

from irisx.kernel import clock
from irisx.kernel.db import text_enum
from irisx.kernel.errors import ValidationError
from irisx.messaging import accepting
from irisx.messaging.accepting import NewMessage
from irisx.messaging.channels.email import addresses, templates
from irisx.messaging.channels.email import service as mails
from irisx.messaging.channels.email.campaigns.models import EmailCampaign, EmailCampaignRecipient
from irisx.messaging.channels.email.campaigns.states import RecipientStatus
from irisx.messaging.channels.email.models import EmailTemplateVersion
from irisx.messaging.channels.email.service import CHANNEL, Mail
from irisx.messaging.channels.email.templates import Source
from irisx.messaging.contacts import consents
from irisx.messaging.contacts.models import ContactListMember
from irisx.messaging.effects import batched
from irisx.messaging.models import Message, QueueEntry
from irisx.messaging.states import WAITING, Category, MessageStatus
from irisx.messaging.statuses import move
from irisx.tenancy import contacts
from irisx.tenancy.contact_models import Contact, ContactIdentity

A, B = "a", "b"
ORIGIN = "campaign"

_R = EmailCampaignRecipient
_MAX_REASON = 300


def write_down(session: Session, campaign: EmailCampaign) -> None:
    """Every contact that is on one of the lists now, each with its first email address."""
    on_lists = (
        select(ContactListMember.contact_id)
        .where(ContactListMember.list_id.in_(campaign.list_ids))
        .distinct()
        .subquery()
    )
    first = (
        select(ContactIdentity.address)
        .where(
            ContactIdentity.contact_id == on_lists.c.contact_id,
            ContactIdentity.tenant_id == campaign.tenant_id,
            ContactIdentity.kind == contacts.EMAIL,
        )
        .order_by(ContactIdentity.id)
        .limit(1)
        .scalar_subquery()
    )
    found = select(on_lists.c.contact_id, first.label("address")).subquery()
    has_none = found.c.address.is_(None)
    status = text_enum(RecipientStatus)
    chosen = select(
        literal(campaign.tenant_id),
        literal(campaign.id),
        found.c.contact_id,
        found.c.address,
        case(
            (has_none, literal(RecipientStatus.SKIPPED, status)),
            else_=literal(RecipientStatus.PENDING, status),
        ),
        case((has_none, "NO_ADDRESS")),
    ).order_by(found.c.contact_id)
    names = ["tenant_id", "campaign_id", "contact_id", "address", "status", "reason"]
    session.execute(insert(_R).from_select(names, chosen))


def draw_test(session: Session, campaign: EmailCampaign, percent: int) -> None:
    """So many of the pending recipients, drawn by lot, get variant a or b, half of them each."""
    mine = (_R.campaign_id == campaign.id, _R.status == RecipientStatus.PENDING)
    total = session.scalars(select(func.count()).select_from(_R).where(*mine)).one()
    drawn = (
        select(_R.id, func.row_number().over(order_by=func.random()).label("place"))
        .where(*mine)
        .subquery()
    )
    session.execute(
        update(_R)
        .where(_R.id == drawn.c.id, drawn.c.place <= -(-total * percent // 100))
        .values(variant=case((drawn.c.place % 2 == 1, A), else_=B))
        .execution_options(synchronize_session=False)
    )


def pending(session: Session, campaign: EmailCampaign, limit: int, *, test: bool) -> Sequence[_R]:
    """The next who have no message yet; `test`: of those whom two subjects are tried on."""
    query = select(_R).where(_R.campaign_id == campaign.id, _R.status == RecipientStatus.PENDING)
    if test:
        query = query.where(_R.variant.is_not(None))
    return session.scalars(query.order_by(_R.id).limit(limit)).all()


@dataclass(frozen=True)
class _Known:
    """What is asked about the recipients of a batch. `owners`: contacts by address; `members`:
    contacts that are still on a list; `allowed`: addresses that opted in, None: need not."""

    owners: Mapping[str, Contact]
    members: frozenset[int]
    allowed: frozenset[str] | None


def make_messages(session: Session, campaign: EmailCampaign, batch: Sequence[_R]) -> None:
    """Each recipient's message is accepted into the pipeline, or the recipient skipped.

    Raises ValidationError or Unavailable for what is wrong with all of them.
    """
    sender = mails.sender_of(session, campaign.tenant_id, campaign.from_)
    known = _known(session, campaign, [r.address for r in batch if r.address is not None])
    words = {variant: _words(campaign, variant) for variant in (A, B)}
    taken: list[_R] = []
    news: list[NewMessage] = []
    for recipient in batch:
        variant = recipient.variant or campaign.winner or A
        new = _composed(campaign, recipient, sender, known, words[variant], variant)
        if isinstance(new, str):
            _skip(recipient, new)
            continue
        taken.append(recipient)
        news.append(new)
    results = accepting.accept_many(session, campaign.tenant_id, news)
    for recipient, result in zip(taken, results, strict=True):
        if isinstance(result, Message):
            recipient.status = RecipientStatus.ACCEPTED
            recipient.message_id, recipient.message_created_at = result.id, result.created_at
        elif result.code in ("RECIPIENT_OPTED_OUT", "RECIPIENT_SUPPRESSED"):
            _skip(recipient, result.code)
        else:
            raise result


def take_back(session: Session, campaign: EmailCampaign, status: RecipientStatus) -> None:
    """Cancel the messages that no server has been given; their recipients get `status`."""
    queued = (
        select(QueueEntry.message_id)
        .join(_R, _R.message_id == QueueEntry.message_id)
        .where(_R.campaign_id == campaign.id)
    )
    ids = session.scalars(queued).all()
    locked = select(Message).where(Message.id.in_(ids), Message.status.in_(WAITING))
    messages = session.scalars(locked.order_by(Message.id).with_for_update()).all()
    # One that is pinned may be there already, and is only asked for again.
    ours = (QueueEntry.handed.is_(False), QueueEntry.pinned.is_(False))
    taken = delete(QueueEntry).where(QueueEntry.message_id.in_([m.id for m in messages]), *ours)
    back: set[UUID] = set(session.scalars(taken.returning(QueueEntry.message_id)))
    with batched(session):
        for message in messages:
            if message.id in back:
                move(session, message, MessageStatus.CANCELED, clock.now())
    changed: dict[str, Any] = {"status": status}
    if status is RecipientStatus.PENDING:
        changed |= {"message_id": None, "message_created_at": None}
    session.execute(update(_R).where(_R.message_id.in_(back)).values(changed))


def cancel_pending(session: Session, campaign: EmailCampaign) -> None:
    """Who has no message gets none."""
    mine = (_R.campaign_id == campaign.id, _R.status == RecipientStatus.PENDING)
    session.execute(update(_R).where(*mine).values(status=RecipientStatus.CANCELED))


def on_their_way(session: Session, campaign: EmailCampaign) -> bool:
    """Whether a message of it is still ours to send."""
    query = (
        select(QueueEntry.message_id)
        .join(_R, _R.message_id == QueueEntry.message_id)
        .where(_R.campaign_id == campaign.id)
        .limit(1)
    )
    return session.scalar(query) is not None


def _known(session: Session, campaign: EmailCampaign, of: Sequence[str]) -> _Known:
    # By address: a contact that was merged into another one is that one now.
    owners = (
        select(ContactIdentity.address, Contact)
        .join(Contact, Contact.id == ContactIdentity.contact_id)
        .where(
            ContactIdentity.tenant_id == campaign.tenant_id,
            ContactIdentity.kind == contacts.EMAIL,
            ContactIdentity.address.in_(of),
        )
    )
    found = {address: contact for address, contact in session.execute(owners)}
    members = select(ContactListMember.contact_id).where(
        ContactListMember.list_id.in_(campaign.list_ids),
        ContactListMember.contact_id.in_([contact.id for contact in found.values()]),
    )
    allowed = None
    if campaign.require_consent:
        allowed = consents.opted_in(session, campaign.tenant_id, CHANNEL, of)
    return _Known(found, frozenset(session.scalars(members)), allowed)


def _words(campaign: EmailCampaign, variant: str) -> EmailTemplateVersion:
    words = dict(campaign.words or {})
    if variant == B and campaign.ab_test is not None:
        words["subject"] = campaign.ab_test["subject"]
    return templates.inline(Source(**words))


def _composed(
    campaign: EmailCampaign,
    recipient: _R,
    sender: tuple[str, str | None],
    known: _Known,
    words: EmailTemplateVersion,
    variant: str,
) -> NewMessage | str:
    """The message, or why there is none."""
    address = recipient.address or ""
    contact = known.owners.get(address)
    if contact is None:
        return "CONTACT_GONE"
    if contact.id not in known.members:
        return "LEFT_LIST"
    if known.allowed is not None and address not in known.allowed:
        return "NO_CONSENT"
    mail = Mail(
        template_id=campaign.template_id,
        reply_to=campaign.reply_to,
        track_opens=campaign.track_opens,
        track_clicks=campaign.track_clicks,
        category=Category.MARKETING,
        origin=ORIGIN,
        campaign_id=campaign.id,
        variant=variant if campaign.ab_test is not None else None,
    )
    try:
        to = addresses.normalise(address)
    except ValueError:
        return "INVALID_ADDRESS"
    try:
        rendered = templates.render(words, values_of(contact, address, campaign.variables))
    except ValidationError as error:
        return f"NOT_RENDERED: {error.message}"[:_MAX_REASON]
    version = campaign.template_version
    return mails.composed(mail, to, sender, rendered, version, test=campaign.sandbox)


def values_of(contact: Contact, address: str, given: Mapping[str, Any]) -> dict[str, Any]:
    """What templates know of a recipient: the contact's attributes and fields, and what was
    `given` for all, which wins."""
    own = contacts.shown_fields(contact)
    return {**contact.attributes, **own, "email": address, "id": contact.public_id, **given}


def _skip(recipient: _R, reason: str) -> None:
    recipient.status, recipient.reason = RecipientStatus.SKIPPED, reason
