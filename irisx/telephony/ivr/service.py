"""Flows: kept in immutable versions, published when sound, deleted when nothing needs them."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError as PydanticError
from sqlalchemy import Select, func, select
from sqlalchemy.orm import Session

from irisx.kernel.clock import now
from irisx.kernel.db import transaction
from irisx.kernel.errors import Conflict, Detail, NotFound, ValidationError
from irisx.kernel.jobs import wake
from irisx.telephony.ivr import catalog as catalogs
from irisx.telephony.ivr import linter, versions
from irisx.telephony.ivr.audio import UploadedPrompt
from irisx.telephony.ivr.catalog import TenantCatalog
from irisx.telephony.ivr.flow import Flow
from irisx.telephony.ivr.form import read
from irisx.telephony.ivr.issues import Issue
from irisx.telephony.ivr.linter import Report
from irisx.telephony.ivr.models import IvrFlow, IvrFlowVersion, VersionStatus
from irisx.telephony.ivr.script import Script
from irisx.telephony.ivr.simulator import Simulation, mismatches, simulate
from irisx.tenancy import audit
from irisx.tenancy.access import Actor
from irisx.tenancy.models import DestinationType, PhoneNumber

MAX_FLOWS = 1000
MAX_VERSIONS = 1000
#: The worker's job that has the fixed texts of what is published spoken (`prompt_jobs.py`).
SPEAK_JOB = "ivr.speak_published"


@dataclass(frozen=True, slots=True)
class FlowView:
    """A flow with one of its versions."""

    flow: IvrFlow
    version: IvrFlowVersion


@dataclass(frozen=True, slots=True)
class TestResult:
    """How a test of a flow went; `faults`: what was not as expected."""

    name: str
    faults: Sequence[str]


def create(by: Actor, tenant_id: int, document: dict[str, Any], *, publish: bool) -> FlowView:
    """A new flow with its first version, a draft unless `publish`.

    Raises ValidationError if the document has not the form of a flow, or can't be published.
    """
    flow = _read(document)
    if publish:
        _require_sound(flow, document, tenant_id, None)
    with transaction() as session:
        mine = select(func.count()).select_from(IvrFlow).filter_by(tenant_id=tenant_id)
        if session.scalar(mine.where(IvrFlow.deleted_at.is_(None))) == MAX_FLOWS:
            raise Conflict(f"There are {MAX_FLOWS} flows already; delete one.", code="TOO_MANY")
        row = IvrFlow(tenant_id=tenant_id, name=flow.name, latest=0, updated_at=now())
        session.add(row)
        audit.created(session, by, row)
        version = _add_version(session, by, row, flow, publish=publish)
    if publish:
        wake(SPEAK_JOB)
    return FlowView(row, version)


def update(
    by: Actor, tenant_id: int, flow_id: int, document: dict[str, Any], *, publish: bool
) -> FlowView:
    """A new version of a flow; calls stay on the one that they began with."""
    flow = _read(document)
    if publish:
        _require_sound(flow, document, tenant_id, flow_id)
    with transaction() as session:
        row = _fetch(session, tenant_id, flow_id, lock=True)
        if row.latest >= MAX_VERSIONS:
            raise Conflict(f"It has {MAX_VERSIONS} versions already.", code="TOO_MANY")
        before = audit.snapshot(row)
        version = _add_version(session, by, row, flow, publish=publish)
        row.name = flow.name
        audit.updated(session, by, row, before)
    if publish:
        wake(SPEAK_JOB)
    return FlowView(row, version)


def publish(by: Actor, tenant_id: int, flow_id: int, number: int | None) -> FlowView:
    """New calls get this version (None: the newest), if it is sound. Also rolls back.

    Raises ValidationError with every error of the linter and every test that fails.
    """
    view = get(tenant_id, flow_id, number=number)
    flow = _read(view.version.document)
    _require_sound(flow, view.version.document, tenant_id, flow_id)
    with transaction() as session:
        row = _fetch(session, tenant_id, flow_id, lock=True)
        before = audit.snapshot(row)
        version = _version(session, row, view.version.number)
        _publish(row, version)
        audit.updated(session, by, row, before)
    wake(SPEAK_JOB)
    return FlowView(row, version)


def roll_back(by: Actor, tenant_id: int, flow_id: int) -> FlowView:
    """Publish the version that was published before. Raises Conflict if there is none."""
    with transaction() as session:
        row = _fetch(session, tenant_id, flow_id)
        earlier = session.scalar(
            select(IvrFlowVersion.number)
            .where(
                IvrFlowVersion.flow_id == row.id,
                IvrFlowVersion.status == VersionStatus.PUBLISHED,
                IvrFlowVersion.number != row.published,
            )
            .order_by(IvrFlowVersion.published_at.desc())
            .limit(1)
        )
    if earlier is None:
        raise Conflict("No other version of it was ever published.", code="NO_EARLIER_VERSION")
    return publish(by, tenant_id, flow_id, earlier)


def get(tenant_id: int, flow_id: int, *, number: int | None = None) -> FlowView:
    """A flow with a version: the newest unless `number` names one."""
    with transaction() as session:
        row = _fetch(session, tenant_id, flow_id)
        return FlowView(row, _version(session, row, row.latest if number is None else number))


def list_page(tenant_id: int, *, limit: int, offset: int) -> tuple[list[FlowView], int]:
    """Flows with their newest versions, oldest first, and how many there are."""
    mine = IvrFlow.tenant_id == tenant_id, IvrFlow.deleted_at.is_(None)
    query = (
        select(IvrFlow, IvrFlowVersion)
        .join(
            IvrFlowVersion,
            (IvrFlowVersion.flow_id == IvrFlow.id) & (IvrFlowVersion.number == IvrFlow.latest),
        )
        .where(*mine)
        .order_by(IvrFlow.id)
        .limit(limit)
        .offset(offset)
    )
    with transaction() as session:
        views = [FlowView(row, version) for row, version in session.execute(query)]
        total = session.scalar(select(func.count()).select_from(IvrFlow).where(*mine)) or 0
    return views, total


def list_versions(
    tenant_id: int, flow_id: int, *, limit: int, offset: int
) -> tuple[Sequence[IvrFlowVersion], int]:
    """Versions, newest first, and how many there are."""
    with transaction() as session:
        row = _fetch(session, tenant_id, flow_id)
        query = select(IvrFlowVersion).where(IvrFlowVersion.flow_id == row.id)
        found = session.scalars(
            query.order_by(IvrFlowVersion.number.desc()).limit(limit).offset(offset)
        ).all()
    return found, row.latest


def delete(by: Actor, tenant_id: int, flow_id: int) -> None:
    """Raises Conflict FLOW_IN_USE while numbers or other flows lead to it."""
    with transaction() as session:
        row = _fetch(session, tenant_id, flow_id, lock=True)
        if user := _user_of(session, row):
            raise Conflict(f"{user} leads to it.", code="FLOW_IN_USE")
        audit.deleted(session, by, row)
        row.deleted_at = now()
        row.published = None


def lint(tenant_id: int, document: Any, flow_id: int | None = None) -> Report:
    """Everything that is wrong with a document; nothing is stored."""
    public = None if flow_id is None else f"{IvrFlow.PREFIX}_{flow_id}"
    return linter.lint(document, TenantCatalog(tenant_id), public)


def run(tenant_id: int, flow: Flow, script: Script) -> Simulation:
    """A flow on a script; subflows are the tenant's as they are published."""
    return simulate(flow, script, lambda flow_id: versions.published(tenant_id, flow_id))


def flow_of(view: FlowView) -> Flow:
    """The version's document as a flow."""
    return _read(view.version.document)


def read_script(raw: Any) -> Script:
    """A script of a simulation. Raises ValidationError."""
    try:
        return Script.model_validate(raw)
    except PydanticError as faults:
        details: list[Detail] = [
            {"field": ".".join(map(str, ("script", *fault["loc"]))), "message": fault["msg"]}
            for fault in faults.errors()[:100]
        ]
        raise ValidationError("This is not a script.", details=details) from None


def run_tests(tenant_id: int, flow: Flow) -> list[TestResult]:
    """Each of the flow's own tests."""
    return [
        TestResult(test.name, list(mismatches(run(tenant_id, flow, test.script), test.expect)))
        for test in flow.tests
    ]


def _read(document: Any) -> Flow:
    flow, issues = read(document)
    if flow is None:
        raise ValidationError("This is not a flow.", details=list(map(_detail, issues)))
    return flow


def _require_sound(
    flow: Flow, document: dict[str, Any], tenant_id: int, flow_id: int | None
) -> None:
    errors = lint(tenant_id, document, flow_id).errors
    if errors:
        raise ValidationError(
            f"The flow can't be published: {errors[0].message}",
            code="FLOW_NOT_SOUND",
            details=list(map(_detail, errors)),
        )
    failed = [result for result in run_tests(tenant_id, flow) if result.faults]
    if failed:
        raise ValidationError(
            f"The flow can't be published: its test {failed[0].name!r} fails.",
            code="FLOW_TESTS_FAIL",
            details=[
                {"field": f"tests.{result.name}", "message": fault}
                for result in failed
                for fault in result.faults
            ],
        )


def _detail(issue: Issue) -> Detail:
    field = ".".join(part for part in (issue.node, issue.field) if part)
    return {"field": field or "flow", "message": issue.message}


def _fetch(session: Session, tenant_id: int, flow_id: int, *, lock: bool = False) -> IvrFlow:
    query = select(IvrFlow).where(
        IvrFlow.id == flow_id, IvrFlow.tenant_id == tenant_id, IvrFlow.deleted_at.is_(None)
    )
    row = session.scalar(query.with_for_update() if lock else query)
    if row is None:
        raise NotFound(f"There is no {IvrFlow.PREFIX} with this id.")
    return row


def _version(session: Session, row: IvrFlow, number: int) -> IvrFlowVersion:
    found = session.scalar(select(IvrFlowVersion).filter_by(flow_id=row.id, number=number))
    if found is None:
        raise NotFound(f"{row.public_id} has no version {number}.")
    return found


def _add_version(
    session: Session, by: Actor, row: IvrFlow, flow: Flow, *, publish: bool
) -> IvrFlowVersion:
    row.latest += 1
    row.updated_at = now()
    version = IvrFlowVersion(
        flow_id=row.id,
        tenant_id=row.tenant_id,
        number=row.latest,
        status=VersionStatus.DRAFT,
        document=flow.model_dump(mode="json", by_alias=True, exclude_unset=True),
        uses=sorted(_uses(flow)),
        author=by.name,
    )
    session.add(version)
    if publish:
        _publish(row, version)
    session.flush()
    return version


def _publish(row: IvrFlow, version: IvrFlowVersion) -> None:
    row.published = version.number
    row.updated_at = now()
    version.status = VersionStatus.PUBLISHED
    version.published_at = now()


def _uses(flow: Flow) -> set[str]:
    """Ids of prompts and flows that a flow names."""
    prompts = {
        item.prompt
        for node in flow.nodes
        for _, item in node.config.played()
        if isinstance(item, UploadedPrompt)
    }
    return prompts | catalogs.flows_named(flow)


def _user_of(session: Session, row: IvrFlow) -> str | None:
    """A number or a published flow that leads to the flow."""
    reaching = select(PhoneNumber.number).where(
        PhoneNumber.tenant_id == row.tenant_id,
        PhoneNumber.destination.contains({"type": DestinationType.FLOW.value, "id": row.public_id}),
    )
    if number := session.scalar(reaching.limit(1)):
        return f"The number {number}"
    flow = session.scalar(_published_users(row.tenant_id, row.public_id).limit(1))
    return None if flow is None or flow.id == row.id else f"The flow {flow.public_id}"


def _published_users(tenant_id: int, used: str) -> Select[IvrFlow]:
    """Flows whose published version names a prompt or a flow."""
    return (
        select(IvrFlow)
        .join(
            IvrFlowVersion,
            (IvrFlowVersion.flow_id == IvrFlow.id) & (IvrFlowVersion.number == IvrFlow.published),
        )
        .where(IvrFlow.tenant_id == tenant_id, IvrFlowVersion.uses.contains([used]))
        .order_by(IvrFlow.id)
    )
