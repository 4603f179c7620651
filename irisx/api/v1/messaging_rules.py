"""`/v1/messaging/rules`: messages that follow missed and ended calls."""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from irisx.api.http import Router
from irisx.api.schemas import (
    UNSET,
    Answer,
    Body,
    Name,
    OffsetPagination,
    OffsetQuery,
    PublicId,
    Success,
    Timestamp,
    listed,
)
from irisx.messaging.channels.whatsapp.content import LanguageCode, TemplateName
from irisx.messaging.rules import service
from irisx.messaging.rules.models import CallRule, Trigger
from irisx.messaging.states import Direction
from irisx.tenancy.access import Caller
from irisx.tenancy.settings import E164

router = Router("Messaging Rules")

_READ = "messaging:read"
_WRITE = "messaging:write"

RuleId = Annotated[int, PublicId("rule")]
RuleText = Annotated[
    str,
    StringConstraints(min_length=1, max_length=1600),
    Field(examples=["Sorry that we missed you, {{ contact.name | default('dear caller') }}."]),
]
Status = Literal["completed", "busy", "no-answer", "failed", "canceled"]
Position = Annotated[int, Field(ge=0, le=10_000, description="The first rule that fits counts.")]
Minutes = Annotated[
    int, Field(ge=0, le=10_080, description="Nobody gets another rule's message before; 0: may.")
]
Numbers = Annotated[list[E164], Field(max_length=1000, description="Of yours; empty: any.")]
Statuses = Annotated[list[Status], Field(max_length=5, description="Of the call; empty: any.")]


class RuleTemplate(BaseModel):
    """A WhatsApp template; `parameters`: templates of its body's parameters, in their order."""

    model_config = ConfigDict(extra="forbid", strict=True)

    name: TemplateName
    language: LanguageCode
    parameters: list[RuleText] = Field(default_factory=list, max_length=20)


class NewCallRule(Body):
    """Either `text` or, with the channel whatsapp, `whatsapp_template`. Templates know `caller`,
    `number`, `contact.…`, `call.duration` (s), `call.status`, `call.direction`, `call.sid`."""

    name: Name
    trigger: Trigger
    channel: Literal["sms", "whatsapp"] = "sms"
    text: RuleText | None = None
    whatsapp_template: RuleTemplate | None = None
    from_: E164 | None = Field(
        None, alias="from", description="What it is sent from; default: your number of the call."
    )
    direction: Direction | None = Field(Direction.INBOUND, description="Of the call; null: any.")
    numbers: Numbers = Field(default_factory=list)
    statuses: Statuses = Field(default_factory=list)
    position: Position = 100
    repeat_after_minutes: Minutes = 60
    enabled: bool = True


class CallRuleChange(Body):
    """What is left out stays."""

    name: Name = UNSET
    trigger: Trigger = UNSET
    channel: Literal["sms", "whatsapp"] = UNSET
    text: RuleText | None = UNSET
    whatsapp_template: RuleTemplate | None = UNSET
    from_: E164 | None = Field(default_factory=lambda: None, alias="from")
    direction: Direction | None = UNSET
    numbers: Numbers = UNSET
    statuses: Statuses = UNSET
    position: Position = UNSET
    repeat_after_minutes: Minutes = UNSET
    enabled: bool = UNSET


class CallRuleAnswer(Answer):
    id: RuleId
    name: str
    enabled: bool
    position: int
    trigger: Trigger
    direction: Direction | None
    numbers: list[str]
    statuses: list[Status]
    channel: str
    from_: str | None = Field(alias="from")
    text: str | None
    whatsapp_template: RuleTemplate | None
    repeat_after_minutes: int
    created_at: Timestamp
    updated_at: Timestamp


class CallRules(Answer):
    rules: list[CallRuleAnswer]
    pagination: OffsetPagination


@router.get("/v1/messaging/rules", access=_READ, answer=Success[CallRules])
def list_messaging_rules(caller: Caller, query: OffsetQuery) -> dict[str, Any]:
    """List the rules by which messages follow calls."""
    found, total = service.list_page(caller.tenant_id, limit=query.limit, offset=query.offset)
    return listed("rules", [_shown(row) for row in found], query, total)


@router.post("/v1/messaging/rules", access=_WRITE, answer=CallRuleAnswer, status=201)
def create_messaging_rule(caller: Caller, body: NewCallRule) -> dict[str, Any]:
    """Create a rule. A call is followed by one message at most."""
    return _shown(service.create(caller, caller.tenant_id, _fields(body)))


@router.get("/v1/messaging/rules/<rule_id>", access=_READ, answer=CallRuleAnswer)
def get_messaging_rule(caller: Caller, rule_id: RuleId) -> dict[str, Any]:
    """Get a rule."""
    return _shown(service.get(caller.tenant_id, rule_id))


@router.put("/v1/messaging/rules/<rule_id>", access=_WRITE, answer=CallRuleAnswer)
def update_messaging_rule(caller: Caller, rule_id: RuleId, body: CallRuleChange) -> dict[str, Any]:
    """Change a rule."""
    return _shown(service.change(caller, caller.tenant_id, rule_id, _fields(body)))


@router.delete("/v1/messaging/rules/<rule_id>", access=_WRITE)
def delete_messaging_rule(caller: Caller, rule_id: RuleId) -> None:
    """Delete a rule."""
    service.remove(caller, caller.tenant_id, rule_id)


def _fields(body: NewCallRule | CallRuleChange) -> dict[str, Any]:
    fields = body.model_dump(exclude_unset=isinstance(body, CallRuleChange))
    if "from_" in fields:
        fields["sender"] = fields.pop("from_")
    return fields


def _shown(row: CallRule) -> dict[str, Any]:
    names = set(CallRuleAnswer.model_fields) - {"from_"}
    return {name: getattr(row, name) for name in names} | {"from": row.sender}
