"""`/v1/campaigns`: whom to call, how, and when it begins and ends."""

from typing import Annotated, Any

from pydantic import Field, TypeAdapter

from irisx.api.http import Router
from irisx.api.schemas import (
    UNSET,
    Answer,
    Body,
    Moment,
    Name,
    OffsetPagination,
    OffsetQuery,
    PublicId,
    Query,
    Success,
    Timestamp,
    listed,
)
from irisx.api.v1.contact_center import AgentId, QueueId
from irisx.telephony.dialer import campaigns
from irisx.telephony.dialer.models import Campaign
from irisx.telephony.dialer.options import CampaignOptions
from irisx.telephony.dialer.pacing import DialMode
from irisx.telephony.dialer.states import CampaignStatus
from irisx.telephony.ivr.audio import AnyAudio
from irisx.tenancy.access import Caller
from irisx.tenancy.settings import E164

router = Router("Campaigns")

_READ, _WRITE = "campaigns:read", "campaigns:write"

CampaignId = Annotated[int, PublicId("camp")]
Flow = Annotated[str, Field(pattern=r"^flow_[0-9]{1,18}$", examples=["flow_3"])]
Agents = Annotated[
    list[AgentId],
    Field(
        min_length=1,
        max_length=5000,
        description="Agents of the campaign alone, in place of a queue's.",
    ),
]
CallerId = Annotated[
    E164, Field(description="One of your numbers. Default: the setting default_caller_id.")
]
_AUDIO: TypeAdapter[AnyAudio] = TypeAdapter(AnyAudio)


class NewCampaign(Body):
    """One of `queue_id`, `agents`, `flow` and `message` says who or what answered calls reach."""

    name: Name
    mode: DialMode = Field(
        description="`broadcast` for a flow or a message; the others are for agents."
    )
    caller_id: CallerId | None = None
    queue_id: QueueId | None = Field(None, description="Its agents take the calls.")
    agents: Agents | None = None
    flow: Flow | None = Field(None, description="A published flow, run for each answered call.")
    message: AnyAudio | None = Field(None, description="Played to whoever answers.")
    options: CampaignOptions = Field(default_factory=CampaignOptions)


class CampaignChange(Body):
    name: Name = UNSET
    mode: DialMode = UNSET
    caller_id: CallerId = UNSET
    queue_id: QueueId | None = UNSET
    agents: Agents = UNSET
    flow: Flow | None = UNSET
    message: AnyAudio | None = UNSET
    options: Annotated[
        CampaignOptions,
        Field(description="Replaces all options: what is left out has its default again."),
    ] = UNSET


class CampaignAnswer(Answer):
    id: CampaignId
    name: str
    status: CampaignStatus
    mode: DialMode
    caller_id: str
    queue_id: QueueId | None = Field(description="Also the campaign's own, of its `agents`.")
    flow: str | None
    message: dict[str, Any] | None
    options: CampaignOptions
    sandbox: bool = Field(description="Its calls are the sandbox switch's: made with a test key.")
    start_at: Timestamp | None = Field(description="When a scheduled campaign begins.")
    started_at: Timestamp | None
    ended_at: Timestamp | None
    created_at: Timestamp
    updated_at: Timestamp


class Campaigns(Answer):
    campaigns: list[CampaignAnswer]
    pagination: OffsetPagination


class CampaignQuery(OffsetQuery):
    status: CampaignStatus | None = None


@router.get("/v1/campaigns", access=_READ, answer=Success[Campaigns])
def list_campaigns(caller: Caller, query: CampaignQuery) -> dict[str, Any]:
    """List campaigns."""
    rows, total = campaigns.list_page(
        caller.tenant_id, limit=query.limit, offset=query.offset, status=query.status
    )
    return listed("campaigns", rows, query, total)


@router.post("/v1/campaigns", access=_WRITE, answer=CampaignAnswer, status=201)
def create_campaign(caller: Caller, body: NewCampaign) -> Campaign:
    """Create a campaign, as a draft."""
    return campaigns.create(caller, **_fields(body, dict(body)))


@router.get("/v1/campaigns/<campaign_id>", access=_READ, answer=CampaignAnswer)
def get_campaign(caller: Caller, campaign_id: CampaignId) -> Campaign:
    """Get a campaign."""
    return campaigns.get(caller.tenant_id, campaign_id)


@router.put("/v1/campaigns/<campaign_id>", access=_WRITE, answer=CampaignAnswer)
def update_campaign(caller: Caller, campaign_id: CampaignId, body: CampaignChange) -> Campaign:
    """Update a campaign: fields that are left out stay as they are. While it runs only its name,
    its agents and its options can be changed; they count from the next call on."""
    given = {name: getattr(body, name) for name in body.model_fields_set}
    return campaigns.change(caller, caller.tenant_id, campaign_id, **_fields(body, given))


@router.delete("/v1/campaigns/<campaign_id>", access=_WRITE)
def delete_campaign(caller: Caller, campaign_id: CampaignId) -> None:
    """Delete a campaign that does not run; the records of its calls stay."""
    campaigns.delete_campaign(caller, caller.tenant_id, campaign_id)


def _fields(body: Body, given: dict[str, Any]) -> Any:
    """What was given, in the service's words."""
    if given.get("message") is not None:
        given["message"] = _AUDIO.dump_python(
            given["message"], mode="json", by_alias=True, exclude_defaults=True
        )
    return given


# --- control --------------------------------------------------------------------------------------


class CampaignStart(Query):
    at: Moment | None = Field(None, description="When it begins; without it, now.")


@router.post("/v1/campaigns/<campaign_id>/start", access=_WRITE, answer=CampaignAnswer)
def start_campaign(caller: Caller, campaign_id: CampaignId, query: CampaignStart) -> Campaign:
    """Start a campaign, now or at a time; also again one that was stopped or has completed."""
    return campaigns.start(caller, caller.tenant_id, campaign_id, query.at)


@router.post("/v1/campaigns/<campaign_id>/pause", access=_WRITE, answer=CampaignAnswer)
def pause_campaign(caller: Caller, campaign_id: CampaignId) -> Campaign:
    """Pause a campaign: no further call is placed; those under way go on."""
    return campaigns.pause(caller, caller.tenant_id, campaign_id)


@router.post("/v1/campaigns/<campaign_id>/resume", access=_WRITE, answer=CampaignAnswer)
def resume_campaign(caller: Caller, campaign_id: CampaignId) -> Campaign:
    """Go on with a paused campaign."""
    return campaigns.resume(caller, caller.tenant_id, campaign_id)


@router.post("/v1/campaigns/<campaign_id>/stop", access=_WRITE, answer=CampaignAnswer)
def stop_campaign(caller: Caller, campaign_id: CampaignId) -> Campaign:
    """Stop a campaign: no further call is placed, and those that nobody has answered are
    canceled, which counts as no attempt. Conversations go on."""
    return campaigns.stop(caller, caller.tenant_id, campaign_id)
