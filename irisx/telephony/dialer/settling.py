"""Calls of campaigns that have ended: what came of them, and what comes next for the contact."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import and_, select
from sqlalchemy.orm import Session

from irisx.kernel.clock import now
from irisx.kernel.db import transaction
from irisx.kernel.ids import call_sid
from irisx.kernel.jobs import wake
from irisx.telephony.calls.models import Call
from irisx.telephony.calls.states import ENDED
from irisx.telephony.dialer import campaigns, contacts
from irisx.telephony.dialer.models import Campaign, CampaignAttempt, CampaignContact
from irisx.telephony.dialer.placing import set_number
from irisx.telephony.dialer.results import NUMBER_DEAD, next_call, unanswered
from irisx.telephony.dialer.stages import PERSON, Stage, stage_of, time_of
from irisx.telephony.dialer.states import (
    OPEN_CONTACTS,
    UNCOUNTED,
    AttemptResult,
    ContactStatus,
)

BATCH = 100

_BY_STAGE = {
    Stage.CONNECTED: AttemptResult.CONNECTED,
    Stage.PLAYING: AttemptResult.CONNECTED,
    Stage.DROPPED: AttemptResult.DROPPED,
    Stage.MACHINE: AttemptResult.MACHINE,
    Stage.MESSAGE_LEFT: AttemptResult.MESSAGE_LEFT,
    Stage.FAX: AttemptResult.FAX,
    Stage.DETECTING: AttemptResult.ABANDONED,
    Stage.WAITING: AttemptResult.ABANDONED,
}


@dataclass(frozen=True, slots=True)
class _Ended:
    attempt: CampaignAttempt
    call: Call


def settle() -> bool:
    """Settle a batch of attempts whose calls are over; True: there may be more.

    A job of the worker, for all campaigns: also what a stopped one had under way is settled.
    """
    statement = (
        select(CampaignAttempt, Call)
        .join(
            Call,
            and_(Call.id == CampaignAttempt.id, Call.initiated_at == CampaignAttempt.started_at),
        )
        .where(CampaignAttempt.result.is_(None), Call.status.in_(list(ENDED)))
        .order_by(CampaignAttempt.started_at)
        .limit(BATCH)
        .with_for_update(of=CampaignAttempt, skip_locked=True)
    )
    with transaction() as session:
        ended = [_Ended(attempt, call) for attempt, call in session.execute(statement)]
        if not ended:
            return False
        found = _campaigns(session, ended)
        for one in ended:
            _settle(session, found[one.attempt.campaign_id], one)
    wake(campaigns.TOPIC)
    return len(ended) == BATCH


def _campaigns(session: Session, ended: Sequence[_Ended]) -> dict[int, Campaign]:
    ids = {one.attempt.campaign_id for one in ended}
    query = select(Campaign).where(Campaign.id.in_(ids))
    return {row.id: row for row in session.scalars(query)}


def _settle(session: Session, campaign: Campaign, ended: _Ended) -> None:
    attempt, call = ended.attempt, ended.call
    result = result_of(call)
    stage = stage_of(call.options)
    assert call.ended_at is not None
    attempt.result = result
    attempt.counted = result not in UNCOUNTED
    attempt.person = call.answered_at is not None and (stage is None or stage in PERSON)
    attempt.cause = call.reason
    attempt.answered_at, attempt.ended_at = call.answered_at, call.ended_at
    attempt.settled_at = now()
    _measure(attempt, call)
    agent = call.options["campaign"].get("connected_to")
    if agent is not None:
        attempt.agent_id = int(agent.removeprefix("agent_"))
    contact = session.get(CampaignContact, attempt.contact_id, with_for_update=True)
    if contact is not None and contact.attempt_id == attempt.id:
        _move_on(session, campaign, contact, attempt)
    _tell(session, campaign, contact, attempt)


def result_of(call: Call) -> AttemptResult:
    """How the call of a campaign ended, by what the switch and the engine say of it."""
    if call.answered_at is None:
        return unanswered(call.status, call.reason)
    stage = stage_of(call.options)
    if stage is not None:
        return _BY_STAGE[stage]
    # Answered, and over before an engine came to it: whoever hung up waited for nothing.
    return AttemptResult.ABANDONED if call.hangup_by == "remote" else AttemptResult.DROPPED


def _measure(attempt: CampaignAttempt, call: Call) -> None:
    assert call.ended_at is not None
    attempt.ring_ms = _ms(call.initiated_at, call.answered_at or call.ended_at)
    if call.answered_at is None:
        return
    connected = time_of(call.options, Stage.CONNECTED)
    waiting = time_of(call.options, Stage.WAITING)
    if waiting is not None:
        attempt.wait_ms = _ms(waiting, connected or call.ended_at)
    if connected is not None:
        attempt.talk_ms = _ms(connected, call.ended_at)


def _ms(start: datetime, end: datetime) -> int:
    return max(0, (end - start) // timedelta(milliseconds=1))


def _move_on(
    session: Session, campaign: Campaign, contact: CampaignContact, attempt: CampaignAttempt
) -> None:
    """Where the contact goes from CALLING. Its row must be locked."""
    result, ended_at = attempt.result, attempt.ended_at
    assert result is not None and ended_at is not None
    options = campaigns.options_of(campaign)
    earlier = session.execute(
        select(CampaignAttempt.position, CampaignAttempt.result)
        .where(
            CampaignAttempt.contact_id == contact.id,
            CampaignAttempt.id != attempt.id,
            CampaignAttempt.result.is_not(None),
        )
        .order_by(CampaignAttempt.started_at)
    )
    following = next_call(
        result,
        options.retries,
        ended_at=ended_at,
        earlier=[(position, past) for position, past in earlier if past is not None],
        numbers=len(contact.numbers),
        number=attempt.position,
        max_attempts=options.max_attempts,
        lockout=timedelta(hours=options.redial_lockout_hours),
    )
    contact.attempts += attempt.counted
    contact.last_result = result
    contact.attempt_id = None
    if following.at is not None:
        contact.status = ContactStatus.PENDING
        contact.next_attempt_at = following.at
        set_number(contact, following.number)
    else:
        contact.status = _final(result)
    said = options.disposition(attempt.disposition) if attempt.disposition else None
    if said is not None:
        contacts.apply(contact, said)


def _final(result: AttemptResult) -> ContactStatus:
    if result in (AttemptResult.CONNECTED, AttemptResult.MESSAGE_LEFT):
        return ContactStatus.COMPLETED
    return ContactStatus.INVALID if result in NUMBER_DEAD else ContactStatus.EXHAUSTED


def _tell(
    session: Session,
    campaign: Campaign,
    contact: CampaignContact | None,
    attempt: CampaignAttempt,
) -> None:
    assert attempt.ended_at is not None and attempt.result is not None
    sid = call_sid(attempt.id)
    data = {
        "contact_id": f"{CampaignContact.PREFIX}_{attempt.contact_id}",
        "call_sid": sid,
        "number": attempt.number,
        "result": attempt.result.value,
        "cause": attempt.cause,
        "agent_id": attempt.agent_id and f"agent_{attempt.agent_id}",
        "ring_ms": attempt.ring_ms,
        "wait_ms": attempt.wait_ms,
        "talk_ms": attempt.talk_ms,
    }
    at = attempt.ended_at
    campaigns.tell(session, campaign, "campaign.call.ended", data, key=sid, at=at)
    if attempt.result is AttemptResult.DROPPED:
        campaigns.tell(session, campaign, "campaign.call.dropped", data, key=sid, at=at)
    if contact is not None and contact.status not in OPEN_CONTACTS:
        about = {
            "contact_id": contact.public_id,
            "contact_status": contact.status.value,
            "last_result": attempt.result.value,
            "attempts": contact.attempts,
        }
        campaigns.tell(session, campaign, "campaign.contact.ended", about, key=sid, at=at)
