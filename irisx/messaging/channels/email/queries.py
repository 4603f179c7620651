"""Reading what belongs to one email."""

from uuid import UUID

from sqlalchemy import select

from irisx.kernel.db import transaction
from irisx.messaging.channels.email.models import EmailEngagement

_SHOWN = 500


def engagements(message_id: UUID) -> list[EmailEngagement]:
    """What the recipient did with a message, oldest first."""
    query = select(EmailEngagement).filter_by(message_id=message_id)
    ordered = query.order_by(EmailEngagement.occurred_at, EmailEngagement.id)
    with transaction() as session:
        return list(session.scalars(ordered.limit(_SHOWN)))
