"""Time as IRISX stores and shows it: UTC, milliseconds, `Z`."""

from datetime import UTC, datetime


def now() -> datetime:
    """The current time, aware, in UTC."""
    return datetime.now(UTC)


def isoformat(moment: datetime) -> str:
    """`2026-02-17T12:00:00.000Z`, the specification's only form of a timestamp."""
    text = moment.astimezone(UTC).isoformat(timespec="milliseconds")
    return text.replace("+00:00", "Z")


def from_epoch_us(microseconds: int | str | None) -> datetime | None:
    """FreeSWITCH's `*_uepoch` (µs since 1970) as a time; its 0 and an absent value are None."""
    value = int(microseconds or 0)
    return datetime.fromtimestamp(value / 1_000_000, UTC) if value > 0 else None
