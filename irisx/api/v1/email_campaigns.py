"""`/v1/email/campaigns`."""

from typing import Annotated, Any, Literal

from pydantic import Field

from irisx.api.http import Rate, Router
from irisx.api.schemas import (
    UNSET,
    Answer,
    Body,
    CursorPagination,
    CursorQuery,
    JsonObject,
    Moment,
    Name,
    OffsetPagination,
    OffsetQuery,
    PublicId,
    Success,
    Timestamp,
    listed,
    read_cursor,
    write_cursor,
)
from irisx.api.v1.email import READ, WRITE, EmailAddress, Source, Subject, TemplateId
from irisx.api.v1.email_statistics import EmailCounts, EmailNamedCount, EmailRates, rates
from irisx.messaging.channels.email.campaigns import service, statistics
from irisx.messaging.channels.email.campaigns.models import EmailCampaign as Row
from irisx.messaging.channels.email.campaigns.models import EmailCampaignRecipient as Recipient
from irisx.messaging.channels.email.campaigns.states import (
    EmailCampaignStage,
    EmailCampaignStatus,
    RecipientStatus,
)
from irisx.messaging.models import Message
from irisx.messaging.statuses import sid_of
from irisx.tenancy.access import Caller

router = Router("Email Campaigns")

CampaignId = Annotated[int, PublicId("ecmp")]
ContactListId = Annotated[int, PublicId("list")]
Lists = Annotated[list[ContactListId], Field(min_length=1, max_length=100)]
PerMinute = Annotated[int, Field(ge=1, le=100_000)]


class EmailAbTest(Body):
    """A second subject, tried on a part of the recipients, half of whom get each. `wait_minutes`
    after the last of them got theirs, the subject that more of its recipients opened (or followed
    a link of) goes to all others; with no difference that is the campaign's own."""

    subject: Subject
    test_percent: int = Field(20, ge=2, le=100, description="Of the recipients.")
    metric: Literal["opens", "clicks"] = "opens"
    wait_minutes: int = Field(240, ge=1, le=7 * 24 * 60)


class NewEmailCampaign(Body):
    """Its words are a template's, or `subject` with `html`, `text` or both. `{{ names }}` in them
    are fields of each recipient's contact (`name`, `company`, `email`, its attributes), and
    `variables`, which are the same for all."""

    name: Name
    list_ids: Lists = Field(description="A contact that is on several gets one message.")
    from_: EmailAddress | None = Field(None, alias="from")
    reply_to: EmailAddress | None = None
    subject: Subject | None = None
    html: Source | None = None
    text: Source | None = None
    template_id: TemplateId | None = None
    template_version: int | None = Field(
        None, ge=1, description="Default: the newest when it begins."
    )
    variables: JsonObject = Field(default_factory=dict)
    per_minute: PerMinute | None = Field(
        None, description="At most so many messages a minute. Default: as fast as servers take."
    )
    ab_test: EmailAbTest | None = None
    require_consent: bool = Field(
        False, description="Skip whoever has no opt-in for email in the consent ledger."
    )
    track_opens: bool = True
    track_clicks: bool = True


class EmailCampaignChange(Body):
    """What is left out stays."""

    name: Name = UNSET
    list_ids: Lists = UNSET
    from_: EmailAddress | None = Field(default_factory=lambda: None, alias="from")
    reply_to: EmailAddress | None = UNSET
    subject: Subject | None = UNSET
    html: Source | None = UNSET
    text: Source | None = UNSET
    template_id: TemplateId | None = UNSET
    template_version: int | None = Field(default_factory=lambda: None, ge=1)
    variables: JsonObject = UNSET
    per_minute: PerMinute | None = UNSET
    ab_test: EmailAbTest | None = UNSET
    require_consent: bool = UNSET
    track_opens: bool = UNSET
    track_clicks: bool = UNSET


class EmailCampaign(Answer):
    """`stage`: how far it is between its beginning and its end. `winner`: the subject (a: its own,
    b: that of `ab_test`) that the rest gets. `error`: why it was paused by itself."""

    id: CampaignId
    name: str
    status: EmailCampaignStatus
    stage: EmailCampaignStage | None
    list_ids: list[ContactListId]
    from_: str | None = Field(alias="from")
    reply_to: str | None
    subject: str | None
    html: str | None
    text: str | None
    template_id: TemplateId | None
    template_version: int | None
    variables: dict[str, Any]
    per_minute: int | None
    ab_test: EmailAbTest | None
    require_consent: bool
    track_opens: bool
    track_clicks: bool
    winner: str | None
    decide_at: Timestamp | None
    sandbox: bool
    error: str | None
    send_at: Timestamp | None
    started_at: Timestamp | None
    ended_at: Timestamp | None
    created_at: Timestamp
    updated_at: Timestamp


class EmailCampaigns(Answer):
    campaigns: list[EmailCampaign]
    pagination: OffsetPagination


class EmailCampaignQuery(OffsetQuery):
    status: EmailCampaignStatus | None = None


class EmailCampaignSchedule(Body):
    send_at: Moment = Field(examples=["2027-02-17T14:00:00.000Z"])


class EmailCampaignRecipients(Answer):
    """How many; `accepted`: have a message, `skipped`: get none, `reasons` say why."""

    total: int
    pending: int
    accepted: int
    skipped: int
    canceled: int
    reasons: list[EmailNamedCount]


class EmailVariantCounts(EmailCounts, EmailRates):
    """Of those whom this subject was tried on."""


class EmailCampaignStats(Answer):
    id: CampaignId
    status: EmailCampaignStatus
    recipients: EmailCampaignRecipients
    counts: EmailCounts
    rates: EmailRates
    unsubscribed: int
    winner: str | None
    variants: dict[str, EmailVariantCounts]


class EmailCampaignRecipient(Answer):
    """`message_id`, `message_status`, `error_code`: of its message, where it has one."""

    contact_id: Annotated[int, PublicId("con")] | None
    address: str | None
    status: RecipientStatus
    reason: str | None
    variant: str | None
    message_id: str | None
    message_status: str | None
    error_code: str | None


class EmailCampaignRecipientPage(Answer):
    recipients: list[EmailCampaignRecipient]
    pagination: CursorPagination


class EmailCampaignRecipientQuery(CursorQuery):
    status: RecipientStatus | None = None


@router.get("/v1/email/campaigns", access=READ, answer=Success[EmailCampaigns])
def list_email_campaigns(caller: Caller, query: EmailCampaignQuery) -> dict[str, Any]:
    """List campaigns."""
    found, total = service.list_page(
        caller.tenant_id, status=query.status, limit=query.limit, offset=query.offset
    )
    return listed("campaigns", found, query, total)


@router.post("/v1/email/campaigns", access=WRITE, answer=EmailCampaign, status=201)
def create_email_campaign(caller: Caller, body: NewEmailCampaign) -> Row:
    """Create a campaign; it is a draft until it is sent or scheduled."""
    return service.create(caller, caller.tenant_id, body.model_dump())


@router.get("/v1/email/campaigns/<email_campaign_id>", access=READ, answer=EmailCampaign)
def get_email_campaign(caller: Caller, email_campaign_id: CampaignId) -> Row:
    """Get a campaign."""
    return service.get(caller.tenant_id, email_campaign_id)


@router.put("/v1/email/campaigns/<email_campaign_id>", access=WRITE, answer=EmailCampaign)
def update_email_campaign(
    caller: Caller, email_campaign_id: CampaignId, body: EmailCampaignChange
) -> Row:
    """Change a campaign that has not begun."""
    fields = body.model_dump(exclude_unset=True)
    return service.change(caller, caller.tenant_id, email_campaign_id, fields)


@router.delete("/v1/email/campaigns/<email_campaign_id>", access=WRITE)
def delete_email_campaign(caller: Caller, email_campaign_id: CampaignId) -> None:
    """Delete a campaign and what is known of its recipients; its messages stay."""
    service.remove(caller, caller.tenant_id, email_campaign_id)


@router.post(
    "/v1/email/campaigns/<email_campaign_id>/send",
    access=WRITE,
    answer=EmailCampaign,
    rate=Rate.BULK,
)
def send_email_campaign(caller: Caller, email_campaign_id: CampaignId) -> Row:
    """Send a campaign now, to those who are on its lists now."""
    return service.send(caller, email_campaign_id)


@router.post("/v1/email/campaigns/<email_campaign_id>/schedule", access=WRITE, answer=EmailCampaign)
def schedule_email_campaign(
    caller: Caller, email_campaign_id: CampaignId, body: EmailCampaignSchedule
) -> Row:
    """Send a campaign at a later time, to those who will be on its lists then."""
    return service.schedule(caller, email_campaign_id, body.send_at)


@router.post("/v1/email/campaigns/<email_campaign_id>/pause", access=WRITE, answer=EmailCampaign)
def pause_email_campaign(caller: Caller, email_campaign_id: CampaignId) -> Row:
    """Pause a campaign: messages that no server has been given are taken back."""
    return service.pause(caller, caller.tenant_id, email_campaign_id)


@router.post("/v1/email/campaigns/<email_campaign_id>/resume", access=WRITE, answer=EmailCampaign)
def resume_email_campaign(caller: Caller, email_campaign_id: CampaignId) -> Row:
    """Go on with a paused campaign."""
    return service.resume(caller, caller.tenant_id, email_campaign_id)


@router.post("/v1/email/campaigns/<email_campaign_id>/stop", access=WRITE, answer=EmailCampaign)
def stop_email_campaign(caller: Caller, email_campaign_id: CampaignId) -> Row:
    """Stop a campaign for good; whom no server has been given a message for gets none."""
    return service.stop(caller, caller.tenant_id, email_campaign_id)


@router.get(
    "/v1/email/campaigns/<email_campaign_id>/stats",
    access=READ,
    answer=Success[EmailCampaignStats],
)
def get_email_campaign_stats(caller: Caller, email_campaign_id: CampaignId) -> dict[str, Any]:
    """Get what came of a campaign, counted from its recipients and their messages."""
    counts = statistics.counts(caller.tenant_id, email_campaign_id)
    return {
        "data": {
            "id": counts.campaign.id,
            "status": counts.campaign.status,
            "recipients": {
                **counts.recipients,
                "total": sum(counts.recipients.values()),
                "reasons": [{"name": why, "count": number} for why, number in counts.reasons],
            },
            "counts": counts.messages,
            "rates": rates(counts.messages),
            "unsubscribed": counts.unsubscribed,
            "winner": counts.campaign.winner,
            "variants": {
                name: EmailCounts.model_validate(of).model_dump() | rates(of)
                for name, of in counts.variants.items()
            },
        }
    }


@router.get(
    "/v1/email/campaigns/<email_campaign_id>/recipients",
    access=READ,
    answer=Success[EmailCampaignRecipientPage],
)
def list_email_campaign_recipients(
    caller: Caller, email_campaign_id: CampaignId, query: EmailCampaignRecipientQuery
) -> dict[str, Any]:
    """List a campaign's recipients: what became of each, and why."""
    listing = f"email-campaign-recipients/{email_campaign_id}"
    position = read_cursor(listing, caller.tenant_id, query.cursor)
    found = statistics.page(
        caller.tenant_id,
        email_campaign_id,
        status=query.status,
        limit=query.limit,
        after=position[0] if position else 0,
    )
    full = len(found) == query.limit
    last = [found[-1][0].id] if full else []
    return {
        "data": {
            "recipients": [_recipient(*each) for each in found],
            "pagination": {
                "limit": query.limit,
                "next_cursor": write_cursor(listing, caller.tenant_id, last) if full else None,
            },
        }
    }


def _recipient(row: Recipient, message: Message | None) -> dict[str, Any]:
    own = ("contact_id", "address", "status", "reason", "variant")
    return {name: getattr(row, name) for name in own} | {
        "message_id": sid_of(message) if message else None,
        "message_status": message.status if message else None,
        "error_code": message.error_code if message else None,
    }
