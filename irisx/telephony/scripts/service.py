"""What the API does with scripts: keep, assign, and record the ways that they took."""

from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import delete, func, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from irisx.kernel.clock import now
from irisx.kernel.db import transaction
from irisx.kernel.errors import Conflict, NotFound, invalid
from irisx.kernel.ids import public_id
from irisx.telephony.acd.models import Queue
from irisx.telephony.calls.service import get_call
from irisx.telephony.dialer.models import Campaign
from irisx.telephony.scripts import steps
from irisx.telephony.scripts.models import (
    Script,
    ScriptAssignment,
    ScriptStepTaken,
    ScriptType,
    TargetType,
)
from irisx.telephony.scripts.steps import Step
from irisx.tenancy import audit, rows
from irisx.tenancy.access import Actor

_TARGETS: dict[TargetType, type[Queue] | type[Campaign]] = {
    TargetType.QUEUE: Queue,
    TargetType.CAMPAIGN: Campaign,
}
MAX_STEPS_TAKEN = 1000


def create(by: Actor, tenant_id: int, **fields: Any) -> Script:
    row = Script(tenant_id=tenant_id, version=1, **fields)
    with transaction() as session:
        session.add(row)
        audit.created(session, by, row)
    return row


def get(tenant_id: int, script_id: int) -> Script:
    with transaction() as session:
        return fetch(session, tenant_id, script_id)


def list_page(
    tenant_id: int,
    *,
    limit: int,
    offset: int,
    type: ScriptType | None,
    assigned_to: Sequence[tuple[TargetType, int]],
) -> tuple[Sequence[Script], int]:
    query = select(Script).where(Script.tenant_id == tenant_id, Script.deleted_at.is_(None))
    if type is not None:
        query = query.where(Script.type == type)
    for target, key in assigned_to:
        query = query.where(
            Script.id.in_(
                select(ScriptAssignment.script_id).where(
                    ScriptAssignment.target_type == target, ScriptAssignment.target_id == key
                )
            )
        )
    with transaction() as session:
        return rows.page(session, query, limit=limit, offset=offset)


def change(by: Actor, tenant_id: int, script_id: int, fields: Mapping[str, Any]) -> Script:
    """Set the given fields. Raises Conflict SCRIPT_HAS_ERRORS for one that is assigned."""
    with transaction() as session:
        row = fetch(session, tenant_id, script_id, lock=True)
        before = audit.snapshot(row)
        rows.assign(row, dict(fields))
        row.version += 1
        if _targets(session, row.id):
            require_faultless(row)
        audit.updated(session, by, row, before)
    return row


def remove(by: Actor, tenant_id: int, script_id: int) -> None:
    """Its assignments go with it; the ways that were taken stay."""
    with transaction() as session:
        row = fetch(session, tenant_id, script_id, lock=True)
        session.execute(delete(ScriptAssignment).where(ScriptAssignment.script_id == row.id))
        row.deleted_at = now()
        audit.deleted(session, by, row)


def fetch(session: Session, tenant_id: int, script_id: int, *, lock: bool = False) -> Script:
    row = rows.fetch(session, Script, script_id, tenant_id=tenant_id, lock=lock)
    if row.deleted_at is not None:
        raise NotFound("There is no script with this id.")
    return row


def steps_of(script: Script) -> list[Step]:
    return [Step.model_validate(step) for step in script.steps]


def require_faultless(script: Script) -> list[Step]:
    """Its steps. Raises Conflict (SCRIPT_HAS_ERRORS) with every error."""
    found = steps_of(script)
    issues = [issue for issue in steps.lint(found, script.variables) if steps.has_errors([issue])]
    if issues:
        raise Conflict(
            "The script has errors; mend them first.",
            code="SCRIPT_HAS_ERRORS",
            details=[
                {"field": f"steps.{issue.node}.{issue.field}", "message": issue.message}
                for issue in issues
            ],
        )
    return found


# -- assignment ------------------------------------------------------------------------------------


def assign(by: Actor, tenant_id: int, script_id: int, target: TargetType, target_id: int) -> Script:
    """Make it the script of a queue or campaign, in place of the one before."""
    with transaction() as session:
        row = fetch(session, tenant_id, script_id, lock=True)
        require_faultless(row)
        _require_target(session, tenant_id, target, target_id)
        statement = insert(ScriptAssignment).values(
            target_type=target, target_id=target_id, tenant_id=tenant_id, script_id=row.id
        )
        session.execute(
            statement.on_conflict_do_update(
                index_elements=["target_type", "target_id"],
                set_={"script_id": row.id, "assigned_at": func.now()},
            )
        )
        _audit_assignment(session, by, "script.assigned", row, target, target_id)
    return row


def unassign(by: Actor, tenant_id: int, script_id: int, target: TargetType, target_id: int) -> None:
    """Raises NotFound if the target has not this script."""
    with transaction() as session:
        row = fetch(session, tenant_id, script_id, lock=True)
        gone = session.execute(
            delete(ScriptAssignment)
            .where(
                ScriptAssignment.script_id == row.id,
                ScriptAssignment.target_type == target,
                ScriptAssignment.target_id == target_id,
            )
            .returning(ScriptAssignment.target_id)
        ).all()
        if not gone:
            raise NotFound(
                f"The script is not assigned to {public_id(_TARGETS[target].PREFIX, target_id)}."
            )
        _audit_assignment(session, by, "script.unassigned", row, target, target_id)


def targets(script_id: int) -> list[ScriptAssignment]:
    """The queues and campaigns that have this script."""
    with transaction() as session:
        return _targets(session, script_id)


def _targets(session: Session, script_id: int) -> list[ScriptAssignment]:
    return list(
        session.scalars(
            select(ScriptAssignment)
            .where(ScriptAssignment.script_id == script_id)
            .order_by(ScriptAssignment.target_type, ScriptAssignment.target_id)
        )
    )


def _audit_assignment(
    session: Session, by: Actor, action: str, row: Script, target: TargetType, target_id: int
) -> None:
    to = public_id(_TARGETS[target].PREFIX, target_id)
    audit.record(session, by, action, row.public_id, tenant_id=row.tenant_id, after={"target": to})


def _require_target(session: Session, tenant_id: int, target: TargetType, target_id: int) -> None:
    model = _TARGETS[target]
    mine = select(model.id).where(
        model.tenant_id == tenant_id, model.id == target_id, model.deleted_at.is_(None)
    )
    if session.scalar(mine) is None:
        raise invalid(f"{target}_id", f"there is no {public_id(model.PREFIX, target_id)}")


# -- the way that was taken ------------------------------------------------------------------------


def take_step(
    by: Actor, tenant_id: int, script_id: int, sid: str, step_id: str, response: str | None
) -> list[ScriptStepTaken]:
    """Add a step to the way of a call; the whole way. Agents may jump, so any step may follow.

    Raises ValidationError about `step_id` or `response`.
    """
    call = get_call(tenant_id, sid)
    with transaction() as session:
        row = fetch(session, tenant_id, script_id, lock=True)  # one step after the other
        step = next((step for step in steps_of(row) if step.id == step_id), None)
        if step is None:
            raise invalid("step_id", f"the script has no step {step_id}")
        labels = [each.label for each in step.responses]
        if response is not None and response not in labels:
            raise invalid("response", f"step {step_id} has no such response, but {labels}")
        way = _way(session, row.id, call.id)
        if len(way) >= MAX_STEPS_TAKEN:
            raise Conflict(f"More than {MAX_STEPS_TAKEN} steps.", code="TOO_MANY_STEPS")
        session.add(
            ScriptStepTaken(
                tenant_id=tenant_id,
                script_id=row.id,
                version=row.version,
                call_id=call.id,
                number=len(way) + 1,
                step=step_id,
                response=response,
                by=by.name,
            )
        )
        session.flush()
        return _way(session, row.id, call.id)


def way(tenant_id: int, script_id: int, sid: str) -> list[ScriptStepTaken]:
    """The way that a call took through a script so far, in order."""
    call = get_call(tenant_id, sid)
    with transaction() as session:
        row = rows.fetch(session, Script, script_id, tenant_id=tenant_id)
        return _way(session, row.id, call.id)


def _way(session: Session, script_id: int, call_id: UUID) -> list[ScriptStepTaken]:
    return list(
        session.scalars(
            select(ScriptStepTaken)
            .where(ScriptStepTaken.script_id == script_id, ScriptStepTaken.call_id == call_id)
            .order_by(ScriptStepTaken.number)
        )
    )
