"""Who is called next: contacts are taken under every rule, and their calls stored.

The claim and the call are one transaction, under the campaign's lock: a contact is never without
its call, nor a call without its contact, and whoever pauses or stops the campaign waits for it and
then has the last word. What dials the stored call makes sure that it is dialled once
(`calls/outbound.py`).
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any
from uuid import uuid4

from sqlalchemy import ColumnElement, func, select, update
from sqlalchemy.orm import Session

from irisx.kernel.clock import now
from irisx.kernel.errors import Forbidden, TooManyRequests
from irisx.kernel.ids import public_id
from irisx.telephony.calls import capacity, service
from irisx.telephony.dialer import do_not_call
from irisx.telephony.dialer.campaigns import options_of
from irisx.telephony.dialer.hours import Place, next_opening, place_of
from irisx.telephony.dialer.models import Campaign, CampaignAttempt, CampaignContact
from irisx.telephony.dialer.options import CampaignOptions, Order
from irisx.telephony.dialer.states import AttemptResult, ContactStatus
from irisx.tenancy.barring import check_destination
from irisx.tenancy.models import Tenant
from irisx.tenancy.settings import TenantSettings

_DAY = timedelta(days=1)
_WEEK = timedelta(days=7)
#: A number that another campaign is calling at this moment is looked at again after so long.
_BUSY_ELSEWHERE = timedelta(minutes=1)
#: Where nobody may be called within weeks, somebody may have changed the rules after so long.
_NO_OPENING = timedelta(days=1)
#: Contacts that are looked at for each that is wanted: some may not be called now.
_LOOK_AHEAD = 4
_MAX_LOOK = 500

_ORDERS: dict[Order, ColumnElement[Any]] = {
    Order.OLDEST: CampaignContact.id.asc(),
    Order.NEWEST: CampaignContact.id.desc(),
    Order.RANDOM: CampaignContact.lottery.asc(),
}


@dataclass(slots=True)
class _Known:
    """What is known of the numbers that might be called, by number."""

    barred_until: dict[str, datetime] = field(default_factory=dict)
    not_called: frozenset[str] = frozenset()


def place_calls(session: Session, campaign: Campaign, wanted: int) -> list[CampaignAttempt]:
    """Take up to `wanted` contacts and store their calls. The campaign's row must be locked.

    Contacts that may not be called now are put off until they may; fewer calls than wanted mean
    that there was nobody, or no room.
    """
    options = options_of(campaign)
    found = _due(session, campaign, options, min(wanted * _LOOK_AHEAD, _MAX_LOOK))
    if not found:
        return []
    known = _what_is_known(session, campaign, options, [contact.number for contact in found])
    tenant = capacity.lock_tenant(session, campaign.tenant_id)
    settings = TenantSettings.model_validate(tenant.settings)
    placed: list[CampaignAttempt] = []
    for contact in found:
        if len(placed) == wanted:
            break
        if not may_be_called(session, campaign, options, settings, known, contact):
            continue
        try:
            placed.append(call(session, campaign, contact, tenant, settings))
        except TooManyRequests:
            break
        known.barred_until[contact.number] = now() + _BUSY_ELSEWHERE
    return placed


def next_due(session: Session, campaign: Campaign, look_at: int) -> CampaignContact | None:
    """The next contact that may be called now, of so many that are looked at; nothing is placed.
    The campaign's row must be locked."""
    options = options_of(campaign)
    found = _due(session, campaign, options, look_at)
    known = _what_is_known(session, campaign, options, [contact.number for contact in found])
    tenant = session.get_one(Tenant, campaign.tenant_id)
    settings = TenantSettings.model_validate(tenant.settings)
    for contact in found:
        if may_be_called(session, campaign, options, settings, known, contact):
            return contact
    return None


def allowed(
    session: Session, campaign: Campaign, settings: TenantSettings, contact: CampaignContact
) -> bool:
    """Whether every rule lets this contact be called now (`may_be_called`)."""
    options = options_of(campaign)
    known = _what_is_known(session, campaign, options, [contact.number])
    return may_be_called(session, campaign, options, settings, known, contact)


def _due(
    session: Session, campaign: Campaign, options: CampaignOptions, limit: int
) -> Sequence[CampaignContact]:
    return session.scalars(
        select(CampaignContact)
        .where(
            CampaignContact.campaign_id == campaign.id,
            CampaignContact.status == ContactStatus.PENDING,
            CampaignContact.next_attempt_at <= now(),
        )
        .order_by(CampaignContact.priority.desc(), _ORDERS[options.order])
        .limit(limit)
        .with_for_update(skip_locked=True)
    ).all()


# -- rules -----------------------------------------------------------------------------------------


def _what_is_known(
    session: Session, campaign: Campaign, options: CampaignOptions, numbers: Sequence[str]
) -> _Known:
    moment = now()
    known = _Known(not_called=do_not_call.listed(session, campaign.tenant_id, campaign.id, numbers))
    lockout = timedelta(hours=options.redial_lockout_hours)
    past = session.execute(
        select(
            CampaignAttempt.number,
            CampaignAttempt.started_at,
            CampaignAttempt.result,
            CampaignAttempt.counted,
        )
        .where(
            CampaignAttempt.tenant_id == campaign.tenant_id,
            CampaignAttempt.number.in_(list(numbers)),
            CampaignAttempt.started_at > moment - max(_WEEK, lockout),
        )
        .order_by(CampaignAttempt.started_at)
    ).all()
    attempts: dict[str, list[datetime]] = {}
    for number, started_at, result, counted in past:
        if result is None:
            _put_off(known, number, moment + _BUSY_ELSEWHERE)
        elif counted:
            attempts.setdefault(number, []).append(started_at)
        if result is AttemptResult.DROPPED:
            _put_off(known, number, started_at + lockout)
    for number, times in attempts.items():
        _put_off(known, number, _free_again(times, options.attempts_per_number_per_day, _DAY))
        _put_off(known, number, _free_again(times, options.attempts_per_number_per_week, _WEEK))
    return known


def _free_again(times: Sequence[datetime], limit: int, period: timedelta) -> datetime:
    """When fewer than `limit` of the attempts (oldest first) lie within the period."""
    return times[-limit] + period if len(times) >= limit else times[-1]


def _put_off(known: _Known, number: str, until: datetime) -> None:
    known.barred_until[number] = max(until, known.barred_until.get(number, until))


def may_be_called(
    session: Session,
    campaign: Campaign,
    options: CampaignOptions,
    settings: TenantSettings,
    known: _Known,
    contact: CampaignContact,
) -> bool:
    """Whether every rule lets the contact be called now. If not it is put off until they may,
    has another number's turn, or is done with. The contact's row must be locked."""
    moment = now()
    if contact.next_attempt_at > moment:
        return False  # with the others of its place
    if contact.number in known.not_called:
        _next_number(contact, known.not_called, ContactStatus.DO_NOT_CALL)
        return False
    try:
        check_destination(contact.number, settings)
    except Forbidden:
        contact.last_result = AttemptResult.BARRED
        dead = {*contact.numbers[: contact.position + 1], *known.not_called}
        _next_number(contact, dead, ContactStatus.INVALID)
        return False
    until = known.barred_until.get(contact.number)
    if until is not None and until > moment:
        contact.next_attempt_at = until
        return False
    opening = next_opening(Place.parse(contact.place), options.hours, moment)
    if opening is None or opening > moment:
        _put_off_place(session, campaign, contact.place, opening or moment + _NO_OPENING)
        session.refresh(contact, ["next_attempt_at"])
        return False
    return True


def _put_off_place(session: Session, campaign: Campaign, place: str, until: datetime) -> None:
    """All contacts of a place where it is too late or too early; one look for many thousands."""
    session.flush()
    session.execute(
        update(CampaignContact)
        .where(
            CampaignContact.campaign_id == campaign.id,
            CampaignContact.status == ContactStatus.PENDING,
            CampaignContact.place == place,
            CampaignContact.next_attempt_at < until,
        )
        .values(next_attempt_at=until)
        .execution_options(synchronize_session=False)
    )


def _next_number(
    contact: CampaignContact, without: Iterable[str], otherwise: ContactStatus
) -> None:
    """Have the contact's next number that is not excluded called; without any it is done with."""
    excluded = set(without)
    count = len(contact.numbers)
    for step in range(1, count):
        position = (contact.position + step) % count
        if contact.numbers[position] not in excluded:
            set_number(contact, position)
            return
    contact.status = otherwise


def set_number(contact: CampaignContact, position: int) -> None:
    """The number that is called next."""
    contact.position = position
    contact.number = contact.numbers[position]
    place = place_of(contact.number, time_zone=contact.time_zone, region=contact.region)
    contact.place = str(place)


# -- the call --------------------------------------------------------------------------------------


def call(
    session: Session,
    campaign: Campaign,
    contact: CampaignContact,
    tenant: Tenant,
    settings: TenantSettings,
    *,
    agent_id: int | None = None,
) -> CampaignAttempt:
    """Store the call of a contact. The rows of tenant, campaign and contact must be locked.

    Raises TooManyRequests when a limit of the tenant has no room for it.
    """
    capacity.check_tenant(session, tenant.id, settings, sandbox=campaign.sandbox)
    options = options_of(campaign)
    stored = service.store_call(
        session,
        call_id=uuid4(),
        tenant_id=tenant.id,
        from_number=campaign.caller_id,
        to_number=contact.number,
        record=options.record or settings.record_calls,
        sandbox=campaign.sandbox,
        metadata={
            "campaign_id": campaign.public_id,
            "contact_id": contact.public_id,
        },
        options={
            "ring_timeout_s": options.ring_seconds,
            "on_answer": {"type": "campaign", "id": campaign.public_id},
            "queue": {"agent": agent_id, "auto_answer": True},
            "campaign": _instructions(campaign, options, contact, tenant),
            **({} if campaign.detection is None else {"amd": campaign.detection}),
        },
    )
    attempt = CampaignAttempt(
        id=stored.id,
        started_at=stored.initiated_at,
        tenant_id=tenant.id,
        campaign_id=campaign.id,
        contact_id=contact.id,
        number=contact.number,
        position=contact.position,
        agent_id=agent_id,
    )
    session.add(attempt)
    contact.status = ContactStatus.CALLING
    contact.attempt_id = stored.id
    contact.last_attempt_at = stored.initiated_at
    contact.disposition = contact.notes = None
    return attempt


def _instructions(
    campaign: Campaign,
    options: CampaignOptions,
    contact: CampaignContact,
    tenant: Tenant,
) -> dict[str, Any]:
    """What the engine has to know when somebody answers (`dialer/live.py`)."""
    told = options.model_dump(
        mode="json",
        by_alias=True,
        exclude_defaults=True,
        include={"safe_harbour"},
    )
    return {
        "id": campaign.public_id,
        "queue": None if campaign.queue_id is None else public_id("queue", campaign.queue_id),
        "seller": tenant.name,
        "flow": campaign.flow,
        "message": campaign.message,
        "connect_within_ms": options.connect_within_ms,
        "safe_harbour": told.get("safe_harbour"),
        "contact": {
            **contact.data,
            "id": contact.public_id,
            "name": contact.name,
            "number": contact.number,
        },
    }


def under_way(session: Session, campaign_id: int) -> int:
    """Calls of the campaign that have not ended."""
    query = select(func.count()).where(
        CampaignAttempt.campaign_id == campaign_id, CampaignAttempt.result.is_(None)
    )
    return session.scalars(query).one()
