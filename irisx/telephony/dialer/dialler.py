"""The dialler: a job of the worker that paces every running campaign.

It runs in the worker and not in the engine because it has nothing to do with a live call: it reads
rows (agents, attempts, calls) and writes rows, which an engine dials exactly once whatever happens
to this process. A fault in it can't touch a call, an engine that is restarted costs it nothing, and
several workers share the campaigns: each campaign is paced by the one that holds its lease
(`dialer`, `dialer_until`), which another takes over within LEASE seconds. The decision itself is
made under a lock on the campaign's row, so even two workers that both believe in their lease could
not place too many calls at once, nor one after a `pause` was answered.
"""

import math
import os
import socket
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import uuid4

from sqlalchemy import func, or_, select, update
from sqlalchemy.orm import Session

from irisx.kernel.clock import now
from irisx.kernel.db import transaction
from irisx.kernel.jobs import Job
from irisx.kernel.logging import get_logger
from irisx.telephony import bus
from irisx.telephony.acd.models import QueueCall
from irisx.telephony.dialer import campaigns
from irisx.telephony.dialer.campaigns import options_of
from irisx.telephony.dialer.floor import snapshot
from irisx.telephony.dialer.models import Campaign, CampaignAttempt, CampaignContact
from irisx.telephony.dialer.options import CampaignOptions
from irisx.telephony.dialer.pacing import DialMode, Pacer, Snapshot
from irisx.telephony.dialer.placing import place_calls, under_way
from irisx.telephony.dialer.states import (
    OPEN_CONTACTS,
    PERSON_RESULTS,
    AttemptResult,
    CampaignStatus,
    ContactStatus,
)

log = get_logger(__name__)

TICK = 0.5
#: Seconds after which a campaign whose worker says nothing more is anybody's.
LEASE = 5.0
#: The window of the drop rate (16 CFR 310.4(b)(4)(i)).
DROP_WINDOW = timedelta(days=30)
#: What a worker that takes a campaign over learns from.
_LEARN_FROM = 500
#: Between two counts in rows the pacer counts what it learns.
_RECOUNT_SECONDS = 5.0


@dataclass(slots=True)
class _Paced:
    """A campaign of this worker. `seen`, `seen_wraps`: attempts that were settled and wrap-ups that
    ended up to here are known to the pacer. `counted_at`: monotonic seconds."""

    pacer: Pacer
    seen: datetime
    seen_wraps: datetime
    counted_at: float = -math.inf


class Dialler:
    """Paces campaigns; one to a worker."""

    def __init__(self) -> None:
        self._me = f"{socket.gethostname()}:{os.getpid()}:{uuid4().hex[:8]}"
        self._paced: dict[int, _Paced] = {}
        self.job = Job("campaigns.dial", self.run, TICK, topic=campaigns.TOPIC, finish=self.finish)

    def run(self) -> bool:
        """One look at every campaign that is this worker's."""
        mine = self._take()
        for gone in self._paced.keys() - set(mine):
            del self._paced[gone]
        placed = 0
        for campaign_id in mine:
            placed += self._look_at(campaign_id)
        if placed:
            bus.wake_dialer()
        return False

    def finish(self) -> None:
        """Give the campaigns to whoever asks next."""
        with transaction() as session:
            session.execute(
                update(Campaign).where(Campaign.dialer == self._me).values(dialer_until=None)
            )

    def _take(self) -> list[int]:
        """Renew this worker's leases, take those that are free, begin what is scheduled."""
        moment = now()
        free = or_(
            Campaign.dialer == self._me,
            Campaign.dialer_until.is_(None),
            Campaign.dialer_until < moment,
        )
        with transaction() as session:
            found = session.scalars(
                select(Campaign)
                .where(
                    Campaign.status.in_([CampaignStatus.RUNNING, CampaignStatus.SCHEDULED]), free
                )
                .order_by(Campaign.id)
                .with_for_update(skip_locked=True)
            ).all()
            for row in found:
                row.dialer, row.dialer_until = self._me, moment + timedelta(seconds=LEASE)
                if row.status is CampaignStatus.SCHEDULED and (row.start_at or moment) <= moment:
                    campaigns.begin_scheduled(session, row)
            return [row.id for row in found if row.status is CampaignStatus.RUNNING]

    def _look_at(self, campaign_id: int) -> int:
        """Learn, decide and place; how many calls were placed."""
        with transaction() as session:
            row = session.get(Campaign, campaign_id, with_for_update=True)
            if row is None or row.status is not CampaignStatus.RUNNING or row.dialer != self._me:
                return 0
            options = options_of(row)
            paced = self._paced.get(campaign_id)
            if paced is None or paced.pacer.mode is not row.mode:
                paced = self._paced[campaign_id] = _Paced(
                    Pacer(row.mode), row.created_at, row.created_at
                )
            self._learn(session, row, options, paced)
            release_previews(session, row)
            wanted = self._wanted(session, row, options, paced)
            placed = place_calls(session, row, wanted) if wanted > 0 else []
            if not placed and is_done(session, row):
                campaigns.complete(session, row)
            return len(placed)

    # -- what is known ----------------------------------------------------------------------------

    def _learn(
        self, session: Session, row: Campaign, options: CampaignOptions, paced: _Paced
    ) -> None:
        pacer = paced.pacer
        pacer.ratio = options.ratio
        pacer.max_drop_rate = options.max_drop_rate
        pacer.connect_within = options.connect_within_ms / 1000
        pacer.max_lines = options.max_lines_per_agent
        for attempt in _newly_settled(session, row.id, paced.seen):
            assert attempt.settled_at is not None
            paced.seen = max(paced.seen, attempt.settled_at)
            observe(pacer, attempt)
        for ended_at, wrap_ms in _wraps(session, row, paced.seen_wraps):
            paced.seen_wraps = max(paced.seen_wraps, ended_at)
            pacer.wrapped_up(wrap_ms / 1000)
        if time.monotonic() - paced.counted_at > _RECOUNT_SECONDS:
            paced.counted_at = time.monotonic()
            pacer.drops, pacer.answers = drops_and_answers(session, row.id)

    # -- what is decided --------------------------------------------------------------------------

    def _wanted(
        self, session: Session, row: Campaign, options: CampaignOptions, paced: _Paced
    ) -> int:
        room = min(
            options.max_concurrent - under_way(session, row.id),
            options.max_cps - _placed_since(session, row.id, timedelta(seconds=1)),
        )
        if room <= 0 or row.mode is DialMode.PREVIEW:
            return 0
        if row.mode is DialMode.BROADCAST or row.queue_id is None:
            return room
        floor: Snapshot = snapshot(session, row)
        return min(room, paced.pacer.calls_to_place(floor))


def observe(pacer: Pacer, attempt: CampaignAttempt) -> None:
    """Let a pacer learn from an attempt that has ended."""
    if attempt.result is AttemptResult.CANCELED:
        return
    ring = (attempt.ring_ms or 0) / 1000
    if attempt.person:
        dropped = attempt.result is AttemptResult.DROPPED
        pacer.answered_by_person(ring, dropped=dropped)
        if attempt.talk_ms is not None:
            pacer.talked(attempt.talk_ms / 1000)
    else:
        pacer.ended_otherwise(ring)


def _newly_settled(
    session: Session, campaign_id: int, since: datetime
) -> Sequence[CampaignAttempt]:
    """The last attempts that were settled after `since`, oldest first."""
    newest = session.scalars(
        select(CampaignAttempt)
        .where(
            CampaignAttempt.campaign_id == campaign_id,
            CampaignAttempt.settled_at > since,
        )
        .order_by(CampaignAttempt.settled_at.desc())
        .limit(_LEARN_FROM)
    ).all()
    return newest[::-1]


def _wraps(session: Session, row: Campaign, since: datetime) -> list[tuple[datetime, int]]:
    """(end, ms) of the agents' last wrap-ups after `since`."""
    ended, took = QueueCall.ended_at, QueueCall.wrap_ms
    query = (
        select(ended, took)
        .where(QueueCall.queue_id == row.queue_id, ended > since, took.is_not(None))
        .order_by(ended.desc())
        .limit(_LEARN_FROM)
    )
    found = session.execute(query).all() if row.queue_id is not None else []
    return [(at, ms) for at, ms in found if at is not None and ms is not None]


def drops_and_answers(session: Session, campaign_id: int) -> tuple[int, int]:
    """People who were dropped and people who answered, in the last 30 days."""
    dropped = func.count().filter(CampaignAttempt.result == AttemptResult.DROPPED)
    drops, answers = session.execute(
        select(dropped, func.count()).where(
            CampaignAttempt.campaign_id == campaign_id,
            CampaignAttempt.started_at > now() - DROP_WINDOW,
            CampaignAttempt.result.in_(list(PERSON_RESULTS)),
            CampaignAttempt.person.is_(True),
        )
    ).one()
    return drops, answers


def _placed_since(session: Session, campaign_id: int, period: timedelta) -> int:
    query = select(func.count()).where(
        CampaignAttempt.campaign_id == campaign_id, CampaignAttempt.started_at > now() - period
    )
    return session.scalars(query).one()


def release_previews(session: Session, row: Campaign) -> None:
    """Contacts whose agent has looked at them for too long are others' again."""
    session.execute(
        update(CampaignContact)
        .where(
            CampaignContact.campaign_id == row.id,
            CampaignContact.status == ContactStatus.PREVIEW,
            CampaignContact.reserved_until < now(),
        )
        .values(status=ContactStatus.PENDING, agent_id=None, reserved_until=None)
    )


def is_done(session: Session, row: Campaign) -> bool:
    """Whether nobody is left to call, now or later."""
    left = select(CampaignContact.id).where(
        CampaignContact.campaign_id == row.id, CampaignContact.status.in_(list(OPEN_CONTACTS))
    )
    return session.scalar(left.limit(1)) is None
