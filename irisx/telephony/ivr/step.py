"""What a node can do on a call. The live runner and the simulator both implement it.

Every node's `run` is a function of its config and of what the step's verbs answered: it asks no
clock, no database and no switch itself. So a runner whose engine was killed may run the node again
and answer the verbs that had ended from what it kept, and nothing is played twice.

Verbs that wait: gather, record, transfer, http, hand_over. They first let everything that was
queued happen, and raise `CallEnded` when the caller is gone and `TimeLimit` when the node's
`time_limit` has passed. `play`, `raise_event`, `explain` and all of `scope` don't wait.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any, Protocol

from irisx.telephony.calls.destinations import Destination
from irisx.telephony.ivr.audio import Audio
from irisx.telephony.ivr.scope import Scope


class CallEnded(Exception):
    """The caller hung up, or something else ended the call."""


class TimeLimit(Exception):
    """The node's time limit passed; what it was doing was stopped."""


@dataclass(frozen=True, slots=True)
class Gathering:
    """How digits are collected. Times in milliseconds.

    `timeout_ms`: from the prompt's end to the first digit; `digit_timeout_ms`: between digits.
    `terminators`: digits that end the input and don't belong to it. `barge_in`: a digit stops the
    prompt. `typed_ahead`: digits from before the prompt count; if not they are thrown away.
    """

    min_digits: int
    max_digits: int
    timeout_ms: int
    digit_timeout_ms: int
    terminators: str = "#"
    barge_in: bool = True
    typed_ahead: bool = True


@dataclass(frozen=True, slots=True)
class Digits:
    """What the caller typed; less than `min_digits` when the time ran out. `terminator`: ended it.

    No digit and no terminator is a timeout.
    """

    digits: str
    terminator: str | None = None


class RecordingPurpose(StrEnum):
    RECORDING = "recording"
    VOICEMAIL = "voicemail"


@dataclass(frozen=True, slots=True)
class RecordingRequest:
    """How the caller is recorded. `silence_s`: ends after so much silence; 0: never does.

    A caller who hangs up ends the recording, which is kept if it is `min_seconds` long.
    `mailbox`: whose message it is, for VOICEMAIL.
    """

    purpose: RecordingPurpose
    max_seconds: int
    min_seconds: int
    silence_s: int
    terminators: str
    beep: bool
    mailbox: str | None = None


@dataclass(frozen=True, slots=True)
class Recorded:
    """What was recorded; `id` is None if it was too short to be kept or failed.

    `ended_by`: `terminator`, `silence`, `limit` or `failed`.
    """

    id: str | None
    seconds: float
    ended_by: str


class TransferOutcome(StrEnum):
    """`completed`: they talked, and the called party hung up first."""

    COMPLETED = "completed"
    BUSY = "busy"
    NO_ANSWER = "no-answer"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class TransferRequest:
    """Whom to ring, one after the other until one answers, each for `ring_seconds`.

    `caller_id`: an E.164 number of the tenant, or None for the caller's own.
    `whisper`: played to who answers, before the two are connected. `music`: heard meanwhile in
    place of the ringing tone. `record`: record from now on; a recording under way goes on anyway.
    """

    targets: Sequence[Destination]
    ring_seconds: int
    caller_id: str | None = None
    whisper: Sequence[Audio] = ()
    music: Sequence[Audio] = ()
    record: bool = False


@dataclass(frozen=True, slots=True)
class Transferred:
    """How it went: the outcome of the last target that was tried, and the switch's cause."""

    outcome: TransferOutcome
    cause: str = ""
    target: int | None = None
    seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class HttpRequest:
    """A request to a tenant's URL; it is guarded and signed, `timeout_ms` bounds each try."""

    method: str
    url: str
    headers: Mapping[str, str]
    body: bytes | None
    timeout_ms: int
    retries: int


@dataclass(frozen=True, slots=True)
class HttpAnswer:
    """`status` None: no answer came, `error` says why. `json`: the body, if it is JSON."""

    status: int | None
    json: Any = None
    error: str = ""
    timed_out: bool = False


@dataclass(frozen=True, slots=True)
class HandOver:
    """A call given to another room (`room`: `queue` or `ai_agent`) until it comes back."""

    room: str
    target: str
    options: Mapping[str, Any] = field(default_factory=dict)


class Step(Protocol):
    """The call, to a node."""

    @property
    def scope(self) -> Scope:
        """The variables, and what is known of call, caller and contact."""

    def now(self) -> datetime:
        """The time, in UTC; the same on a replay."""

    def render(self, template: str) -> str:
        """A template's text with the scope's values (`template.render`)."""

    def play(self, audio: Sequence[Audio], *, barge_in: bool = True) -> None:
        """Queue prompts. With `barge_in` a digit stops them, and is kept for the next gather."""

    def gather(self, audio: Sequence[Audio], how: Gathering) -> Digits:
        """Play prompts and collect digits."""

    def record(self, audio: Sequence[Audio], request: RecordingRequest) -> Recorded:
        """Play a greeting and record the caller."""

    def transfer(self, request: TransferRequest) -> Transferred:
        """Connect the caller with somebody; comes back when they are done or nobody answered."""

    def http(self, request: HttpRequest) -> HttpAnswer:
        """Ask a URL of the tenant's. Never raises for what the other side does."""

    def hand_over(self, hand_over: HandOver) -> str:
        """Give the call to another room; the answer is that room's outcome."""

    def raise_event(self, type: str, data: Mapping[str, Any]) -> None:
        """Publish a domain event of the tenant, once, whatever is replayed."""

    def explain(self, reason: str) -> None:
        """Say why the node decides as it does: the simulator shows it, a live call may log it."""
