"""One supervisor on one call: what was asked for, and what the leg does."""

from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any
from uuid import UUID

from irisx.kernel.clock import now


class Mode(StrEnum):
    """What a supervisor does: hears both; talks to the agent too; to both; has the customer."""

    LISTEN = "listen"
    WHISPER = "whisper"
    BARGE = "barge"
    TAKEOVER = "takeover"


class Status(StrEnum):
    RINGING = "ringing"
    ACTIVE = "active"
    ENDED = "ended"


@dataclass(slots=True)
class Supervision:
    """A supervisor's leg, beside a call for as long as it lives.

    `supervisor`: who, in the one word of `destinations.from_text`. `spied`: the channel that the
    leg listens to, `digit`: whom it talks to there (`commands.eavesdrop_mode`); None while it does
    not eavesdrop. `taken_from`: the agent's channel while this supervisor has the customer,
    `given_to`: the same until it has the customer back; `connected`: the switch has told that the
    supervisor has.
    """

    leg: str
    supervisor: str
    mode: Mode
    started_at: datetime = field(default_factory=now)
    answered_at: datetime | None = None
    ended_at: datetime | None = None
    reason: str | None = None
    spied: str | None = None
    digit: str | None = None
    taken_from: str | None = None
    given_to: str | None = None
    connected: bool = False

    @property
    def status(self) -> Status:
        if self.ended_at is not None:
            return Status.ENDED
        return Status.RINGING if self.answered_at is None else Status.ACTIVE

    def columns(self) -> dict[str, Any]:
        """The row's columns (`models.SupervisionRecord`) that are the leg's own."""
        return {
            "id": UUID(self.leg),
            "supervisor": self.supervisor,
            "mode": self.mode.value,
            "status": self.status.value,
            "started_at": self.started_at,
            "answered_at": self.answered_at,
            "ended_at": self.ended_at,
            "reason": self.reason,
        }
