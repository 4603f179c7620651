"""Messages that calls ask for: the `send_sms` node of IVR flows, and rules of the tenant."""

from collections.abc import Sequence
from datetime import timedelta

from sqlalchemy import select
from sqlalchemy.orm import Session

from irisx.kernel import clock
from irisx.kernel.errors import IrisxError
from irisx.kernel.events import DomainEvent
from irisx.kernel.logging import get_logger
from irisx.kernel.reactions import react
from irisx.messaging import accepting
from irisx.messaging.channels.sms import service
from irisx.messaging.channels.sms.service import Text
from irisx.messaging.rules.following import COMPLETED, FAILED, follow, rules_of
from irisx.messaging.rules.models import CallRule
from irisx.tenancy.models import Tenant, TenantStatus

log = get_logger(__name__)

READER = "sms"
SEND_SMS = "ivr.send_sms"
#: What was asked for longer ago says nothing useful any more.
OLDEST = timedelta(hours=1)


def send_what_calls_ask_for() -> bool:
    """The job; True: there may be more."""
    more = react(READER, (SEND_SMS, COMPLETED, FAILED), _handle_all)
    accepting.wake_senders()
    return more


def _handle_all(session: Session, events: Sequence[DomainEvent]) -> None:
    named = {event.tenant_id for event in events}
    active = select(Tenant.id).where(Tenant.id.in_(named), Tenant.status == TenantStatus.ACTIVE)
    tenants = set(session.scalars(active))
    rules = rules_of(session, tenants)
    for event in events:
        if event.tenant_id in tenants and event.occurred_at >= clock.now() - OLDEST:
            _handle(session, event, rules.get(event.tenant_id, []))


def _handle(session: Session, event: DomainEvent, rules: Sequence[CallRule]) -> None:
    try:
        if event.type == SEND_SMS:
            _of_flow(session, event)
        else:
            follow(session, event, rules)
    except IrisxError as error:
        log.warning(
            "a call's message is refused",
            tenant_id=event.tenant_id,
            call=event.data.get("call_sid") or event.data.get("sid"),
            code=error.code,
            reason=error.message,
        )


def _of_flow(session: Session, event: DomainEvent) -> None:
    data = event.data
    text = Text(
        body=data["text"],
        from_=data.get("from"),
        metadata={"call_sid": data["call_sid"]},
        origin="ivr",
    )
    service.accept(session, event.tenant_id, data["to"], text, test=bool(data.get("sandbox")))
