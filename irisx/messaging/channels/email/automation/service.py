"""What people do with workflows and rules: write them, activate them, let contacts in."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from irisx.kernel import clock, http
from irisx.kernel.db import transaction
from irisx.kernel.errors import Conflict, Detail, IrisxError, NotFound, ValidationError, invalid
from irisx.kernel.ids import row_key
from irisx.kernel.jobs import wake
from irisx.messaging.channels.email import service as mails
from irisx.messaging.channels.email import templates
from irisx.messaging.channels.email.automation import entering
from irisx.messaging.channels.email.automation.models import (
    EmailRunStatus,
    EmailWorkflow,
    EmailWorkflowRun,
    EmailWorkflowStep,
    EmailWorkflowVersion,
)
from irisx.messaging.channels.email.automation.steps import (
    END,
    MAX_STEPS,
    ConditionStep,
    ListStep,
    ListTrigger,
    SendStep,
    Step,
    Trigger,
    WebhookStep,
    stored,
)
from irisx.messaging.contacts.models import ContactList
from irisx.tenancy import audit, rows
from irisx.tenancy.access import Actor, Caller
from irisx.tenancy.contact_models import Contact

TOPIC = entering.TOPIC


@dataclass(frozen=True, slots=True)
class Workflow:
    """A workflow with the steps of its newest version, and how many contacts it has by status."""

    row: EmailWorkflow
    steps: Sequence[dict[str, Any]]
    contacts: Mapping[EmailRunStatus, int]


@dataclass(frozen=True, slots=True)
class Draft:
    """What a workflow is to be; of a change what is not None."""

    name: str | None = None
    trigger: Trigger | None = None
    steps: Sequence[Step] | None = None
    reentry: bool | None = None
    rule: bool = False


def create(by: Actor, tenant_id: int, draft: Draft, *, active: bool = False) -> Workflow:
    """Raises ValidationError that names every fault."""
    assert draft.name is not None
    assert draft.trigger is not None
    row = EmailWorkflow(
        tenant_id=tenant_id,
        name=draft.name,
        rule=draft.rule,
        reentry=bool(draft.reentry),
        trigger=stored(draft.trigger),
        version=1,
        active_since=clock.now() if active else None,
    )
    with transaction() as session:
        steps = _checked(session, tenant_id, draft)
        session.add(row)
        session.flush()
        session.add(EmailWorkflowVersion(workflow_id=row.id, version=1, steps=steps))
        audit.created(session, by, row)
        session.refresh(row)
        return _view(session, row)


def get(tenant_id: int, workflow_id: int, *, rule: bool = False) -> Workflow:
    with transaction() as session:
        return _view(session, fetch(session, tenant_id, workflow_id, rule=rule))


def list_page(tenant_id: int, *, rule: bool, limit: int, offset: int) -> tuple[list[Workflow], int]:
    mine = select(EmailWorkflow).where(
        EmailWorkflow.tenant_id == tenant_id, EmailWorkflow.rule.is_(rule)
    )
    with transaction() as session:
        found, total = rows.page(session, mine, limit=limit, offset=offset)
        return [_view(session, row) for row in found], total


def change(
    by: Actor, tenant_id: int, workflow_id: int, draft: Draft, *, active: bool | None = None
) -> Workflow:
    """New steps are a new version: contacts who are in it finish with the one they began with."""
    with transaction() as session:
        row = fetch(session, tenant_id, workflow_id, rule=draft.rule, lock=True)
        before = audit.snapshot(row)
        steps = _checked(session, tenant_id, draft)
        given = {"name": draft.name, "reentry": draft.reentry}
        rows.assign(row, {name: value for name, value in given.items() if value is not None})
        if draft.trigger is not None:
            row.trigger, row.polled_at = stored(draft.trigger), clock.now()
        if draft.steps is not None:
            row.version += 1
            session.add(EmailWorkflowVersion(workflow_id=row.id, version=row.version, steps=steps))
        if active is not None:
            _set_active(row, active)
        audit.updated(session, by, row, before)
        session.refresh(row)
        view = _view(session, row)
    wake(TOPIC)
    return view


def remove(by: Actor, tenant_id: int, workflow_id: int, *, rule: bool = False) -> None:
    """Contacts who are in it get no further step."""
    with transaction() as session:
        row = fetch(session, tenant_id, workflow_id, rule=rule, lock=True)
        audit.deleted(session, by, row)
        session.delete(row)


def set_active(by: Actor, tenant_id: int, workflow_id: int, active: bool) -> Workflow:
    """Let contacts in and go on, or nobody and not. Twice changes nothing."""
    return change(by, tenant_id, workflow_id, Draft(), active=active)


def enter(
    caller: Caller, workflow_id: int, contact_ids: Sequence[int], data: Mapping[str, Any]
) -> int:
    """Let contacts into an active workflow, whatever its trigger; how many came in now. `data` is
    their `event`. Raises Conflict WORKFLOW_INACTIVE."""
    tenant_id = caller.tenant_id
    with transaction() as session:
        row = fetch(session, tenant_id, workflow_id)
        if row.active_since is None:
            raise Conflict("The workflow is not active.", code="WORKFLOW_INACTIVE")
        mine = select(Contact.id).where(Contact.tenant_id == tenant_id, Contact.id.in_(contact_ids))
        if unknown := set(contact_ids) - set(session.scalars(mine)):
            names = ", ".join(f"con_{key}" for key in sorted(unknown))
            raise invalid("contact_ids", f"there are no contacts {names}")
        origin = caller.idempotency_key or uuid4().hex
        entries = [
            entering.Entry(key, f"api:{origin}", dict(data), caller.test) for key in contact_ids
        ]
        count = entering.let_in(session, row, entries)
    wake(TOPIC)
    return count


def runs(
    tenant_id: int, workflow_id: int, *, status: EmailRunStatus | None, limit: int, before: int
) -> list[tuple[EmailWorkflowRun, Sequence[EmailWorkflowStep], Sequence[dict[str, Any]]]]:
    """Contacts of a workflow, the latest first, each with the steps that were done and those of
    its version."""
    with transaction() as session:
        row = fetch(session, tenant_id, workflow_id)
        query = select(EmailWorkflowRun, EmailWorkflowVersion.steps).join(
            EmailWorkflowVersion, EmailWorkflowVersion.id == EmailWorkflowRun.version_id
        )
        query = query.where(EmailWorkflowRun.workflow_id == row.id, EmailWorkflowRun.id < before)
        if status is not None:
            query = query.where(EmailWorkflowRun.status == status)
        found = session.execute(query.order_by(EmailWorkflowRun.id.desc()).limit(limit)).all()
        of_these = EmailWorkflowStep.run_id.in_([run.id for run, _ in found])
        done: dict[int, list[EmailWorkflowStep]] = {}
        for step in session.scalars(
            select(EmailWorkflowStep).where(of_these).order_by(EmailWorkflowStep.position)
        ):
            done.setdefault(step.run_id, []).append(step)
        return [(run, done.get(run.id, []), steps) for run, steps in found]


def fetch(
    session: Session, tenant_id: int, workflow_id: int, *, rule: bool = False, lock: bool = False
) -> EmailWorkflow:
    """Raises NotFound, also for a rule where a workflow is asked for."""
    row = rows.fetch(session, EmailWorkflow, workflow_id, tenant_id=tenant_id, lock=lock)
    if row.rule is not rule:
        raise NotFound(f"There is no {'rule' if rule else 'workflow'} with this id.")
    return row


def _set_active(row: EmailWorkflow, active: bool) -> None:
    if active is not (row.active_since is not None):
        row.active_since = row.polled_at = clock.now() if active else None


def _view(session: Session, row: EmailWorkflow) -> Workflow:
    steps = select(EmailWorkflowVersion.steps).filter_by(workflow_id=row.id, version=row.version)
    counts = (
        select(EmailWorkflowRun.status, func.count())
        .where(EmailWorkflowRun.workflow_id == row.id)
        .group_by(EmailWorkflowRun.status)
    )
    found = {status: number for status, number in session.execute(counts)}
    return Workflow(
        row,
        session.scalars(steps).one(),
        {status: found.get(status, 0) for status in EmailRunStatus},
    )


# -- checks ---------------------------------------------------------------------------------------


def _checked(session: Session, tenant_id: int, draft: Draft) -> list[dict[str, Any]]:
    """The steps as they are stored, each with an id. Raises ValidationError with every fault."""
    faults: list[Detail] = []
    if isinstance(draft.trigger, ListTrigger):
        faults += _of_list(session, tenant_id, "trigger.list_id", draft.trigger.list_id)
    steps = list(draft.steps or [])
    if draft.steps is not None and not 1 <= len(steps) <= MAX_STEPS:
        faults.append({"field": "steps", "message": f"1 to {MAX_STEPS} steps"})
    ids = [step.id or f"step{number}" for number, step in enumerate(steps, 1)]
    for at, (step, step_id) in enumerate(zip(steps, ids, strict=True)):
        field = f"{'actions' if draft.rule else 'steps'}.{at}"
        if step_id == END or step_id in ids[:at]:
            faults.append({"field": f"{field}.id", "message": "each step has an id of its own"})
        if isinstance(step, ConditionStep) and step.otherwise not in [END, *ids[at + 1 :]]:
            message = "a step that comes later, or end"
            faults.append({"field": f"{field}.otherwise", "message": message})
        faults += _of_step(session, tenant_id, field, step)
    if faults:
        raise ValidationError(f"{faults[0]['field']}: {faults[0]['message']}", details=faults)
    return [{**stored(step), "id": step_id} for step, step_id in zip(steps, ids, strict=True)]


def _of_step(session: Session, tenant_id: int, field: str, step: Step) -> list[Detail]:
    """What is wrong with one step by itself."""
    if isinstance(step, ListStep):
        return _of_list(session, tenant_id, f"{field}.list_id", step.list_id)
    faults: list[Detail] = []
    try:
        if isinstance(step, WebhookStep):
            http.check_url("url", step.url)
        elif isinstance(step, SendStep):
            mails.sender_of(session, tenant_id, step.from_)
            mails.reply_to(step.reply_to)
            if templates.find(session, tenant_id, row_key("tpl", step.template_id)) is None:
                raise invalid("template_id", "there is no such template")
    except ValidationError as error:
        faults = [{**fault, "field": f"{field}.{fault['field']}"} for fault in error.details]
    except IrisxError as error:
        faults = [{"field": field, "message": error.message}]
    return faults


def _of_list(session: Session, tenant_id: int, field: str, list_id: str) -> list[Detail]:
    try:
        rows.fetch(session, ContactList, row_key("list", list_id), tenant_id=tenant_id)
    except NotFound:
        return [{"field": field, "message": f"there is no list {list_id}"}]
    return []
