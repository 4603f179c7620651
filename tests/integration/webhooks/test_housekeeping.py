from sqlalchemy import select, text

from irisx.integration.webhooks.delivery import fan_out
from irisx.integration.webhooks.housekeeping import forget_old
from irisx.integration.webhooks.models import DeliveryStatus, WebhookDelivery
from irisx.kernel import events
from irisx.kernel.db import transaction


def tables() -> set[str]:
    with transaction() as session:
        return set(session.scalars(text("SELECT relname FROM pg_class WHERE relkind = 'r'")).all())


def test_months_long_over_are_dropped_and_others_kept() -> None:
    before = tables()
    with transaction() as session:
        session.execute(
            text(
                "CREATE TABLE webhook_attempts_y2020m01 PARTITION OF webhook_attempts"
                " FOR VALUES FROM ('2020-01-01') TO ('2020-02-01')"
            )
        )
    forget_old()
    assert tables() == before


def test_a_delivery_without_its_event_is_given_up(receiver, subscribe, publish) -> None:
    subscribe(receiver.url)
    publish(("call.ringing", {"sid": "CA1"}))
    fan_out()
    with transaction() as session:
        session.execute(text("UPDATE domain_events SET created_at = now() - interval '36 days'"))
    publish(("call.ringing", {"sid": "CA2"}))
    fan_out()
    assert not events.forget_old()
    forget_old()
    with transaction() as session:
        found = session.scalars(select(WebhookDelivery).order_by(WebhookDelivery.id)).all()
    assert [row.status for row in found] == [DeliveryStatus.FAILED, DeliveryStatus.PENDING]
