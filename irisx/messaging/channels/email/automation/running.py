"""What the worker does with contacts in workflows: the steps that are due, one after the other.

A step and the contact's new position are one transaction, and so are an email and its step: a
worker that is killed repeats nothing but a webhook that it was calling, under the same
Idempotency-Key. Webhooks are called with the session closed, by a job of their own.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from uuid import UUID

from gevent.pool import Pool
from sqlalchemy import delete, exists, select
from sqlalchemy.exc import InterfaceError, OperationalError
from sqlalchemy.orm import Session

from irisx.kernel import clock, http
from irisx.kernel.db import transaction
from irisx.kernel.errors import IrisxError, NotFound
from irisx.kernel.events import publish
from irisx.kernel.ids import public_id, row_key
from irisx.kernel.jobs import wake
from irisx.kernel.logging import get_logger
from irisx.messaging.accepting import wake_senders
from irisx.messaging.channels.email import service as mails
from irisx.messaging.channels.email.automation import conditions
from irisx.messaging.channels.email.automation.entering import MARK, TOPIC, contact_values
from irisx.messaging.channels.email.automation.models import (
    EmailRunStatus,
    EmailWorkflow,
    EmailWorkflowRun,
    EmailWorkflowStep,
    EmailWorkflowVersion,
)
from irisx.messaging.channels.email.automation.steps import (
    ConditionStep,
    ListStep,
    SendStep,
    Step,
    WaitStep,
    WebhookStep,
    index_of,
    read_steps,
)
from irisx.messaging.channels.email.engagement import CLICK
from irisx.messaging.channels.email.models import EmailEngagement
from irisx.messaging.channels.email.service import Mail
from irisx.messaging.contacts import lists
from irisx.messaging.contacts.models import ContactList, ContactListMember
from irisx.messaging.models import Message
from irisx.messaging.states import MessageStatus
from irisx.tenancy import rows
from irisx.tenancy.contact_models import Contact
from irisx.tenancy.models import Tenant, TenantStatus

log = get_logger(__name__)

CALLS_TOPIC = "email.automation.calls"
BATCH = 50
CALL_SECONDS = 10.0
#: After this a webhook whose worker did not say what came of it is called again.
LEASE = timedelta(seconds=CALL_SECONDS + 20)
#: Between the attempts of a webhook; the last failure is what `on_failure` is about.
PAUSES = tuple(timedelta(minutes=minutes) for minutes in (1, 5, 15, 30))
_AFTER_FAILURE = timedelta(minutes=5)
_MAX_OUTCOME = 300


def advance() -> bool:
    """The job: contacts whose step is due go on; True: there may be more."""
    with transaction() as session:
        due = session.execute(_due(calling=False)).all()
        for run, workflow, stored in due:
            _safely(session, run, workflow, stored)
    if due:
        wake_senders()
        wake(CALLS_TOPIC)
    return len(due) == BATCH


def _due(*, calling: bool, limit: int = BATCH) -> Any:
    """Runs that are due, with their workflow and steps, locked for this worker."""
    run = EmailWorkflowRun
    return (
        select(run, EmailWorkflow, EmailWorkflowVersion.steps)
        .join(EmailWorkflow, EmailWorkflow.id == run.workflow_id)
        .join(EmailWorkflowVersion, EmailWorkflowVersion.id == run.version_id)
        .join(Tenant, Tenant.id == run.tenant_id)
        .where(
            run.due_at <= clock.now(),
            run.calling.is_(calling),
            EmailWorkflow.active_since.is_not(None),
            Tenant.status == TenantStatus.ACTIVE,
        )
        .order_by(run.due_at, run.id)
        .limit(limit)
        .with_for_update(of=run, skip_locked=True)
    )


def _safely(
    session: Session,
    run: EmailWorkflowRun,
    workflow: EmailWorkflow,
    stored: list[dict[str, Any]],
) -> None:
    """One contact's failure undoes its own steps, and holds up nobody else."""
    try:
        with session.begin_nested():
            _Walk(session, run, workflow, read_steps(stored)).go()
    except (OperationalError, InterfaceError):
        raise
    except IrisxError as error:
        session.refresh(run)
        _end(session, run, workflow, EmailRunStatus.STOPPED, f"{error.code}: {error.message}")
    except Exception:
        session.refresh(run)
        log.exception("email_workflow_failed", workflow=workflow.public_id, run=run.id)
        run.due_at = clock.now() + _AFTER_FAILURE


@dataclass
class _Walk:
    """A contact's way through the steps, until it has to wait."""

    session: Session
    run: EmailWorkflowRun
    workflow: EmailWorkflow
    steps: list[Step]

    def go(self) -> None:
        run = self.run
        while run.position < len(self.steps):
            step = self.steps[run.position]
            match step:
                case WaitStep():
                    run.due_at = clock.now() + timedelta(minutes=step.minutes)
                    self._done(step, f"until {run.due_at:%Y-%m-%d %H:%M} UTC")
                    return
                case WebhookStep():
                    run.calling, run.due_at = True, clock.now()
                    return
                case ConditionStep():
                    holds = conditions.hold(step.all, self._values())
                    to = run.position + 1 if holds else index_of(self.steps, step.otherwise)
                    self._done(step, "holds" if holds else "otherwise", to)
                case SendStep():
                    self._done(step, self._send(step))
                case ListStep():
                    self._done(step, self._list(step))
        _end(self.session, run, self.workflow, EmailRunStatus.COMPLETED)

    def _done(self, step: Step, outcome: str, to: int | None = None) -> None:
        note(self.session, self.run, step, outcome, to)

    def _contact(self) -> Contact:
        return self.session.get_one(Contact, self.run.contact_id)

    def _values(self) -> dict[str, Any]:
        emails = self.run.context.get("emails", {})
        return {
            "contact": contact_values(self.session, self._contact()),
            "event": self.run.context.get("event", {}),
            "steps": {step_id: _email(self.session, key) for step_id, key in emails.items()},
        }

    def _send(self, step: SendStep) -> str:
        values = contact_values(self.session, self._contact())
        if values["email"] is None:
            return "skipped: NO_ADDRESS"
        mail = Mail(
            from_=step.from_,
            reply_to=step.reply_to,
            template_id=row_key("tpl", step.template_id),
            variables={**values, "event": self.run.context.get("event", {}), **step.variables},
            category=step.category,
            origin="automation",
            metadata={MARK: self.workflow.public_id, "step_id": step.id},
        )
        message = mails.accept(
            self.session, self.run.tenant_id, values["email"], mail, test=self.run.sandbox
        )
        emails = {**self.run.context.get("emails", {}), str(step.id): message.id.hex}
        self.run.context = {**self.run.context, "emails": emails}
        return f"accepted: {message.id.hex}"

    def _list(self, step: ListStep) -> str:
        key = row_key("list", step.list_id)
        try:
            rows.fetch(self.session, ContactList, key, tenant_id=self.run.tenant_id)
        except NotFound:
            return "skipped: the list is gone"
        if step.action == "add":
            lists.put_on(self.session, key, [self.run.contact_id])
            return "added"
        member = ContactListMember
        self.session.execute(
            delete(member).where(member.list_id == key, member.contact_id == self.run.contact_id)
        )
        return "removed"


def note(
    session: Session, run: EmailWorkflowRun, step: Step, outcome: str, to: int | None = None
) -> None:
    """The step is done: it is written down, and the contact moves on."""
    session.add(
        EmailWorkflowStep(
            run_id=run.id,
            position=run.position,
            step_id=step.id or "",
            type=step.type,
            outcome=outcome[:_MAX_OUTCOME],
        )
    )
    run.position = run.position + 1 if to is None else to
    session.flush()


def _email(session: Session, key: str) -> dict[str, Any]:
    """What became of an email that a step sent."""
    message = session.scalar(select(Message).where(Message.id == UUID(key)))
    clicks = exists().where(
        EmailEngagement.message_id == UUID(key),
        EmailEngagement.kind == CLICK,
        ~EmailEngagement.machine,
    )
    return {
        "status": message.status if message else None,
        "opened": message is not None and message.status is MessageStatus.READ,
        "clicked": bool(session.scalar(select(clicks))),
    }


def _end(
    session: Session,
    run: EmailWorkflowRun,
    workflow: EmailWorkflow,
    status: EmailRunStatus,
    reason: str | None = None,
) -> None:
    now = clock.now()
    run.status, run.reason, run.ended_at = status, reason and reason[:_MAX_OUTCOME], now
    run.due_at, run.calling = None, False
    publish(
        session,
        key=f"email-automation:{run.id}:ended",
        tenant_id=run.tenant_id,
        type=f"email.automation.{status}",
        data={
            "workflow_id": workflow.public_id,
            "name": workflow.name,
            "contact_id": public_id(Contact.PREFIX, run.contact_id),
            "reason": run.reason,
        },
        occurred_at=now,
    )


# -- webhooks -------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Call:
    """A webhook that this worker calls, for the n-th time (`number`)."""

    run_id: int
    number: int
    url: str
    body: Mapping[str, Any]
    key: str


#: Webhooks that this worker calls now. A slow one holds up neither the job nor the others.
CALLS = Pool(BATCH)


def call_webhooks() -> bool:
    """The job: webhooks that contacts have come to are begun to be called, for as many as there is
    room."""
    room = CALLS.free_count()
    if room:
        with transaction() as session:
            due = session.execute(_due(calling=True, limit=room))
            calls = [_claimed(session, *each) for each in due]
        for call in calls:
            CALLS.spawn(_call, call)
    return False


def stop_calls() -> None:
    """At the worker's end: what is under way is called again by another one after its lease."""
    CALLS.kill(timeout=1.0)


def _call(call: _Call) -> None:
    failure = _called(call)
    with transaction() as session:
        _settle(session, call, failure)
    wake(TOPIC)
    wake(CALLS_TOPIC)


def _claimed(
    session: Session,
    run: EmailWorkflowRun,
    workflow: EmailWorkflow,
    stored: list[dict[str, Any]],
) -> _Call:
    step = read_steps(stored)[run.position]
    assert isinstance(step, WebhookStep)
    run.attempts += 1
    run.due_at = clock.now() + LEASE
    contact = session.get_one(Contact, run.contact_id)
    return _Call(
        run_id=run.id,
        number=run.attempts,
        url=step.url,
        body={
            "workflow_id": workflow.public_id,
            "workflow": workflow.name,
            "step_id": step.id,
            "contact": contact_values(session, contact),
            "event": run.context.get("event", {}),
        },
        key=f"{workflow.public_id}-{run.id}-{step.id}",
    )


def _called(call: _Call) -> str | None:
    """Call it; None if it was answered with success, else what went wrong."""
    headers = {"Content-Type": "application/json", "Idempotency-Key": call.key}
    try:
        reply = http.request(
            "POST",
            call.url,
            headers=headers,
            body=json.dumps(call.body).encode(),
            timeout=CALL_SECONDS,
        )
    except http.HttpFailure as failure:
        return str(failure)
    return None if 200 <= reply.status < 300 else f"answered {reply.status}"


def _settle(session: Session, call: _Call, failure: str | None) -> None:
    """Write down what came of it, unless another worker has taken it meanwhile."""
    query = (
        select(EmailWorkflowRun, EmailWorkflow, EmailWorkflowVersion.steps)
        .join(EmailWorkflow, EmailWorkflow.id == EmailWorkflowRun.workflow_id)
        .join(EmailWorkflowVersion, EmailWorkflowVersion.id == EmailWorkflowRun.version_id)
        .where(EmailWorkflowRun.id == call.run_id, EmailWorkflowRun.calling)
        .with_for_update(of=EmailWorkflowRun)
    )
    found = session.execute(query).first()
    if found is None or found[0].attempts != call.number:
        return
    run, workflow, stored = found
    step = read_steps(stored)[run.position]
    assert isinstance(step, WebhookStep)
    if failure is not None and call.number <= len(PAUSES):
        run.due_at = clock.now() + PAUSES[call.number - 1]
        return
    note(session, run, step, f"failed: {failure}" if failure else "called")
    run.calling, run.attempts, run.due_at = False, 0, clock.now()
    if failure is not None and step.on_failure == "stop":
        _end(session, run, workflow, EmailRunStatus.STOPPED, f"WEBHOOK_FAILED: {failure}")
