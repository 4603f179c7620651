"""What happens to a simulated call: who calls when, what is typed, what others answer."""

from typing import Annotated

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, JsonValue

from irisx.telephony.ivr.scope import VariableName
from irisx.telephony.ivr.step import TransferOutcome

_NodeId = Annotated[str, Field(max_length=64)]
_Text = Annotated[str, Field(max_length=200)]


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class WebhookAnswer(_Model):
    """What the tenant's program answers; a `status` of null is no answer within the time."""

    status: int | None = Field(200, ge=100, le=599)
    json_: JsonValue = Field(None, alias="json")

    model_config = ConfigDict(populate_by_name=True)


class Script(_Model):
    """The input of a simulation. Lists by node are used up visit by visit; the last one stays."""

    caller: _Text = Field("+15555550123", description="The caller's number.")
    called: _Text = Field("+15555550100", description="The number that was called.")
    time: AwareDatetime | None = Field(None, description="When the call comes; by default now.")
    digits: list[Annotated[str, Field(pattern=r"^[0-9*#]{0,64}$")]] = Field(
        default_factory=list,
        max_length=200,
        description="What is typed at each question in turn; an empty text is nothing typed.",
        examples=[["1", "", "12345#"]],
    )
    contact: dict[_Text, JsonValue] = Field(
        default_factory=dict, max_length=100, description="Fields of the caller's contact."
    )
    variables: dict[VariableName, JsonValue] = Field(default_factory=dict, max_length=100)
    webhooks: dict[_NodeId, list[WebhookAnswer]] = Field(
        default_factory=dict, max_length=100, description="By node; without it there is no answer."
    )
    transfers: dict[_NodeId, list[TransferOutcome]] = Field(
        default_factory=dict, max_length=100, description="By node; without it they talk."
    )
    recordings: dict[_NodeId, list[Annotated[float, Field(ge=0, le=3600)] | None]] = Field(
        default_factory=dict,
        max_length=100,
        description="Seconds that the caller speaks, by node; by default 10. Null: it fails.",
    )
    handed_over: dict[_NodeId, list[_Text]] = Field(
        default_factory=dict,
        max_length=100,
        description="Outcomes of queues and assistants, by node; by default `next`.",
    )
    hangs_up_at: _NodeId | None = Field(
        None, description="The caller hangs up when this node first waits for something."
    )


class Expectation(_Model):
    """What must come of it; what is left out may be anything."""

    path: list[_NodeId] | None = Field(None, max_length=1000, description="All nodes, in order.")
    passes: list[_NodeId] = Field(
        default_factory=list, max_length=100, description="Nodes that are passed, in this order."
    )
    ends_at: _NodeId | None = Field(None, description="The last node.")
    variables: dict[VariableName, JsonValue] = Field(default_factory=dict, max_length=100)
    hears: list[_Text] = Field(
        default_factory=list, max_length=100, description="Texts that are said, in this order."
    )


class FlowTest(_Model):
    """A test of a flow: publishing runs it, and refuses a flow that fails it."""

    name: str = Field(min_length=1, max_length=200)
    script: Script = Field(default_factory=Script)
    expect: Expectation
