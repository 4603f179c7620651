"""A call while it lives: its state, what each event of the switch does to it, what is recorded."""

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Protocol
from uuid import UUID

import structlog
from gevent.event import AsyncResult

from irisx.kernel.clock import from_epoch_us, isoformat, now
from irisx.kernel.ids import call_sid
from irisx.media.taps import Report
from irisx.telephony.calls.ended import Ended, hangup_side
from irisx.telephony.calls.journal import Change, Journal
from irisx.telephony.calls.models import Call
from irisx.telephony.calls.states import (
    ENDED,
    TRANSITIONS,
    CallStatus,
    Direction,
    final_status,
)
from irisx.telephony.esl.wire import Event
from irisx.telephony.supervision.state import Supervision

log = structlog.get_logger()

_DOMAIN_EVENTS = {
    CallStatus.INITIATED: "call.initiated",
    CallStatus.RINGING: "call.ringing",
    CallStatus.IN_PROGRESS: "call.answered",
    CallStatus.COMPLETED: "call.completed",
}


def domain_event(status: CallStatus) -> str:
    """The webhook event of a status; every end without an answer is `call.failed`."""
    return _DOMAIN_EVENTS.get(status, "call.failed")


class InFlow(Protocol):
    """What a call's events tell the IVR flow that the call is in (`ivr/runner.py`)."""

    def digit(self, event: Event) -> None: ...
    def bridge_ended(self, cause: str) -> None: ...
    def end(self) -> None: ...
    def leave(self) -> None: ...
    def replace(self) -> None: ...


class InTalk(Protocol):
    """What the reports of its tap tell a conversation with an assistant (`assistants/talk.py`)."""

    def reported(self, report: Report) -> None: ...


class Detecting(Protocol):
    """What a call asks of its answering-machine detection (`amd/live.py`)."""

    @property
    def holds(self) -> bool: ...


class InQueue(Protocol):
    """What a call's events tell the queue that the call is in (`acd/queued.py`)."""

    @property
    def waiting(self) -> bool: ...
    def digit(self, event: Event) -> None: ...
    def parked(self) -> None: ...
    def bridged(self, leg: str, at: datetime) -> None: ...
    def leg_parked(self, leg: str) -> None: ...
    def leg_left(self, leg: str, cause: str, at: datetime) -> None: ...
    def leg_found(self, leg: str, dump: Event) -> None: ...
    def end(self, at: datetime) -> None: ...
    def attach(self, back: Callable[[str], None]) -> None: ...
    def leave(self, why: str) -> None: ...
    def cancel(self) -> None: ...


@dataclass(frozen=True, slots=True)
class Ringing:
    """How `connect` rings somebody: how long (s), the number shown, what the callee hears first,
    what the customer hears meanwhile."""

    seconds: int = 60
    caller_id: str | None = None
    whisper: str | None = None
    music: str | None = None


@dataclass(slots=True)
class LiveCall:
    """One customer leg and what it is doing.

    `supervisions`: who listens or joins in, by the channel of the supervisor.

    `partner`: channel bridged with it; `consult`: third leg of an attended transfer, `consulting`:
    the partner who makes it. `leg_seen`: the customer's channel was created. `placing`: an
    outbound attempt is under way, whose failure another carrier may mend, and which tells how
    it ended in `attempt_end`. `next_destination`: what to connect with when it is parked, after
    `next_whisper` (a file) was played to who answers.
    `canceled`: our side asked for the end. `carrier_legs`: other legs that take a carrier's place.
    `agents`: whose phone a leg is that no queue rings (`calls/engaged.py`).
    `parked`: legs that are connected with nobody. `masked`: the recording is paused, and digits are
    not noted. `flow`: the IVR flow that the call is in, which decides what comes after a `bridge`;
    `talk`: its conversation with an assistant;
    `ringing_leg`: the channel that `connect` made last.
    `taps`: consumer and start (epoch ms) of its live audio taps (`telephony/taps.py`).
    `amd`: the detection of answering machines that began at the answer.
    `queued`: the queue that the call waits in, or whose agent it talks to.
    """

    id: UUID
    tenant_id: int
    direction: Direction
    initiated_at: datetime
    from_number: str
    to_number: str
    journal: Journal
    status: CallStatus = CallStatus.INITIATED
    sandbox: bool = False
    record: bool = False
    metadata: dict[str, Any] = field(default_factory=dict)
    options: dict[str, Any] = field(default_factory=dict)
    carrier_id: int | None = None
    ringing_at: datetime | None = None
    answered_at: datetime | None = None
    ended_at: datetime | None = None
    partner: str | None = None
    consult: str | None = None
    consulting: str | None = None
    supervisions: dict[str, Supervision] = field(default_factory=dict)
    held: bool = False
    leg_seen: bool = False
    placing: bool = False
    canceled: bool = False
    attempt_end: "AsyncResult[Ended]" = field(default_factory=AsyncResult)
    next_destination: str | None = None
    next_whisper: str | None = None
    recording_path: str | None = None
    recordings: int = 0
    masked: bool = False
    carrier_legs: set[str] = field(default_factory=set)
    agents: dict[str, int] = field(default_factory=dict)
    parked: set[str] = field(default_factory=set)
    flow: InFlow | None = None
    talk: InTalk | None = None
    queued: InQueue | None = None
    ringing: Ringing = field(default_factory=Ringing)
    ringing_leg: str | None = None
    taps: dict[str, tuple[str, int]] = field(default_factory=dict)
    amd: Detecting | None = None

    @classmethod
    def of_row(cls, row: Call, journal: Journal) -> "LiveCall":
        return cls(
            id=row.id,
            tenant_id=row.tenant_id,
            direction=row.direction,
            initiated_at=row.initiated_at,
            from_number=row.from_number,
            to_number=row.to_number,
            journal=journal,
            status=row.status,
            sandbox=row.sandbox,
            record=row.record,
            metadata=row.metadata_,
            options=row.options,
            carrier_id=row.carrier_id,
            ringing_at=row.ringing_at,
            answered_at=row.answered_at,
        )

    @property
    def uuid(self) -> str:
        """The customer leg's channel, as FreeSWITCH writes it."""
        return str(self.id)

    @property
    def sid(self) -> str:
        return call_sid(self.id)

    @property
    def customer_number(self) -> str:
        """The number at the other end of the customer's leg."""
        return self.from_number if self.direction is Direction.INBOUND else self.to_number

    @property
    def over(self) -> bool:
        return self.status in ENDED

    @property
    def awaits_verdict(self) -> bool:
        """Whether what follows the answer has to wait for who took the call."""
        return "amd" in self.options and (self.amd is None or self.amd.holds)

    def view(self) -> dict[str, Any]:
        """The `data` of the call's webhooks and server-sent events."""
        times = {
            "initiated_at": self.initiated_at,
            "ringing_at": self.ringing_at,
            "answered_at": self.answered_at,
            "ended_at": self.ended_at,
        }
        return {
            "sid": self.sid,
            "status": self.status.value,
            "direction": self.direction.value,
            "from": self.from_number,
            "to": self.to_number,
            "metadata": self.metadata,
            "sandbox": self.sandbox,
            **{name: at and isoformat(at) for name, at in times.items()},
        }

    # -- transitions ----------------------------------------------------------------------------

    def ring(self, at: datetime, key: str) -> None:
        """The far end rings (180, 183)."""
        if self._advance(CallStatus.RINGING):
            self.ringing_at = at
            self._write(key, at, ringing_at=at)

    def answer(self, at: datetime, key: str) -> bool:
        """The customer leg is answered; False if that was known."""
        if not self._advance(CallStatus.IN_PROGRESS):
            return False
        self.answered_at = at
        self._write(key, at, answered_at=at)
        return True

    def finish(self, end: Ended) -> bool:
        """The call is over, as the switch says; False if that was known."""
        if end.answered_at is not None and self.answered_at is None:
            self.answer(end.answered_at, "answered")
        answered = self.answered_at is not None
        if not self._advance(final_status(end.cause, answered=answered, canceled=self.canceled)):
            return False
        self.ended_at = end.ended_at
        duration_ms = end.duration_ms if answered else 0
        extra = {
            "duration": round((duration_ms or 0) / 1000),
            "bill_seconds": math.ceil((duration_ms or 0) / 1000),
            "reason": end.cause,
        }
        self._write(
            "ended",
            end.ended_at,
            extra,
            ended_at=end.ended_at,
            duration_ms=duration_ms,
            bill_seconds=extra["bill_seconds"],
            reason=end.cause,
            sip_status=end.sip_status,
            hangup_by=end.hangup_by,
        )
        return True

    def fail(self, reason: str) -> bool:
        """Over without the switch having said so: refused by us, or lost with its node."""
        return self.finish(unseen_end(self, reason))

    def note(self, key: str, at: datetime, type: str, data: dict[str, Any] | None = None) -> None:
        """A line of the timeline that changes no state."""
        self.journal.record(self._change(timeline=[(key, at, type, data or {})]))

    def change(self, **columns: Any) -> None:
        """Columns of the row that changed beside its state."""
        self.journal.record(self._change(update=columns))

    def recording_started(self, path: str, at: datetime, key: str) -> None:
        """The switch writes a recording; `path` is relative to the recordings directory."""
        if not is_of_flow(path):
            self.recording_path = path
        columns = {"tenant_id": self.tenant_id, "call_id": self.id, "path": path}
        timeline = [(key, at, "recording.started", {"path": path})]
        self.journal.record(self._change(recording=columns, timeline=timeline))

    def supervised(self, columns: dict[str, Any]) -> None:
        """What is known of one supervisor's leg (`supervision/models.py`)."""
        columns = columns | {"tenant_id": self.tenant_id, "call_id": self.id}
        self.journal.record(self._change(supervision=columns))

    def tell(self, type: str, data: dict[str, Any]) -> None:
        """A domain event of the call's tenant; `data["key"]` makes telling it twice harmless."""
        self.journal.record(self._change(events=[(type, now(), data)]))

    def amd_decided(self, columns: dict[str, Any], shown: dict[str, Any]) -> None:
        """Who took the call: the row's columns, and what timeline and event show of it."""
        self.journal.record(
            self._change(
                amd=columns,
                timeline=[("amd", columns["decided_at"], "call.amd", shown)],
                events=[("call.amd", columns["decided_at"], self.view() | {"amd": shown})],
            )
        )

    def amd_beep(self, times: dict[str, Any]) -> None:
        """When a machine's beep was; `call_id` and what is known of it."""
        self.journal.record(self._change(amd={"call_id": self.id, **times}))

    def keep(
        self,
        rows: list[tuple[str, dict[str, Any]]],
        events: list[tuple[str, datetime, dict[str, Any]]],
        timeline: list[tuple[str, datetime, str, dict[str, Any]]],
    ) -> None:
        """Rows of a queue about the call (`acd/records.py`), with events and lines."""
        self.journal.record(self._change(rows=rows, events=events, timeline=timeline))

    def when_written(self, then: Callable[[], None]) -> None:
        """Call `then` once all that happened to the call so far is in the database."""
        self.journal.record(self._change(), then)

    def announce(self, insert: dict[str, Any]) -> Change:
        """The change that creates an inbound call's row; for `journal.record`."""
        return self._change(
            insert=insert,
            timeline=[("initiated", self.initiated_at, "call.initiated", {})],
            events=[("call.initiated", self.initiated_at, self.view())],
        )

    def _advance(self, status: CallStatus) -> bool:
        if status not in TRANSITIONS[self.status]:
            return False
        self.status = status
        return True

    def _write(
        self, key: str, at: datetime, extra: dict[str, Any] | None = None, **columns: Any
    ) -> None:
        type = domain_event(self.status)
        self.journal.record(
            self._change(
                update={"status": self.status.value, **columns},
                timeline=[(key, at, type, extra or {})],
                events=[(type, at, self.view() | (extra or {}))],
            )
        )

    def _change(self, **parts: Any) -> Change:
        return Change(self.id, self.initiated_at, self.tenant_id, **parts)


def is_of_flow(path: str) -> bool:
    """Whether a recording is one that a flow makes of the caller alone (`ivr/visits.py`)."""
    return "-flow" in path.rpartition("/")[2]


def event_key(event: Event) -> str:
    """The same for the same event of the same run of the switch."""
    return f"{event.get('Core-UUID', '')[:8]}:{event.sequence}"


def channel_time(event: Event, name: str) -> datetime | None:
    """A `Caller-Channel-<name>-Time` header (µs; 0: not yet)."""
    value = event.get(f"Caller-Channel-{name}-Time", "0")
    return from_epoch_us(value) if value.isdigit() else None


def end_of(event: Event) -> Ended:
    """The end that a CHANNEL_HANGUP_COMPLETE tells of."""
    sip_status = event.variable("sip_term_status") or ""
    return Ended(
        uuid=UUID(event["Unique-ID"]),
        cause=event.get("Hangup-Cause", "NORMAL_UNSPECIFIED"),
        progress_at=channel_time(event, "Progress") or channel_time(event, "Progress-Media"),
        answered_at=channel_time(event, "Answered"),
        ended_at=channel_time(event, "Hangup") or event.timestamp,
        sip_status=int(sip_status) if sip_status.isdigit() else None,
        hangup_by=hangup_side(event.variable("sip_hangup_disposition")),
        call_id=None,
        tenant_id=None,
        direction=None,
        initiated_at=None,
    )


def unseen_end(call: LiveCall, reason: str) -> Ended:
    """An end at the present time, for a call that no switch tells of."""
    return Ended(
        uuid=call.id,
        cause=reason,
        progress_at=None,
        answered_at=call.answered_at,
        ended_at=now(),
        sip_status=None,
        hangup_by="irisx",
        call_id=call.id,
        tenant_id=call.tenant_id,
        direction=call.direction,
        initiated_at=call.initiated_at,
    )
