"""Calls become part of a contact's history, by the domain events of telephony."""

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


def _note(session: Session, event: DomainEvent) -> None:
    data = event.data
    theirs = data.get("to") if data.get("direction") == "outbound" else data.get("from")
    contact = contacts.find(session, event.tenant_id, contacts.PHONE, str(theirs))
    if contact is None:
        return
    sid = data.get("sid") or data.get("call_sid")
    line = {
        "tenant_id": event.tenant_id,
        "contact_id": contact.id,
        "kind": "voicemail" if event.type == CALLS[-1] else "call",
        "key": f"event:{event.key}",
        "occurred_at": event.occurred_at,
        "data": {"sid": sid} | {name: data[name] for name in _KEPT if name in data},
    }
    session.execute(insert(ContactActivity).values(line).on_conflict_do_nothing())
