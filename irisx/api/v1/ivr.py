"""`/v1/ivr/flows` and what belongs to flows: versions, linting, simulation, diagrams, schemas."""

from collections.abc import Sequence
from datetime import timedelta
from typing import Annotated, Any

from flask import Response
from pydantic import Field, JsonValue, RootModel

from irisx.api.auth import PUBLIC
from irisx.api.http import Rate, Router
from irisx.api.schemas import (
    Answer,
    Body,
    JsonObject,
    Name,
    OffsetPagination,
    OffsetQuery,
    PublicId,
    Success,
    Timestamp,
    WindowQuery,
    listed,
)
from irisx.kernel.clock import now
from irisx.telephony.ivr import analytics, diagram, schema, service
from irisx.telephony.ivr.issues import Issue, Severity
from irisx.telephony.ivr.models import IvrFlowVersion, VersionStatus
from irisx.telephony.ivr.service import FlowView
from irisx.tenancy import signing
from irisx.tenancy.access import Caller

router = Router("IVR")

FlowId = Annotated[int, PublicId("flow")]
Number = Annotated[int, Field(ge=1, le=2**31 - 1)]
_NodeName = Annotated[str, Field(max_length=200)]
_SVG = "image/svg+xml"


class NodeBody(Body):
    """A step of the flow; `GET /v1/ivr/schema/{type}` describes its `config`."""

    id: _NodeName = Field(examples=["node_1"])
    type: _NodeName = Field(examples=["play"])
    config: JsonObject = Field(default_factory=dict)
    next: _NodeName | None = None
    branches: dict[_NodeName, _NodeName] = Field(default_factory=dict)
    time_limit: float | None = None


class FlowBody(Body):
    """A flow, as `GET /v1/ivr/schema` describes it; `publish` puts it to use at once."""

    name: Name
    entry_point: _NodeName
    nodes: list[NodeBody] = Field(max_length=1000)
    schema_: _NodeName | None = Field(None, alias="$schema", description="For your editor.")
    variables: JsonObject = Field(default_factory=dict)
    tests: list[JsonObject] = Field(default_factory=list, max_length=1000)
    publish: bool = False

    @property
    def document(self) -> dict[str, Any]:
        return self.model_dump(by_alias=True, exclude_unset=True, exclude={"publish"})


class DocumentBody(Body):
    flow: JsonValue = Field(description="What shall become a flow.")


class PublishBody(Body):
    version: Number | None = Field(None, description="By default the newest.")


class SimulateBody(Body):
    """A script, and which version it is tried on: by default the newest."""

    version: Number | None = None
    script: JsonObject = Field(default_factory=dict)


class IssueAnswer(Answer):
    severity: Severity
    code: str
    message: str
    node: str | None
    field: str


class Summary(Answer):
    id: FlowId
    name: str
    version: int = Field(description="The newest.")
    published_version: int | None = Field(description="What new calls get.")
    nodes: int
    created_at: Timestamp
    updated_at: Timestamp


class Flows(Answer):
    flows: list[Summary]
    pagination: OffsetPagination


class FlowAnswer(Answer):
    id: FlowId
    name: str
    entry_point: str
    nodes: list[dict[str, Any]]
    variables: dict[str, Any]
    tests: list[dict[str, Any]]
    version: int
    status: VersionStatus
    published_version: int | None
    created_at: Timestamp
    updated_at: Timestamp


class SavedFlow(FlowAnswer):
    issues: list[IssueAnswer]


class VersionAnswer(Answer):
    version: int
    status: VersionStatus
    author: str
    created_at: Timestamp
    published_at: Timestamp | None


class Versions(Answer):
    versions: list[VersionAnswer]
    pagination: OffsetPagination


class ReportAnswer(Answer):
    publishable: bool
    issues: list[IssueAnswer]


class TestAnswer(Answer):
    name: str
    passed: bool
    faults: list[str]


class Tests(Answer):
    passed: bool
    tests: list[TestAnswer]


class StepAnswer(Answer):
    node: str
    type: str
    flow: str | None = Field(description="Of a subflow's node: its flow.")
    at: Timestamp
    outcome: str
    reasons: list[str]
    heard: list[dict[str, Any]]
    did: list[dict[str, Any]]
    changed: dict[str, Any] = Field(description="Variables that it set.")


class SimulationAnswer(Answer):
    path: list[str]
    steps: list[StepAnswer]
    cause: str = Field(description="Why the call ended, in the switch's words.")
    variables: dict[str, Any]
    seconds: float


class TrafficAnswer(Answer):
    node: str
    type: str
    entered: int
    dropped: int = Field(description="Calls that ended in it.")
    outcomes: dict[str, int]
    average_seconds: float | None


class Analytics(Answer):
    days: int
    nodes: list[TrafficAnswer]


class SecretAnswer(Answer):
    secret: str


class SchemaAnswer(RootModel[dict[str, Any]]):
    """JSON Schema, draft 2020-12."""


@router.get("/v1/ivr/flows", access="ivr:read", answer=Success[Flows])
def list_ivr_flows(caller: Caller, query: OffsetQuery) -> dict[str, Any]:
    """List IVR flows."""
    views, total = service.list_page(caller.tenant_id, limit=query.limit, offset=query.offset)
    return listed("flows", list(map(_summary, views)), query, total)


@router.post("/v1/ivr/flows", access="ivr:write", answer=SavedFlow, status=201)
def create_ivr_flow(caller: Caller, body: FlowBody) -> dict[str, Any]:
    """Create an IVR flow. It is a draft unless `publish`, which the linter's errors refuse."""
    view = service.create(caller, caller.tenant_id, body.document, publish=body.publish)
    return _saved(caller, view)


@router.get("/v1/ivr/flows/<flow_id>", access="ivr:read", answer=FlowAnswer)
def get_ivr_flow(caller: Caller, flow_id: FlowId) -> dict[str, Any]:
    """Get an IVR flow in its newest version."""
    return _answer(service.get(caller.tenant_id, flow_id))


@router.put("/v1/ivr/flows/<flow_id>", access="ivr:write", answer=SavedFlow)
def update_ivr_flow(caller: Caller, flow_id: FlowId, body: FlowBody) -> dict[str, Any]:
    """Update an IVR flow: a new version. Calls stay on the version that they began with."""
    view = service.update(caller, caller.tenant_id, flow_id, body.document, publish=body.publish)
    return _saved(caller, view)


@router.delete("/v1/ivr/flows/<flow_id>", access="ivr:write", also={409: "It is in use."})
def delete_ivr_flow(caller: Caller, flow_id: FlowId) -> None:
    """Delete an IVR flow that no number and no other flow leads to. Calls in it go on."""
    service.delete(caller, caller.tenant_id, flow_id)


@router.get("/v1/ivr/flows/<flow_id>/versions", access="ivr:read", answer=Success[Versions])
def list_ivr_flow_versions(caller: Caller, flow_id: FlowId, query: OffsetQuery) -> dict[str, Any]:
    """List the versions of an IVR flow, newest first."""
    rows, total = service.list_versions(
        caller.tenant_id, flow_id, limit=query.limit, offset=query.offset
    )
    return listed("versions", list(map(_version, rows)), query, total)


@router.get("/v1/ivr/flows/<flow_id>/versions/<number>", access="ivr:read", answer=FlowAnswer)
def get_ivr_flow_version(caller: Caller, flow_id: FlowId, number: Number) -> dict[str, Any]:
    """Get an IVR flow in one of its versions."""
    return _answer(service.get(caller.tenant_id, flow_id, number=number))


@router.post("/v1/ivr/flows/<flow_id>/publish", access="ivr:write", answer=FlowAnswer)
def publish_ivr_flow(caller: Caller, flow_id: FlowId, body: PublishBody) -> dict[str, Any]:
    """Publish a version: new calls get it. Its tests are run; errors and failed tests refuse it."""
    return _answer(service.publish(caller, caller.tenant_id, flow_id, body.version))


@router.post(
    "/v1/ivr/flows/<flow_id>/rollback",
    access="ivr:write",
    answer=FlowAnswer,
    also={409: "No other version was ever published."},
)
def roll_back_ivr_flow(caller: Caller, flow_id: FlowId) -> dict[str, Any]:
    """Publish the version again that was published before this one."""
    return _answer(service.roll_back(caller, caller.tenant_id, flow_id))


@router.post("/v1/ivr/lint", access="ivr:read", answer=ReportAnswer)
def lint_ivr_document(caller: Caller, body: DocumentBody) -> dict[str, Any]:
    """Tell what is wrong with a flow that is not stored."""
    return _report(service.lint(caller.tenant_id, body.flow).issues)


@router.post("/v1/ivr/flows/<flow_id>/lint", access="ivr:read", answer=ReportAnswer)
def lint_ivr_flow(caller: Caller, flow_id: FlowId, body: PublishBody) -> dict[str, Any]:
    """Tell what is wrong with a version of an IVR flow."""
    view = service.get(caller.tenant_id, flow_id, number=body.version)
    return _report(service.lint(caller.tenant_id, view.version.document, flow_id).issues)


@router.post("/v1/ivr/flows/<flow_id>/simulate", access="ivr:read", answer=SimulationAnswer)
def simulate_ivr_flow(caller: Caller, flow_id: FlowId, body: SimulateBody) -> dict[str, Any]:
    """Run an IVR flow without a call, on scripted input. Nothing is sent to anybody."""
    view = service.get(caller.tenant_id, flow_id, number=body.version)
    script = service.read_script(body.script)
    result = service.run(caller.tenant_id, service.flow_of(view), script)
    return {
        "path": [step.node for step in result.steps],
        "steps": result.steps,
        "cause": result.cause,
        "variables": result.variables,
        "seconds": result.seconds,
    }


@router.post("/v1/ivr/flows/<flow_id>/test", access="ivr:read", answer=Tests)
def test_ivr_flow(caller: Caller, flow_id: FlowId, body: PublishBody) -> dict[str, Any]:
    """Run an IVR flow's own tests."""
    view = service.get(caller.tenant_id, flow_id, number=body.version)
    results = service.run_tests(caller.tenant_id, service.flow_of(view))
    tests = [
        {"name": result.name, "passed": not result.faults, "faults": list(result.faults)}
        for result in results
    ]
    return {"passed": not any(result.faults for result in results), "tests": tests}


@router.get("/v1/ivr/flows/<flow_id>/analytics", access="ivr:read", answer=Analytics)
def get_ivr_flow_analytics(caller: Caller, flow_id: FlowId, query: WindowQuery) -> dict[str, Any]:
    """Count the calls in each node: entered, left by which branch, dropped, seconds."""
    service.get(caller.tenant_id, flow_id)
    since = now() - timedelta(days=query.days)
    nodes = analytics.traffic(caller.tenant_id, flow_id, since)
    return {"days": query.days, "nodes": list(nodes.values())}


@router.get("/v1/ivr/flows/<flow_id>/diagram.svg", access="ivr:read", produces=_SVG)
def get_ivr_flow_diagram(caller: Caller, flow_id: FlowId) -> Response:
    """Draw an IVR flow in its newest version, with the last day's calls on its edges."""
    view = service.get(caller.tenant_id, flow_id)
    traffic = analytics.traffic(caller.tenant_id, flow_id, now() - timedelta(days=1))
    return Response(diagram.svg(service.flow_of(view), traffic), mimetype=_SVG)


@router.get("/v1/ivr/signing-secret", access="ivr:write", answer=SecretAnswer)
def get_ivr_signing_secret(caller: Caller) -> dict[str, str]:
    """Get the secret with which webhook nodes sign their requests, as Standard Webhooks do."""
    return {"secret": signing.secret(caller.tenant_id)}


@router.get("/v1/ivr/schema", access=PUBLIC, rate=Rate.NONE, answer=SchemaAnswer)
def get_ivr_schema() -> dict[str, Any]:
    """Get the JSON Schema of a flow."""
    return schema.flow_schema()


@router.get("/v1/ivr/schema/<node_type>", access=PUBLIC, rate=Rate.NONE, answer=SchemaAnswer)
def get_ivr_node_schema(node_type: str) -> dict[str, Any]:
    """Get the JSON Schema of one type's nodes."""
    return schema.node_schema(node_type)


def _summary(view: FlowView) -> dict[str, Any]:
    return {
        "id": view.flow.id,
        "name": view.flow.name,
        "version": view.flow.latest,
        "published_version": view.flow.published,
        "nodes": len(view.version.document["nodes"]),
        "created_at": view.flow.created_at,
        "updated_at": view.flow.updated_at,
    }


def _answer(view: FlowView) -> dict[str, Any]:
    document = view.version.document
    return {
        **_summary(view),
        "variables": {},
        "tests": [],
        **document,
        "version": view.version.number,
        "status": view.version.status,
    }


def _saved(caller: Caller, view: FlowView) -> dict[str, Any]:
    report = service.lint(caller.tenant_id, view.version.document, view.flow.id)
    return {**_answer(view), "issues": report.issues}


def _version(row: IvrFlowVersion) -> dict[str, Any]:
    return {
        "version": row.number,
        "status": row.status,
        "author": row.author,
        "created_at": row.created_at,
        "published_at": row.published_at,
    }


def _report(issues: Sequence[Issue]) -> dict[str, Any]:
    publishable = not any(issue.severity is Severity.ERROR for issue in issues)
    return {"publishable": publishable, "issues": issues}
