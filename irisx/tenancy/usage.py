"""What a tenant used, recorded where it is used; analytics and billing read it."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from irisx.tenancy.usage_models import UsageRecord


def record_many(session: Session, rows: Sequence[dict[str, Any]]) -> None:
    """Write usage down in the caller's transaction: dicts of UsageRecord's columns. The same key
    and time count once."""
    if rows:
        session.execute(insert(UsageRecord).on_conflict_do_nothing(), list(rows))
