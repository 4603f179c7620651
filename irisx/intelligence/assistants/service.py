"""What a tenant does with its voice assistants: write them, put them on numbers, take them off."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypedDict, Unpack

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from irisx.intelligence.assistants.config import Tool, WebhookTool
from irisx.intelligence.assistants.prompt import BUILT_IN
from irisx.intelligence.knowledge import service as knowledge
from irisx.kernel import http
from irisx.kernel.db import transaction
from irisx.kernel.errors import Conflict, Detail, NotFound, ValidationError, invalid
from irisx.kernel.ids import row_key
from irisx.tenancy import audit, rows
from irisx.tenancy.access import Actor
from irisx.tenancy.assistant_models import VoiceAssistant
from irisx.tenancy.models import DestinationType, PhoneNumber

MAX_ASSISTANTS = 200


class Fields(TypedDict, total=False):
    """What may be changed of an assistant, as VoiceAssistant has it; `tools` as models."""

    name: str
    language: str
    voice: str | None
    personality: str
    greeting: str
    instructions: str | None
    knowledge_base_id: int | None
    capabilities: list[str]
    escalation_triggers: list[str]
    escalation: Mapping[str, Any] | None
    limits: dict[str, Any]
    silence: dict[str, Any]
    listening: dict[str, Any]
    phrases: dict[str, Any]
    tools: list[Tool]


@dataclass(frozen=True, slots=True)
class Deployed:
    """An assistant, and the numbers (E.164) whose calls it answers."""

    row: VoiceAssistant
    phone_numbers: Sequence[str]


def list_page(tenant_id: int, *, limit: int, offset: int) -> tuple[Sequence[Deployed], int]:
    """Assistants of a tenant, oldest first, and how many there are."""
    with transaction() as session:
        mine = select(VoiceAssistant).where(VoiceAssistant.tenant_id == tenant_id)
        page, total = rows.page(session, mine, limit=limit, offset=offset)
        return _deployed(session, tenant_id, page), total


def get(tenant_id: int, assistant_id: int) -> Deployed:
    with transaction() as session:
        row = rows.fetch(session, VoiceAssistant, assistant_id, tenant_id=tenant_id)
        return _deployed(session, tenant_id, [row])[0]


def create(by: Actor, tenant_id: int, **fields: Unpack[Fields]) -> Deployed:
    """A new assistant; every field is given."""
    row = VoiceAssistant(tenant_id=tenant_id, **_checked(tenant_id, fields))
    with transaction() as session:
        held = select(func.count()).where(VoiceAssistant.tenant_id == tenant_id)
        if session.scalars(held).one() >= MAX_ASSISTANTS:
            raise Conflict(f"A tenant has at most {MAX_ASSISTANTS} voice assistants.")
        session.add(row)
        audit.created(session, by, row)
    return Deployed(row, ())


def change(by: Actor, tenant_id: int, assistant_id: int, **fields: Unpack[Fields]) -> Deployed:
    """Set the given fields; conversations under way go on as they began."""
    values = _checked(tenant_id, fields)
    with transaction() as session:
        row = rows.fetch(session, VoiceAssistant, assistant_id, tenant_id=tenant_id, lock=True)
        before = audit.snapshot(row)
        rows.assign(row, values)
        audit.updated(session, by, row, before)
        session.refresh(row)
        return _deployed(session, tenant_id, [row])[0]


def remove(by: Actor, tenant_id: int, assistant_id: int) -> None:
    """Raises Conflict ASSISTANT_DEPLOYED while a number leads to it. Its conversations stay."""
    with transaction() as session:
        row = rows.fetch(session, VoiceAssistant, assistant_id, tenant_id=tenant_id, lock=True)
        taken = _numbers(session, tenant_id, [row])[row.public_id]
        if taken:
            raise Conflict(
                f"{', '.join(n.number for n in taken)} lead to it; undeploy it first.",
                code="ASSISTANT_DEPLOYED",
            )
        audit.deleted(session, by, row)
        session.delete(row)


def deploy(
    by: Actor, tenant_id: int, assistant_id: int, phone_number: str, *, replace: bool = False
) -> Deployed:
    """Have it answer a number of the tenant (E.164 or `num_3`).

    Raises Conflict NUMBER_IN_USE where the number leads elsewhere, unless `replace`.
    """
    with transaction() as session:
        row = rows.fetch(session, VoiceAssistant, assistant_id, tenant_id=tenant_id, lock=True)
        number = _number(session, tenant_id, phone_number)
        target = _destination(row)
        if number.destination not in (None, target) and not replace:
            raise Conflict(
                f"{number.number} leads to {number.destination}; give replace to change that.",
                code="NUMBER_IN_USE",
            )
        _lead(session, by, number, target)
        return _deployed(session, tenant_id, [row])[0]


def undeploy(
    by: Actor, tenant_id: int, assistant_id: int, phone_number: str | None = None
) -> Deployed:
    """Free one number, or all that lead to the assistant.

    Raises Conflict NOT_DEPLOYED where there is none, or the one leads elsewhere.
    """
    with transaction() as session:
        row = rows.fetch(session, VoiceAssistant, assistant_id, tenant_id=tenant_id, lock=True)
        taken = _numbers(session, tenant_id, [row])[row.public_id]
        if phone_number is not None:
            number = _number(session, tenant_id, phone_number)
            taken = [one for one in taken if one.id == number.id]
        if not taken:
            raise Conflict("No such number leads to this assistant.", code="NOT_DEPLOYED")
        for one in taken:
            _lead(session, by, one, None)
        return _deployed(session, tenant_id, [row])[0]


def _lead(
    session: Session, by: Actor, number: PhoneNumber, destination: dict[str, Any] | None
) -> None:
    before = audit.snapshot(number)
    number.destination = destination
    audit.updated(session, by, number, before)


def _destination(row: VoiceAssistant) -> dict[str, Any]:
    return {"type": DestinationType.ASSISTANT.value, "id": row.public_id}


def _number(session: Session, tenant_id: int, named: str) -> PhoneNumber:
    prefix = PhoneNumber.PREFIX
    if named.startswith(f"{prefix}_"):
        return rows.fetch(
            session, PhoneNumber, row_key(prefix, named), tenant_id=tenant_id, lock=True
        )
    mine = select(PhoneNumber).where(
        PhoneNumber.tenant_id == tenant_id, PhoneNumber.number == named
    )
    number = session.scalar(mine.with_for_update())
    if number is None:
        raise NotFound(f"There is no phone number {named}.")
    return number


def _numbers(
    session: Session, tenant_id: int, assistants: Sequence[VoiceAssistant]
) -> dict[str, list[PhoneNumber]]:
    """The numbers that lead to each assistant, by its public id."""
    found: dict[str, list[PhoneNumber]] = defaultdict(list)
    leading = select(PhoneNumber).where(
        PhoneNumber.tenant_id == tenant_id,
        PhoneNumber.destination["type"].astext == DestinationType.ASSISTANT.value,
        PhoneNumber.destination["id"].astext.in_([row.public_id for row in assistants]),
    )
    for number in session.scalars(leading.order_by(PhoneNumber.id)):
        found[(number.destination or {})["id"]].append(number)
    return found


def _deployed(
    session: Session, tenant_id: int, assistants: Sequence[VoiceAssistant]
) -> list[Deployed]:
    numbers = _numbers(session, tenant_id, assistants)
    return [
        Deployed(row, [number.number for number in numbers[row.public_id]]) for row in assistants
    ]


def _require_knowledge(tenant_id: int, knowledge_base_id: int) -> None:
    try:
        knowledge.get(tenant_id, knowledge_base_id)
    except NotFound:
        raise invalid("knowledge_base_id", "there is no such knowledge base") from None


def _checked(tenant_id: int, fields: Fields) -> dict[str, Any]:
    """The columns, if the tools are sound. Raises ValidationError about each that is not."""
    columns: dict[str, Any] = {**fields}
    knowledge_base_id = fields.get("knowledge_base_id")
    if knowledge_base_id is not None:
        _require_knowledge(tenant_id, knowledge_base_id)
    if "tools" in fields:
        faults: list[Detail] = []
        names = set(BUILT_IN)
        for index, tool in enumerate(fields["tools"]):
            if tool.name in names:
                message = f"{tool.name!r} is taken by another tool; choose another name"
                faults.append({"field": f"tools.{index}.name", "message": message})
            names.add(tool.name)
            if isinstance(tool, WebhookTool):
                try:
                    http.check_url(f"tools.{index}.url", tool.url)
                except ValidationError as error:
                    faults += error.details
        if faults:
            raise ValidationError("tools: see the details", details=faults)
        columns["tools"] = [tool.model_dump(mode="json") for tool in fields["tools"]]
    return columns
