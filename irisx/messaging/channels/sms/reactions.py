"""Text messages that calls ask for: the `send_sms` node of IVR flows, and rules of the tenant."""

from collections.abc import Sequence
from datetime import timedelta

from sqlalchemy import exists, select
from sqlalchemy.orm import Session

from irisx.kernel import clock
from irisx.kernel.errors import IrisxError
from irisx.kernel.events import DomainEvent
from irisx.kernel.logging import get_logger
from irisx.kernel.reactions import react
from irisx.messaging import accepting
from irisx.messaging.channels.sms import service
from irisx.messaging.channels.sms.addresses import is_number
from irisx.messaging.channels.sms.service import Text
from irisx.messaging.models import Message
from irisx.messaging.states import Direction
from irisx.tenancy.models import Tenant, TenantStatus
from irisx.tenancy.settings import TenantSettings

log = get_logger(__name__)

READER = "sms"
SEND_SMS = "ivr.send_sms"
COMPLETED = "call.completed"
FAILED = "call.failed"
RULE = "rule"
#: What was asked for longer ago says nothing useful any more.
OLDEST = timedelta(hours=1)
#: A caller who calls again and again gets one message.
ONCE_IN = timedelta(hours=1)


def send_what_calls_ask_for() -> bool:
    """The job; True: there may be more."""
    more = react(READER, (SEND_SMS, COMPLETED, FAILED), _handle_all)
    accepting.wake_senders()
    return more


def _handle_all(session: Session, events: Sequence[DomainEvent]) -> None:
    tenants = select(Tenant).where(
        Tenant.id.in_({event.tenant_id for event in events}), Tenant.status == TenantStatus.ACTIVE
    )
    settings = {
        tenant.id: TenantSettings.model_validate(tenant.settings)
        for tenant in session.scalars(tenants)
    }
    for event in events:
        if event.tenant_id in settings and event.occurred_at >= clock.now() - OLDEST:
            _handle(session, event, settings[event.tenant_id])


def _handle(session: Session, event: DomainEvent, settings: TenantSettings) -> None:
    try:
        if event.type == SEND_SMS:
            _of_flow(session, event)
        elif event.data.get("direction") == Direction.INBOUND:
            _by_rule(session, event, settings)
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
    service.accept(session, event.tenant_id, data["to"], text, test=_simulated(data))


def _by_rule(session: Session, event: DomainEvent, settings: TenantSettings) -> None:
    answered = event.type == COMPLETED
    rule = settings.post_call_message if answered else settings.missed_call_message
    caller, number = str(event.data.get("from", "")), str(event.data.get("to", ""))
    if rule is None or not is_number(caller):
        return
    lately = exists().where(
        Message.tenant_id == event.tenant_id,
        Message.to_address == caller,
        Message.created_at > clock.now() - ONCE_IN,
        Message.origin == RULE,
    )
    if session.scalars(select(lately)).one():
        return
    text = Text(
        body=rule.text.replace("{caller}", caller).replace("{number}", number),
        from_=rule.from_ or number,
        metadata={"call_sid": event.data["sid"]},
        origin=RULE,
    )
    service.accept(session, event.tenant_id, caller, text, test=_simulated(event.data))


def _simulated(data: dict[str, object]) -> bool:
    """A call of the sandbox sends nothing to anybody real."""
    return bool(data.get("sandbox"))
