"""Messages that follow calls, by the tenant's rules."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any
from uuid import UUID, uuid5

from sqlalchemy import exists, select
from sqlalchemy.orm import Session

from irisx.kernel import clock, template
from irisx.kernel.events import DomainEvent
from irisx.kernel.logging import get_logger
from irisx.messaging.channels.sms import service as sms
from irisx.messaging.channels.sms.addresses import is_number
from irisx.messaging.channels.sms.service import Text
from irisx.messaging.channels.whatsapp import service as whatsapp
from irisx.messaging.channels.whatsapp.content import WhatsAppContent
from irisx.messaging.channels.whatsapp.service import Draft
from irisx.messaging.models import Message
from irisx.messaging.rules.models import CallRule, Trigger
from irisx.messaging.rules.service import CALL_VALUES, WHATSAPP
from irisx.messaging.states import Direction
from irisx.tenancy import contacts

log = get_logger(__name__)

COMPLETED = "call.completed"
FAILED = "call.failed"
ORIGIN = "rule"
_TRIGGERS = {COMPLETED: Trigger.ENDED, FAILED: Trigger.MISSED}
#: Ids of these messages: a call has one at most, whatever happens.
_IDS = UUID("5d1b6f0e-2f0b-4c68-9a65-7b1f6a3a9f57")


def rules_of(session: Session, tenants: Iterable[int]) -> dict[int, list[CallRule]]:
    """The enabled rules of these tenants, in their order."""
    query = select(CallRule).where(CallRule.tenant_id.in_(tenants), CallRule.enabled)
    found: dict[int, list[CallRule]] = {}
    for rule in session.scalars(query.order_by(CallRule.position, CallRule.id)):
        found.setdefault(rule.tenant_id, []).append(rule)
    return found


def follow(session: Session, event: DomainEvent, rules: Sequence[CallRule]) -> None:
    """Send what the first fitting rule says about a call that has ended. Raises IrisxError, for
    what can't be sent."""
    data = event.data
    outbound = data.get("direction") == Direction.OUTBOUND
    ours, theirs = str(data.get("from", "")), str(data.get("to", ""))
    if not outbound:
        ours, theirs = theirs, ours
    if not is_number(theirs):
        return
    rule = next((rule for rule in rules if _fits(rule, event, ours)), None)
    if rule is None or _lately(session, rule, theirs):
        return
    values = {
        "caller": theirs,
        "number": ours,
        "call": {name: data.get(name) for name in CALL_VALUES},
        "contact": contacts.fields_of(session, event.tenant_id, theirs),
    }
    try:
        _send(session, rule, event, theirs, rule.sender or ours, values)
    except template.RenderFailed as error:
        log.warning("a rule's template fails", rule=rule.public_id, reason=str(error))


def _fits(rule: CallRule, event: DomainEvent, ours: str) -> bool:
    return (
        rule.trigger is _TRIGGERS[event.type]
        and rule.direction in (None, event.data.get("direction"))
        and (not rule.numbers or ours in rule.numbers)
        and (not rule.statuses or event.data.get("status") in rule.statuses)
    )


def _lately(session: Session, rule: CallRule, theirs: str) -> bool:
    """Whether they got a rule's message a moment ago: who calls again and again gets one."""
    since = clock.now() - rule.pause
    lately = exists().where(
        Message.tenant_id == rule.tenant_id,
        Message.to_address == theirs,
        Message.created_at > since,
        Message.origin == ORIGIN,
    )
    return session.scalars(select(lately)).one()


def _send(
    session: Session,
    rule: CallRule,
    event: DomainEvent,
    to: str,
    sender: str,
    values: Mapping[str, Any],
) -> None:
    sid = str(event.data["sid"])
    key = uuid5(_IDS, f"{event.tenant_id} {sid}")
    test = bool(event.data.get("sandbox"))  # a simulated call writes to nobody real
    metadata = {"call_sid": sid, "rule_id": rule.public_id}
    if rule.channel == WHATSAPP:
        content = WhatsAppContent.model_validate(_content(rule, values))
        draft = Draft(content=content, from_=rule.sender, metadata=metadata, origin=ORIGIN)
        whatsapp.accept(session, event.tenant_id, to, draft, test=test, ids=(key, key))
        return
    body = template.render(rule.text or "", values)
    text = Text(body=body, from_=sender, metadata=metadata, origin=ORIGIN)
    sms.accept(session, event.tenant_id, to, text, test=test, ids=(key, key))


def _content(rule: CallRule, values: Mapping[str, Any]) -> dict[str, Any]:
    chosen = rule.whatsapp_template
    if chosen is None:
        return {"type": "text", "text": {"body": template.render(rule.text or "", values)}}
    filled: Sequence[dict[str, str]] = [
        {"type": "text", "text": template.render(each, values)} for each in chosen["parameters"]
    ]
    body = [{"type": "body", "parameters": filled}] if filled else []
    named = {"name": chosen["name"], "language": {"code": chosen["language"]}}
    return {"type": "template", "template": named | {"components": body}}
