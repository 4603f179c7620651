"""Calls become part of a contact's history, by the domain events of telephony."""

from collections import defaultdict
from collections.abc import Sequence
from typing import Any

from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from irisx.kernel.events import DomainEvent
from irisx.kernel.reactions import react
from irisx.messaging.contacts.models import ContactActivity
from irisx.tenancy import contacts

READER = "contacts"
CALLS = ("call.completed", "call.failed", "voicemail.received")
_KEPT = ("status", "direction", "from", "to", "duration", "answered_at", "ended_at", "mailbox")


def note_calls() -> bool:
    """The job; True: there may be more."""
    return react(READER, CALLS, _note)


def _note(session: Session, events: Sequence[DomainEvent]) -> None:
    theirs: dict[int, set[str]] = defaultdict(set)
    for event in events:
        theirs[event.tenant_id].add(_their_number(event))
    contact_ids = {
        tenant_id: contacts.ids_of(session, tenant_id, contacts.PHONE, numbers)
        for tenant_id, numbers in theirs.items()
    }
    lines = [
        _line(event, contact_id)
        for event in events
        if (contact_id := contact_ids[event.tenant_id].get(_their_number(event))) is not None
    ]
    if lines:
        session.execute(insert(ContactActivity).on_conflict_do_nothing(), lines)


def _their_number(event: DomainEvent) -> str:
    data = event.data
    return str(data.get("to") if data.get("direction") == "outbound" else data.get("from"))


def _line(event: DomainEvent, contact_id: int) -> dict[str, Any]:
    data = event.data
    sid = data.get("sid") or data.get("call_sid")
    return {
        "tenant_id": event.tenant_id,
        "contact_id": contact_id,
        "kind": "voicemail" if event.type == CALLS[-1] else "call",
        "key": f"event:{event.key}",
        "occurred_at": event.occurred_at,
        "data": {"sid": sid} | {name: data[name] for name in _KEPT if name in data},
    }
