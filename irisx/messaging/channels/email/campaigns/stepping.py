"""What the worker does with campaigns: a step of the one that is due longest, a transaction each.

A step holds the campaign's row, so that two workers never do the same. Messages are made a few
hundred ahead of what the pipeline sends: whoever pauses or stops a campaign finds little to take
back, and transactional mail does not wait behind it.
"""

from datetime import datetime, timedelta

from sqlalchemy import func, select
from sqlalchemy.exc import InterfaceError, OperationalError
from sqlalchemy.orm import Session

from irisx.kernel import clock
from irisx.kernel.db import transaction
from irisx.kernel.errors import IrisxError
from irisx.kernel.logging import get_logger
from irisx.messaging import accounts
from irisx.messaging.accepting import lane_of, wake_senders
from irisx.messaging.channels.email.campaigns import recipients, service, statistics
from irisx.messaging.channels.email.campaigns.models import EmailCampaign
from irisx.messaging.channels.email.campaigns.states import EmailCampaignStage, EmailCampaignStatus
from irisx.messaging.channels.email.service import CHANNEL
from irisx.messaging.models import QueueEntry
from irisx.messaging.quiet_hours import wait_until
from irisx.tenancy.models import Tenant, TenantStatus
from irisx.tenancy.settings import TenantSettings

log = get_logger(__name__)

BATCH = 250
#: Emails of a tenant that are due and not taken yet: with so many, no more are made.
AHEAD = 500
_LOOK_AGAIN = timedelta(seconds=1)
_AFTER_FAILURE = timedelta(minutes=1)
#: A campaign with a throttle that stood still for longer does not catch up on it.
_CATCH_UP = timedelta(seconds=2)


def advance() -> bool:
    """The job; True: there may be more to do at once."""
    now = clock.now()
    due = select(EmailCampaign).where(EmailCampaign.next_at <= now).order_by(EmailCampaign.next_at)
    with transaction() as session:
        campaign = session.scalar(due.limit(1).with_for_update(skip_locked=True))
        if campaign is None:
            return False
        campaign.next_at = now
        try:
            with session.begin_nested():
                _step(session, campaign, now)
        except IrisxError as error:
            # No sender, no account, words that are gone: the same for every recipient.
            session.refresh(campaign)
            service.give_up(session, campaign, f"{error.code}: {error.message}")
        except (OperationalError, InterfaceError):
            raise
        except Exception:
            session.refresh(campaign)
            log.exception("email_campaign_failed", campaign=campaign.public_id)
            campaign.next_at = now + _AFTER_FAILURE  # it holds up none of the others
    wake_senders()
    return True


def _step(session: Session, campaign: EmailCampaign, now: datetime) -> None:
    if campaign.status is EmailCampaignStatus.SCHEDULED:
        service.begin(session, campaign)
        return
    match campaign.stage:
        case EmailCampaignStage.PREPARING:
            _prepare(session, campaign)
        case EmailCampaignStage.TESTING | EmailCampaignStage.SENDING:
            _send(session, campaign, now)
        case EmailCampaignStage.DECIDING:
            _decide(session, campaign, now)
        case _:
            _settle(session, campaign, now)


def _prepare(session: Session, campaign: EmailCampaign) -> None:
    service.fix_words(session, campaign)
    recipients.write_down(session, campaign)
    campaign.stage = EmailCampaignStage.SENDING
    if campaign.ab_test is not None:
        test = service.AbTest.model_validate(campaign.ab_test)
        recipients.draw_test(session, campaign, test.test_percent)
        campaign.stage = EmailCampaignStage.TESTING


def _send(session: Session, campaign: EmailCampaign, now: datetime) -> None:
    tenant = session.get_one(Tenant, campaign.tenant_id)
    if tenant.status is not TenantStatus.ACTIVE:
        service.give_up(session, campaign, "TENANT_INACTIVE: The tenant is not active.")
        return
    until = _quiet_until(tenant, now) or _crowded_until(session, campaign, now)
    if until is not None:
        campaign.next_at = until
        return
    room = within_throttle(campaign, now)
    if not room:
        return
    testing = campaign.stage is EmailCampaignStage.TESTING
    batch = recipients.pending(session, campaign, room, test=testing)
    if batch:
        recipients.make_messages(session, campaign, batch)
        count_in(campaign, len(batch))
    elif testing:
        test = service.AbTest.model_validate(campaign.ab_test)
        campaign.stage = EmailCampaignStage.DECIDING
        campaign.next_at = campaign.decide_at = now + timedelta(minutes=test.wait_minutes)
    else:
        campaign.stage = EmailCampaignStage.SETTLING


def _quiet_until(tenant: Tenant, now: datetime) -> datetime | None:
    """When the tenant's quiet hours are over; the pipeline would let the messages wait anyway."""
    settings = TenantSettings.model_validate(tenant.settings)
    if settings.quiet_hours is None:
        return None
    return wait_until(settings.quiet_hours, "", settings.timezone, now)


def _crowded_until(session: Session, campaign: EmailCampaign, now: datetime) -> datetime | None:
    tenant_id = campaign.tenant_id
    own = [None, *(row.id for row in accounts.of_channel(session, tenant_id, CHANNEL))]
    due = select(QueueEntry.message_id).where(
        QueueEntry.lane.in_([lane_of(tenant_id, account_id) for account_id in own]),
        QueueEntry.due_at <= now,
        QueueEntry.handed.is_(False),
    )
    waiting = session.scalars(select(func.count()).select_from(due.limit(AHEAD).subquery())).one()
    return now + _LOOK_AGAIN / 5 if waiting >= AHEAD else None


def within_throttle(campaign: EmailCampaign, now: datetime) -> int:
    """How many messages may be made now; if none, `next_at` says when one may."""
    if campaign.per_minute is None:
        return BATCH
    each = timedelta(minutes=1) / campaign.per_minute
    since = max(campaign.paced_at or now, now - max(_CATCH_UP, each))
    campaign.paced_at = since
    room = min(BATCH, int((now - since) / each))
    if not room:
        campaign.next_at = since + each
    return room


def count_in(campaign: EmailCampaign, made: int) -> None:
    """So many messages were made."""
    if campaign.per_minute is not None and campaign.paced_at is not None:
        campaign.paced_at += made * timedelta(minutes=1) / campaign.per_minute


def _decide(session: Session, campaign: EmailCampaign, now: datetime) -> None:
    """The subject that did better goes to the rest."""
    if campaign.decide_at is not None and campaign.decide_at > now:
        campaign.next_at = campaign.decide_at
        return
    test = service.AbTest.model_validate(campaign.ab_test)
    results = statistics.by_variant(session, campaign)
    a, b = (statistics.success(results.get(name), test.metric) for name in "ab")
    campaign.winner = recipients.B if b > a else recipients.A
    campaign.stage = EmailCampaignStage.SENDING
    service.tell(session, campaign, "decided", {"metric": test.metric, "a": a, "b": b})


def _settle(session: Session, campaign: EmailCampaign, now: datetime) -> None:
    """Complete when nothing of it is ours to send any more."""
    if recipients.pending(session, campaign, 1, test=False):
        campaign.stage = EmailCampaignStage.SENDING  # they were taken back by a pause
    elif recipients.on_their_way(session, campaign):
        campaign.next_at = now + _LOOK_AGAIN
    else:
        service.move(session, campaign, EmailCampaignStatus.COMPLETED, "completed")
