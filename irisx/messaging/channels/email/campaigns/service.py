"""What people do with a campaign: write it, let it begin, pause it, stop it."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import datetime, timedelta
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy import select
from sqlalchemy.orm import Session

from irisx.kernel import clock
from irisx.kernel.clock import isoformat
from irisx.kernel.db import transaction
from irisx.kernel.errors import Conflict, Detail, ValidationError, invalid
from irisx.kernel.events import publish
from irisx.kernel.jobs import wake
from irisx.messaging.channels.email import service as mails
from irisx.messaging.channels.email import templates
from irisx.messaging.channels.email.campaigns import recipients
from irisx.messaging.channels.email.campaigns.models import EmailCampaign
from irisx.messaging.channels.email.campaigns.states import (
    CHANGEABLE,
    DELETABLE,
    TRANSITIONS,
    EmailCampaignStage,
    EmailCampaignStatus,
    RecipientStatus,
)
from irisx.messaging.channels.email.templates import Source
from irisx.messaging.contacts.models import ContactList
from irisx.tenancy import audit, rows
from irisx.tenancy.access import Actor, Caller

TOPIC = "email.campaigns"
MAX_AHEAD = timedelta(days=366)

_C = EmailCampaignStatus


class AbTest(BaseModel):
    """A second subject, tried on a part of the recipients: half of `test_percent` get each.

    `wait_minutes` after the last of them got theirs, the one that more of its recipients opened
    (or followed a link of) is what all others get; with no difference that is the first.
    """

    model_config = ConfigDict(extra="forbid")

    subject: str
    test_percent: int = Field(20, ge=2, le=100)
    metric: Literal["opens", "clicks"] = "opens"
    wait_minutes: int = Field(240, ge=1, le=7 * 24 * 60)


def create(by: Actor, tenant_id: int, fields: Mapping[str, Any]) -> EmailCampaign:
    """A draft. `fields`: columns of EmailCampaign by name. Raises ValidationError."""
    row = EmailCampaign(tenant_id=tenant_id, status=_C.DRAFT, variables={}, list_ids=[])
    rows.assign(row, dict(fields))
    with transaction() as session:
        check(session, row)
        session.add(row)
        audit.created(session, by, row)
        session.refresh(row)
    return row


def get(tenant_id: int, campaign_id: int) -> EmailCampaign:
    with transaction() as session:
        return rows.fetch(session, EmailCampaign, campaign_id, tenant_id=tenant_id)


def list_page(
    tenant_id: int, *, status: EmailCampaignStatus | None, limit: int, offset: int
) -> tuple[Sequence[EmailCampaign], int]:
    mine = select(EmailCampaign).where(EmailCampaign.tenant_id == tenant_id)
    if status is not None:
        mine = mine.where(EmailCampaign.status == status)
    with transaction() as session:
        return rows.page(session, mine, limit=limit, offset=offset)


def change(by: Actor, tenant_id: int, campaign_id: int, fields: Mapping[str, Any]) -> EmailCampaign:
    """Raises Conflict CAMPAIGN_BEGUN, ValidationError."""
    with transaction() as session:
        row = _locked(session, tenant_id, campaign_id)
        if row.status not in CHANGEABLE:
            raise Conflict(
                f"The campaign is {row.status}; what it is can't be changed any more.",
                code="CAMPAIGN_BEGUN",
            )
        before = audit.snapshot(row)
        rows.assign(row, dict(fields))
        check(session, row)
        audit.updated(session, by, row, before)
        session.refresh(row)
    return row


def remove(by: Actor, tenant_id: int, campaign_id: int) -> None:
    """With what is known of its recipients; its messages stay. Raises Conflict CAMPAIGN_ACTIVE."""
    with transaction() as session:
        row = _locked(session, tenant_id, campaign_id)
        if row.status not in DELETABLE:
            raise Conflict(
                f"The campaign is {row.status}; stop it before you delete it.",
                code="CAMPAIGN_ACTIVE",
            )
        audit.deleted(session, by, row)
        session.delete(row)


# -- control --------------------------------------------------------------------------------------


def send(caller: Caller, campaign_id: int) -> EmailCampaign:
    """Begin now. Raises Conflict CAMPAIGN_STATE, ValidationError for what can't be sent."""
    with transaction() as session:
        row = _locked(session, caller.tenant_id, campaign_id)
        if row.status is _C.PAUSED:
            raise _wrong_state(row, "sent; resume it")
        check(session, row)
        row.sandbox = caller.test
        begin(session, row, by=caller)
    wake(TOPIC)
    return row


def schedule(caller: Caller, campaign_id: int, at: datetime) -> EmailCampaign:
    """Begin at a later time; a second call moves it. Raises as `send`."""
    now = clock.now()
    if not now < at <= now + MAX_AHEAD:
        raise invalid("send_at", f"later than now, within {MAX_AHEAD.days} days")
    with transaction() as session:
        row = _locked(session, caller.tenant_id, campaign_id)
        check(session, row)
        row.sandbox = caller.test
        row.send_at = row.next_at = at
        move(session, row, _C.SCHEDULED, "scheduled", by=caller)
    return row


def pause(by: Actor, tenant_id: int, campaign_id: int) -> EmailCampaign:
    """What is not handed to a server is taken back; it is sent after `resume`."""
    with transaction() as session:
        row = _locked(session, tenant_id, campaign_id)
        move(session, row, _C.PAUSED, "paused", by=by)
        recipients.take_back(session, row, RecipientStatus.PENDING)
    return row


def resume(by: Actor, tenant_id: int, campaign_id: int) -> EmailCampaign:
    with transaction() as session:
        row = _locked(session, tenant_id, campaign_id)
        if row.status is not _C.PAUSED:
            raise _wrong_state(row, "resumed")
        row.error = None
        row.next_at = row.paced_at = clock.now()
        move(session, row, _C.SENDING, "resumed", by=by)
    wake(TOPIC)
    return row


def stop(by: Actor, tenant_id: int, campaign_id: int) -> EmailCampaign:
    """What is not handed to a server never will be."""
    with transaction() as session:
        row = _locked(session, tenant_id, campaign_id)
        move(session, row, _C.STOPPED, "stopped", by=by)
        recipients.take_back(session, row, RecipientStatus.CANCELED)
        recipients.cancel_pending(session, row)
    return row


def begin(session: Session, row: EmailCampaign, by: Actor | None = None) -> None:
    """The row must be locked; a worker takes it from here."""
    now = clock.now()
    row.stage = EmailCampaignStage.PREPARING
    row.started_at = row.next_at = row.paced_at = now
    move(session, row, _C.SENDING, "started", by=by)


def give_up(session: Session, row: EmailCampaign, why: str) -> None:
    """It can't go on by itself: paused, and `error` says why."""
    row.error = why
    move(session, row, _C.PAUSED, "paused")


def move(
    session: Session,
    row: EmailCampaign,
    to: EmailCampaignStatus,
    word: str,
    *,
    by: Actor | None = None,
) -> None:
    """Give a locked campaign its next status, with the audit entry and the event
    `email.campaign.<word>`. Raises Conflict CAMPAIGN_STATE."""
    if to not in TRANSITIONS[row.status]:
        raise _wrong_state(row, word)
    before, row.status = row.status, to
    if to not in (_C.SCHEDULED, _C.SENDING):
        row.next_at = None
    if to in (_C.STOPPED, _C.COMPLETED):
        row.ended_at, row.stage = clock.now(), None
    if by is not None:
        audit.record(
            session,
            by,
            f"email_campaign.{word}",
            row.public_id,
            tenant_id=row.tenant_id,
            before={"status": before.value},
            after={"status": to.value, "send_at": row.send_at and isoformat(row.send_at)},
        )
    session.flush()
    session.refresh(row)  # `updated_at` is the database's
    tell(session, row, word, {})


def tell(session: Session, row: EmailCampaign, word: str, more: Mapping[str, Any]) -> None:
    """The event `email.campaign.<word>`."""
    now = clock.now()
    publish(
        session,
        key=f"email-campaign:{row.id}:{word}:{now.isoformat()}",
        tenant_id=row.tenant_id,
        type=f"email.campaign.{word}",
        data={
            "id": row.public_id,
            "name": row.name,
            "status": row.status,
            "send_at": row.send_at and isoformat(row.send_at),
            "winner": row.winner,
            "error": row.error,
            "sandbox": row.sandbox,
            **more,
        },
        occurred_at=now,
    )


# -- checks ---------------------------------------------------------------------------------------


def check(session: Session, row: EmailCampaign) -> None:
    """Raises ValidationError that names every field for which it can't be sent."""
    faults: list[Detail] = []
    for checks in (
        lambda: mails.sender_of(session, row.tenant_id, row.from_),
        lambda: mails.reply_to(row.reply_to),
        lambda: source_of(session, row),
        lambda: _check_ab_test(row),
        lambda: _check_lists(session, row),
    ):
        try:
            checks()
        except ValidationError as error:
            faults += error.details
    if faults:
        raise ValidationError(f"{faults[0]['field']}: {faults[0]['message']}", details=faults)


def source_of(session: Session, row: EmailCampaign) -> tuple[Source, int | None]:
    """The words, and the template's version that they are from. Raises ValidationError."""
    own = {"subject": row.subject, "html": row.html, "text": row.text}
    if row.template_id is not None:
        doubled = sorted(name for name, value in own.items() if value is not None)
        if doubled:
            raise invalid(doubled[0], "either template_id or subject, html and text")
        stored = templates.find(session, row.tenant_id, row.template_id, row.template_version)
        if stored is None:
            raise invalid("template_id", "there is no such template, or not that version of it")
        version = stored.version
        return Source(version.subject, version.html, version.text), version.version
    if row.template_version is not None:
        raise invalid("template_version", "goes with template_id")
    if not row.subject:
        raise invalid("subject", "required without template_id")
    source = Source(row.subject, row.html, row.text)
    templates.inline(source)
    return source, None


def fix_words(session: Session, row: EmailCampaign) -> None:
    """From now on it sends these words, whatever becomes of the template."""
    source, row.template_version = source_of(session, row)
    row.words = asdict(source)


def _check_ab_test(row: EmailCampaign) -> None:
    if row.ab_test is None:
        return
    try:
        templates.inline(Source(AbTest.model_validate(row.ab_test).subject, None, ""))
    except ValidationError as error:
        raise invalid("ab_test.subject", error.details[0]["message"]) from None


def _check_lists(session: Session, row: EmailCampaign) -> None:
    mine = select(ContactList.id).where(
        ContactList.tenant_id == row.tenant_id, ContactList.id.in_(row.list_ids)
    )
    if not row.list_ids:
        raise invalid("list_ids", "at least one list")
    if unknown := set(row.list_ids) - set(session.scalars(mine)):
        raise invalid(
            "list_ids", f"there are no lists {', '.join(f'list_{key}' for key in sorted(unknown))}"
        )


def _locked(session: Session, tenant_id: int, campaign_id: int) -> EmailCampaign:
    return rows.fetch(session, EmailCampaign, campaign_id, tenant_id=tenant_id, lock=True)


def _wrong_state(row: EmailCampaign, verb: str) -> Conflict:
    return Conflict(f"The campaign is {row.status}; it can't be {verb}.", code="CAMPAIGN_STATE")
