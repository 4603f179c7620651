"""What a tenant used, recorded where it is used; analytics and billing read it."""

from datetime import datetime

from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from irisx.tenancy.usage_models import UsageRecord


def record(
    session: Session,
    *,
    key: str,
    tenant_id: int,
    kind: str,
    quantity: int,
    subject: str,
    occurred_at: datetime,
) -> None:
    """Write usage down in the caller's transaction; the same key and time count once."""
    row = UsageRecord(
        key=key,
        occurred_at=occurred_at,
        tenant_id=tenant_id,
        kind=kind,
        quantity=quantity,
        subject=subject,
    )
    values = {c.key: getattr(row, c.key) for c in UsageRecord.__table__.columns}
    session.execute(insert(UsageRecord).values(values).on_conflict_do_nothing())
