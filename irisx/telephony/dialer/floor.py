"""What goes on in a campaign at this moment: the rows of agents and calls as pacing needs them."""

from datetime import datetime, timedelta

from sqlalchemy import and_, exists, func, select, union
from sqlalchemy.orm import Session

from irisx.kernel.clock import now
from irisx.telephony.acd.models import QueueCall, QueueMember, QueueOffer
from irisx.telephony.amd.models import AmdResult
from irisx.telephony.calls.models import Call
from irisx.telephony.calls.states import CallStatus
from irisx.telephony.dialer.models import Campaign, CampaignAttempt
from irisx.telephony.dialer.pacing import Snapshot
from irisx.telephony.dialer.settling import NO_PERSON
from irisx.telephony.dialer.stages import PAST_WAITING, Stage, stage_of
from irisx.tenancy.agent_models import Activity, Agent, AgentStatus, AgentWork

_LONGEST_RING = timedelta(seconds=120)


def snapshot(session: Session, campaign: Campaign) -> Snapshot:
    """Agents of the campaign's queue, and its calls that need one."""
    moment = now()
    free, talking, wrapping = 0, [], []
    occupied = _occupied(session, campaign)
    for agent in _agents(session, campaign):
        since = _seconds(agent.status_since, moment)
        if agent.status is AgentStatus.AVAILABLE:
            free += agent.id not in occupied
        elif agent.activity is Activity.CALL:
            talking.append(since)
        elif agent.activity is Activity.WRAP_UP:
            wrapping.append(since)
    ringing, waiting = [], 0
    for call in _calls(session, campaign):
        stage = stage_of(call.options)
        if stage in PAST_WAITING:
            continue
        if stage is Stage.WAITING:
            waiting += 1
        else:
            ringing.append(_seconds(call.initiated_at, moment))
    return Snapshot(free, talking, wrapping, ringing, waiting)


def _seconds(since: datetime, moment: datetime) -> float:
    return max(0.0, (moment - since).total_seconds())


def _agents(session: Session, campaign: Campaign) -> list[Agent]:
    query = (
        select(Agent)
        .join(QueueMember, QueueMember.agent_id == Agent.id)
        .where(QueueMember.queue_id == campaign.queue_id, Agent.deleted_at.is_(None))
    )
    return list(session.scalars(query))


def _occupied(session: Session, campaign: Campaign) -> set[int]:
    """Agents who are being rung, or have other work and no room for a call."""
    work = (
        select(AgentWork.agent_id)
        .join(Agent, Agent.id == AgentWork.agent_id)
        .where(Agent.tenant_id == campaign.tenant_id)
        .group_by(AgentWork.agent_id, Agent.capacity)
        .having(func.count() >= Agent.capacity)
    )
    rung = select(QueueOffer.agent_id).where(
        QueueOffer.tenant_id == campaign.tenant_id,
        QueueOffer.ended_at.is_(None),
        QueueOffer.at > now() - _LONGEST_RING,
    )
    return set(session.scalars(union(work, rung)))


def _calls(session: Session, campaign: Campaign) -> list[Call]:
    """Those that have no agent yet."""
    talking = exists().where(QueueCall.call_id == Call.id, QueueCall.answered_at.is_not(None))
    machine = exists().where(AmdResult.call_id == Call.id, AmdResult.result.in_(list(NO_PERSON)))
    query = (
        select(Call)
        .join(
            CampaignAttempt,
            and_(CampaignAttempt.id == Call.id, CampaignAttempt.started_at == Call.initiated_at),
        )
        .where(
            CampaignAttempt.campaign_id == campaign.id,
            CampaignAttempt.result.is_(None),
            Call.status.in_([CallStatus.INITIATED, CallStatus.RINGING, CallStatus.IN_PROGRESS]),
            ~talking,
            ~machine,
        )
    )
    return list(session.scalars(query))
