"""What a WhatsApp message can come from and go to, and when."""

import re
from datetime import UTC, datetime
from typing import Any

_E164 = re.compile(r"\+[1-9][0-9]{6,14}")
_SEPARATORS = re.compile(r"[\s().-]")


def normalise(text: str) -> str:
    """A number as E.164; blanks and brackets are dropped. Raises ValueError."""
    digits = _SEPARATORS.sub("", text)
    if not _E164.fullmatch(digits):
        raise ValueError("not a number in E.164, +15555550100")
    return digits


def moment(timestamp: Any) -> datetime | None:
    """`timestamp`: seconds since 1970, as a number or as text; None for anything else."""
    try:
        return datetime.fromtimestamp(int(timestamp), UTC)
    except (ValueError, OverflowError, OSError, TypeError):
        return None
