"""Preview: an agent sees a contact before the call, and calls it or leaves it to others."""

from datetime import timedelta

from sqlalchemy import select
from sqlalchemy.orm import Session

from irisx.kernel.clock import now
from irisx.kernel.db import transaction
from irisx.kernel.errors import Conflict, invalid
from irisx.kernel.ids import public_id
from irisx.telephony import bus
from irisx.telephony.acd.models import QueueMember
from irisx.telephony.calls import capacity
from irisx.telephony.dialer import campaigns, contacts, placing
from irisx.telephony.dialer.models import Campaign, CampaignAttempt, CampaignContact
from irisx.telephony.dialer.pacing import DialMode
from irisx.telephony.dialer.states import CampaignStatus, ContactStatus
from irisx.tenancy import agents, audit
from irisx.tenancy.access import Actor
from irisx.tenancy.agent_models import Agent, AgentStatus
from irisx.tenancy.settings import TenantSettings

#: How long an agent may look at a contact before others get it.
LOOK = timedelta(minutes=3)
#: A contact that was skipped is shown again after so long, at the earliest.
SKIPPED = timedelta(minutes=30)
_BATCH = 50


def next_contact(tenant_id: int, campaign_id: int, agent_id: int) -> CampaignContact | None:
    """The contact that the agent looks at: the same until it is called, skipped or timed out.

    None: nobody may be called now. Raises Conflict (CAMPAIGN_STATE, NO_PREVIEW,
    AGENT_NOT_AVAILABLE) or ValidationError about `agent_id`.
    """
    with transaction() as session:
        campaign = _running(session, tenant_id, campaign_id)
        _require_agent(session, campaign, agent_id)
        shown = _shown(session, campaign, agent_id)
        if shown is not None:
            shown.reserved_until = now() + LOOK
            return shown
        contact = placing.next_due(session, campaign, _BATCH)
        if contact is not None:
            contact.status = ContactStatus.PREVIEW
            contact.agent_id = agent_id
            contact.reserved_until = now() + LOOK
        return contact


def accept(
    by: Actor, tenant_id: int, campaign_id: int, contact_id: int, agent_id: int
) -> CampaignAttempt:
    """Call the contact, for the agent who looks at it.

    Raises Conflict NOT_SHOWN where somebody else has it, NOT_NOW where a rule forbids the call
    meanwhile, TooManyRequests where the tenant has no room.
    """
    with transaction() as session:
        campaign = _running(session, tenant_id, campaign_id)
        _require_agent(session, campaign, agent_id)
        contact = _held(session, campaign, contact_id, agent_id)
        contact.status = ContactStatus.PENDING
        tenant = capacity.lock_tenant(session, tenant_id)
        settings = TenantSettings.model_validate(tenant.settings)
        allowed = placing.allowed(session, campaign, settings, contact)
        contact.reserved_until = None
        if allowed:
            attempt = placing.call(session, campaign, contact, tenant, settings, agent_id=agent_id)
            _record(session, by, campaign, contact, "campaign.preview_accepted", agent_id)
        else:
            contact.agent_id = None
    if not allowed:
        raise Conflict("The contact may not be called any more just now.", code="NOT_NOW")
    bus.wake_dialer()
    return attempt


def skip(by: Actor, tenant_id: int, campaign_id: int, contact_id: int, agent_id: int) -> None:
    """Leave the contact to others, and to a later time. Raises Conflict NOT_SHOWN."""
    with transaction() as session:
        campaign = campaigns.fetch(session, tenant_id, campaign_id, lock=True)
        contact = _held(session, campaign, contact_id, agent_id)
        contact.status = ContactStatus.PENDING
        contact.agent_id = contact.reserved_until = None
        contact.next_attempt_at = now() + SKIPPED
        _record(session, by, campaign, contact, "campaign.preview_skipped", agent_id)


def _running(session: Session, tenant_id: int, campaign_id: int) -> Campaign:
    campaign = campaigns.fetch(session, tenant_id, campaign_id, lock=True)
    if campaign.mode is not DialMode.PREVIEW:
        raise Conflict(f"The campaign's mode is {campaign.mode}.", code="NO_PREVIEW")
    if campaign.status is not CampaignStatus.RUNNING:
        raise Conflict(f"The campaign is {campaign.status}.", code="CAMPAIGN_STATE")
    return campaign


def _require_agent(session: Session, campaign: Campaign, agent_id: int) -> None:
    agent = agents.fetch(session, campaign.tenant_id, agent_id)
    member = select(QueueMember).where(
        QueueMember.queue_id == campaign.queue_id, QueueMember.agent_id == agent_id
    )
    if session.scalar(member) is None:
        raise invalid("agent_id", f"{agent.public_id} is no agent of the campaign")
    if agent.status is not AgentStatus.AVAILABLE:
        raise Conflict(f"The agent is {agent.status}.", code="AGENT_NOT_AVAILABLE")


def _shown(session: Session, campaign: Campaign, agent_id: int) -> CampaignContact | None:
    return session.scalar(
        select(CampaignContact)
        .where(
            CampaignContact.campaign_id == campaign.id,
            CampaignContact.status == ContactStatus.PREVIEW,
            CampaignContact.agent_id == agent_id,
        )
        .limit(1)
        .with_for_update()
    )


def _held(session: Session, campaign: Campaign, contact_id: int, agent_id: int) -> CampaignContact:
    contact = contacts.fetch(session, campaign.tenant_id, campaign.id, contact_id, lock=True)
    if contact.status is not ContactStatus.PREVIEW or contact.agent_id != agent_id:
        raise Conflict("The agent does not look at this contact (any more).", code="NOT_SHOWN")
    return contact


def _record(
    session: Session,
    by: Actor,
    campaign: Campaign,
    contact: CampaignContact,
    action: str,
    agent_id: int,
) -> None:
    audit.record(
        session,
        by,
        action,
        contact.public_id,
        tenant_id=campaign.tenant_id,
        after={"agent_id": public_id(Agent.PREFIX, agent_id)},
    )
