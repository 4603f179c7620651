"""What an assistant is told to be: the parts of its configuration, checked and with defaults."""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from irisx.kernel.http import MAX_URL_LENGTH
from irisx.tenancy.assistant_models import VoiceAssistant

#: A function's name, as chat models take it.
ToolName = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]{0,39}$")]
_Text = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=500)]


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class AssistantLimits(_Part):
    """When a conversation ends whatever is said: it escalates, or says goodbye and hangs up."""

    max_turns: int = Field(40, ge=1, le=200)
    max_seconds: int = Field(900, ge=10, le=3600)


class AssistantSilence(_Part):
    """A caller who says nothing is asked, so many times, and then the call ends."""

    seconds: float = Field(8.0, ge=2, le=60)
    prompts: list[_Text] = Field(
        default=["Are you still there?"], min_length=0, max_length=5, description="One after each."
    )
    goodbye: _Text = Field("I can't hear you, so I will hang up now. Goodbye.")


class AssistantListening(_Part):
    """Turn taking. `end_of_turn_ms`: the pause after which the caller has done speaking."""

    end_of_turn_ms: int = Field(600, ge=200, le=3000)
    barge_in: bool = Field(True, description="The caller may interrupt the assistant.")


class AssistantPhrases(_Part):
    """What it says by itself, in its language."""

    repeat: _Text = Field("Sorry, could you say that again?", description="It was not understood.")
    handover: _Text = Field(
        "One moment, I will connect you with a colleague.", description="Before an escalation."
    )
    sorry: _Text = Field(
        "Sorry, I can't help you right now.", description="Something that it needs is not there."
    )


class ToolParameter(_Part):
    """One thing that a webhook is told; the assistant asks the caller for it."""

    name: ToolName
    description: _Text
    type: Literal["string", "number", "integer", "boolean"] = "string"
    required: bool = True


class CollectTool(_Part):
    """Ask for something and keep it with the conversation."""

    type: Literal["collect"]
    name: ToolName = Field(examples=["order_number"])
    description: _Text = Field(examples=["The number of the order, eight digits"])


class WebhookTool(_Part):
    """Ask a program of the tenant's: a signed POST, whose answer the assistant reads."""

    type: Literal["webhook"]
    name: ToolName = Field(examples=["order_status"])
    description: _Text = Field(examples=["Where an order is"])
    url: str = Field(min_length=1, max_length=MAX_URL_LENGTH)
    parameters: list[ToolParameter] = Field(default=[], max_length=20)
    timeout_seconds: float = Field(5.0, ge=0.5, le=15)


class TransferTool(_Part):
    """Connect the caller with somebody."""

    type: Literal["transfer"]
    name: ToolName = Field(examples=["transfer_to_sales"])
    description: _Text = Field(examples=["When the caller wants to buy"])
    destination: dict[str, Any]


class CallbackTool(_Part):
    """Book a call back: the event `callback.requested`, which the contact centre takes up."""

    type: Literal["callback"]
    name: ToolName = "book_callback"
    description: _Text = "When the caller wants to be called back"
    queue_id: str | None = Field(None, pattern=r"^queue_[0-9]{1,18}$")


Tool = Annotated[
    CollectTool | WebhookTool | TransferTool | CallbackTool, Field(discriminator="type")
]


class Config(_Part):
    """All that a conversation needs of its assistant; kept with it, whatever changes later.

    `knowledge_base_id`: a row key. `escalation`: a destination, None: there is nobody.
    """

    name: str
    language: str
    voice: str | None
    personality: str
    greeting: str
    instructions: str | None
    knowledge_base_id: int | None
    capabilities: list[str]
    escalation_triggers: list[str]
    escalation: dict[str, Any] | None
    limits: AssistantLimits
    silence: AssistantSilence
    listening: AssistantListening
    phrases: AssistantPhrases
    tools: list[Tool]


def config_of(row: VoiceAssistant) -> Config:
    return Config.model_validate({name: getattr(row, name) for name in Config.model_fields})
