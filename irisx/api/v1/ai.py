"""`/v1/ai`: what language models make of texts, and which models those are."""

from typing import Annotated, Any, Literal

from pydantic import Field, StringConstraints

from irisx.api.http import Router
from irisx.api.schemas import UNSET, Answer, Body, PublicId, Success, Timestamp
from irisx.intelligence import config, conversation, inventory, languages, tasks
from irisx.intelligence.chat import Message, Role
from irisx.intelligence.engine import Details
from irisx.intelligence.models import AiConfig
from irisx.intelligence.tasks import Asker, Choice
from irisx.kernel.http import MAX_URL_LENGTH
from irisx.tenancy.access import Caller

router = Router("AI Engine")

_READ = "ai:read"
_WRITE = "ai:write"

Text = Annotated[
    str,
    StringConstraints(strip_whitespace=True, min_length=1, max_length=tasks.MAX_CHARACTERS),
]
Url = Annotated[str, StringConstraints(min_length=1, max_length=MAX_URL_LENGTH)]
ModelName = Annotated[str, StringConstraints(min_length=1, max_length=200)]
Key = Annotated[str, StringConstraints(min_length=1, max_length=500, pattern=r"^[\x21-\x7e]+$")]
KnowledgeId = Annotated[int, PublicId("kb")]


class AiProviderDetails(Answer):
    """Who answered. `sandbox`: no language model is configured; it is quoted or ruled."""

    provider: str
    model: str
    sandbox: bool


# --- chat ---------------------------------------------------------------------------------------


class ChatMessage(Body):
    role: Literal["system", "user", "assistant"]
    content: Text


class Chat(Body):
    messages: list[ChatMessage] = Field(min_length=1, max_length=100)
    use_knowledge: bool = Field(
        True, description="Look for the last question in the knowledge base and answer from it."
    )
    knowledge_base_id: KnowledgeId | None = Field(None, description="Only this item or collection.")
    max_tokens: int = Field(800, ge=1, le=4000)
    temperature: float = Field(0.2, ge=0, le=2, strict=False)


class ChatSource(Answer):
    item_id: KnowledgeId
    title: str
    source: str | None
    text: str
    similarity: float | None


class TokenUsage(Answer):
    """As the provider counted; null where it does not."""

    prompt_tokens: int | None
    completion_tokens: int | None


class ChatReply(Answer):
    role: Literal["assistant"] = "assistant"
    content: str
    finish_reason: str | None
    sources: list[ChatSource] = Field(description="Passages that the model was given, best first.")
    usage: TokenUsage
    provider_details: AiProviderDetails


@router.post("/v1/ai/chat", access=_WRITE, answer=ChatReply)
def create_chat_completion(caller: Caller, body: Chat) -> dict[str, Any]:
    """Chat completion, from the tenant's knowledge where it has some."""
    reply = conversation.reply(
        caller.tenant_id,
        [Message(Role(message.role), message.content) for message in body.messages],
        use_knowledge=body.use_knowledge,
        knowledge_base_id=body.knowledge_base_id,
        max_tokens=body.max_tokens,
        temperature=body.temperature,
        test=caller.test,
    )
    answer, details = reply.completion.answer, reply.completion.details
    return {
        "content": answer.text,
        "finish_reason": answer.finish,
        "sources": reply.sources,
        "usage": {
            "prompt_tokens": answer.tokens and answer.tokens.prompt,
            "completion_tokens": answer.tokens and answer.tokens.completion,
        },
        "provider_details": details,
    }


# --- texts --------------------------------------------------------------------------------------


class TextBody(Body):
    text: Text


class DetailedAnswer(Answer):
    provider_details: AiProviderDetails


def _asker(caller: Caller) -> Asker:
    return Asker(caller.tenant_id, caller.test)


def _detailed(value: tasks.Shape, details: Details) -> dict[str, Any]:
    return {**value.model_dump(), "provider_details": details}


class Summarize(TextBody):
    max_sentences: int = Field(3, ge=1, le=10)


class SummaryAnswer(DetailedAnswer):
    summary: str
    key_points: list[str]


@router.post("/v1/ai/summarize", access=_WRITE, answer=SummaryAnswer)
def summarize_text(caller: Caller, body: Summarize) -> dict[str, Any]:
    """Summarize a conversation. Without a language model: its most telling sentences."""
    return _detailed(*tasks.summarize(_asker(caller), body.text, body.max_sentences))


class SentimentAnswer(DetailedAnswer):
    sentiment: Literal["positive", "neutral", "negative"]
    score: float = Field(description="-1, bad, to 1, good.")


@router.post("/v1/ai/sentiment", access=_WRITE, answer=SentimentAnswer)
def analyze_sentiment(caller: Caller, body: TextBody) -> dict[str, Any]:
    """Sentiment of a text. Without a language model: VADER, English only."""
    return _detailed(*tasks.sentiment(_asker(caller), body.text))


class IntentChoice(Body):
    name: Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=100)]
    examples: list[Annotated[str, StringConstraints(min_length=1, max_length=300)]] = Field(
        max_length=10, default_factory=list, description="Sentences that mean it."
    )


class DetectIntent(TextBody):
    intents: list[IntentChoice] = Field(
        max_length=20,
        default_factory=list,
        description="Those to choose from; needed where there is no language model.",
    )


class IntentAnswer(DetailedAnswer):
    intent: str | None = Field(description="Null: none of those given fits.")
    confidence: float | None


@router.post("/v1/ai/intent", access=_WRITE, answer=IntentAnswer)
def detect_intent(caller: Caller, body: DetectIntent) -> dict[str, Any]:
    """What the writer wants. Without a language model: the intent with the nearest example."""
    choices = [Choice(choice.name, choice.examples) for choice in body.intents]
    return _detailed(*tasks.intent(_asker(caller), body.text, choices))


class ExtractEntities(TextBody):
    types: list[Annotated[str, StringConstraints(pattern=r"^[a-z_]{1,50}$")]] = Field(
        max_length=20,
        default_factory=list,
        description="Such as person, email, phone, money; default: all that can be found.",
    )
    region: Annotated[str, StringConstraints(pattern=r"^[A-Z]{2}$")] | None = Field(
        None, description="Country whose phone numbers need no country code.", examples=["US"]
    )


class EntityAnswer(Answer):
    type: str
    text: str
    value: str | None = Field(description="Its normal form, such as E.164 of a phone number.")
    start: int | None = Field(description="Place in the text; null: not there word for word.")
    end: int | None


class EntitiesAnswer(DetailedAnswer):
    entities: list[EntityAnswer]


@router.post("/v1/ai/entities", access=_WRITE, answer=EntitiesAnswer)
def extract_entities(caller: Caller, body: ExtractEntities) -> dict[str, Any]:
    """Entities in a text. Without a language model: email, url, phone, money, date."""
    return _detailed(*tasks.entities(_asker(caller), body.text, body.types, body.region))


class Analysis(Answer):
    language: str = Field(description="ISO 639-1, found on this machine.")
    language_confidence: float
    words: int
    sentiment: SentimentAnswer
    summary: SummaryAnswer
    entities: EntitiesAnswer


@router.post("/v1/ai/analyze", access=_WRITE, answer=Analysis)
def analyze_text(caller: Caller, body: TextBody) -> dict[str, Any]:
    """Language, sentiment, summary and entities of a text."""
    guess = languages.detect(body.text, limit=1)[0]
    found = tasks.analyze(_asker(caller), body.text)
    return {
        "language": guess.language,
        "language_confidence": guess.confidence,
        "words": len(body.text.split()),
        "sentiment": _detailed(*found.sentiment),
        "summary": _detailed(*found.summary),
        "entities": _detailed(*found.entities),
    }


# --- configuration ------------------------------------------------------------------------------

RedactKinds = Annotated[
    list[Literal["card", "identity"]],
    Field(max_length=2, description="Numbers that transcripts do not keep."),
]


class AiSettingsChange(Body):
    """Null clears a field; one that is left out stays."""

    base_url: Url | None = UNSET
    api_key: Key | None = UNSET
    chat_model: ModelName | None = UNSET
    embedding_model: ModelName | None = UNSET
    transcription_model: ModelName | None = UNSET
    instructions: Annotated[str, StringConstraints(min_length=1, max_length=8000)] | None = UNSET
    monthly_token_limit: Annotated[int, Field(ge=0, le=10**12)] | None = UNSET
    transcribe_recordings: bool = UNSET
    redact: RedactKinds = UNSET


class AiSettings(Answer):
    base_url: str | None = Field(
        description="Of an OpenAI-style interface. Null: the installation's, or this machine."
    )
    api_key_set: bool = Field(description="The key itself is never shown.")
    chat_model: str | None
    embedding_model: str | None
    transcription_model: str | None
    instructions: str | None = Field(description="What every chat completion begins with.")
    monthly_token_limit: int | None = Field(
        description="Tokens of providers in a calendar month (UTC); then 429 AI_LIMIT_REACHED."
    )
    transcribe_recordings: bool = Field(description="Every new recording, not only on demand.")
    redact: RedactKinds
    updated_at: Timestamp | None = Field(description="Null: never changed.")


@router.get("/v1/ai/config", access=_READ, answer=AiSettings)
def get_ai_config(caller: Caller) -> dict[str, Any]:
    """Get AI settings."""
    return _config(config.of(caller.tenant_id))


@router.put("/v1/ai/config", access=_WRITE, answer=AiSettings)
def update_ai_config(caller: Caller, body: AiSettingsChange) -> dict[str, Any]:
    """Update AI settings. A key is forgotten when the URL that it was given for changes."""
    changed = body.model_dump(exclude_unset=True)
    return _config(config.change(caller, caller.tenant_id, changed))


def _config(row: AiConfig) -> dict[str, Any]:
    return {
        **{name: getattr(row, name) for name in AiSettings.model_fields if name != "api_key_set"},
        "api_key_set": row.api_key_encrypted is not None,
    }


class AiModel(Answer):
    capability: Literal["chat", "embeddings", "speech-to-text", "translation"]
    provider: str
    model: str
    active: bool = Field(description="It does this tenant's work.")
    available: bool
    sandbox: bool
    reason: str | None = Field(description="What is missing.")


class AiModels(Answer):
    models: list[AiModel]


@router.get("/v1/ai/models", access=_READ, answer=Success[AiModels])
def list_ai_models(caller: Caller) -> dict[str, Any]:
    """Which models there are, and which of them do the work."""
    return {"data": {"models": inventory.of(caller.tenant_id)}}
