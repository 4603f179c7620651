"""A customer who is dialled once an agent is on the line: callbacks with `first: agent`.

Until then the customer is a place in the queue without a channel. What another engine needs is in
the call's row (`options`), under whose id the wait is recorded; once the two talk, and also where
the customer has answered and the agent is gone, it is a call in a queue like any other.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from irisx.telephony.acd.entering import NO_AGENT
from irisx.telephony.acd.models import QueueCallStatus
from irisx.telephony.acd.queued import QueuedCall
from irisx.telephony.calls import handling
from irisx.telephony.calls.consult import RINGBACK
from irisx.telephony.calls.live import unseen_end
from irisx.telephony.esl import commands


@dataclass(slots=True)
class AgentFirst(QueuedCall):
    """`dialled`: the customer's phone rings, or has rung."""

    dialled: bool = False

    @property
    def _there(self) -> bool:
        return self.call.answered_at is not None

    def begin(self) -> None:
        """Nobody is there to hear anything."""

    def announce(self, texts: Sequence[str]) -> None:
        if self._there:
            QueuedCall.announce(self, texts)

    def _play(self, files: Sequence[str]) -> None:
        if self._there:
            QueuedCall._play(self, files)

    def _connect(self, leg: str) -> None:
        """An agent is on the line."""
        if self._there:
            self._bridge(leg)
            return
        self.room.talk_begins(self, self.rings[leg].agent)  # the agent is busy from now on
        self.switch.execute(leg, ("playback", RINGBACK))
        if not self.dialled and self.entering.dial is not None:
            self.dialled = True
            self.entering.dial()

    def parked(self) -> None:
        """The customer has answered."""
        leg = self.connecting
        if leg is not None:
            self.spawn(self._bridge, leg)
        elif self.waiting:
            self._waits_from_now()
        else:
            QueuedCall.parked(self)

    def _agent_lost(self, leg: str) -> None:
        if self.connecting != leg:
            return
        if self.dialled and not self._there:
            self.cancel()  # the end of the call ends the rest
            return
        QueuedCall._agent_lost(self, leg)
        if self._there and not self.call.over:
            self._waits_from_now()

    def _waits_from_now(self) -> None:
        """The customer is on the line and no agent: from now on a caller like any other."""
        self.entering = replace(self.entering, max_wait=None)
        self._keep()
        self._play(())

    def cancel(self) -> None:
        """The customer is not to be called (any longer)."""
        self.call.canceled = True
        if self.dialled:
            self.switch.run(commands.uuid_kill(self.call.uuid, "ORIGINATOR_CANCEL"))
        else:
            self._over("ORIGINATOR_CANCEL")

    def _over(self, cause: str) -> None:
        """The end of a call that the switch knows nothing of."""
        handling.finish(self.switch, self.call, unseen_end(self.call, cause))

    def end(self, at: datetime) -> None:
        if not self._there:
            self.record.reason = self.record.reason or self.call.status.value
        QueuedCall.end(self, at)

    def _unanswered(self) -> QueueCallStatus:
        return QueueCallStatus.ABANDONED if self._there else QueueCallStatus.EXITED

    def leave_for(
        self, outcome: str, status: QueueCallStatus, reason: str, target: Any | None
    ) -> None:
        """No agent came in time: the customer has not been called at all."""
        if self._there or self.dialled:
            QueuedCall.leave_for(self, outcome, status, reason, target)
        elif self.waiting and not self.call.over:
            self._out(status, reason, None)
            self._over(NO_AGENT)
