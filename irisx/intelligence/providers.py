"""Which model does a tenant's work: its own, else the installation's, else the local one."""

from collections.abc import Callable
from typing import TypeVar

from irisx.intelligence import config
from irisx.intelligence.chat import ChatModel
from irisx.intelligence.embeddings import Embedder, LocalEmbedder
from irisx.intelligence.extractive import ExtractiveChat
from irisx.intelligence.openai import Endpoint, OpenAiChat, OpenAiEmbedder, OpenAiRecognizer
from irisx.intelligence.recognition import LocalRecognizer, Recognizer
from irisx.kernel import crypto
from irisx.settings import get_settings

Model = TypeVar("Model")


def chat_model(tenant_id: int, *, test: bool = False) -> ChatModel:
    """`test`: a test key asks, which reaches nothing outside this machine."""
    return _remote(tenant_id, "chat_model", OpenAiChat, test) or ExtractiveChat()


def embedder(tenant_id: int, *, test: bool = False) -> Embedder:
    return _remote(tenant_id, "embedding_model", OpenAiEmbedder, test) or LocalEmbedder()


def recognizer(tenant_id: int, *, test: bool = False) -> Recognizer:
    """Raises NotConfigured where there are neither weights nor a provider."""
    remote = _remote(tenant_id, "transcription_model", OpenAiRecognizer, test)
    return remote or LocalRecognizer.configured()


def _remote(
    tenant_id: int, field: str, make: Callable[[Endpoint, str], Model], test: bool
) -> Model | None:
    """The tenant's own, or the installation's, where either names a model for it."""
    if test:
        return None
    own = config.of(tenant_id)
    model: str | None = getattr(own, field)
    if own.base_url is not None and model is not None:
        key = own.api_key_encrypted and crypto.decrypt(own.api_key_encrypted)
        return make(Endpoint(own.base_url, key, trusted=False), model)
    settings = get_settings()
    model = getattr(settings, f"ai_{field}")
    if settings.ai_base_url is not None and model is not None:
        secret = settings.ai_api_key
        key = secret.get_secret_value() if secret else None
        return make(Endpoint(settings.ai_base_url, key, trusted=True), model)
    return None
