"""`/v1/email/automation`: workflows, and rules, which are workflows without waits."""

from collections.abc import Mapping, Sequence
from typing import Annotated, Any

from pydantic import Field

from irisx.api.http import Rate, Router
from irisx.api.schemas import (
    UNSET,
    Answer,
    Body,
    CursorPagination,
    CursorQuery,
    JsonObject,
    Name,
    OffsetPagination,
    OffsetQuery,
    PublicId,
    Success,
    Timestamp,
    listed,
    read_cursor,
    write_cursor,
)
from irisx.api.v1.email import READ, WRITE
from irisx.messaging.channels.email.automation import service
from irisx.messaging.channels.email.automation.models import EmailRunStatus, EmailWorkflowStep
from irisx.messaging.channels.email.automation.models import EmailWorkflowRun as Run
from irisx.messaging.channels.email.automation.service import Draft, Workflow
from irisx.messaging.channels.email.automation.steps import (
    MAX_STEPS,
    Action,
    Comparisons,
    EventTrigger,
    Step,
    Trigger,
    TriggerEvent,
)
from irisx.tenancy.access import Caller

router = Router("Email Automation")

WorkflowId = Annotated[int, PublicId("eaw")]
PersonId = Annotated[int, PublicId("con")]
Steps = Annotated[list[Step], Field(min_length=1, max_length=MAX_STEPS)]
Actions = Annotated[list[Action], Field(min_length=1, max_length=MAX_STEPS)]


class NewEmailWorkflow(Body):
    """What lets a contact in, and what is done then, one step after the other."""

    name: Name
    trigger: Trigger
    steps: Steps
    reentry: bool = Field(
        False, description="A contact may come in again each time, else once for ever."
    )


class EmailWorkflowChange(Body):
    """What is left out stays. Contacts who are in it finish with the steps they began with."""

    name: Name = UNSET
    trigger: Trigger = UNSET
    steps: Steps = UNSET
    reentry: bool = UNSET


class EmailWorkflow(Answer):
    """`contacts`: how many are in it, went through, or were stopped on the way."""

    id: WorkflowId
    name: str
    active: bool
    version: int
    trigger: Trigger
    steps: list[Step]
    reentry: bool
    contacts: dict[EmailRunStatus, int]
    created_at: Timestamp
    updated_at: Timestamp


class EmailWorkflows(Answer):
    workflows: list[EmailWorkflow]
    pagination: OffsetPagination


class EmailWorkflowEntry(Body):
    contact_ids: Annotated[list[PersonId], Field(min_length=1, max_length=1000)]
    data: JsonObject = Field(
        default_factory=dict, description="`event` in conditions, templates and webhooks."
    )


class EmailWorkflowEntered(Answer):
    """`entered`: contacts that came in now; the others are in it, or were and can't again."""

    entered: int


class EmailWorkflowDone(Answer):
    """A step that was done, and what came of it."""

    step_id: str
    type: str
    outcome: str
    created_at: Timestamp


class EmailWorkflowContact(Answer):
    """`next_step` is done at `due_at`, or has been tried `attempts` times."""

    contact_id: PersonId
    status: EmailRunStatus
    reason: str | None
    next_step: str | None
    due_at: Timestamp | None
    attempts: int
    done: list[EmailWorkflowDone]
    entered_at: Timestamp
    ended_at: Timestamp | None


class EmailWorkflowContacts(Answer):
    contacts: list[EmailWorkflowContact]
    pagination: CursorPagination


class EmailWorkflowContactQuery(CursorQuery):
    status: EmailRunStatus | None = None


class NewEmailRule(Body):
    """When the event happens to a contact and all conditions hold, the actions are done."""

    name: Name
    event: TriggerEvent
    conditions: Comparisons = Field(default_factory=list)
    actions: Actions
    enabled: bool = True


class EmailRuleChange(Body):
    """What is left out stays."""

    name: Name = UNSET
    event: TriggerEvent = UNSET
    conditions: Comparisons = UNSET
    actions: Actions = UNSET
    enabled: bool = UNSET


class EmailRule(Answer):
    """`contacts`: for how many it is at work, was done, or was stopped."""

    id: WorkflowId
    name: str
    enabled: bool
    event: str
    conditions: Comparisons
    actions: list[Action]
    contacts: dict[EmailRunStatus, int]
    created_at: Timestamp
    updated_at: Timestamp


class EmailRules(Answer):
    rules: list[EmailRule]
    pagination: OffsetPagination


@router.get("/v1/email/automation", access=READ, answer=Success[EmailWorkflows])
def list_email_workflows(caller: Caller, query: OffsetQuery) -> dict[str, Any]:
    """List workflows."""
    found, total = service.list_page(
        caller.tenant_id, rule=False, limit=query.limit, offset=query.offset
    )
    return listed("workflows", [_workflow(each) for each in found], query, total)


@router.post("/v1/email/automation", access=WRITE, answer=EmailWorkflow, status=201)
def create_email_workflow(caller: Caller, body: NewEmailWorkflow) -> dict[str, Any]:
    """Create a workflow; it lets nobody in until it is activated."""
    draft = Draft(body.name, body.trigger, body.steps, body.reentry)
    return _workflow(service.create(caller, caller.tenant_id, draft))


@router.get("/v1/email/automation/<workflow_id>", access=READ, answer=EmailWorkflow)
def get_email_workflow(caller: Caller, workflow_id: WorkflowId) -> dict[str, Any]:
    """Get a workflow."""
    return _workflow(service.get(caller.tenant_id, workflow_id))


@router.put("/v1/email/automation/<workflow_id>", access=WRITE, answer=EmailWorkflow)
def update_email_workflow(
    caller: Caller, workflow_id: WorkflowId, body: EmailWorkflowChange
) -> dict[str, Any]:
    """Change a workflow."""
    given = {name: getattr(body, name) for name in body.model_fields_set}
    return _workflow(service.change(caller, caller.tenant_id, workflow_id, Draft(**given)))


@router.delete("/v1/email/automation/<workflow_id>", access=WRITE)
def delete_email_workflow(caller: Caller, workflow_id: WorkflowId) -> None:
    """Delete a workflow; contacts who are in it get no further step."""
    service.remove(caller, caller.tenant_id, workflow_id)


@router.post("/v1/email/automation/<workflow_id>/activate", access=WRITE, answer=EmailWorkflow)
def activate_email_workflow(caller: Caller, workflow_id: WorkflowId) -> dict[str, Any]:
    """Let contacts in from now on; those who are in it go on."""
    return _workflow(service.set_active(caller, caller.tenant_id, workflow_id, True))


@router.post("/v1/email/automation/<workflow_id>/deactivate", access=WRITE, answer=EmailWorkflow)
def deactivate_email_workflow(caller: Caller, workflow_id: WorkflowId) -> dict[str, Any]:
    """Let nobody in; those who are in it stay where they are."""
    return _workflow(service.set_active(caller, caller.tenant_id, workflow_id, False))


@router.post(
    "/v1/email/automation/<workflow_id>/contacts",
    access=WRITE,
    answer=EmailWorkflowEntered,
    rate=Rate.BULK,
)
def enter_email_workflow(
    caller: Caller, workflow_id: WorkflowId, body: EmailWorkflowEntry
) -> dict[str, Any]:
    """Let contacts into an active workflow, whatever its trigger."""
    return {"entered": service.enter(caller, workflow_id, body.contact_ids, body.data)}


@router.get(
    "/v1/email/automation/<workflow_id>/contacts",
    access=READ,
    answer=Success[EmailWorkflowContacts],
)
def list_email_workflow_contacts(
    caller: Caller, workflow_id: WorkflowId, query: EmailWorkflowContactQuery
) -> dict[str, Any]:
    """List who is or was in a workflow, the latest first, with what was done."""
    listing = f"email-workflow-contacts/{workflow_id}"
    position = read_cursor(listing, caller.tenant_id, query.cursor)
    found = service.runs(
        caller.tenant_id,
        workflow_id,
        status=query.status,
        limit=query.limit,
        before=position[0] if position else 2**63 - 1,
    )
    full = len(found) == query.limit
    cursor = write_cursor(listing, caller.tenant_id, [found[-1][0].id]) if full else None
    return {
        "data": {
            "contacts": [_contact(*each) for each in found],
            "pagination": {"limit": query.limit, "next_cursor": cursor},
        }
    }


@router.get("/v1/email/automation/rules", access=READ, answer=Success[EmailRules])
def list_email_rules(caller: Caller, query: OffsetQuery) -> dict[str, Any]:
    """List automation rules."""
    found, total = service.list_page(
        caller.tenant_id, rule=True, limit=query.limit, offset=query.offset
    )
    return listed("rules", [_rule(each) for each in found], query, total)


@router.post("/v1/email/automation/rules", access=WRITE, answer=EmailRule, status=201)
def create_email_rule(caller: Caller, body: NewEmailRule) -> dict[str, Any]:
    """Create an automation rule."""
    trigger = EventTrigger(type="event", event=body.event, conditions=body.conditions)
    draft = Draft(body.name, trigger, body.actions, reentry=True, rule=True)
    return _rule(service.create(caller, caller.tenant_id, draft, active=body.enabled))


@router.get("/v1/email/automation/rules/<workflow_id>", access=READ, answer=EmailRule)
def get_email_rule(caller: Caller, workflow_id: WorkflowId) -> dict[str, Any]:
    """Get an automation rule."""
    return _rule(service.get(caller.tenant_id, workflow_id, rule=True))


@router.put("/v1/email/automation/rules/<workflow_id>", access=WRITE, answer=EmailRule)
def update_email_rule(
    caller: Caller, workflow_id: WorkflowId, body: EmailRuleChange
) -> dict[str, Any]:
    """Change an automation rule."""
    given = {name: getattr(body, name) for name in body.model_fields_set}
    trigger = None
    if given.keys() & {"event", "conditions"}:
        now = service.get(caller.tenant_id, workflow_id, rule=True).row.trigger
        changed = {name: given[name] for name in ("event", "conditions") if name in given}
        trigger = EventTrigger.model_validate({**now, **changed})
    draft = Draft(given.get("name"), trigger, given.get("actions"), rule=True)
    return _rule(
        service.change(caller, caller.tenant_id, workflow_id, draft, active=given.get("enabled"))
    )


@router.delete("/v1/email/automation/rules/<workflow_id>", access=WRITE)
def delete_email_rule(caller: Caller, workflow_id: WorkflowId) -> None:
    """Delete an automation rule."""
    service.remove(caller, caller.tenant_id, workflow_id, rule=True)


def _workflow(workflow: Workflow) -> dict[str, Any]:
    row = workflow.row
    return _common(workflow) | {
        "active": row.active_since is not None,
        "version": row.version,
        "trigger": row.trigger,
        "steps": workflow.steps,
        "reentry": row.reentry,
    }


def _rule(workflow: Workflow) -> dict[str, Any]:
    return _common(workflow) | {
        "enabled": workflow.row.active_since is not None,
        "event": workflow.row.trigger["event"],
        "conditions": workflow.row.trigger["conditions"],
        "actions": workflow.steps,
    }


def _common(workflow: Workflow) -> dict[str, Any]:
    row = workflow.row
    own = {name: getattr(row, name) for name in ("id", "name", "created_at", "updated_at")}
    return own | {"contacts": workflow.contacts}


def _contact(
    run: Run, done: Sequence[EmailWorkflowStep], steps: Sequence[Mapping[str, Any]]
) -> dict[str, Any]:
    own = ("contact_id", "status", "reason", "due_at", "attempts", "ended_at")
    there = run.status is EmailRunStatus.ACTIVE and run.position < len(steps)
    return {name: getattr(run, name) for name in own} | {
        "next_step": steps[run.position]["id"] if there else None,
        "done": done,
        "entered_at": run.created_at,
    }
