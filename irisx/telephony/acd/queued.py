"""One call in a queue: from entering it until the agent's talk is over.

Everything that decides is the matcher's (`center.py`); this is what it means on the channel. Two
greenlets touch it: the call's own, in which its events are handled, and one for each agent that is
rung. Both meet in `_state`, which changes without anything else running in between.
"""

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import Enum, auto
from typing import TYPE_CHECKING, Any
from uuid import UUID, uuid4

import gevent
import structlog

from irisx.kernel.clock import now
from irisx.kernel.errors import IrisxError
from irisx.settings import get_settings
from irisx.telephony.acd import kept, records, ringing, sound
from irisx.telephony.acd.entering import Entering
from irisx.telephony.acd.models import OfferOutcome, QueueCallStatus
from irisx.telephony.acd.records import QueueRecord
from irisx.telephony.acd.ringing import Ring
from irisx.telephony.acd.states import outcome_of
from irisx.telephony.calls.live import LiveCall
from irisx.telephony.esl import commands
from irisx.telephony.esl.errors import CommandRefused, CommandTimeout, EslError, UnsafeValue
from irisx.telephony.esl.wire import Event
from irisx.telephony.switch import Switch

if TYPE_CHECKING:
    from irisx.telephony.acd.room import Room
    from irisx.telephony.acd.roster import AgentFacts, QueueFacts

log = structlog.get_logger()

_PATIENCE_SECONDS = 15
_BRIDGE_SECONDS = 5.0
_ANNOUNCE_SECONDS = 60.0
_KILL_AGAIN_SECONDS = 0.05
#: With what a caller is refused who was not even answered; others: 480.
_REFUSALS = {"full": "USER_BUSY"}


class _State(Enum):
    WAITING = auto()
    CONNECTING = auto()
    TALKING = auto()
    LEFT = auto()


@dataclass(slots=True)
class QueuedCall:
    """`leg`: the channel of the agent who has the caller, or is about to."""

    room: "Room"
    switch: Switch
    call: LiveCall
    queue: "QueueFacts"
    record: QueueRecord
    entering: Entering
    wideband: bool = False
    leg: str | None = None
    rings: dict[str, Ring] = field(default_factory=dict)
    outcome: str | None = None
    _swift: ExitStack = field(default_factory=ExitStack)
    _state: _State = _State.WAITING
    _customer_parked: bool = False

    @property
    def id(self) -> str:
        return str(self.record.id)

    @property
    def waiting(self) -> bool:
        return self._state is _State.WAITING

    @property
    def connecting(self) -> str | None:
        """The leg of the agent who is about to have the caller."""
        return self.leg if self._state is _State.CONNECTING else None

    @property
    def talking_to(self) -> int | None:
        """The agent who has the caller."""
        return self.record.agent_id if self._state is _State.TALKING else None

    # -- entering ---------------------------------------------------------------------------------

    def begin(self) -> None:
        """Answer, keep on the channel where it is, and play."""
        self._keep()
        self.switch.run(*self._survives(self.call.uuid))
        steps = [] if self.call.answered_at is not None else [("answer", "")]
        self.switch.execute(self.call.uuid, *steps, ("set", "playback_terminators=none"))
        self.spawn(self._welcome)

    def wait(self) -> None:
        """While somebody waits, the switch's events come sooner: an agent's hang-up above all."""
        self._swift.enter_context(self.switch.connection.low_latency())

    def waits_no_longer(self) -> None:
        self._swift.close()

    def _welcome(self) -> None:
        self._play(
            sound.prompt_files(self.queue.options.welcome, self.room.tenant_id, self.wideband)
        )

    def _survives(self, channel: str) -> list[commands.Api]:
        """What becomes of the caller when the agent hangs up: back to the flow, or the end."""
        returns = self.entering.returns
        return [
            commands.uuid_setvar(channel, "park_after_bridge", "true" if returns else ""),
            commands.uuid_setvar(channel, "hangup_after_bridge", "" if returns else "true"),
        ]

    def _keep(self) -> None:
        """Have the channel know where it is."""
        text = kept.write(self.record, self.entering)
        self.switch.run(commands.uuid_setvar(self.call.uuid, kept.VARIABLE, text))

    # -- what the caller hears --------------------------------------------------------------------

    def _play(self, files: Sequence[str]) -> None:
        """These files, then music until something happens."""
        if self._state is not _State.WAITING:
            return
        music = sound.music(self.queue.row, self.wideband)
        self.switch.execute(
            self.call.uuid, *[("playback", commands.source(file)) for file in files], music
        )

    def play_again(self) -> None:
        """The channel has gone silent while no engine was there."""
        self.spawn(self._play, ())

    def announce(self, texts: Sequence[str]) -> None:
        """Say something in place of the music. In a greenlet of its own: speech takes time."""
        self.spawn(self._announce, texts)

    def _announce(self, texts: Sequence[str]) -> None:
        options = self.queue.options
        files = sound.spoken(texts, options.language, self.room.tenant_id, self.wideband)
        if options.callback_key is not None:
            files += sound.prompt_files(
                options.callback_announcement, self.room.tenant_id, self.wideband
            )
        if files and self._state is _State.WAITING:
            self.switch.run(commands.uuid_break(self.call.uuid, everything=True))
            self._play(files)

    def digit(self, event: Event) -> None:
        key, options = event.get("DTMF-Digit", ""), self.queue.options
        if key == options.exit_key:
            self.leave_for("exit", QueueCallStatus.EXITED, key, options.exit_to)
        elif key == options.callback_key:
            self.leave_for("callback", QueueCallStatus.CALLBACK, key, None)

    # -- ringing agents ---------------------------------------------------------------------------

    def ring(self, agent: "AgentFacts") -> None:
        """Ring an agent whom the matcher has reserved. Returns at once."""
        leg = uuid4()
        ring = self.rings[str(leg)] = Ring(agent.id, now())
        self.switch.legs[str(leg)] = self.call
        self.record.offers += 1
        self.spawn(self._ring, leg, ring, agent)

    def _ring(self, leg: UUID, ring: Ring, agent: "AgentFacts") -> None:
        try:
            seconds = self.queue.options.ring_seconds
            endpoint = ringing.endpoint(self.switch, self.call, agent, leg)
            variables = ringing.variables(self.call, ring, self.entering, seconds)
            job = self.switch.dial(self.call, endpoint, variables, leg)
            records.offer_began(self.call, self.record, leg, agent.id, ring.began_at)
            job.wait(seconds + _PATIENCE_SECONDS)
        except CommandRefused as refusal:
            cause = refusal.text.removeprefix("-ERR ").partition(" ")[0].strip()
            self._offer_over(str(leg), ring, outcome_of(cause))
        except CommandTimeout:
            self.switch.run(commands.uuid_kill(str(leg), "NO_ANSWER"))
            self._offer_over(str(leg), ring, OfferOutcome.NO_ANSWER)
        except (UnsafeValue, IrisxError) as error:
            log.warning("acd.agent_unreachable", agent=agent.id, reason=str(error))
            self._offer_over(str(leg), ring, OfferOutcome.UNREACHABLE)
        else:
            self._answered(str(leg), ring)

    def withdraw(self, agent_id: int, outcome: OfferOutcome | None = None) -> None:
        """Stop ringing an agent; `offer_ended` is told when the phone is quiet."""
        caller_left = self._state is _State.LEFT
        outcome = outcome or (OfferOutcome.CALLER_LEFT if caller_left else OfferOutcome.LOST_RACE)
        for leg, ring in self.rings.items():
            if ring.agent == agent_id and not ring.over and leg != self.leg:
                ring.outcome = ring.outcome or outcome
                self.spawn(self._quiet, leg, ring)

    def _quiet(self, leg: str, ring: Ring) -> None:
        """End a leg, also one that the switch is only about to make."""
        cause = "LOSE_RACE" if ring.outcome is OfferOutcome.LOST_RACE else "ORIGINATOR_CANCEL"
        while not ring.over:
            self.switch.run(commands.uuid_kill(leg, cause))
            gevent.sleep(_KILL_AGAIN_SECONDS)
            if ring.adopted and not self.switch.exists(leg):
                self._offer_over(leg, ring, OfferOutcome.WITHDRAWN)

    def _offer_over(self, leg: str, ring: Ring, outcome: OfferOutcome) -> None:
        """The agent is not rung any more and has not taken the caller. Once for each offer."""
        if ring.over:
            return
        ring.over = True
        outcome = ring.outcome or outcome
        self.rings.pop(leg, None)
        self.switch.legs.pop(leg, None)
        self.switch.forget_end(leg)
        records.offer_ended(
            self.call, self.record, UUID(leg), ring.agent, ring.began_at, outcome, now()
        )
        self.room.offer_ended(self, ring.agent, outcome)

    # -- connecting -------------------------------------------------------------------------------

    def _answered(self, leg: str, ring: Ring) -> None:
        """The agent's phone was answered: the first one has the caller."""
        if self._state is not _State.WAITING or ring.outcome is not None or self.call.over:
            lost = self._state in (_State.CONNECTING, _State.TALKING)
            ring.outcome = ring.outcome or (
                OfferOutcome.LOST_RACE if lost else OfferOutcome.CALLER_LEFT
            )
            self.switch.run(commands.uuid_kill(leg, "LOSE_RACE"))
            self._offer_over(leg, ring, ring.outcome)
            return
        self._state, self.leg = _State.CONNECTING, leg
        self.room.taken(self, ring.agent)
        files = sound.prompt_files(
            self.queue.options.agent_announcement, self.room.tenant_id, self.wideband
        )
        if files:
            steps = [("playback", commands.source(file)) for file in files]
            self.switch.connection.execute_all(leg, steps)[-1].wait(_ANNOUNCE_SECONDS)
        if self._state is _State.CONNECTING:
            self._connect(leg)

    def _connect(self, leg: str) -> None:
        """An agent is on the line."""
        self._bridge(leg)

    def _bridge(self, leg: str) -> None:
        park = f"{get_settings().max_call_seconds}:ALLOTTED_TIMEOUT"
        self.switch.run(
            commands.uuid_setvar(leg, "park_timeout", park), *self._survives(self.call.uuid)
        )
        try:
            self.switch.connection.bgapi(commands.uuid_bridge(self.call.uuid, leg)).wait(
                _BRIDGE_SECONDS
            )
        except CommandRefused as refusal:
            log.info("acd.not_bridged", sid=self.call.sid, reason=refusal.text)
            self.switch.run(commands.uuid_kill(leg))
            self.switch.dispatcher.submit(self.call.uuid, self._agent_lost, leg)

    def bridged(self, leg: str, at: datetime) -> None:
        """The two talk."""
        ring = self.rings.get(leg)
        if ring is None or leg != self.leg or self._state is not _State.CONNECTING:
            return
        self._state = _State.TALKING
        self._customer_parked = False
        ring.over = True
        self.record.agent_id = ring.agent
        self.record.advance(QueueCallStatus.TALKING, at)
        records.offer_ended(
            self.call,
            self.record,
            UUID(leg),
            ring.agent,
            ring.began_at,
            OfferOutcome.ANSWERED,
            at,
        )
        self.record.write(self.call, at)
        self.room.talk_begins(self, ring.agent)
        self._keep()
        if self.queue.options.record and self.call.recording_path is None:
            self._record(at)

    def _record(self, at: datetime) -> None:
        try:
            self.call.recording_path = self.switch.start_recording(self.call, at)
        except (EslError, OSError) as error:
            log.error("acd.recording_failed", sid=self.call.sid, error=str(error))

    def _agent_lost(self, leg: str) -> None:
        """The agent is gone before the two could talk: the caller waits on, at the same place."""
        ring = self.rings.get(leg)
        if ring is None or leg != self.leg or self._state is not _State.CONNECTING:
            return
        self._state, self.leg = _State.WAITING, None
        self._offer_over(leg, ring, OfferOutcome.REJECTED)
        if not self.call.over:
            self._play(())
            self.room.enter_again(self)

    # -- events of the legs -----------------------------------------------------------------------

    def leg_parked(self, leg: str) -> None:
        ring = self.rings.get(leg)
        if ring is not None and ring.adopted and not ring.over:
            self.spawn(self._answered, leg, ring)

    def leg_left(self, leg: str, cause: str, at: datetime) -> None:
        ring = self.rings.get(leg)
        if ring is None:
            return
        if leg == self.leg and self._state is _State.TALKING:
            self._talk_over(at)
        elif leg == self.leg and self._state is _State.CONNECTING:
            self._agent_lost(leg)
        elif ring.adopted:
            self._offer_over(leg, ring, outcome_of(cause))

    def parked(self) -> None:
        """The caller's leg is connected with nobody."""
        self._customer_parked = True
        self._come_back()

    def _talk_over(self, at: datetime) -> None:
        """Whoever hung up first: once."""
        agent, self._state = self.record.agent_id, _State.LEFT
        self.rings.clear()
        assert agent is not None
        if self.record.advance(QueueCallStatus.COMPLETED, at):
            self.record.write(self.call, at)
        self.room.talk_over(self, agent)
        self.outcome = "next"
        self._come_back()

    def _come_back(self) -> None:
        """To the flow that handed the call over, once the caller is free for it."""
        if self.outcome == "next" and not (self._customer_parked and not self.call.over):
            return
        if self._state is not _State.LEFT or self.outcome is None:
            return
        if not self.entering.returns:
            self._forget()
        elif self.entering.back is not None:
            self._forget()
            self.entering.back(self.outcome)

    def attach(self, back: Callable[[str], None]) -> None:
        """A flow that was taken up again waits for the outcome."""
        self.entering = replace(self.entering, back=back)
        self._come_back()

    # -- leaving ----------------------------------------------------------------------------------

    def end(self, at: datetime) -> None:
        """The call is over."""
        if self._state is _State.TALKING:
            if self.leg is not None:
                self.switch.run(commands.uuid_kill(self.leg))
            self._talk_over(at)
            return
        if self._state is _State.LEFT:
            return
        leg, connecting = self.leg, self._state is _State.CONNECTING
        self._state = _State.LEFT
        if self.record.advance(self._unanswered(), at):
            self.record.write(self.call, at)
        self.room.left(self)
        if connecting and leg is not None:
            ring = self.rings[leg]
            ring.outcome = OfferOutcome.CALLER_LEFT
            self.switch.run(commands.uuid_kill(leg))
            self._offer_over(leg, ring, OfferOutcome.CALLER_LEFT)

    def _unanswered(self) -> QueueCallStatus:
        """How a wait ended that the end of the call has ended."""
        return QueueCallStatus.ABANDONED

    def cancel(self) -> None:
        """Whoever ended the call hangs up its channel, which tells the rest."""

    def overflow(self, reason: str) -> None:
        """The caller can't wait (any longer): `wait`, `no-agents`, `full` or `closed`. In the
        call's greenlet; the matcher has the caller no more."""
        outcome, target = {
            "wait": ("timeout", self.queue.options.overflow.wait),
            "no-agents": ("failed", self.queue.options.overflow.no_agents),
            "full": ("full", self.queue.options.overflow.full),
            "closed": ("closed", self.queue.options.overflow.closed),
        }[reason]
        self.leave_for(outcome, QueueCallStatus.OVERFLOWED, reason, target)

    def leave(self, why: str) -> None:
        """Something else is done with the call from now on (a transfer)."""
        self.entering = Entering()  # nothing comes back to a flow
        if self._state is _State.TALKING:
            self._talk_over(now())
        elif self._state is not _State.LEFT:
            self._out(QueueCallStatus.EXITED, why, None)
            self.switch.run(commands.uuid_break(self.call.uuid, everything=True))
        self._forget()

    def leave_for(
        self, outcome: str, status: QueueCallStatus, reason: str, target: Any | None
    ) -> None:
        """Out of the queue: back to the flow, to a target, or the end of the call."""
        if self._state is not _State.WAITING or self.call.over:
            return
        to = None if self.entering.returns else sound.target_text(target)
        self._out(status, reason, to)
        self.switch.run(commands.uuid_break(self.call.uuid, everything=True))
        self.outcome = outcome
        if self.entering.returns:
            self._come_back()
        elif target is not None:
            self.room.center.send_on(self.switch, self.call, target, self.wideband)
        else:
            answered = self.call.answered_at is not None
            cause = "NORMAL_CLEARING" if answered else _REFUSALS.get(reason, "SUBSCRIBER_ABSENT")
            self.switch.run(commands.uuid_kill(self.call.uuid, cause))

    def _out(self, status: QueueCallStatus, reason: str, to: str | None) -> None:
        self._state = _State.LEFT
        self.record.reason, self.record.to = reason, to
        at = now()
        if self.record.advance(status, at):
            self.record.write(self.call, at)
        self.room.left(self)
        if not self.entering.returns:
            self._forget()

    def _forget(self) -> None:
        """The channel is in no queue any more."""
        if self.call.queued is self:
            self.call.queued = None
        if not self.call.over:
            self.switch.run(
                commands.uuid_setvar(self.call.uuid, kept.VARIABLE, ""),
                commands.uuid_setvar(self.call.uuid, "park_after_bridge", ""),
            )

    # -- after an engine was lost -----------------------------------------------------------------

    def leg_found(self, leg: str, dump: Event) -> None:
        """An agent's leg of an engine that is gone: talking, answered, or still rung."""
        ring = ringing.adopted(dump)
        agent = ring.agent
        if self._state is _State.TALKING and self.record.agent_id == agent:
            ring.over = True
            self.rings[leg], self.leg = ring, leg
            self.room.talk_begins(self, agent)
        elif self._state is _State.WAITING and self.room.resume_offer(self, agent):
            self.rings[leg] = ring
            if self.call.partner == leg:
                self._state, self.leg = _State.CONNECTING, leg
                self.room.taken(self, agent)
                self.bridged(leg, now())
            elif dump.get("Answer-State") == "answered":
                self.spawn(self._answered, leg, ring)
        else:
            self.switch.run(commands.uuid_kill(leg, "ORIGINATOR_CANCEL"))

    def talked_before(self, agent: int, answered_at: datetime) -> None:
        """The channel says that the caller has an agent."""
        self.record.agent_id = agent
        self.record.advance(QueueCallStatus.TALKING, answered_at)
        self._state = _State.TALKING

    def agent_missing(self) -> None:
        """All legs are taken up: has the agent hung up while no engine was there?"""
        if self._state is _State.TALKING and self.leg is None:
            self._customer_parked = True
            self._talk_over(now())

    def spawn(self, run: Callable[..., None], *arguments: Any) -> None:
        """Run it in a greenlet of its own."""
        gevent.spawn(self._guarded, run, *arguments)

    def _guarded(self, run: Callable[..., None], *arguments: Any) -> None:
        try:
            run(*arguments)
        except EslError as error:  # whoever takes the node up goes on
            log.info("acd.interrupted", sid=self.call.sid, reason=str(error))
        except Exception:
            log.exception("acd.failed", sid=self.call.sid)
