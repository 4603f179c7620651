"""What came of a campaign, counted from its recipients and their messages."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import and_, func, select
from sqlalchemy.orm import Session

from irisx.kernel.db import transaction
from irisx.messaging.channels.email import statistics
from irisx.messaging.channels.email.campaigns.models import EmailCampaign, EmailCampaignRecipient
from irisx.messaging.channels.email.campaigns.states import RecipientStatus
from irisx.messaging.channels.email.engagement import UNSUBSCRIBE
from irisx.messaging.channels.email.models import EmailEngagement
from irisx.messaging.channels.email.statistics import Counts
from irisx.messaging.models import Message
from irisx.tenancy import rows

_R = EmailCampaignRecipient
#: Partitions are skipped by the time: both parts of a message's key.
_MESSAGE = and_(Message.id == _R.message_id, Message.created_at == _R.message_created_at)


@dataclass(frozen=True, slots=True)
class CampaignCounts:
    """`recipients`: by their status. `reasons`: why some have no message. `messages`: of all,
    `variants`: of those whom a subject was tried on, by variant."""

    campaign: EmailCampaign
    recipients: Mapping[RecipientStatus, int]
    reasons: Sequence[tuple[str, int]]
    messages: Counts
    variants: Mapping[str, Counts]
    unsubscribed: int


def counts(tenant_id: int, campaign_id: int) -> CampaignCounts:
    with transaction() as session:
        row = rows.fetch(session, EmailCampaign, campaign_id, tenant_id=tenant_id)
        mine = _R.campaign_id == row.id
        by_status = select(_R.status, func.count()).where(mine).group_by(_R.status)
        reason = func.split_part(_R.reason, ":", 1)
        by_reason = (
            select(reason, func.count())
            .where(mine, _R.reason.is_not(None))
            .group_by(reason)
            .order_by(func.count().desc(), reason)
        )
        unsubscribed = (
            select(func.count(func.distinct(EmailEngagement.message_id)))
            .join(_R, _R.message_id == EmailEngagement.message_id)
            .where(mine, EmailEngagement.kind == UNSUBSCRIBE)
        )
        found = {status: number for status, number in session.execute(by_status)}
        return CampaignCounts(
            campaign=row,
            recipients={status: found.get(status, 0) for status in RecipientStatus},
            reasons=[(why, number) for why, number in session.execute(by_reason)],
            messages=statistics.count(session, _MESSAGE, mine),
            variants=by_variant(session, row),
            unsubscribed=session.scalars(unsubscribed).one(),
        )


def by_variant(session: Session, campaign: EmailCampaign) -> Mapping[str, Counts]:
    """Of the recipients whom a subject was tried on."""
    return statistics.counts_by(
        session, _R.variant, _MESSAGE, _R.campaign_id == campaign.id, _R.variant.is_not(None)
    )


def success(of: Counts | None, metric: str) -> float:
    """The part of the messages that were taken by a server and opened (or clicked), 0 to 1."""
    if of is None or not of.sent:
        return 0.0
    return (of.clicked if metric == "clicks" else of.opened) / of.sent


def page(
    tenant_id: int,
    campaign_id: int,
    *,
    status: RecipientStatus | None,
    limit: int,
    after: int,
) -> list[tuple[EmailCampaignRecipient, Message | None]]:
    """Recipients with their messages, by id, those after the id `after`."""
    with transaction() as session:
        row = rows.fetch(session, EmailCampaign, campaign_id, tenant_id=tenant_id)
        query: Any = (
            select(_R, Message)
            .outerjoin(Message, _MESSAGE)
            .where(_R.campaign_id == row.id, _R.id > after)
        )
        if status is not None:
            query = query.where(_R.status == status)
        found = session.execute(query.order_by(_R.id).limit(limit))
        return [(recipient, message) for recipient, message in found]
