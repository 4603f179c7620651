"""Contacts of a campaign: added, listed, removed, disposed of."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from sqlalchemy import Select, any_, func, literal, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from irisx.kernel.clock import now
from irisx.kernel.db import transaction
from irisx.kernel.errors import Conflict, NotFound, ValidationError, invalid
from irisx.kernel.ids import token
from irisx.kernel.jobs import wake
from irisx.telephony.dialer import campaigns, do_not_call
from irisx.telephony.dialer.do_not_call import Owner
from irisx.telephony.dialer.hours import place_of
from irisx.telephony.dialer.models import Campaign, CampaignAttempt, CampaignContact
from irisx.telephony.dialer.options import Disposition
from irisx.telephony.dialer.states import CONTACT_TRANSITIONS, ContactStatus
from irisx.tenancy import audit, rows
from irisx.tenancy.access import Actor

MAX_NUMBERS = 5


@dataclass(frozen=True, slots=True)
class Draft:
    """A contact that is to be added. `numbers`: E.164, the main one first."""

    numbers: Sequence[str]
    name: str = ""
    time_zone: str | None = None
    region: str | None = None
    priority: int = 0
    data: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Added:
    """`duplicates`: indexes of drafts whose main number the campaign had already."""

    contacts: Sequence[CampaignContact]
    duplicates: Sequence[int]


class ZoneUnknown(ValueError):
    """Nothing tells a number's time zone, so nobody knows when it may be called."""


def add(by: Actor, tenant_id: int, campaign_id: int, drafts: Sequence[Draft]) -> Added:
    """Add contacts; those that are there already are left as they are.

    Raises ValidationError that names every draft whose time zone nobody knows; none is added then.
    """
    with transaction() as session:
        campaign = campaigns.fetch(session, tenant_id, campaign_id)
        added = store(session, campaign, drafts)
        audit.record(
            session,
            by,
            "campaign.contacts_added",
            campaign.public_id,
            tenant_id=tenant_id,
            after={"added": len(added.contacts), "duplicates": len(added.duplicates)},
        )
    wake(campaigns.TOPIC)
    return added


def store(
    session: Session, campaign: Campaign, drafts: Sequence[Draft], *, import_id: int | None = None
) -> Added:
    """Add contacts within a transaction. Raises ValidationError as `add` does."""
    default_zone = campaigns.options_of(campaign).hours.default_time_zone
    values, faults = [], []
    for index, draft in enumerate(drafts):
        try:
            values.append(_columns(campaign, draft, default_zone, import_id))
        except ZoneUnknown as error:
            faults.append({"field": f"contacts.{index}.time_zone", "message": str(error)})
    if faults:
        raise ValidationError(
            f"{faults[0]['field']}: {faults[0]['message']}",
            details=faults,  # type: ignore[arg-type]
        )
    if not values:
        return Added([], [])
    statement = insert(CampaignContact).on_conflict_do_nothing(
        index_elements=["campaign_id", "main_number"]
    )
    new = session.scalars(statement.returning(CampaignContact), values).all()
    unused = {contact.main_number: contact for contact in new}
    duplicates = [
        index for index, row in enumerate(values) if unused.pop(row["main_number"], None) is None
    ]
    return Added(sorted(new, key=lambda contact: contact.id), duplicates)


def _columns(
    campaign: Campaign, draft: Draft, default_zone: str | None, import_id: int | None
) -> dict[str, Any]:
    return {
        "tenant_id": campaign.tenant_id,
        "campaign_id": campaign.id,
        "name": draft.name,
        "numbers": list(draft.numbers),
        "main_number": draft.numbers[0],
        "number": draft.numbers[0],
        "place": place_for(draft, default_zone),
        "time_zone": draft.time_zone,
        "region": draft.region,
        "priority": draft.priority,
        "data": dict(draft.data),
        "status": ContactStatus.PENDING,
        "import_id": import_id,
    }


def place_for(draft: Draft, default_zone: str | None) -> str:
    """The place of a draft's main number; raises ZoneUnknown."""
    place = place_of(draft.numbers[0], time_zone=draft.time_zone, region=draft.region)
    if not place.zones and default_zone is None:
        raise ZoneUnknown(
            f"the prefix of {draft.numbers[0]} tells no time zone; give the contact's time_zone, "
            "or the campaign's options.hours.default_time_zone"
        )
    return str(place)


def list_page(
    tenant_id: int,
    campaign_id: int,
    *,
    limit: int,
    offset: int,
    status: ContactStatus | None = None,
    number: str | None = None,
) -> tuple[Sequence[CampaignContact], int]:
    query = _mine(tenant_id, campaign_id)
    if status is not None:
        query = query.where(CampaignContact.status == status)
    if number is not None:
        query = query.where(literal(number) == any_(CampaignContact.numbers))
    with transaction() as session:
        campaigns.fetch(session, tenant_id, campaign_id)
        return rows.page(session, query, limit=limit, offset=offset)


def get(tenant_id: int, campaign_id: int, contact_id: int) -> CampaignContact:
    with transaction() as session:
        return fetch(session, tenant_id, campaign_id, contact_id)


def remove(by: Actor, tenant_id: int, campaign_id: int, contact_id: int) -> None:
    """Remove a contact; its attempts stay. Raises Conflict CONTACT_IN_CALL during a call."""
    with transaction() as session:
        row = fetch(session, tenant_id, campaign_id, contact_id, lock=True)
        if row.status is ContactStatus.CALLING:
            raise Conflict("The contact is being called.", code="CONTACT_IN_CALL")
        audit.deleted(session, by, row)
        session.delete(row)


def fetch(
    session: Session, tenant_id: int, campaign_id: int, contact_id: int, *, lock: bool = False
) -> CampaignContact:
    """A contact of the tenant's campaign, deleted campaigns excluded."""
    campaigns.fetch(session, tenant_id, campaign_id)
    query = _mine(tenant_id, campaign_id).where(CampaignContact.id == contact_id)
    row = session.scalar(query.with_for_update() if lock else query)
    if row is None:
        raise NotFound("There is no cct with this id.")
    return row


def _mine(tenant_id: int, campaign_id: int) -> Select[CampaignContact]:
    return select(CampaignContact).where(
        CampaignContact.tenant_id == tenant_id, CampaignContact.campaign_id == campaign_id
    )


# -- dispositions ----------------------------------------------------------------------------------


def dispose(
    by: Actor,
    tenant_id: int,
    campaign_id: int,
    contact_id: int,
    *,
    code: str,
    notes: str | None,
    agent_id: int | None,
) -> CampaignContact:
    """What an agent says of the last call; the disposition decides what becomes of the contact.

    During the call it counts when that has ended. Raises ValidationError about `code`, Conflict
    NOT_CALLED if there was no call.
    """
    with transaction() as session:
        campaign = campaigns.fetch(session, tenant_id, campaign_id)
        disposition = campaigns.options_of(campaign).disposition(code)
        if disposition is None:
            raise invalid("code", f"the campaign has no disposition {code!r}")
        row = fetch(session, tenant_id, campaign_id, contact_id, lock=True)
        attempt = _last_attempt(session, row)
        if attempt is None:
            raise Conflict("The contact has not been called.", code="NOT_CALLED")
        before = audit.snapshot(row)
        row.disposition, row.notes = code, notes
        attempt.disposition, attempt.notes = code, notes
        if agent_id is not None:
            attempt.agent_id = agent_id
        if disposition.action == "do-not-call":
            reason = f"disposition {code} in {campaign.public_id}"
            do_not_call.store(session, Owner(tenant_id), row.numbers, reason)
        if row.status is not ContactStatus.CALLING:
            apply(row, disposition)
        audit.updated(session, by, row, before)
        data = {
            "contact_id": row.public_id,
            "number": attempt.number,
            "disposition": code,
            "success": disposition.success,
            "notes": notes,
        }
        campaigns.tell(
            session, campaign, "campaign.contact.disposed", data, key=token("d"), at=now()
        )
    wake(campaigns.TOPIC)
    return row


def apply(row: CampaignContact, disposition: Disposition) -> None:
    """Have a contact go where the disposition says, as far as its state allows."""
    target = {
        "complete": ContactStatus.COMPLETED,
        "retry": ContactStatus.PENDING,
        "do-not-call": ContactStatus.DO_NOT_CALL,
    }[disposition.action]
    if target in CONTACT_TRANSITIONS[row.status]:
        row.status = target
    if row.status is ContactStatus.PENDING and disposition.action == "retry":
        row.next_attempt_at = now() + timedelta(seconds=disposition.retry_seconds)


def _last_attempt(session: Session, row: CampaignContact) -> CampaignAttempt | None:
    return session.scalar(
        select(CampaignAttempt)
        .where(CampaignAttempt.contact_id == row.id)
        .order_by(CampaignAttempt.started_at.desc())
        .limit(1)
        .with_for_update()
    )


def counts(session: Session, campaign_id: int) -> dict[ContactStatus, int]:
    """Contacts by status."""
    query = (
        select(CampaignContact.status, func.count())
        .where(CampaignContact.campaign_id == campaign_id)
        .group_by(CampaignContact.status)
    )
    return {status: count for status, count in session.execute(query)}
