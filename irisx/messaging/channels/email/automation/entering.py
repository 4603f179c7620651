"""How contacts come into workflows: by an event, by being put on a list, or let in by hand.

A contact comes in once by one cause: the key of its run is unique, so that reading a list or an
event again changes nothing.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from sqlalchemy import exists, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from irisx.kernel import clock
from irisx.kernel.db import transaction
from irisx.kernel.errors import NotFound
from irisx.kernel.events import DomainEvent, publish_many
from irisx.kernel.ids import public_id, row_key
from irisx.kernel.jobs import wake
from irisx.kernel.reactions import react
from irisx.messaging.channels.email.automation import conditions
from irisx.messaging.channels.email.automation.models import (
    EmailRunStatus,
    EmailWorkflow,
    EmailWorkflowRun,
    EmailWorkflowVersion,
)
from irisx.messaging.channels.email.automation.steps import (
    EventTrigger,
    ListTrigger,
    read_trigger,
)
from irisx.messaging.contacts.models import ContactListMember
from irisx.tenancy import contacts
from irisx.tenancy.contact_models import Contact, ContactIdentity
from irisx.tenancy.models import Tenant, TenantStatus

TOPIC = "email.automation"
READER = "email-automation"
#: In the metadata of messages that a workflow sent.
MARK = "workflow_id"
LIST_BATCH = 500
#: Rows of a list are dated when their transaction began; it may have taken so long.
_LATE = timedelta(minutes=10)
_MAX_TEXT = 2000
#: What a workflow's own email causes by itself; to react to it could go on for ever.
_OWN = ("email.sent", "email.delivered")


@dataclass(frozen=True, slots=True)
class Entry:
    """A contact that is let in because of `cause`; `event`: what is known of that."""

    contact_id: int
    cause: str
    event: Mapping[str, Any]
    sandbox: bool = False


def let_in(session: Session, workflow: EmailWorkflow, entries: Sequence[Entry]) -> int:
    """Begin a run for each that has not come in for this cause (without `reentry`: ever); how
    many."""
    if not entries:
        return 0
    newest = select(EmailWorkflowVersion.id).filter_by(
        workflow_id=workflow.id, version=workflow.version
    )
    now = clock.now()
    version_id = session.scalars(newest).one()
    values = [
        {
            "tenant_id": workflow.tenant_id,
            "workflow_id": workflow.id,
            "version_id": version_id,
            "contact_id": entry.contact_id,
            "key": f"{entry.contact_id} {entry.cause if workflow.reentry else ''}".strip(),
            "status": EmailRunStatus.ACTIVE,
            "due_at": now,
            "context": {"event": _short(entry.event)},
            "sandbox": entry.sandbox,
        }
        for entry in entries
    ]
    fresh = insert(EmailWorkflowRun).values(values).on_conflict_do_nothing()
    begun = session.execute(fresh.returning(EmailWorkflowRun.id, EmailWorkflowRun.contact_id)).all()
    publish_many(
        session,
        [
            {
                "key": f"email-automation:{run_id}:entered",
                "tenant_id": workflow.tenant_id,
                "type": "email.automation.entered",
                "data": {
                    "workflow_id": workflow.public_id,
                    "name": workflow.name,
                    "contact_id": public_id(Contact.PREFIX, contact_id),
                },
                "occurred_at": now,
            }
            for run_id, contact_id in begun
        ],
    )
    return len(begun)


# -- by lists -------------------------------------------------------------------------------------


def enter_by_lists() -> bool:
    """The job: who was put on the list of a trigger comes in; True: there may be more."""
    with transaction() as session:
        workflows = session.scalars(
            _active("list").with_for_update(skip_locked=True, of=EmailWorkflow)
        ).all()
        counts = [_enter_by_list(session, workflow) for workflow in workflows]
    if any(counts):
        wake(TOPIC)
    return LIST_BATCH in counts


def _enter_by_list(session: Session, workflow: EmailWorkflow) -> int:
    trigger = read_trigger(workflow.trigger)
    assert isinstance(trigger, ListTrigger)
    assert workflow.active_since is not None
    now = clock.now()
    since = max(workflow.active_since, (workflow.polled_at or now) - _LATE)
    member = ContactListMember
    runs = [
        EmailWorkflowRun.workflow_id == workflow.id,
        EmailWorkflowRun.contact_id == member.contact_id,
    ]
    if workflow.reentry:
        runs.append(EmailWorkflowRun.created_at >= member.added_at)
    joined = (
        select(member.contact_id, member.added_at)
        .where(
            member.list_id == row_key("list", trigger.list_id),
            member.added_at >= since,
            ~exists().where(*runs),
        )
        .order_by(member.added_at)
        .limit(LIST_BATCH)
    )
    found = session.execute(joined).all()
    entries = [
        Entry(contact_id, f"list:{added_at.isoformat()}", {"list_id": trigger.list_id})
        for contact_id, added_at in found
    ]
    let_in(session, workflow, entries)
    if len(found) < LIST_BATCH:
        workflow.polled_at = now
    return len(found)


# -- by events ------------------------------------------------------------------------------------


def enter_by_events() -> bool:
    """The job: contacts to whom a trigger's event happened come in; True: there may be more."""
    with transaction() as session:
        triggers = session.scalars(_active("event").with_only_columns(EmailWorkflow.trigger)).all()
    wanted = sorted({trigger["event"] for trigger in triggers})
    return react(READER, wanted, _enter_by_events) if wanted else False


def _enter_by_events(session: Session, events: Sequence[DomainEvent]) -> None:
    tenants = {event.tenant_id for event in events}
    by_tenant: dict[int, list[EmailWorkflow]] = defaultdict(list)
    for workflow in session.scalars(_active("event").where(EmailWorkflow.tenant_id.in_(tenants))):
        by_tenant[workflow.tenant_id].append(workflow)
    for event in events:
        for workflow in by_tenant[event.tenant_id]:
            trigger = read_trigger(workflow.trigger)
            assert isinstance(trigger, EventTrigger)
            if trigger.event == event.type and _is_new(workflow, event):
                _enter_by_event(session, workflow, trigger, event)


def _enter_by_event(
    session: Session, workflow: EmailWorkflow, trigger: EventTrigger, event: DomainEvent
) -> None:
    contact = _whose(session, event)
    if contact is None:
        return
    values = {"contact": contact_values(session, contact), "event": event.data}
    if conditions.hold(trigger.conditions, values):
        provider = event.data.get("provider")
        simulated = event.data.get("sandbox") or (
            isinstance(provider, dict) and provider.get("sandbox")
        )
        entry = Entry(contact.id, f"event:{event.key}", event.data, bool(simulated))
        let_in(session, workflow, [entry])


def _is_new(workflow: EmailWorkflow, event: DomainEvent) -> bool:
    if workflow.active_since is None or event.created_at < workflow.active_since:
        return False
    mark = (event.data.get("metadata") or {}).get(MARK)
    return not (mark and event.type in _OWN)


def _whose(session: Session, event: DomainEvent) -> Contact | None:
    """The contact that an event is about, by its id or the address on the other side."""
    data = event.data
    if isinstance(named := data.get("contact_id"), str):
        try:
            contact_id = row_key(Contact.PREFIX, named)
        except NotFound:
            return None
        return session.scalar(select(Contact).filter_by(id=contact_id, tenant_id=event.tenant_id))
    theirs = data.get("to") if data.get("direction") == "outbound" else data.get("from")
    if not isinstance(theirs, str):
        return None
    kind = contacts.EMAIL if "@" in theirs else contacts.PHONE
    return contacts.find(session, event.tenant_id, kind, theirs)


def contact_values(session: Session, contact: Contact) -> dict[str, Any]:
    """What conditions, templates and webhooks know of a contact."""
    first = (
        select(ContactIdentity.address)
        .filter_by(contact_id=contact.id, kind=contacts.EMAIL)
        .order_by(ContactIdentity.id)
        .limit(1)
    )
    own = contacts.shown_fields(contact)
    email = session.scalar(first)
    return {**contact.attributes, **own, "email": email, "id": contact.public_id}


def _active(kind: str) -> Any:
    """Active workflows with a trigger of a kind, of tenants that are."""
    return (
        select(EmailWorkflow)
        .join(Tenant, Tenant.id == EmailWorkflow.tenant_id)
        .where(
            EmailWorkflow.active_since.is_not(None),
            EmailWorkflow.trigger["type"].astext == kind,
            Tenant.status == TenantStatus.ACTIVE,
        )
        .order_by(EmailWorkflow.id)
    )


def _short(event: Mapping[str, Any]) -> dict[str, Any]:
    """The event with texts cut: a run needs no second copy of a long letter."""
    return {k: v[:_MAX_TEXT] if isinstance(v, str) else v for k, v in event.items()}
