"""What workflows are made of: a trigger and a list of steps. Ids are public ones (`tpl_3`)."""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, JsonValue, StringConstraints, TypeAdapter

from irisx.kernel.http import MAX_URL_LENGTH
from irisx.messaging.states import Category

END = "end"
MAX_STEPS = 50

#: What can let a contact in: events that are about one person.
TriggerEvent = Literal[
    "email.sent", "email.delivered", "email.opened", "email.clicked", "email.bounced",
    "email.unsubscribed", "email.received", "sms.received", "sms.delivered", "whatsapp.received",
    "conversation.created", "call.completed", "call.failed", "voicemail.received",
]  # fmt: skip
StepId = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_-]{0,39}$")]
ListId = Annotated[str, StringConstraints(pattern=r"^list_[0-9]{1,19}$")]
TemplateId = Annotated[str, StringConstraints(pattern=r"^tpl_[0-9]{1,19}$")]
Address = Annotated[str, StringConstraints(min_length=3, max_length=320)]


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)


class EmailComparison(_Part):
    """`field`: a path such as `contact.company`, `contact.email`, `event.url`, or what became of an
    email that a step sent: `steps.hello.opened`, `…clicked`, `…status`. What is not there is no
    match but for `not_equals` and `missing`. Numbers are compared as such, texts without regard to
    case."""

    field: str = Field(
        pattern=r"^(contact|event|steps)(\.[A-Za-z0-9_-]{1,100}){1,5}$", max_length=300
    )
    operator: Literal[
        "equals", "not_equals", "contains", "greater_than", "less_than", "one_of", "exists",
        "missing",
    ]  # fmt: skip
    value: JsonValue = None


Comparisons = Annotated[list[EmailComparison], Field(max_length=20)]


class ListTrigger(_Part):
    """A contact is put on a list, while the workflow is active."""

    type: Literal["list"]
    list_id: ListId


class EventTrigger(_Part):
    """Something happens with a contact, and all `conditions` hold."""

    type: Literal["event"]
    event: TriggerEvent
    conditions: Comparisons = Field(default_factory=list)


class ManualTrigger(_Part):
    """Contacts are let in by `POST /v1/email/automation/{id}/contacts`."""

    type: Literal["manual"]


class _Step(_Part):
    id: StepId | None = Field(None, description="Default: step1, step2, …")


class WaitStep(_Step):
    type: Literal["wait"]
    minutes: int = Field(ge=1, le=366 * 24 * 60)


class ConditionStep(_Step):
    """Where all comparisons hold the next step follows, else `otherwise`: a later step, or end."""

    type: Literal["condition"]
    all: Comparisons = Field(min_length=1)
    otherwise: StepId = END


class SendStep(_Step):
    """An email from a template. `marketing` has one-click unsubscription and waits out quiet
    hours."""

    model_config = ConfigDict(populate_by_name=True)

    type: Literal["send"]
    template_id: TemplateId
    from_: Address | None = Field(None, alias="from")
    reply_to: Address | None = None
    variables: dict[str, JsonValue] = Field(default_factory=dict, max_length=100)
    category: Category = Field(Category.MARKETING, strict=False)


class WebhookStep(_Step):
    """A POST with the contact, what let it in, and an `Idempotency-Key` that is the same in each
    attempt. `on_failure`: after the last of some attempts within an hour."""

    type: Literal["webhook"]
    url: str = Field(min_length=1, max_length=MAX_URL_LENGTH)
    on_failure: Literal["continue", "stop"] = "continue"


class ListStep(_Step):
    type: Literal["list"]
    action: Literal["add", "remove"]
    list_id: ListId


Trigger = Annotated[ListTrigger | EventTrigger | ManualTrigger, Field(discriminator="type")]
Action = Annotated[SendStep | WebhookStep | ListStep, Field(discriminator="type")]
Step = Annotated[
    WaitStep | ConditionStep | SendStep | WebhookStep | ListStep, Field(discriminator="type")
]
_TRIGGER: TypeAdapter[Trigger] = TypeAdapter(Trigger)
_STEPS: TypeAdapter[list[Step]] = TypeAdapter(list[Step])


def read_trigger(stored: dict[str, Any]) -> Trigger:
    """From a row's JSON."""
    return _TRIGGER.validate_python(stored)


def read_steps(stored: list[dict[str, Any]]) -> list[Step]:
    """From a row's JSON."""
    return _STEPS.validate_python(stored)


def stored(part: BaseModel) -> dict[str, Any]:
    """As JSON for the row."""
    return part.model_dump(mode="json", by_alias=True)


def index_of(steps: list[Step], step_id: str) -> int:
    """Where a step is; behind the last one for END."""
    return next((at for at, step in enumerate(steps) if step.id == step_id), len(steps))
