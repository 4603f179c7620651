"""`/v1/scripts`: what agents say, step by step; for a call, with its names; the way it took."""

from typing import Annotated, Any, Self

from pydantic import Field, StringConstraints, model_validator

from irisx.api.http import Router
from irisx.api.schemas import (
    UNSET,
    Answer,
    Body,
    JsonObject,
    Name,
    OffsetPagination,
    OffsetQuery,
    PublicId,
    Query,
    Success,
    Timestamp,
    listed,
)
from irisx.kernel.ids import public_id
from irisx.telephony.ivr.issues import Severity
from irisx.telephony.scripts import render, service, steps
from irisx.telephony.scripts.models import Script, ScriptType, TargetType
from irisx.telephony.scripts.steps import MAX_STEPS, Step, StepId, Variable
from irisx.tenancy.access import Caller

router = Router("Agent Scripts")

_READ, _WRITE = "scripts:read", "scripts:write"

ScriptId = Annotated[int, PublicId("script")]
QueueId = Annotated[int, PublicId("queue")]
CampaignId = Annotated[int, PublicId("camp")]
Steps = Annotated[list[Step], Field(min_length=1, max_length=MAX_STEPS)]
Variables = Annotated[list[Variable], Field(max_length=100)]
Sid = Annotated[str, StringConstraints(pattern=r"^CA[0-9a-f]{32}$")]


class NewScript(Body):
    name: Name
    type: ScriptType = Field(examples=["outbound"])
    steps: Steps = Field(description="It begins with the first.")
    variables: Variables = Field(
        default_factory=list, description="Names that the steps use.", examples=[["customer_name"]]
    )


class ScriptChange(Body):
    name: Name = UNSET
    type: ScriptType = UNSET
    steps: Steps = UNSET
    variables: Variables = UNSET


class ScriptIssueAnswer(Answer):
    """An `error` keeps the script from being assigned and rendered. `step`: null: the script."""

    severity: Severity
    code: str = Field(examples=["dangling_next"])
    message: str
    step: str | None = Field(validation_alias="node")
    field: str


class Target(Answer):
    type: TargetType
    id: str = Field(examples=["queue_3"])
    assigned_at: Timestamp


class ScriptAnswer(Answer):
    id: ScriptId
    name: str
    type: ScriptType
    steps: list[Step]
    variables: list[str]
    version: int
    issues: list[ScriptIssueAnswer]
    created_at: Timestamp
    updated_at: Timestamp


class ScriptDetails(ScriptAnswer):
    assigned_to: list[Target]


class Scripts(Answer):
    scripts: list[ScriptAnswer]
    pagination: OffsetPagination


class ScriptsQuery(OffsetQuery):
    type: ScriptType | None = None
    queue_id: QueueId | None = Field(None, description="Only the script of this queue.")
    campaign_id: CampaignId | None = Field(None, description="Only the script of this campaign.")

    @property
    def assigned_to(self) -> list[tuple[TargetType, int]]:
        """What the scripts must all be assigned to."""
        wanted = {TargetType.QUEUE: self.queue_id, TargetType.CAMPAIGN: self.campaign_id}
        return [(type, key) for type, key in wanted.items() if key is not None]


@router.get("/v1/scripts", access=_READ, answer=Success[Scripts])
def list_scripts(caller: Caller, query: ScriptsQuery) -> dict[str, Any]:
    """List scripts."""
    rows, total = service.list_page(
        caller.tenant_id,
        limit=query.limit,
        offset=query.offset,
        type=query.type,
        assigned_to=query.assigned_to,
    )
    return listed("scripts", [_shown(row) for row in rows], query, total)


@router.post("/v1/scripts", access=_WRITE, answer=ScriptDetails, status=201)
def create_script(caller: Caller, body: NewScript) -> dict[str, Any]:
    """Create a script. What is wrong with its steps is in `issues`, each with the fix."""
    return _details(service.create(caller, caller.tenant_id, **_columns(body.model_dump())))


@router.get("/v1/scripts/<script_id>", access=_READ, answer=ScriptDetails)
def get_script(caller: Caller, script_id: ScriptId) -> dict[str, Any]:
    """Get a script."""
    return _details(service.get(caller.tenant_id, script_id))


@router.put("/v1/scripts/<script_id>", access=_WRITE, answer=ScriptDetails)
def update_script(caller: Caller, script_id: ScriptId, body: ScriptChange) -> dict[str, Any]:
    """Update a script: fields that are left out stay as they are. One that is assigned must not
    get an error (409 SCRIPT_HAS_ERRORS)."""
    fields = _columns(body.model_dump(exclude_unset=True))
    return _details(service.change(caller, caller.tenant_id, script_id, fields))


@router.delete("/v1/scripts/<script_id>", access=_WRITE)
def delete_script(caller: Caller, script_id: ScriptId) -> None:
    """Delete a script and its assignments."""
    service.remove(caller, caller.tenant_id, script_id)


def _columns(fields: dict[str, Any]) -> dict[str, Any]:
    """Steps as they are kept: only what was said of them."""
    if "steps" in fields:
        fields["steps"] = [Step.model_validate(each).model_dump() for each in fields["steps"]]
    return fields


def _shown(row: Script) -> dict[str, Any]:
    same = {name: getattr(row, name) for name in ScriptAnswer.model_fields if name != "issues"}
    return same | {"issues": steps.lint(service.steps_of(row), row.variables)}


def _details(row: Script) -> dict[str, Any]:
    assigned = [
        {
            "type": each.target_type,
            "id": public_id(_PREFIXES[each.target_type], each.target_id),
            "assigned_at": each.assigned_at,
        }
        for each in service.targets(row.id)
    ]
    return _shown(row) | {"assigned_to": assigned}


_PREFIXES = {TargetType.QUEUE: "queue", TargetType.CAMPAIGN: "camp"}


# --- assignment -------------------------------------------------------------------------------


class ScriptAssignment(Body):
    """One of the two."""

    queue_id: QueueId | None = None
    campaign_id: CampaignId | None = None

    @model_validator(mode="after")
    def one_of_them(self) -> Self:
        if (self.queue_id is None) == (self.campaign_id is None):
            raise ValueError("give either queue_id or campaign_id")
        return self

    @property
    def target(self) -> tuple[TargetType, int]:
        if self.queue_id is not None:
            return TargetType.QUEUE, self.queue_id
        return TargetType.CAMPAIGN, self.campaign_id or 0


@router.post("/v1/scripts/<script_id>/assign", access=_WRITE, answer=ScriptDetails)
def assign_script(caller: Caller, script_id: ScriptId, body: ScriptAssignment) -> dict[str, Any]:
    """Make it the script of a queue or a campaign, in place of the one before."""
    return _details(service.assign(caller, caller.tenant_id, script_id, *body.target))


@router.delete("/v1/scripts/<script_id>/assign", access=_WRITE)
def unassign_script(caller: Caller, script_id: ScriptId, body: ScriptAssignment) -> None:
    """Take it from a queue or a campaign."""
    service.unassign(caller, caller.tenant_id, script_id, *body.target)


# --- in a call --------------------------------------------------------------------------------


class RenderQuery(Query):
    call_sid: Sid | None = Field(None, description="The call whose facts fill the variables.")


class Rendering(Body):
    call_sid: Sid | None = Field(None, description="The call whose facts fill the variables.")
    variables: JsonObject = Field(
        default_factory=dict, description="Values that come before the call's."
    )


class RenderedAnswer(Answer):
    """`variables`: the values that were said. Names that a call knows are its metadata's, its
    campaign contact's fields, and `customer_name`, `customer_number`, `agent_name`, `queue_name`,
    `campaign_name`, `company_name`. `missing`: nothing is known of them."""

    script_id: ScriptId
    version: int
    call_sid: str | None
    steps: list[Step]
    variables: dict[str, Any]
    missing: list[str]


@router.get("/v1/scripts/<script_id>/render", access=_READ, answer=RenderedAnswer)
def get_rendered_script(caller: Caller, script_id: ScriptId, query: RenderQuery) -> dict[str, Any]:
    """Get the script in the words for a call."""
    return _rendered(caller, script_id, query.call_sid, {})


@router.post("/v1/scripts/<script_id>/render", access=_READ, answer=RenderedAnswer)
def render_script(caller: Caller, script_id: ScriptId, body: Rendering) -> dict[str, Any]:
    """Get the script in the words for a call, with values of your own."""
    return _rendered(caller, script_id, body.call_sid, body.variables)


def _rendered(
    caller: Caller, script_id: int, sid: str | None, given: dict[str, Any]
) -> dict[str, Any]:
    done = render.for_call(caller.tenant_id, script_id, sid, given)
    return {
        "script_id": done.script.id,
        "version": done.script.version,
        "call_sid": sid,
        "steps": done.steps,
        "variables": done.values,
        "missing": done.missing,
    }


class Taken(Body):
    step_id: StepId
    response: str | None = Field(
        None, max_length=200, description="Label of the response that the customer gave."
    )


class TakenStep(Answer):
    step_id: str = Field(validation_alias="step")
    response: str | None
    version: int
    by: str
    at: Timestamp


class Path(Answer):
    script_id: ScriptId
    sid: str
    steps: list[TakenStep]


@router.post("/v1/scripts/<script_id>/calls/<sid>/path", access=_WRITE, answer=Path)
def take_script_step(caller: Caller, script_id: ScriptId, sid: str, body: Taken) -> dict[str, Any]:
    """Record a step that an agent took in a call; the whole way so far."""
    way = service.take_step(caller, caller.tenant_id, script_id, sid, body.step_id, body.response)
    return {"script_id": script_id, "sid": sid, "steps": way}


@router.get("/v1/scripts/<script_id>/calls/<sid>/path", access=_READ, answer=Path)
def get_script_path(caller: Caller, script_id: ScriptId, sid: str) -> dict[str, Any]:
    """Get the way that a call took through the script."""
    way = service.way(caller.tenant_id, script_id, sid)
    return {"script_id": script_id, "sid": sid, "steps": way}
