"""Queues and who works in them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypedDict, Unpack

from sqlalchemy import delete, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from irisx.kernel.clock import now
from irisx.kernel.db import transaction
from irisx.kernel.errors import Conflict, NotFound, ValidationError
from irisx.kernel.ids import public_id, row_key
from irisx.kernel.jobs import wake
from irisx.telephony.acd.models import Queue, QueueCall, QueueCallStatus, QueueMember, Strategy
from irisx.telephony.acd.options import QueueOptions, VoicemailTarget
from irisx.telephony.calls import destinations
from irisx.telephony.calls.destinations import QueueDestination
from irisx.telephony.ivr.prompt_models import Prompt
from irisx.tenancy import audit, rows
from irisx.tenancy.access import Actor
from irisx.tenancy.agent_models import Agent
from irisx.tenancy.models import PhoneNumber

#: `jobs.wake` topic of queues that changed; its detail is the tenant's key.
TOPIC = "queues"
DEFAULT_MUSIC = "default"


@dataclass(frozen=True, slots=True)
class Membership:
    """An agent in a queue; None: as it was, or 1."""

    agent_id: int
    tier: int | None = None
    level: int | None = None


class QueueFields(TypedDict, total=False):
    """What may be changed of a queue. `agents`: all of its members."""

    name: str
    strategy: Strategy
    max_wait_time: int | None
    music_on_hold: str
    agents: Sequence[Membership]
    skills_required: Sequence[str]
    skill_levels: Mapping[str, int]
    priority: int
    options: QueueOptions


@dataclass(frozen=True, slots=True)
class QueueView:
    """A queue with its members."""

    row: Queue
    members: Sequence[QueueMember]


def create(by: Actor, tenant_id: int, **fields: Unpack[QueueFields]) -> QueueView:
    """Raises ValidationError with every name that is not the tenant's, Conflict NAME_TAKEN."""
    row = Queue(tenant_id=tenant_id)
    members = fields.pop("agents", ())
    _check(tenant_id, None, fields)
    try:
        with transaction() as session:
            _assign(session, row, fields)
            session.add(row)
            audit.created(session, by, row)
            _set_members(session, row, members)
            view = _view(session, row)
    except IntegrityError:
        raise _taken(fields) from None
    wake(TOPIC, str(tenant_id))
    return view


def get(tenant_id: int, queue_id: int) -> QueueView:
    with transaction() as session:
        return _view(session, fetch(session, tenant_id, queue_id))


def list_page(tenant_id: int, *, limit: int, offset: int) -> tuple[list[QueueView], int]:
    query = select(Queue).where(Queue.tenant_id == tenant_id, Queue.deleted_at.is_(None))
    with transaction() as session:
        found, total = rows.page(session, query, limit=limit, offset=offset)
        return [_view(session, row) for row in found], total


def change(by: Actor, tenant_id: int, queue_id: int, **fields: Unpack[QueueFields]) -> QueueView:
    """Set the given fields; `options` whole. Callers who wait go on by the new rules."""
    members = fields.pop("agents", None)
    _check(tenant_id, queue_id, fields)
    try:
        with transaction() as session:
            row = fetch(session, tenant_id, queue_id, lock=True)
            before = audit.snapshot(row) | {"agents": _names(session, row)}
            _assign(session, row, fields)
            if members is not None:
                _set_members(session, row, members)
            session.flush()
            after = audit.snapshot(row) | {"agents": _names(session, row)}
            audit.record(
                session,
                by,
                "queue.updated",
                row.public_id,
                tenant_id=tenant_id,
                before=before,
                after=after,
            )
            view = _view(session, row)
    except IntegrityError:
        raise _taken(fields) from None
    wake(TOPIC, str(tenant_id))
    return view


def delete_queue(by: Actor, tenant_id: int, queue_id: int) -> None:
    """Raises Conflict QUEUE_IN_USE while a number leads to it or callers are in it."""
    with transaction() as session:
        row = fetch(session, tenant_id, queue_id, lock=True)
        leading = select(PhoneNumber.number).where(
            PhoneNumber.tenant_id == tenant_id,
            PhoneNumber.destination.contains({"type": "queue", "id": row.public_id}),
        )
        if number := session.scalar(leading.limit(1)):
            raise Conflict(f"Calls to {number} go to it.", code="QUEUE_IN_USE")
        live = select(QueueCall.id).where(
            QueueCall.queue_id == queue_id, QueueCall.status == QueueCallStatus.WAITING
        )
        if session.scalar(live.limit(1)) is not None:
            raise Conflict("Callers wait in it.", code="QUEUE_IN_USE")
        audit.deleted(session, by, row)
        row.deleted_at = now()
        session.execute(delete(QueueMember).where(QueueMember.queue_id == queue_id))
    wake(TOPIC, str(tenant_id))


def fetch(session: Session, tenant_id: int, queue_id: int, *, lock: bool = False) -> Queue:
    """The tenant's queue; NotFound also of one that was deleted."""
    row = rows.fetch(session, Queue, queue_id, tenant_id=tenant_id, lock=lock)
    if row.deleted_at is not None:
        raise NotFound("There is no queue with this id.")
    return row


def members_with_agents(tenant_id: int, queue_id: int) -> Sequence[tuple[QueueMember, Agent]]:
    """Who works in a queue, by tier and level."""
    with transaction() as session:
        fetch(session, tenant_id, queue_id)
        found = session.execute(
            select(QueueMember, Agent)
            .join(Agent, Agent.id == QueueMember.agent_id)
            .where(QueueMember.queue_id == queue_id, Agent.deleted_at.is_(None))
            .order_by(QueueMember.tier, QueueMember.level, Agent.id)
        )
        return [(member, agent) for member, agent in found]


def _view(session: Session, row: Queue) -> QueueView:
    query = select(QueueMember).where(QueueMember.queue_id == row.id)
    return QueueView(row, session.scalars(query.order_by(QueueMember.agent_id)).all())


def _names(session: Session, row: Queue) -> list[str]:
    return [public_id(Agent.PREFIX, member.agent_id) for member in _view(session, row).members]


def _assign(session: Session, row: Queue, fields: QueueFields) -> None:
    values: dict[str, Any] = {**fields}
    if "options" in fields:
        values["options"] = fields["options"].model_dump(
            mode="json", by_alias=True, exclude_defaults=True
        )
    rows.assign(row, values)


def _set_members(session: Session, row: Queue, wanted: Sequence[Membership]) -> None:
    """Make these the queue's agents; who stays keeps tier and level where none is given."""
    mine = select(Agent.id).where(
        Agent.tenant_id == row.tenant_id,
        Agent.deleted_at.is_(None),
        Agent.id.in_([member.agent_id for member in wanted]),
    )
    known = set(session.scalars(mine))
    faults = [
        (f"agents.{index}", f"there is no {public_id(Agent.PREFIX, member.agent_id)}")
        for index, member in enumerate(wanted)
        if member.agent_id not in known
    ]
    _raise(faults)
    present = {
        member.agent_id: member
        for member in session.scalars(select(QueueMember).where(QueueMember.queue_id == row.id))
    }
    for agent_id in present.keys() - {member.agent_id for member in wanted}:
        session.delete(present[agent_id])
    for member in wanted:
        stored = present.get(member.agent_id)
        if stored is None:
            stored = QueueMember(queue_id=row.id, agent_id=member.agent_id, tier=1, level=1)
            present[member.agent_id] = stored
            session.add(stored)
        stored.tier = member.tier or stored.tier
        stored.level = member.level or stored.level


def _check(tenant_id: int, queue_id: int | None, fields: QueueFields) -> None:
    """Refuse what the queue names and the tenant does not have. May look up names: no session."""
    faults: list[tuple[str, str]] = []
    music = fields.get("music_on_hold", DEFAULT_MUSIC)
    if music != DEFAULT_MUSIC and not _has_prompt(tenant_id, music):
        faults.append(("music_on_hold", f"there is no prompt {music}"))
    options = fields.get("options")
    targets = (
        {}
        if options is None
        else {
            "options.exit_to": options.exit_to,
            "options.overflow.wait": options.overflow.wait,
            "options.overflow.full": options.overflow.full,
            "options.overflow.no_agents": options.overflow.no_agents,
            "options.overflow.closed": options.overflow.closed,
        }
    )
    for field, target in targets.items():
        if target is None or isinstance(target, VoicemailTarget):
            continue
        if isinstance(target, QueueDestination) and row_key("queue", target.id) == queue_id:
            faults.append((field, "a queue can't overflow into itself"))
            continue
        try:
            destinations.resolve(target, tenant_id, field)
        except ValidationError as error:
            faults += [(fault["field"], fault["message"]) for fault in error.details]
    _raise(faults)


def _has_prompt(tenant_id: int, prompt_id: str) -> bool:
    with transaction() as session:
        mine = select(Prompt.id).where(
            Prompt.tenant_id == tenant_id, Prompt.id == row_key(Prompt.PREFIX, prompt_id)
        )
        return session.scalar(mine) is not None


def _raise(faults: Sequence[tuple[str, str]]) -> None:
    if faults:
        details = [{"field": field, "message": message} for field, message in faults]
        raise ValidationError(f"{faults[0][0]}: {faults[0][1]}", details=details)  # type: ignore[arg-type]


def _taken(fields: QueueFields) -> Conflict:
    return Conflict(f"There is a queue named {fields.get('name')!r}.", code="NAME_TAKEN")
