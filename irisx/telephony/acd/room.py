"""A tenant's queues and agents in one engine: the matcher, and what its decisions mean.

The matcher decides and this class carries out: ring, stop ringing, send away. It also keeps what
the matcher does not know: who talks to whom, and who is in the work after a call.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING
from uuid import UUID

import structlog
from sqlalchemy import delete, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from irisx.kernel.clock import now
from irisx.telephony.acd import roster
from irisx.telephony.acd.engagements import Engagement, Engagements
from irisx.telephony.acd.estimate import spoken_position, spoken_wait
from irisx.telephony.acd.matching import Matcher
from irisx.telephony.acd.models import OfferOutcome, QueueCall, QueueCallStatus
from irisx.telephony.acd.queued import QueuedCall
from irisx.telephony.acd.roster import AgentFacts, QueueFacts, Roster
from irisx.telephony.acd.rules import Caller, Decision, Expire, Offer, Seat, Withdraw
from irisx.telephony.acd.states import MISSED
from irisx.tenancy import agent_status
from irisx.tenancy.agent_models import Activity, Agent, AgentStatus, AgentWork

if TYPE_CHECKING:
    from irisx.telephony.acd.center import Center

log = structlog.get_logger()

MISSED_OFFERS = "missed-offers"
#: How long a caller who is for one agent alone waits for that one.
_ONLY_SECONDS = 3600


@dataclass(slots=True)
class WrapUp:
    """The work after a call. `until`: epoch s; None: until the agent is done. `queued` None: the
    call is of an engine that is gone."""

    since: datetime
    until: float | None
    call_id: UUID | None
    queued: QueuedCall | None = None


class Room:
    """One tenant. While it is not `open` nobody is rung: calls are still being taken up."""

    def __init__(self, center: "Center", tenant_id: int, found: Roster) -> None:
        self.center = center
        self.tenant_id = tenant_id
        self.open = False
        self.matcher = Matcher()
        self.queues: dict[int, QueueFacts] = {}
        self.agents: dict[int, AgentFacts] = {}
        self.calls: dict[str, QueuedCall] = {}
        self.talks: dict[int, QueuedCall] = {}
        self.wraps: dict[int, WrapUp] = {}
        self.elsewhere = Engagements()
        self._alarm_at: float | None = None
        self.refresh(found)

    # -- rows that change -------------------------------------------------------------------------

    def refresh(self, found: Roster) -> None:
        """All queues and agents as they are now."""
        queues = {queue.row.id: queue for queue in found.queues}
        for queue_id in self.queues.keys() - queues.keys():
            if not self.matcher.length(queue_id):
                self.matcher.remove_queue(queue_id)
                del self.queues[queue_id]
        for queue_id, queue in queues.items():
            known = self.queues.get(queue_id)
            if known is None:
                self.queues[queue_id] = queue
            else:  # callers hold it
                known.row, known.options = queue.row, queue.options
            self._carry_out(self.matcher.set_queue(queue.rules, time.time()))
        for agent_id in self.agents.keys() - {agent.id for agent in found.agents}:
            self.agent_changed(agent_id, None)
        for agent in found.agents:
            self.agent_changed(agent.id, agent)

    def agent_changed(self, agent_id: int, agent: AgentFacts | None) -> None:
        """An agent's row is another one; None: it is gone."""
        if agent is None:
            self.agents.pop(agent_id, None)
            self.wraps.pop(agent_id, None)
            self._carry_out(self.matcher.remove_seat(agent_id, time.time()))
            return
        self.agents[agent_id] = agent
        if agent.row.activity is not Activity.WRAP_UP and agent_id in self.wraps:
            self._wrap_up_over(agent_id)  # the agent is done
        elif agent.row.activity is Activity.WRAP_UP and agent_id not in self.talks:
            self._wrap_up_known(agent)
        if agent.row.activity is None and self.elsewhere.call_of(agent_id) is not None:
            self._settle_activity(agent_id)
        self._seat(agent_id)

    def _seat(self, agent_id: int, alone_until: float = 0.0) -> None:
        """Tell the matcher how the agent is now, and do what follows."""
        agent = self.agents.get(agent_id)
        if agent is None:
            return
        engaged = agent_id in self.talks or agent_id in self.wraps or self.elsewhere.has(agent_id)
        seat = Seat(
            id=agent_id,
            skills=agent.row.skills,
            places=agent.places,
            capacity=agent.row.capacity,
            load=agent.load,
            logged_in=agent.logged_in or agent_id in self.talks,
            ready=self.open and agent.available and not engaged,
            idle_since=agent.idle_since.timestamp(),
            alone_until=alone_until,
        )
        self._carry_out(self.matcher.set_seat(seat, time.time()))

    def unlock(self) -> None:
        """All calls are taken up: agents may be rung."""
        for queued in list(self.talks.values()):
            queued.agent_missing()
        for agent_id, agent in self.agents.items():
            idle = agent_id not in self.talks and self.elsewhere.call_of(agent_id) is None
            if idle and agent.row.activity is Activity.CALL:
                self._left_call(agent_id, agent.row.activity_call)
        self.open = True
        for agent_id in list(self.agents):
            self._seat(agent_id)

    # -- callers ----------------------------------------------------------------------------------

    def enter(self, queued: QueuedCall, sticky: int | None) -> None:
        """A caller waits from now on."""
        self.calls[queued.id] = queued
        self._enter(queued, sticky)
        if queued.waiting:
            self._announce_later(queued)

    def enter_again(self, queued: QueuedCall) -> None:
        """A caller whose agent was lost before the talk waits on."""
        self._enter(queued, None)

    def _enter(self, queued: QueuedCall, sticky: int | None) -> None:
        queued.wait()
        record, entering, options = queued.record, queued.entering, queued.queue.options
        sticky_seconds = options.sticky_seconds if entering.agent is None else _ONLY_SECONDS
        caller = Caller(
            id=queued.id,
            queue=record.queue_id,
            waits_since=record.entered_at.timestamp(),
            place_at=record.place_at.timestamp(),
            priority=record.priority,
            own_needs=frozenset(entering.needs),
            max_wait=entering.max_wait,
            sticky=sticky if entering.agent is None else entering.agent,
            sticky_until=record.entered_at.timestamp() + sticky_seconds,
        )
        self._carry_out(self.matcher.enter(caller, time.time()))

    def expected_wait_s(self, queue: QueueFacts, position: int) -> float | None:
        queue_id = queue.row.id
        return queue.estimator.wait_s(
            position, self.matcher.staffed(queue_id), self.matcher.free(queue_id)
        )

    def left(self, queued: QueuedCall) -> None:
        """A caller waits no longer: hung up, or was sent elsewhere."""
        queued.waits_no_longer()
        self.calls.pop(queued.id, None)
        self._carry_out(self.matcher.leave(queued.id), queued)

    def _announce_later(self, queued: QueuedCall) -> None:
        options = queued.queue.options
        if options.announce_position or options.announce_wait or options.callback_key:
            when = time.time() + options.announce_every_seconds
            self.center.alarm.at(when, lambda: self._announce(queued))

    def _announce(self, queued: QueuedCall) -> None:
        if not queued.waiting or queued.id not in self.calls:
            return
        texts, options = [], queued.queue.options
        if self.matcher.caller(queued.id) is not None:
            position = self.matcher.position(queued.id)
            wait_s = self.expected_wait_s(queued.queue, position)
            if options.announce_position:
                texts.append(spoken_position(position))
            if options.announce_wait and wait_s is not None:
                texts.append(spoken_wait(wait_s))
        queued.announce(texts)
        self._announce_later(queued)

    # -- offers -----------------------------------------------------------------------------------

    def _carry_out(self, decisions: Sequence[Decision], leaving: QueuedCall | None = None) -> None:
        for decision in decisions:
            queued = self.calls.get(decision.caller, leaving)
            if queued is None or queued.id != decision.caller:
                log.error("acd.decision_without_call", decision=str(decision))
                continue
            match decision:
                case Offer(agents=agents):
                    for agent_id in agents:
                        queued.ring(self.agents[agent_id])
                case Withdraw(agent=agent_id):
                    queued.withdraw(agent_id)
                case Expire(reason=reason):
                    dispatcher = queued.switch.dispatcher
                    dispatcher.submit(queued.call.uuid, queued.overflow, reason)
        self._set_alarm()

    def _set_alarm(self) -> None:
        due = self.matcher.next_due()
        if due is not None and (self._alarm_at is None or due < self._alarm_at):
            self._alarm_at = due
            self.center.alarm.at(due, self._due)

    def _due(self) -> None:
        self._alarm_at = None
        self._carry_out(self.matcher.due(time.time()))

    def taken(self, queued: QueuedCall, agent_id: int) -> None:
        """An agent's phone was answered for the caller; others are let go."""
        queued.waits_no_longer()
        self._carry_out(self.matcher.answered(queued.id, agent_id), queued)
        self.talks[agent_id] = queued

    def offer_ended(self, queued: QueuedCall, agent_id: int, outcome: OfferOutcome) -> None:
        """An agent is not rung any more and has not taken the caller."""
        if self.talks.get(agent_id) is queued:
            del self.talks[agent_id]  # answered, and gone before the two could talk
            call_id = queued.call.id
            self._write(agent_id, lambda session, row: _work_done(session, row.id, call_id))
            self._settle_activity(agent_id)
            delay = queued.queue.rules.delays.get(outcome, 0.0)
            self._seat(agent_id, alone_until=time.time() + delay)
        else:
            decisions = self.matcher.offer_ended(queued.id, agent_id, outcome, time.time())
            self._carry_out(decisions, queued)
        if outcome in MISSED:
            self._missed(queued, agent_id)

    def _missed(self, queued: QueuedCall, agent_id: int) -> None:
        agent, most = self.agents.get(agent_id), queued.queue.options.max_missed_offers
        if agent is None:
            return
        agent.row.missed_offers += 1
        missed = agent.row.missed_offers
        away = bool(most) and missed >= most and agent.available
        if away:
            agent.row.chosen, agent.row.chosen_reason = AgentStatus.AWAY, MISSED_OFFERS
            agent.row.missed_offers = 0
            self._seat(agent_id)

        def write(session: Session, row: Agent) -> None:
            row.missed_offers = 0 if away else missed
            if away and row.chosen is AgentStatus.AVAILABLE:
                by = agent_status.ENGINE
                agent_status.choose(session, row, AgentStatus.AWAY, reason=MISSED_OFFERS, by=by)

        self._write(agent_id, write)

    def resume_offer(self, queued: QueuedCall, agent_id: int) -> bool:
        """An engine that is gone has had the agent rung."""
        return self.matcher.resume_offer(queued.id, agent_id)

    # -- talks and the work after them ------------------------------------------------------------

    def talk_begins(self, queued: QueuedCall, agent_id: int) -> None:
        """Agent and caller are connected (or an engine that is gone had them connected)."""
        self.talks[agent_id] = queued
        self.wraps.pop(agent_id, None)
        call_id = queued.call.id
        if (agent := self.agents.get(agent_id)) is not None:
            agent.row.missed_offers = 0
            agent.row.activity, agent.row.activity_call = Activity.CALL, call_id
            self._seat(agent_id)

        def write(session: Session, row: Agent) -> None:
            row.missed_offers = 0

        self._write(agent_id, write)
        self._take_up(agent_id, Activity.CALL, call_id)

    def talk_over(self, queued: QueuedCall, agent_id: int) -> None:
        """Either has hung up: wrap-up, or the next caller at once."""
        self.calls.pop(queued.id, None)
        if self.talks.get(agent_id) is queued:
            del self.talks[agent_id]
        agent, options = self.agents.get(agent_id), queued.queue.options
        call_id = queued.call.id
        seconds = options.wrap_up_seconds
        if agent is not None and agent.row.wrap_up_seconds is not None:
            seconds = agent.row.wrap_up_seconds
        until = None
        if not options.wrap_up_code_required:
            until = now() + timedelta(seconds=seconds)
        self._write(agent_id, lambda session, row: _work_done(session, row.id, call_id))
        if seconds or options.wrap_up_code_required:
            if agent is not None:
                agent.row.activity, agent.row.idle_since = Activity.WRAP_UP, now()
            self._wrap_up(agent_id, WrapUp(now(), _epoch(until), call_id, queued))
            self._take_up(agent_id, Activity.WRAP_UP, call_id, until)
        else:
            self._handled(queued, 0)
            self._settle_activity(agent_id)
        self._seat(agent_id)

    def _wrap_up(self, agent_id: int, wrap: WrapUp) -> None:
        self.wraps[agent_id] = wrap
        if wrap.until is not None:
            self.center.alarm.at(wrap.until, lambda: self._wrap_up_due(agent_id))

    def _wrap_up_known(self, agent: AgentFacts) -> None:
        """Wrap-up as the row has it: of an engine that is gone, or extended by the agent."""
        until = agent.row.activity_until
        wrap = self.wraps.get(agent.id) or WrapUp(
            agent.row.status_since, None, agent.row.activity_call
        )
        wrap.until = _epoch(until)
        self._wrap_up(agent.id, wrap)

    def _wrap_up_due(self, agent_id: int) -> None:
        wrap = self.wraps.get(agent_id)
        if wrap is None or wrap.until is None or wrap.until > time.time():
            return  # done already, or extended
        self._wrap_up_over(agent_id)
        self._settle_activity(agent_id)
        self._seat(agent_id)

    def _wrap_up_over(self, agent_id: int) -> None:
        wrap = self.wraps.pop(agent_id)
        agent = self.agents.get(agent_id)
        if agent is not None:
            agent.row.idle_since = now()
        queued, wrap_ms = wrap.queued, round((now() - wrap.since).total_seconds() * 1000)
        if queued is not None:
            queued.record.wrapped_up(queued.call, now())
            self._handled(queued, queued.record.wrap_ms or 0)
        elif wrap.call_id is not None:
            theirs = (QueueCall.call_id == wrap.call_id, QueueCall.agent_id == agent_id)
            change = update(QueueCall).where(*theirs).values(wrap_ms=wrap_ms)
            self.center.ledger.add(lambda session: session.execute(change))

    def _handled(self, queued: QueuedCall, wrap_ms: int) -> None:
        queued.queue.estimator.handled(((queued.record.talk_ms or 0) + wrap_ms) / 1000)

    # -- calls that no queue gave them ------------------------------------------------------------

    def engaged(self, agent_id: int, leg: str, engagement: Engagement) -> None:
        """An agent's phone rings for another call, or the agent talks on it."""
        if not self.elsewhere.add(agent_id, leg, engagement):
            return
        seat = self.matcher.seat(agent_id)
        if engagement.talks:
            offered = self.calls.get(seat.offer or "") if seat is not None else None
            if offered is not None:  # the caller is for somebody else
                offered.withdraw(agent_id, OfferOutcome.WITHDRAWN)
            self._settle_activity(agent_id)
        self._seat(agent_id)

    def released(self, agent_id: int, leg: str) -> None:
        """An agent's phone is done with another call."""
        gone = self.elsewhere.remove(agent_id, leg)
        if gone is None:
            return
        if gone.talks:
            self._write(agent_id, lambda session, row: _work_done(session, row.id, gone.call_id))
            self._settle_activity(agent_id)
        self._seat(agent_id)

    def _settle_activity(self, agent_id: int) -> None:
        """What an agent does who is in no call of a queue, nor in the work after one."""
        if agent_id in self.talks or agent_id in self.wraps:
            return
        call_id = self.elsewhere.call_of(agent_id)
        activity = None if call_id is None else Activity.CALL
        if (agent := self.agents.get(agent_id)) is not None:
            agent.row.activity, agent.row.activity_call = activity, call_id
            agent.row.idle_since = now()
        self._take_up(agent_id, activity, call_id)

    def _left_call(self, agent_id: int, call_id: UUID | None) -> None:
        """An engine that is gone had the agent in a call, in which the agent is no longer."""

        def write(session: Session, row: Agent) -> None:
            talks = select(QueueCall.id).where(
                QueueCall.call_id == call_id,
                QueueCall.agent_id == row.id,
                QueueCall.status == QueueCallStatus.TALKING,
            )
            if row.activity_call == call_id and session.scalar(talks.limit(1)) is None:
                agent_status.take_up(session, row, None)
                _work_done(session, row.id, call_id)

        self._write(agent_id, write)

    # -- rows -------------------------------------------------------------------------------------

    def _take_up(
        self,
        agent_id: int,
        activity: Activity | None,
        call_id: UUID | None,
        until: datetime | None = None,
    ) -> None:
        def write(session: Session, row: Agent) -> None:
            agent_status.take_up(session, row, activity, call=call_id, until=until)
            if activity is Activity.CALL:
                work = {"agent_id": row.id, "channel": roster.VOICE, "reference": str(call_id)}
                session.execute(insert(AgentWork).values(work).on_conflict_do_nothing())

        self._write(agent_id, write)

    def _write(self, agent_id: int, change: Callable[[Session, Agent], None]) -> None:
        def write(session: Session) -> None:
            row = session.scalar(select(Agent).where(Agent.id == agent_id).with_for_update())
            if row is not None:
                change(session, row)

        self.center.ledger.add(write)


def _work_done(session: Session, agent_id: int, call_id: UUID | None) -> None:
    session.execute(
        delete(AgentWork).where(
            AgentWork.agent_id == agent_id,
            AgentWork.channel == roster.VOICE,
            AgentWork.reference == str(call_id),
        )
    )


def _epoch(moment: datetime | None) -> float | None:
    return None if moment is None else moment.timestamp()
