"""`/v1/translation`: texts in other languages."""

from typing import Annotated, Any, Literal

from pydantic import Field, StringConstraints

from irisx.api.http import Router
from irisx.api.schemas import UNSET, Answer, Body, Success, Timestamp
from irisx.api.v1.ai import AiProviderDetails, Key, Url
from irisx.intelligence import config, languages, translation
from irisx.intelligence.models import AiConfig
from irisx.intelligence.translation import Translated
from irisx.tenancy.access import Caller

router = Router("Translation")

_READ = "translation:read"
_WRITE = "translation:write"

Language = Annotated[
    str,
    StringConstraints(pattern=r"^[a-z]{2,3}(-[A-Za-z]{2,4})?$"),
    Field(description="ISO 639-1, such as `es`.", examples=["es"]),
]
Text = Annotated[str, StringConstraints(min_length=1, max_length=translation.MAX_CHARACTERS)]


class Translate(Body):
    text: Text = Field(examples=["Hello, how can I help you?"])
    source: Language | None = Field(None, description="DetectedLanguage when it is left out.")
    target: Language | None = Field(None, description="Default: the tenant's own target.")


class Translation(Answer):
    translated: str
    source_language: str
    target_language: str
    confidence: float | None = Field(
        description="Of the detected source language; null where it was given: no provider tells "
        "how good a translation is."
    )
    provider_details: AiProviderDetails = Field(validation_alias="details")


@router.post("/v1/translation/translate", access=_WRITE, answer=Translation)
def translate_text(caller: Caller, body: Translate) -> Translated:
    """Translate a text. Without a provider: 503, which names the setting."""
    return translation.translate(
        caller.tenant_id, body.text, body.source, body.target, test=caller.test
    )


class DetectLanguage(Body):
    text: Text


class LanguageGuess(Answer):
    language: str
    confidence: float


class DetectedLanguage(LanguageGuess):
    name: str | None
    alternatives: list[LanguageGuess]


@router.post("/v1/translation/detect", access=_READ, answer=DetectedLanguage)
def detect_language(caller: Caller, body: DetectLanguage) -> dict[str, Any]:
    """Detect a text's language, on this machine."""
    best, *others = languages.detect(body.text)
    name = languages.NAMES.get(best.language)
    return {**vars(best), "name": name, "alternatives": others}


class NamedLanguage(Answer):
    code: str
    name: str


class Languages(Answer):
    languages: list[NamedLanguage]


@router.get("/v1/translation/languages", access=_READ, answer=Success[Languages])
def list_translation_languages(caller: Caller) -> dict[str, Any]:
    """Languages that are detected and named; which pairs are translated, the provider decides."""
    named = [{"code": code, "name": name} for code, name in languages.NAMES.items()]
    return {"data": {"languages": named}}


class TranslationSettingsChange(Body):
    """Null clears a field; one that is left out stays."""

    provider: Literal["libretranslate", "llm"] | None = UNSET
    url: Url | None = UNSET
    api_key: Key | None = UNSET
    target: Language | None = UNSET


class TranslationSettings(Answer):
    provider: Literal["libretranslate", "llm"] | None = Field(
        description="Null: the installation's service, else the chat model."
    )
    url: str | None = Field(description="Of a LibreTranslate-style service.")
    api_key_set: bool = Field(description="The key itself is never shown.")
    target: str | None = Field(description="Language of translations that name none.")
    available: bool = Field(description="Something translates for this tenant.")
    updated_at: Timestamp | None


#: Column of each field.
_COLUMNS = {
    "provider": "translation_provider",
    "url": "translation_url",
    "api_key": "translation_api_key",
    "target": "translation_target",
}


@router.get("/v1/translation/config", access=_READ, answer=TranslationSettings)
def get_translation_config(caller: Caller) -> dict[str, Any]:
    """Get translation settings."""
    return _config(config.of(caller.tenant_id))


@router.put("/v1/translation/config", access=_WRITE, answer=TranslationSettings)
def update_translation_config(caller: Caller, body: TranslationSettingsChange) -> dict[str, Any]:
    """Update translation settings."""
    changed = body.model_dump(exclude_unset=True)
    fields = {_COLUMNS[name]: value for name, value in changed.items()}
    return _config(config.change(caller, caller.tenant_id, fields))


def _config(row: AiConfig) -> dict[str, Any]:
    return {
        "provider": row.translation_provider,
        "url": row.translation_url,
        "api_key_set": row.translation_key_encrypted is not None,
        "target": row.translation_target,
        "available": translation.available(row.tenant_id) is not None,
        "updated_at": row.updated_at,
    }
