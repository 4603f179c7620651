"""A tenant's settings, kept as JSON in its row and checked by this model."""

from typing import Annotated
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints

E164 = Annotated[str, StringConstraints(pattern=r"^\+[1-9][0-9]{6,14}$")]
CountryCode = Annotated[str, StringConstraints(pattern=r"^[A-Z]{2}$")]
DigitPrefix = Annotated[str, StringConstraints(pattern=r"^[1-9][0-9]{0,14}$")]

#: Settings that bound what a tenant can cost or be robbed of; only an administrator changes them.
ADMIN_ONLY = frozenset(
    {
        "max_cps",
        "max_concurrent_calls",
        "allowed_countries",
        "allowed_prefixes",
        "max_cost_per_minute",
        "max_rate_limit",
    }
)


def _known_zone(name: str) -> str:
    try:
        ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise ValueError("not an IANA time zone such as Europe/Berlin") from None
    return name


TimeZone = Annotated[str, StringConstraints(max_length=64), AfterValidator(_known_zone)]


ClockTime = Annotated[str, StringConstraints(pattern=r"^([01][0-9]|2[0-3]):[0-5][0-9]$")]


class QuietHours(BaseModel):
    """A time of day, over midnight if `end` is earlier, in the recipient's own time zone."""

    model_config = ConfigDict(extra="forbid", strict=True)

    start: ClockTime = Field(examples=["21:00"])
    end: ClockTime = Field(examples=["08:00"])


Reply = Annotated[str, StringConstraints(min_length=1, max_length=480)]


class TenantSettings(BaseModel):
    """What a tenant may choose (`PUT /v1/settings`) and what an administrator allows it."""

    model_config = ConfigDict(extra="forbid", strict=True)

    timezone: TimeZone = Field("UTC", description="IANA name, e.g. Europe/Berlin.")
    default_caller_id: E164 | None = Field(
        None, description="Caller id of calls without `from`; one of the tenant's numbers."
    )
    record_calls: bool = Field(False, description="Record every call unless it says otherwise.")
    recording_retention_days: int | None = Field(
        None, ge=1, le=3650, description="Days after which recordings are deleted; null: kept."
    )
    max_cps: int = Field(10, ge=1, le=1000, description="Outbound calls started a second.")
    max_concurrent_calls: int = Field(100, ge=1, le=100_000, description="Calls at one time.")
    ring_timeout_seconds: int = Field(60, ge=5, le=300, description="Ring time of a call out.")
    allowed_countries: list[CountryCode] = Field(
        max_length=300,
        default_factory=lambda: ["US", "CA"],
        description="Countries (ISO 3166) that calls may go to; others are refused.",
    )
    allowed_prefixes: list[DigitPrefix] = Field(
        max_length=1000,
        default_factory=list,
        description="Premium or satellite prefixes (digits) that are allowed all the same.",
    )
    max_cost_per_minute: float | None = Field(
        None, ge=0, le=1e6, description="Carriers dearer than this are not used; null: no limit."
    )
    max_rate_limit: int = Field(
        1000, ge=1, le=1_000_000, description="Highest `rate_limit` a tenant may give its keys."
    )
    quiet_hours: QuietHours | None = Field(
        None, description="When marketing messages wait; null: they never do."
    )
    sms_stop_reply: Reply | None = Field(
        "You have opted out and will get no more messages. Reply START to get them again.",
        description="Answer to STOP and its like; null: none, as where the carrier answers.",
    )
    sms_start_reply: Reply | None = Field(
        "You will get messages again. Reply STOP to opt out.",
        description="Answer to START of one who had opted out; null: none.",
    )
    sms_help_reply: Reply | None = Field(
        "Reply STOP to get no more messages.", description="Answer to HELP; null: none."
    )
