"""Calls of campaigns that have ended: what came of them, and what comes next for the contact."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy import and_, select
from sqlalchemy.orm import Session

from irisx.kernel.clock import now
from irisx.kernel.db import transaction
from irisx.kernel.jobs import wake
from irisx.media.amd import Result
from irisx.telephony.acd.models import QueueCall
from irisx.telephony.amd.models import AmdResult
from irisx.telephony.calls.models import Call, CallEvent
from irisx.telephony.calls.states import ENDED
from irisx.telephony.dialer import campaigns, contacts
from irisx.telephony.dialer.models import Campaign, CampaignAttempt, CampaignContact
from irisx.telephony.dialer.placing import set_number
from irisx.telephony.dialer.results import NUMBER_DEAD, next_call, unanswered
from irisx.telephony.dialer.stages import Stage, stage_of
from irisx.telephony.dialer.states import (
    OPEN_CONTACTS,
    PERSON_RESULTS,
    UNCOUNTED,
    AttemptResult,
    ContactStatus,
)

BATCH = 100

_BY_STAGE = {
    Stage.PLAYING: AttemptResult.CONNECTED,
    Stage.DROPPED: AttemptResult.DROPPED,
}

#: Of detection: an answer that no person gave.
NO_PERSON = frozenset({Result.MACHINE, Result.FAX})


@dataclass(frozen=True, slots=True)
class Ended:
    """A call that is over. `queued`: its talk with an agent, or else its wait for one. `heard`: who
    took the call, where that was detected; `message_left`: a machine has its message."""

    attempt: CampaignAttempt
    call: Call
    queued: QueueCall | None = None
    heard: Result | None = None
    message_left: bool = False

    @property
    def talked(self) -> QueueCall | None:
        answered = self.queued is not None and self.queued.answered_at is not None
        return self.queued if answered else None


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
        over = [(attempt, call) for attempt, call in session.execute(statement)]
        if not over:
            return False
        ids = [call.id for _, call in over]
        queued, heard = _queued(session, ids), _heard(session, ids)
        left = _messages_left(session, ids)
        ended = [
            Ended(attempt, call, queued.get(call.id), heard.get(call.id), call.id in left)
            for attempt, call in over
        ]
        found = _campaigns(session, ended)
        for one in ended:
            _settle(session, found[one.attempt.campaign_id], one)
    wake(campaigns.TOPIC)
    return len(ended) == BATCH


def _campaigns(session: Session, ended: Sequence[Ended]) -> dict[int, Campaign]:
    ids = {one.attempt.campaign_id for one in ended}
    query = select(Campaign).where(Campaign.id.in_(ids))
    return {row.id: row for row in session.scalars(query)}


def _queued(session: Session, call_ids: Sequence[UUID]) -> dict[UUID, QueueCall]:
    """By call: the time in a queue in which it got an agent, or the last one."""
    query = (
        select(QueueCall)
        .where(QueueCall.call_id.in_(call_ids))
        .order_by(QueueCall.answered_at.is_not(None), QueueCall.entered_at)
    )
    return {row.call_id: row for row in session.scalars(query)}


def _heard(session: Session, call_ids: Sequence[UUID]) -> dict[UUID, Result]:
    query = select(AmdResult.call_id, AmdResult.result).where(AmdResult.call_id.in_(call_ids))
    return {call_id: result for call_id, result in session.execute(query)}


def _messages_left(session: Session, call_ids: Sequence[UUID]) -> set[UUID]:
    query = select(CallEvent.call_id).where(
        CallEvent.call_id.in_(call_ids), CallEvent.type == "amd.message_left"
    )
    return set(session.scalars(query))


def _settle(session: Session, campaign: Campaign, ended: Ended) -> None:
    attempt, call = ended.attempt, ended.call
    result = result_of(ended)
    assert call.ended_at is not None
    attempt.result = result
    attempt.counted = result not in UNCOUNTED
    attempt.person = result in PERSON_RESULTS and ended.heard not in NO_PERSON
    attempt.cause = call.reason
    attempt.answered_at, attempt.ended_at = call.answered_at, call.ended_at
    attempt.settled_at = now()
    attempt.ring_ms = _ms(call.initiated_at, call.answered_at or call.ended_at)
    if ended.queued is not None:
        attempt.wait_ms, attempt.talk_ms = ended.queued.wait_ms, ended.queued.talk_ms
    if ended.talked is not None:
        attempt.agent_id = ended.talked.agent_id
    contact = session.get(CampaignContact, attempt.contact_id, with_for_update=True)
    if contact is not None and contact.attempt_id == attempt.id:
        _move_on(session, campaign, contact, attempt)
    _tell(session, campaign, contact, attempt)


def result_of(ended: Ended) -> AttemptResult:
    """How the call of a campaign ended, by what the switch, the engine and the queue say of it."""
    call = ended.call
    if call.answered_at is None:
        return unanswered(call.status, call.reason)
    if ended.talked is not None:
        return AttemptResult.CONNECTED
    stage = stage_of(call.options)
    if stage is not None and stage is not Stage.WAITING:
        return _BY_STAGE[stage]
    if ended.message_left:
        return AttemptResult.MESSAGE_LEFT
    if ended.heard in NO_PERSON:
        return AttemptResult.FAX if ended.heard is Result.FAX else AttemptResult.MACHINE
    # Nobody was there for whoever answered. It is our doing unless it was they who hung up.
    return AttemptResult.ABANDONED if call.hangup_by == "remote" else AttemptResult.DROPPED


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
    sid = attempt.call_sid
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
