"""What of webhooks grows old: the log goes by whole months, a delivery with its event."""

import re
from datetime import timedelta

from sqlalchemy import text

from irisx.integration.webhooks.models import WebhookAttempt, WebhookDelivery
from irisx.kernel import clock
from irisx.kernel.db import transaction

#: Deliveries and attempts are kept so long after the end of their month.
KEPT = timedelta(days=90)

_PARTITIONS = text("""
    SELECT format('%I', c.relname) AS name
    FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
    WHERE i.inhparent = to_regclass(:parent)
""")
_MONTH = re.compile(r"_y(\d{4})m(\d\d)\Z")

_WITHOUT_EVENT = text("""
    UPDATE webhook_deliveries d SET status = 'failed'
    WHERE d.status = 'pending' AND NOT EXISTS (SELECT FROM domain_events e WHERE e.id = d.event_id)
""")


def forget_old() -> bool:
    """Drop the months that are over for longer than KEPT; give up what has no event any more."""
    with transaction() as session:
        session.execute(_WITHOUT_EVENT)
    oldest = clock.now() - KEPT
    for table in (WebhookDelivery.__tablename__, WebhookAttempt.__tablename__):
        with transaction() as session:
            # A writer is not held up for long by a drop that waits for a long reader.
            session.execute(text("SET LOCAL lock_timeout = '2s'"))
            for name in session.scalars(_PARTITIONS, {"parent": table}).all():
                month = _MONTH.search(name)
                if month and (int(month[1]), int(month[2])) < (oldest.year, oldest.month):
                    session.execute(text(f"DROP TABLE {name}"))
    return False
