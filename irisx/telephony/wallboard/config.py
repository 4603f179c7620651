"""What a tenant may set of its wallboard."""

from enum import StrEnum
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, model_validator


class Metric(StrEnum):
    """What an alert may watch: a field of the wallboard or of a queue on it."""

    CALLS_IN_QUEUE = "calls_in_queue"
    LONGEST_WAIT = "longest_wait"
    AGENTS_AVAILABLE = "agents_available"
    AGENTS_BUSY = "agents_busy"
    AVG_WAIT_TIME = "avg_wait_time"
    AVG_HANDLE_TIME = "avg_handle_time"
    SERVICE_LEVEL = "service_level"
    ABANDONED_RATE = "abandoned_rate"


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid")


class Alert(_Part):
    """Told when the value crosses the threshold, and again when it is back."""

    id: Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_.\-]{1,64}$")]
    metric: Metric
    above: float | None = Field(None, description="Raised while the value is above it.")
    below: float | None = Field(None, description="Raised while the value is below it.")
    queue_id: Annotated[str, StringConstraints(pattern=r"^queue_[0-9]{1,18}$")] | None = Field(
        None, description="Of this queue alone; null: of the whole wallboard."
    )

    @model_validator(mode="after")
    def one_threshold(self) -> Self:
        if (self.above is None) == (self.below is None):
            raise ValueError("give either above or below")
        return self

    @property
    def threshold(self) -> float:
        return self.above if self.above is not None else self.below or 0.0

    def holds(self, value: float) -> bool:
        return value > self.threshold if self.above is not None else value < self.threshold


class WallboardConfig(_Part):
    """How the wallboard counts. What is null is as the queue has it in its options."""

    period_minutes: int | None = Field(
        None,
        ge=5,
        le=1440,
        description="What the averages and rates are of: the last minutes; null: since midnight "
        "in the tenant's time zone.",
    )
    service_level_seconds: int | None = Field(
        None, ge=1, le=3600, description="Answered within this counts as in time."
    )
    service_level_denominator: Literal["answered", "offered", "offered-without-short"] | None = (
        Field(
            None,
            description="`offered`: answered and abandoned; `offered-without-short`: that without "
            "those who hung up within `short_abandon_seconds`.",
        )
    )
    short_abandon_seconds: int | None = Field(None, ge=0, le=60)
    push_seconds: int | None = Field(
        5,
        ge=1,
        le=3600,
        description="A change is told as `wallboard.updated` so often at most; null: never.",
    )
    alerts: list[Alert] = Field(default_factory=list, max_length=50)

    @model_validator(mode="after")
    def alerts_apart(self) -> Self:
        ids = [alert.id for alert in self.alerts]
        if len(set(ids)) < len(ids):
            raise ValueError("alerts: two have the same id")
        return self
