"""`/v1/voice/assistants`: assistants that talk with callers, and the numbers they answer."""

from collections.abc import Sequence
from typing import Annotated, Any

from pydantic import Field, StringConstraints

from irisx.api.http import Router
from irisx.api.numbers import Destination, StoredDestination
from irisx.api.schemas import (
    UNSET,
    Answer,
    Body,
    CursorPagination,
    CursorQuery,
    Name,
    OffsetPagination,
    OffsetQuery,
    PublicId,
    Success,
    Timestamp,
    listed,
    read_cursor,
    write_cursor,
)
from irisx.intelligence.assistants import service, sessions, texting
from irisx.intelligence.assistants.config import (
    AssistantLimits,
    AssistantListening,
    AssistantPhrases,
    AssistantSilence,
    Tool,
    TransferTool,
)
from irisx.intelligence.assistants.models import Medium, Outcome
from irisx.intelligence.assistants.service import Deployed
from irisx.kernel.errors import invalid
from irisx.telephony.calls import destinations
from irisx.tenancy.access import Caller

router = Router("Voice Assistants")

_READ = "voice:read"
_WRITE = "voice:write"

AssistantId = Annotated[int, PublicId("asst")]
KnowledgeBaseId = Annotated[int, PublicId("kb")]
Language = Annotated[
    str,
    StringConstraints(pattern=r"^[a-z]{2,3}(-[A-Za-z0-9]{2,8})*$", max_length=35),
    Field(examples=["en-US"]),
]
Voice = Annotated[
    str, StringConstraints(min_length=1, max_length=100), Field(examples=["en-US-Neural2-F"])
]
Personality = Annotated[
    str,
    StringConstraints(strip_whitespace=True, min_length=1, max_length=2000),
    Field(examples=["professional"]),
]
Greeting = Annotated[
    str,
    StringConstraints(strip_whitespace=True, min_length=1, max_length=1000),
    Field(examples=["Hello, how can I help you today?"]),
]
Instructions = Annotated[
    str, StringConstraints(max_length=8000), Field(description="What else it should know and do.")
]
Words = Annotated[
    list[Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=100)]],
    Field(max_length=50),
]
Tools = Annotated[
    list[Tool],
    Field(max_length=30, description="Beside `hang_up` and `escalate`, which each has."),
]


class NewAssistant(Body):
    name: Name = Field(examples=["Sales Assistant"])
    language: Language = "en-US"
    voice: Voice | None = Field(None, description="One that is not here is spoken by another.")
    personality: Personality = "friendly and professional"
    greeting: Greeting
    instructions: Instructions | None = None
    knowledge_base_id: KnowledgeBaseId | None = Field(
        None, description="What its answers rest on; the sources are kept with each turn."
    )
    capabilities: Words = Field([], examples=[["appointments", "orders", "faq"]])
    escalation_triggers: Words = Field(
        [],
        examples=[["angry", "supervisor"]],
        description="A caller who says one of these words is handed over to a person.",
    )
    escalation: Destination | None = Field(
        None, description="Who takes callers over; in a flow, its branch `transfer` decides."
    )
    limits: AssistantLimits = AssistantLimits()
    silence: AssistantSilence = AssistantSilence()
    listening: AssistantListening = AssistantListening()
    phrases: AssistantPhrases = AssistantPhrases()
    tools: Tools = Field(default=[])


class AssistantChange(Body):
    name: Name = UNSET
    language: Language = UNSET
    voice: Voice | None = UNSET
    personality: Personality = UNSET
    greeting: Greeting = UNSET
    instructions: Instructions | None = UNSET
    knowledge_base_id: KnowledgeBaseId | None = UNSET
    capabilities: Words = UNSET
    escalation_triggers: Words = UNSET
    escalation: Destination | None = UNSET
    limits: AssistantLimits = UNSET
    silence: AssistantSilence = UNSET
    listening: AssistantListening = UNSET
    phrases: AssistantPhrases = UNSET
    tools: Tools = UNSET


class AssistantAnswer(Answer):
    id: AssistantId
    name: str
    language: str
    voice: str | None
    personality: str
    greeting: str
    instructions: str | None
    knowledge_base_id: KnowledgeBaseId | None
    capabilities: list[str]
    escalation_triggers: list[str]
    escalation: StoredDestination | None
    limits: AssistantLimits
    silence: AssistantSilence
    listening: AssistantListening
    phrases: AssistantPhrases
    tools: list[Tool]
    phone_numbers: list[str] = Field(description="Calls to these it answers.")
    created_at: Timestamp
    updated_at: Timestamp


class Assistants(Answer):
    assistants: list[AssistantAnswer]
    pagination: OffsetPagination


PhoneNumber = Annotated[
    str,
    StringConstraints(max_length=32),
    Field(description="One of your numbers, E.164 or its id.", examples=["+15555550100", "num_3"]),
]


class Deployment(Body):
    phone_number: PhoneNumber
    replace: bool = Field(False, description="Also a number that leads elsewhere.")


class Undeployment(Body):
    phone_number: PhoneNumber | None = Field(None, description="By default all that lead to it.")


@router.get("/v1/voice/assistants", access=_READ, answer=Success[Assistants])
def list_assistants(caller: Caller, query: OffsetQuery) -> dict[str, Any]:
    """List voice assistants."""
    page, total = service.list_page(caller.tenant_id, limit=query.limit, offset=query.offset)
    return listed("assistants", [_answer(one) for one in page], query, total)


@router.post("/v1/voice/assistants", access=_WRITE, answer=AssistantAnswer, status=201)
def create_assistant(caller: Caller, body: NewAssistant) -> dict[str, Any]:
    """Create a voice assistant."""
    return _answer(service.create(caller, caller.tenant_id, **_fields(caller, body)))


@router.get("/v1/voice/assistants/<assistant_id>", access=_READ, answer=AssistantAnswer)
def get_assistant(caller: Caller, assistant_id: AssistantId) -> dict[str, Any]:
    """Get a voice assistant."""
    return _answer(service.get(caller.tenant_id, assistant_id))


@router.put("/v1/voice/assistants/<assistant_id>", access=_WRITE, answer=AssistantAnswer)
def update_assistant(
    caller: Caller, assistant_id: AssistantId, body: AssistantChange
) -> dict[str, Any]:
    """Update a voice assistant: fields that are left out stay as they are. Conversations that are
    under way go on as they began."""
    changed = _fields(caller, body)
    return _answer(service.change(caller, caller.tenant_id, assistant_id, **changed))


@router.delete("/v1/voice/assistants/<assistant_id>", access=_WRITE)
def delete_assistant(caller: Caller, assistant_id: AssistantId) -> None:
    """Delete a voice assistant that no number leads to. Its conversations stay."""
    service.remove(caller, caller.tenant_id, assistant_id)


@router.post("/v1/voice/assistants/<assistant_id>/deploy", access=_WRITE, answer=AssistantAnswer)
def deploy_assistant(caller: Caller, assistant_id: AssistantId, body: Deployment) -> dict[str, Any]:
    """Have it answer the calls to a phone number."""
    deployed = service.deploy(
        caller, caller.tenant_id, assistant_id, body.phone_number, replace=body.replace
    )
    return _answer(deployed)


@router.post("/v1/voice/assistants/<assistant_id>/undeploy", access=_WRITE, answer=AssistantAnswer)
def undeploy_assistant(
    caller: Caller, assistant_id: AssistantId, body: Undeployment
) -> dict[str, Any]:
    """Free a phone number, or all that lead to it."""
    freed = service.undeploy(caller, caller.tenant_id, assistant_id, body.phone_number)
    return _answer(freed)


def _fields(caller: Caller, body: NewAssistant | AssistantChange) -> dict[str, Any]:
    """What was given, as the service takes it, if every destination is one of the tenant's."""
    given: dict[str, Any] = {name: getattr(body, name) for name in _given(body)}
    if given.get("escalation") is not None:
        destinations.resolve(given["escalation"], caller.tenant_id, "escalation")
        given["escalation"] = given["escalation"].model_dump()
    for index, tool in enumerate(given.get("tools", [])):
        if isinstance(tool, TransferTool):
            field = f"tools.{index}.destination"
            to = destinations.parse(tool.destination, field)
            destinations.resolve(to, caller.tenant_id, field)
    for part in ("limits", "silence", "listening", "phrases"):
        if part in given:
            given[part] = given[part].model_dump(mode="json")
    return given


def _given(body: NewAssistant | AssistantChange) -> Sequence[str]:
    whole = isinstance(body, NewAssistant)
    return list(type(body).model_fields if whole else body.model_fields_set)


def _answer(deployed: Deployed) -> dict[str, Any]:
    row = deployed.row
    columns = {
        name: getattr(row, name) for name in AssistantAnswer.model_fields if hasattr(row, name)
    }
    return columns | {"phone_numbers": deployed.phone_numbers}


# --- conversations --------------------------------------------------------------------------------

SessionId = Annotated[int, PublicId("asn")]


class AssistantText(Body):
    """What a caller would say; nothing, to begin a conversation and read the greeting."""

    text: (
        Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=2000)]
        | None
    ) = None
    session_id: SessionId | None = Field(None, description="Goes on with that conversation.")


class AssistantTurnAnswer(Answer):
    """One exchange. The times are null where that step was not reached; text has no speech."""

    number: int
    heard: str | None
    confidence: float | None
    answer: str
    interrupted: bool
    sources: list[dict[str, Any]] = Field(description="What of the knowledge base it rests on.")
    actions: list[dict[str, Any]] = Field(description="Tools that it used, and what came of them.")
    error: str | None
    speech_began_at: Timestamp | None
    speech_ended_at: Timestamp | None
    recognized_at: Timestamp | None
    first_words_at: Timestamp | None
    first_audio_at: Timestamp | None
    ended_at: Timestamp | None


class AssistantSessionAnswer(Answer):
    id: SessionId
    medium: Medium
    call_sid: str | None
    caller: str | None
    context: str | None
    collected: dict[str, str]
    outcome: Outcome | None = Field(description="Null: it goes on.")
    reason: str | None
    destination: StoredDestination | None
    summary: str | None
    created_at: Timestamp
    ended_at: Timestamp | None


class AssistantConversation(AssistantSessionAnswer):
    turns: list[AssistantTurnAnswer]


class AssistantSessions(Answer):
    sessions: list[AssistantSessionAnswer]
    pagination: CursorPagination


class AssistantTextAnswer(Answer):
    session_id: SessionId
    turn: AssistantTurnAnswer
    outcome: Outcome | None = Field(description="Null: the conversation goes on.")
    reason: str | None
    destination: StoredDestination | None
    summary: str | None
    provider: str | None = Field(description="Null: no model was asked.")
    model: str | None
    sandbox: bool | None = Field(description="True: no language model is configured; it quotes.")


@router.post(
    "/v1/voice/assistants/<assistant_id>/test",
    access=_WRITE,
    answer=AssistantTextAnswer,
    also={409: "The conversation has ended, or the assistant is answering."},
)
def test_assistant(
    caller: Caller, assistant_id: AssistantId, body: AssistantText
) -> dict[str, Any]:
    """Talk with it by text, without a call. Its tools do what they do on a call."""
    tenant_id, session_id = caller.tenant_id, body.session_id
    if session_id is None:
        said = texting.open_session(tenant_id, assistant_id)
        session_id = said.conversation.id
    elif body.text is None:
        raise invalid("text", "required in a conversation that has begun")
    if body.text is not None:
        said = texting.say(tenant_id, assistant_id, session_id, body.text, test=caller.test)
    conversation, details = said.conversation, said.details
    ending = conversation.ending
    return {
        "session_id": session_id,
        "turn": said.turn,
        "outcome": ending and ending.outcome,
        "reason": ending and ending.reason,
        "destination": ending and ending.destination,
        "summary": conversation.summary,
        "provider": details and details.provider,
        "model": details and details.model,
        "sandbox": details and details.sandbox,
    }


@router.get(
    "/v1/voice/assistants/<assistant_id>/sessions", access=_READ, answer=Success[AssistantSessions]
)
def list_assistant_sessions(
    caller: Caller, assistant_id: AssistantId, query: CursorQuery
) -> dict[str, Any]:
    """List an assistant's conversations, newest first."""
    service.get(caller.tenant_id, assistant_id)
    listing = f"assistant-sessions/{assistant_id}"
    position = read_cursor(listing, caller.tenant_id, query.cursor)
    found = sessions.list_page(
        caller.tenant_id,
        assistant_id,
        limit=query.limit + 1,
        before=position[0] if position else None,
    )
    page = found[: query.limit]
    following = [page[-1].id] if len(found) > query.limit else None
    pagination = {
        "limit": query.limit,
        "next_cursor": following and write_cursor(listing, caller.tenant_id, following),
    }
    return {"data": {"sessions": page, "pagination": pagination}}


@router.get(
    "/v1/voice/assistants/<assistant_id>/sessions/<session_id>",
    access=_READ,
    answer=AssistantConversation,
)
def get_assistant_session(
    caller: Caller, assistant_id: AssistantId, session_id: SessionId
) -> dict[str, Any]:
    """Get a conversation with all its turns and their times."""
    row, turns = sessions.get(caller.tenant_id, assistant_id, session_id)
    shown = {name: getattr(row, name) for name in AssistantSessionAnswer.model_fields}
    return shown | {"turns": turns}
