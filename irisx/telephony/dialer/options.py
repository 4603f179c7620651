"""What a campaign may be told beside its name, mode and agents: kept as JSON in its row."""

from enum import StrEnum
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, model_validator

from irisx.telephony.dialer.states import AttemptResult
from irisx.telephony.ivr.audio import AnyAudio
from irisx.telephony.ivr.nodes.hours import Day, Windows
from irisx.tenancy.settings import TimeZone

MAX_RETRY_SECONDS = 30 * 24 * 3600

Region = Annotated[str, StringConstraints(pattern=r"^[A-Z]{2}(-[A-Z0-9]{1,3})?$")]
Weekday = Literal["mon", "tue", "wed", "thu", "fri", "sat", "sun"]
Code = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.\-]{0,31}$")]


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Growth(StrEnum):
    FIXED = "fixed"
    GROWING = "growing"


Retried = Literal[
    AttemptResult.BUSY,
    AttemptResult.NO_ANSWER,
    AttemptResult.REJECTED,
    AttemptResult.MACHINE,
    AttemptResult.ABANDONED,
]


class RetryRule(_Part):
    """How a result is retried. What has no rule is not, but for the network's own faults
    (`congestion`), which are no attempt of the contact, and drops, which wait for the lockout."""

    result: Retried
    max_retries: int = Field(ge=0, le=50, description="Of this result, for each number.")
    delay_seconds: int = Field(ge=0, le=MAX_RETRY_SECONDS)
    growth: Growth = Growth.FIXED
    factor: float = Field(2.0, ge=1, le=10, description="Of `growing`: each delay is so much more.")
    max_delay_seconds: int = Field(24 * 3600, ge=1, le=MAX_RETRY_SECONDS)


DEFAULT_RETRIES = (
    RetryRule(result=AttemptResult.BUSY, max_retries=3, delay_seconds=600),
    RetryRule(
        result=AttemptResult.NO_ANSWER,
        max_retries=3,
        delay_seconds=7200,
        growth=Growth.GROWING,
    ),
    RetryRule(result=AttemptResult.MACHINE, max_retries=2, delay_seconds=4 * 3600),
    RetryRule(result=AttemptResult.ABANDONED, max_retries=1, delay_seconds=24 * 3600),
)


class WindowRule(_Part):
    """When people may be called, in their own time. A weekday without a window: not at all."""

    weekly: dict[Weekday, Windows]
    holidays: bool = Field(True, description="Whether they may be called on public holidays.")


_ALL_DAYS: tuple[Weekday, ...] = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")


class CallingHours(_Part):
    """A call is placed when the campaign's windows, the law's for the region and the days agree.

    Times are the contact's: its `time_zone`, or that of the number's prefix (where a prefix lies
    in several, all of them must be within the hours).
    """

    weekly: dict[Weekday, Windows] = Field(
        default_factory=lambda: {day: ["08:00-21:00"] for day in _ALL_DAYS}
    )
    region_rules: bool = Field(
        True, description="Apply the built-in windows of states and countries too."
    )
    regions: dict[Region, WindowRule] = Field(
        default_factory=dict,
        max_length=300,
        description="In place of the built-in rule of a region.",
        examples=[{"US-FL": {"weekly": {"mon": ["08:00-20:00"]}, "holidays": False}}],
    )
    public_holidays: bool = Field(
        True, description="False: nobody is called on public holidays of the number's country."
    )
    closed_days: list[Day] = Field(
        default_factory=list, max_length=400, description="No calls on these days at all."
    )
    default_time_zone: TimeZone | None = Field(
        None, description="For numbers whose prefix tells none. Default: they are not called."
    )


class MachineAction(StrEnum):
    CONNECT = "connect"
    HANG_UP = "hang-up"
    LEAVE_MESSAGE = "leave-message"


class Machines(_Part):
    """What happens when an answering machine is detected."""

    detect: bool = False
    action: MachineAction = MachineAction.HANG_UP
    message: AnyAudio | None = Field(None, description="Left after the beep.")

    @model_validator(mode="after")
    def _has_message(self) -> Self:
        if self.action is MachineAction.LEAVE_MESSAGE and self.message is None:
            raise ValueError("leave-message needs a message")
        if self.action is not MachineAction.CONNECT and not self.detect and self.message:
            raise ValueError("detect must be true for a message to be left")
        return self


class Disposition(_Part):
    """What an agent says of a call."""

    code: Code
    label: str = Field("", max_length=100)
    success: bool = False
    action: Literal["complete", "retry", "do-not-call"] = Field(
        "complete", description="What becomes of the contact. `retry`: called again."
    )
    retry_seconds: int = Field(24 * 3600, ge=60, le=MAX_RETRY_SECONDS)


DEFAULT_DISPOSITIONS = (
    Disposition(code="success", label="Success", success=True),
    Disposition(code="not-interested", label="Not interested"),
    Disposition(code="wrong-number", label="Wrong number"),
    Disposition(code="callback", label="Call back later", action="retry"),
    Disposition(code="do-not-call", label="Do not call again", action="do-not-call"),
)


class Order(StrEnum):
    """Which contact is next among those of one priority: OLDEST first added; NEWEST; RANDOM."""

    OLDEST = "oldest"
    NEWEST = "newest"
    RANDOM = "random"


class CampaignOptions(BaseModel):
    """Everything has a default; those of compliance are the strict ones of the US rules."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    # pacing
    ratio: float = Field(1.5, ge=1, le=10, description="Calls for a free agent, of `power`.")
    max_lines_per_agent: float = Field(3.0, ge=1, le=10, description="Calls on their way, at most.")
    max_concurrent: int = Field(50, ge=1, le=10_000, description="Calls of the campaign at a time.")
    max_cps: int = Field(5, ge=1, le=100, description="Calls placed a second, at most.")
    # drops
    max_drop_rate: float = Field(
        0.03,
        ge=0,
        le=0.5,
        description="Of the people who answered in the last 30 days; its upper confidence bound "
        "stays below.",
    )
    connect_within_ms: int = Field(
        2000, ge=0, le=30_000, description="How long who has answered waits for an agent."
    )
    safe_harbour: AnyAudio | None = Field(
        None, description="Played to who has answered and gets no agent. Default: a spoken one."
    )
    redial_lockout_hours: int = Field(
        72, ge=0, le=24 * 30, description="After a drop the number is not dialled for so long."
    )
    # ringing and trying again
    ring_seconds: int = Field(25, ge=15, le=120)
    retries: list[RetryRule] = Field(default_factory=lambda: list(DEFAULT_RETRIES), max_length=10)
    max_attempts: int = Field(6, ge=1, le=100, description="Of one contact, over all its numbers.")
    attempts_per_number_per_day: int = Field(3, ge=1, le=100)
    attempts_per_number_per_week: int = Field(7, ge=1, le=500)
    order: Order = Order.OLDEST
    # when
    hours: CallingHours = Field(default_factory=CallingHours)
    # in the call
    machines: Machines = Field(default_factory=Machines)
    record: bool = False
    dispositions: list[Disposition] = Field(
        default_factory=lambda: list(DEFAULT_DISPOSITIONS), max_length=100
    )

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        for name, keys in (
            ("retries", [str(rule.result) for rule in self.retries]),
            ("dispositions", [disposition.code for disposition in self.dispositions]),
        ):
            if len(set(keys)) != len(keys):
                raise ValueError(f"{name}: two for {max(keys, key=keys.count)}")
        if not any(self.hours.weekly.values()):
            raise ValueError("hours.weekly: nobody could ever be called")
        return self

    def disposition(self, code: str) -> Disposition | None:
        return next((found for found in self.dispositions if found.code == code), None)
