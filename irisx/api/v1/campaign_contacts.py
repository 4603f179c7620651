"""`/v1/campaigns/{id}/contacts`: whom a campaign calls."""

from typing import Annotated, Any

from pydantic import Field

from irisx.api.http import Rate, Router
from irisx.api.schemas import (
    Answer,
    Body,
    JsonObject,
    OffsetPagination,
    OffsetQuery,
    PublicId,
    Success,
    Timestamp,
    listed,
)
from irisx.api.v1.campaigns import CampaignId
from irisx.api.v1.contact_center import AgentId
from irisx.telephony.calls.destinations import Number
from irisx.telephony.dialer import contacts, preview
from irisx.telephony.dialer.contacts import MAX_NUMBERS, Draft
from irisx.telephony.dialer.models import CampaignAttempt, CampaignContact
from irisx.telephony.dialer.options import Code, Region
from irisx.telephony.dialer.states import AttemptResult, ContactStatus
from irisx.tenancy.access import Caller
from irisx.tenancy.settings import TimeZone

router = Router("Campaign CampaignContacts")

_READ, _WRITE = "campaigns:read", "campaigns:write"

ContactId = Annotated[int, PublicId("cct")]


class NewCampaignContact(Body):
    numbers: list[Number] = Field(
        min_length=1,
        max_length=MAX_NUMBERS,
        description="E.164; the first is the main one, the others are tried when it fails.",
        examples=[["+12025550123", "+12025550124"]],
    )
    name: str = Field("", max_length=200)
    time_zone: TimeZone | None = Field(
        None, description="IANA name; without it, that of the number's prefix."
    )
    region: Region | None = Field(
        None, description="Whose rules hold: US-FL, DE. Default: by the number's prefix."
    )
    priority: int = Field(0, ge=-1000, le=1000, description="Higher ones are called first.")
    data: JsonObject = Field(
        default_factory=dict, max_length=100, description="Your own fields; templates have them."
    )


class NewCampaignContacts(Body):
    contacts: list[NewCampaignContact] = Field(min_length=1, max_length=1000)


class CampaignContactAnswer(Answer):
    id: ContactId
    name: str
    numbers: list[str]
    time_zone: str | None
    region: str | None
    priority: int
    data: dict[str, Any]
    status: ContactStatus
    attempts: int = Field(description="Those that count: not the network's faults.")
    next_attempt_at: Timestamp | None = Field(description="Of a pending contact: not before.")
    next_number: str | None = Field(description="Of a pending contact.")
    last_attempt_at: Timestamp | None
    last_result: AttemptResult | None
    disposition: str | None
    notes: str | None
    created_at: Timestamp


class AddedCampaignContacts(Answer):
    added: int
    duplicates: list[int] = Field(
        description="Indexes of contacts whose main number the campaign had already."
    )
    contacts: list[CampaignContactAnswer]


class CampaignContacts(Answer):
    contacts: list[CampaignContactAnswer]
    pagination: OffsetPagination


class CampaignContactQuery(OffsetQuery):
    status: ContactStatus | None = None
    number: Number | None = None


def shown(row: CampaignContact) -> dict[str, Any]:
    """A contact as it is answered."""
    pending = row.status is ContactStatus.PENDING
    return {
        **{name: getattr(row, name, None) for name in CampaignContactAnswer.model_fields},
        "next_attempt_at": row.next_attempt_at if pending else None,
        "next_number": row.number if pending else None,
    }


@router.get(
    "/v1/campaigns/<campaign_id>/contacts",
    access=_READ,
    answer=Success[CampaignContacts],
)
def list_campaign_contacts(
    caller: Caller, campaign_id: CampaignId, query: CampaignContactQuery
) -> dict[str, Any]:
    """List contacts."""
    rows, total = contacts.list_page(
        caller.tenant_id,
        campaign_id,
        limit=query.limit,
        offset=query.offset,
        status=query.status,
        number=query.number,
    )
    return listed("contacts", [shown(row) for row in rows], query, total)


@router.post(
    "/v1/campaigns/<campaign_id>/contacts",
    access=_WRITE,
    rate=Rate.BULK,
    answer=AddedCampaignContacts,
    status=201,
)
def add_campaign_contacts(
    caller: Caller, campaign_id: CampaignId, body: NewCampaignContacts
) -> dict[str, Any]:
    """Add up to 1,000 contacts, also to a running campaign. Those that it has stay as they are."""
    drafts = [Draft(**dict(contact)) for contact in body.contacts]
    added = contacts.add(caller, caller.tenant_id, campaign_id, drafts)
    return {
        "added": len(added.contacts),
        "duplicates": added.duplicates,
        "contacts": [shown(row) for row in added.contacts],
    }


@router.get(
    "/v1/campaigns/<campaign_id>/contacts/<contact_id>",
    access=_READ,
    answer=CampaignContactAnswer,
)
def get_campaign_contact(
    caller: Caller, campaign_id: CampaignId, contact_id: ContactId
) -> dict[str, Any]:
    """Get a contact."""
    return shown(contacts.get(caller.tenant_id, campaign_id, contact_id))


@router.delete("/v1/campaigns/<campaign_id>/contacts/<contact_id>", access=_WRITE)
def remove_campaign_contact(caller: Caller, campaign_id: CampaignId, contact_id: ContactId) -> None:
    """Remove a contact that is not being called; the records of its calls stay."""
    contacts.remove(caller, caller.tenant_id, campaign_id, contact_id)


class CallDisposition(Body):
    code: Code = Field(description="A code of the campaign's `options.dispositions`.")
    notes: Annotated[str, Field(max_length=4000)] | None = None
    agent_id: AgentId | None = Field(None, description="Who says it.")


@router.post(
    "/v1/campaigns/<campaign_id>/contacts/<contact_id>/disposition",
    access=_WRITE,
    answer=CampaignContactAnswer,
)
def dispose_campaign_contact(
    caller: Caller, campaign_id: CampaignId, contact_id: ContactId, body: CallDisposition
) -> dict[str, Any]:
    """Say how the last call went: the disposition decides whether the contact is done, called
    again, or never called any more (its numbers go on your do-not-call list)."""
    row = contacts.dispose(caller, caller.tenant_id, campaign_id, contact_id, **dict(body))
    return shown(row)


# --- preview --------------------------------------------------------------------------------------


class PreviewAgent(Body):
    agent_id: AgentId


class PreviewedContact(Answer):
    contact: CampaignContactAnswer | None = Field(description="Null: nobody may be called now.")
    reserved_until: Timestamp | None = Field(description="Then others get the contact.")


class PreviewCall(Answer):
    call_sid: str
    contact_id: ContactId


@router.post("/v1/campaigns/<campaign_id>/preview", access=_WRITE, answer=PreviewedContact)
def preview_campaign_contact(
    caller: Caller, campaign_id: CampaignId, body: PreviewAgent
) -> dict[str, Any]:
    """Show an available agent of a running preview campaign the next contact. It is the agent's
    until it is called or skipped, for three minutes after the last time that it was asked for."""
    row = preview.next_contact(caller.tenant_id, campaign_id, body.agent_id)
    return {
        "contact": None if row is None else shown(row),
        "reserved_until": row and row.reserved_until,
    }


@router.post(
    "/v1/campaigns/<campaign_id>/contacts/<contact_id>/accept",
    access=_WRITE,
    answer=PreviewCall,
    status=202,
)
def accept_campaign_contact(
    caller: Caller, campaign_id: CampaignId, contact_id: ContactId, body: PreviewAgent
) -> CampaignAttempt:
    """Call the contact that the agent looks at; whoever answers is connected with that agent."""
    return preview.accept(caller, caller.tenant_id, campaign_id, contact_id, body.agent_id)


@router.post("/v1/campaigns/<campaign_id>/contacts/<contact_id>/skip", access=_WRITE)
def skip_campaign_contact(
    caller: Caller, campaign_id: CampaignId, contact_id: ContactId, body: PreviewAgent
) -> None:
    """Leave the contact that the agent looks at to others, and to a later time."""
    preview.skip(caller, caller.tenant_id, campaign_id, contact_id, body.agent_id)
