"""Campaigns: made, changed, started, paused, stopped."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, TypedDict, Unpack

from sqlalchemy import Select, select, update
from sqlalchemy.orm import Session

from irisx.kernel import events
from irisx.kernel.clock import isoformat, now
from irisx.kernel.db import transaction
from irisx.kernel.errors import (
    Conflict,
    IrisxError,
    NotFound,
    ValidationError,
    invalid,
)
from irisx.kernel.ids import call_sid, public_id, token
from irisx.kernel.jobs import wake
from irisx.telephony import amd
from irisx.telephony.acd import queues
from irisx.telephony.acd.models import Strategy
from irisx.telephony.acd.queues import Membership
from irisx.telephony.amd import Action, AmdOptions
from irisx.telephony.calls import destinations, service
from irisx.telephony.calls.destinations import FlowDestination
from irisx.telephony.calls.models import Call
from irisx.telephony.calls.states import CallStatus
from irisx.telephony.dialer.models import Campaign, CampaignAttempt, CampaignContact
from irisx.telephony.dialer.options import CampaignOptions, MachineAction
from irisx.telephony.dialer.pacing import DialMode
from irisx.telephony.dialer.states import TRANSITIONS, CampaignStatus, ContactStatus
from irisx.telephony.ivr.audio import Prompt
from irisx.tenancy import audit, rows
from irisx.tenancy.access import Actor, Caller
from irisx.tenancy.models import Tenant
from irisx.tenancy.settings import TenantSettings

#: `jobs.wake` topic: a campaign began, changed or has somebody new to call.
TOPIC = "campaigns"

#: What reaching a status is called, in events and in the audit log.
_REACHED = {
    CampaignStatus.SCHEDULED: "campaign.scheduled",
    CampaignStatus.RUNNING: "campaign.started",
    CampaignStatus.PAUSED: "campaign.paused",
    CampaignStatus.STOPPED: "campaign.stopped",
    CampaignStatus.COMPLETED: "campaign.completed",
}
_RESUMED = "campaign.resumed"
#: Changed only while nothing is dialled by them.
_FIXED_WHILE_RUNNING = frozenset({"mode", "queue_id", "flow", "message", "caller_id"})


class CampaignFields(TypedDict, total=False):
    """What may be changed of a campaign. `message`: an item of audio as JSON. `agents`: keys of
    those whom it has to itself, in a queue of its own, in place of a `queue_id`."""

    name: str
    mode: DialMode
    caller_id: str | None
    queue_id: int | None
    agents: Sequence[int] | None
    flow: str | None
    message: dict[str, Any] | None
    options: CampaignOptions


def create(by: Caller, **fields: Unpack[CampaignFields]) -> Campaign:
    """Make a draft. Raises ValidationError about a field that does not fit."""
    agents = fields.pop("agents", None)
    row = Campaign(
        tenant_id=by.tenant_id,
        status=CampaignStatus.DRAFT,
        sandbox=service.on_sandbox(by),
        options={},
        own_queue=agents is not None,
    )
    _check(by.tenant_id, agents, fields)
    detection = _detection(by.tenant_id, fields)
    if agents is not None:
        fields["queue_id"] = _make_queue(by, by.tenant_id, fields["name"], agents)
    with transaction() as session:
        _assign(session, row, {"caller_id": None, **fields})
        row.detection = detection
        session.add(row)
        audit.created(session, by, row)
    return row


def get(tenant_id: int, campaign_id: int) -> Campaign:
    with transaction() as session:
        return fetch(session, tenant_id, campaign_id)


def list_page(
    tenant_id: int, *, limit: int, offset: int, status: CampaignStatus | None = None
) -> tuple[Sequence[Campaign], int]:
    query = _mine(tenant_id)
    if status is not None:
        query = query.where(Campaign.status == status)
    with transaction() as session:
        return rows.page(session, query, limit=limit, offset=offset)


def change(
    by: Actor, tenant_id: int, campaign_id: int, **fields: Unpack[CampaignFields]
) -> Campaign:
    """Set the given fields. Options count from the next call on, also in a running campaign."""
    agents = fields.pop("agents", None)
    _check(tenant_id, agents, fields)
    detection = _detection(tenant_id, fields)
    with transaction() as session:
        row = fetch(session, tenant_id, campaign_id, lock=True)
        fixed = _FIXED_WHILE_RUNNING & fields.keys()
        if fixed and row.status in (CampaignStatus.RUNNING, CampaignStatus.PAUSED):
            named = ", ".join(sorted(fixed))
            raise Conflict(
                f"The campaign is {row.status}; stop it before you change {named}.",
                code="CAMPAIGN_ACTIVE",
            )
        before = audit.snapshot(row)
        _assign(session, row, fields)
        if "options" in fields:
            row.detection = detection
        audit.updated(session, by, row, before)
    if agents is not None:
        if row.queue_id is None or not row.own_queue:
            raise invalid("agents", "the campaign has no agents of its own; change its queue's")
        queues.change(by, tenant_id, row.queue_id, agents=[Membership(key) for key in agents])
    wake(TOPIC)
    return row


def delete_campaign(by: Actor, tenant_id: int, campaign_id: int) -> None:
    """Raises Conflict CAMPAIGN_ACTIVE while it is dialled. What it did stays in the records."""
    with transaction() as session:
        row = fetch(session, tenant_id, campaign_id, lock=True)
        if row.status in (CampaignStatus.RUNNING, CampaignStatus.PAUSED):
            raise Conflict(
                f"The campaign is {row.status}; stop it before you delete it.",
                code="CAMPAIGN_ACTIVE",
            )
        audit.deleted(session, by, row)
        row.deleted_at = now()
    if row.own_queue and row.queue_id is not None:
        queues.delete_queue(by, tenant_id, row.queue_id)


# -- control ---------------------------------------------------------------------------------------


def start(by: Actor, tenant_id: int, campaign_id: int, at: datetime | None = None) -> Campaign:
    """Begin now, or at a later time."""
    with transaction() as session:
        row = fetch(session, tenant_id, campaign_id, lock=True)
        later = at is not None and at > now()
        target = CampaignStatus.SCHEDULED if later else CampaignStatus.RUNNING
        if row.status is CampaignStatus.PAUSED:
            raise _wrong_state(row, "started; resume it")
        row.start_at = at if later else row.start_at
        _move(session, by, row, target, "started")
    wake(TOPIC)
    return row


def pause(by: Actor, tenant_id: int, campaign_id: int) -> Campaign:
    """Place no more calls. Calls that ring or go on are not touched."""
    return _control(by, tenant_id, campaign_id, CampaignStatus.PAUSED, "paused")


def resume(by: Actor, tenant_id: int, campaign_id: int) -> Campaign:
    with transaction() as session:
        row = fetch(session, tenant_id, campaign_id, lock=True)
        if row.status is not CampaignStatus.PAUSED:
            raise _wrong_state(row, "resumed")
        _move(session, by, row, CampaignStatus.RUNNING, "resumed", type=_RESUMED)
    wake(TOPIC)
    return row


def stop(by: Actor, tenant_id: int, campaign_id: int) -> Campaign:
    """Place no more calls, and cancel those that nobody has answered. Conversations go on."""
    row = _control(by, tenant_id, campaign_id, CampaignStatus.STOPPED, "stopped")
    for sid in _unanswered(tenant_id, campaign_id):
        try:
            service.end_call(tenant_id, sid)
        except IrisxError:
            continue  # answered or over meanwhile, or no engine there: it ends by itself
    return row


def complete(session: Session, row: Campaign) -> None:
    """Nobody is left to call. The row must be locked."""
    _move(session, None, row, CampaignStatus.COMPLETED, "completed")


def begin_scheduled(session: Session, row: Campaign) -> None:
    """Its time has come. The row must be locked."""
    _move(session, None, row, CampaignStatus.RUNNING, "started")


def _control(
    by: Actor, tenant_id: int, campaign_id: int, target: CampaignStatus, verb: str
) -> Campaign:
    # The lock: whoever places calls holds it meanwhile, so after the commit none is placed.
    with transaction() as session:
        row = fetch(session, tenant_id, campaign_id, lock=True)
        _move(session, by, row, target, verb)
        if target is CampaignStatus.STOPPED:
            _release_previews(session, row)
    wake(TOPIC)
    return row


def _move(
    session: Session,
    by: Actor | None,
    row: Campaign,
    target: CampaignStatus,
    verb: str,
    *,
    type: str | None = None,
) -> None:
    if target not in TRANSITIONS[row.status]:
        raise _wrong_state(row, verb)
    before, at = row.status, now()
    row.status = target
    if target is CampaignStatus.RUNNING and before is not CampaignStatus.PAUSED:
        row.started_at, row.ended_at = at, None
    if target in (CampaignStatus.STOPPED, CampaignStatus.COMPLETED):
        row.ended_at = at
    reached = type or _REACHED[target]
    if by is not None:
        audit.record(
            session,
            by,
            reached,
            row.public_id,
            tenant_id=row.tenant_id,
            before={"status": before.value},
            after={"status": target.value, "start_at": row.start_at and isoformat(row.start_at)},
        )
    session.flush()
    session.refresh(row)  # `updated_at` is the database's
    tell(session, row, reached, {"previous_status": before.value}, key=token("c"), at=at)


def tell(
    session: Session,
    row: Campaign,
    type: str,
    data: dict[str, Any],
    *,
    key: str,
    at: datetime,
) -> None:
    """An event of a campaign, in the transaction that made it happen."""
    about = {"campaign_id": row.public_id, "name": row.name, "status": row.status.value}
    events.publish(
        session,
        key=f"{row.public_id}:{type}:{key}",
        tenant_id=row.tenant_id,
        type=type,
        data={**about, **data, "at": isoformat(at)},
        occurred_at=at,
    )


def _wrong_state(row: Campaign, verb: str) -> Conflict:
    return Conflict(
        f"The campaign is {row.status}; it can't be {verb}.",
        code="CAMPAIGN_STATE",
        details=[{"field": "status", "message": row.status.value}],
    )


def _release_previews(session: Session, row: Campaign) -> None:
    session.execute(
        update(CampaignContact)
        .where(
            CampaignContact.campaign_id == row.id,
            CampaignContact.status == ContactStatus.PREVIEW,
        )
        .values(status=ContactStatus.PENDING, agent_id=None, reserved_until=None)
    )


def _unanswered(tenant_id: int, campaign_id: int) -> list[str]:
    query = (
        select(Call)
        .join(
            CampaignAttempt,
            (CampaignAttempt.id == Call.id) & (CampaignAttempt.started_at == Call.initiated_at),
        )
        .where(
            CampaignAttempt.tenant_id == tenant_id,
            CampaignAttempt.campaign_id == campaign_id,
            CampaignAttempt.result.is_(None),
            Call.status.in_([CallStatus.INITIATED, CallStatus.RINGING]),
        )
    )
    with transaction() as session:
        return [call_sid(call.id) for call in session.scalars(query)]


# -- rows ------------------------------------------------------------------------------------------


def _mine(tenant_id: int) -> Select[Campaign]:
    return select(Campaign).where(Campaign.tenant_id == tenant_id, Campaign.deleted_at.is_(None))


def fetch(session: Session, tenant_id: int, campaign_id: int, *, lock: bool = False) -> Campaign:
    """The tenant's campaign; NotFound also of one that was deleted."""
    row = rows.fetch(session, Campaign, campaign_id, tenant_id=tenant_id, lock=lock)
    if row.deleted_at is not None:
        raise NotFound("There is no camp with this id.")
    return row


def options_of(row: Campaign) -> CampaignOptions:
    return CampaignOptions.model_validate(row.options)


def _stored(options: CampaignOptions) -> dict[str, Any]:
    return options.model_dump(mode="json", by_alias=True, exclude_defaults=True)


def _assign(session: Session, row: Campaign, fields: CampaignFields) -> None:
    values: dict[str, Any] = {**fields}
    if "options" in values:
        values["options"] = _stored(values["options"])
    if "caller_id" in values:
        values["caller_id"] = _caller_id(session, row.tenant_id, values["caller_id"])
    rows.assign(row, values)
    given = [name for name in ("queue_id", "flow", "message") if getattr(row, name) is not None]
    if len(given) != 1:
        raise invalid("queue_id", "give one of queue_id, flow and message")
    if (row.mode is DialMode.BROADCAST) != (row.queue_id is None):
        raise invalid("mode", "broadcast is the mode of campaigns without a queue, and only theirs")


def _caller_id(session: Session, tenant_id: int, wanted: str | None) -> str:
    tenant = session.get_one(Tenant, tenant_id)
    settings = TenantSettings.model_validate(tenant.settings)
    try:
        return service.caller_id(session, tenant_id, settings, wanted)
    except ValidationError as error:
        raise invalid("caller_id", error.details[0]["message"]) from None


def _make_queue(by: Actor, tenant_id: int, name: str, agents: Sequence[int]) -> int:
    view = queues.create(
        by,
        tenant_id,
        name=f"Campaign {name} {token('', 32)[1:]}",
        strategy=Strategy.LONGEST_IDLE,
        max_wait_time=None,
        music_on_hold=queues.DEFAULT_MUSIC,
        skills_required=[],
        agents=[Membership(agent_id) for agent_id in agents],
    )
    return view.row.id


def _check(tenant_id: int, agents: Sequence[int] | None, fields: CampaignFields) -> None:
    """Refuse what the tenant does not have. In transactions of its own."""
    if agents is not None and fields.get("queue_id") is not None:
        raise invalid("agents", "give either agents or queue_id")
    queue_id, flow = fields.get("queue_id"), fields.get("flow")
    if queue_id is not None:
        destinations.check_queue(tenant_id, public_id("queue", queue_id), "queue_id")
    if flow is not None:
        destinations.resolve(FlowDestination(type="flow", id=flow), tenant_id, "flow")


_ON_MACHINE = {
    MachineAction.CONNECT: Action.CONNECT,
    MachineAction.HANG_UP: Action.HANG_UP,
    MachineAction.LEAVE_MESSAGE: Action.LEAVE_VOICEMAIL,
}


def _detection(tenant_id: int, fields: CampaignFields) -> dict[str, Any] | None:
    """What the calls' rows carry for answering machines to be told apart; in a transaction of its
    own. Raises ValidationError about `options.machines`."""
    options = fields.get("options")
    if options is None or not options.machines.detect:
        return None
    message = options.machines.message
    wanted = AmdOptions(
        action_on_machine=_ON_MACHINE[options.machines.action],
        message=None if message is None else Prompt(prompts=[message]),
    )
    try:
        return amd.plan(tenant_id, wanted)
    except ValidationError as error:
        raise invalid("options.machines", error.details[0]["message"]) from None
