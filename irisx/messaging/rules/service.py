"""A tenant's rules: made, changed and removed."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from sqlalchemy import func, select

from irisx.kernel import template
from irisx.kernel.db import transaction
from irisx.kernel.errors import Conflict, Detail, ValidationError
from irisx.messaging.rules.models import CallRule, Trigger
from irisx.tenancy import audit, rows
from irisx.tenancy.access import Actor

MAX_RULES = 100
SMS, WHATSAPP = "sms", "whatsapp"
#: How a call of each trigger may have ended.
STATUSES: Mapping[Trigger, frozenset[str]] = {
    Trigger.MISSED: frozenset({"busy", "no-answer", "failed", "canceled"}),
    Trigger.ENDED: frozenset({"completed"}),
}
#: What templates may use: `{{ caller }}`, `{{ number }}`, `{{ call.duration }}`, …
VALUES = ("caller", "number", "call", "contact")
CALL_VALUES = ("sid", "status", "direction", "duration", "from", "to")


def list_page(tenant_id: int, *, limit: int, offset: int) -> tuple[Sequence[CallRule], int]:
    mine = select(CallRule).where(CallRule.tenant_id == tenant_id)
    with transaction() as session:
        return rows.page(session, mine, limit=limit, offset=offset)


def get(tenant_id: int, rule_id: int) -> CallRule:
    with transaction() as session:
        return rows.fetch(session, CallRule, rule_id, tenant_id=tenant_id)


def create(by: Actor, tenant_id: int, fields: Mapping[str, Any]) -> CallRule:
    """Raises ValidationError for a rule that could never send its message."""
    _check(fields)
    row = CallRule(tenant_id=tenant_id, **fields)
    with transaction() as session:
        held = select(func.count()).where(CallRule.tenant_id == tenant_id)
        if session.scalars(held).one() >= MAX_RULES:
            raise Conflict(f"A tenant has at most {MAX_RULES} rules.")
        session.add(row)
        audit.created(session, by, row)
    return row


def change(by: Actor, tenant_id: int, rule_id: int, fields: Mapping[str, Any]) -> CallRule:
    """Set the given fields; together with the others they must make a rule."""
    with transaction() as session:
        row = rows.fetch(session, CallRule, rule_id, tenant_id=tenant_id, lock=True)
        before = audit.snapshot(row)
        names = ("trigger", "statuses", "channel", "text", "whatsapp_template")
        _check({name: getattr(row, name) for name in names} | dict(fields))
        rows.assign(row, dict(fields))
        audit.updated(session, by, row, before)
        session.refresh(row)
    return row


def remove(by: Actor, tenant_id: int, rule_id: int) -> None:
    with transaction() as session:
        row = rows.fetch(session, CallRule, rule_id, tenant_id=tenant_id, lock=True)
        audit.deleted(session, by, row)
        session.delete(row)


def _check(fields: Mapping[str, Any]) -> None:
    if faults := list(_faults(fields)):
        first = faults[0]
        raise ValidationError(f"{first['field']}: {first['message']}", details=faults)


def _faults(fields: Mapping[str, Any]) -> Iterator[Detail]:
    known = STATUSES[fields["trigger"]]
    if wrong := set(fields["statuses"]) - known:
        words = f"a call that was {fields['trigger']} is {', '.join(sorted(known))}"
        yield {"field": "statuses", "message": f"{words}, not {', '.join(sorted(wrong))}"}
    text, filled = fields.get("text"), fields.get("whatsapp_template")
    if (text is None) == (filled is None):
        yield {"field": "text", "message": "give either text or whatsapp_template"}
    if filled is not None and fields["channel"] != WHATSAPP:
        yield {"field": "whatsapp_template", "message": "only with the channel whatsapp"}
    if text is not None:
        yield from _template_faults("text", text)
    for index, parameter in enumerate(filled["parameters"] if filled else ()):
        yield from _template_faults(f"whatsapp_template.parameters.{index}", parameter)


def _template_faults(field: str, source: str) -> Iterator[Detail]:
    try:
        template.check(source)
        used = template.uses(source)
    except template.BadTemplate as error:
        yield {"field": field, "message": str(error)}
        return
    for use in used:
        head, _, rest = use.path.partition(".")
        if head not in VALUES or (head == "call" and rest not in CALL_VALUES):
            calls = ", ".join(f"call.{name}" for name in CALL_VALUES)
            words = f"there is no {use.path}; there are caller, number, contact.…, {calls}"
            yield {"field": field, "message": words}
        elif head == "contact" and not use.guarded:
            words = f'{use.path} may be missing: {{{{ {use.path} | default("") }}}}'
            yield {"field": field, "message": words}
