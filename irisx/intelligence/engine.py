"""The AI engine: what everything that needs a model calls. It chooses, limits and meters.

answer = engine.stream(tenant_id, Request([Message(Role.USER, "When are you open?")]),
                       task="assistant", timeout=20)
for sentence in sentences(delta.text for delta in answer.deltas):
    ...
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from irisx.intelligence import providers, usage
from irisx.intelligence.chat import Answer, ChatModel, Delta, Request
from irisx.intelligence.embeddings import MAX_TEXTS, Embedder, Kind, Vector
from irisx.intelligence.recognition import Recognized, Samples

#: As long as an operation of the API may last, less a little.
CHAT_SECONDS = 25.0
EMBED_SECONDS = 20.0
RECOGNIZE_SECONDS = 60.0


@dataclass(frozen=True)
class Details:
    """Who answered. `sandbox`: no language model is configured; the answer is quoted or ruled."""

    provider: str
    model: str
    sandbox: bool


@dataclass(frozen=True)
class Streaming:
    """An answer on its way. Reading `deltas` to the end, or closing them, writes the usage row."""

    details: Details
    deltas: Iterator[Delta]


@dataclass(frozen=True)
class Completion:
    details: Details
    answer: Answer


def stream(
    tenant_id: int,
    request: Request,
    *,
    task: str,
    timeout: float = CHAT_SECONDS,
    test: bool = False,
) -> Streaming:
    """Ask the tenant's chat model. `task` names the use in the usage rows (`chat`, `summarize`).

    Raises LimitReached here, ProviderError while the deltas are read.
    """
    model = providers.chat_model(tenant_id, test=test)
    if not model.sandbox:
        usage.check_limit(tenant_id)
    deltas = _metered(tenant_id, task, model, request, timeout)
    return Streaming(Details(model.provider, model.model, model.sandbox), deltas)


def _metered(
    tenant_id: int, task: str, model: ChatModel, request: Request, timeout: float
) -> Iterator[Delta]:
    with usage.metered(tenant_id, task, model) as meter:
        meter.characters_in = sum(len(message.content) for message in request.messages)
        meter.characters_in += sum(len(passage.text) for passage in request.passages)
        for delta in model.stream(request, timeout=timeout):
            meter.characters_out += len(delta.text)
            meter.tokens = delta.tokens or meter.tokens
            yield delta


def complete(
    tenant_id: int,
    request: Request,
    *,
    task: str,
    timeout: float = CHAT_SECONDS,
    test: bool = False,
) -> Completion:
    """As `stream`, but the whole answer."""
    streaming = stream(tenant_id, request, task=task, timeout=timeout, test=test)
    answer = Answer()
    for delta in streaming.deltas:
        answer.add(delta)
    return Completion(streaming.details, answer)


def embed(
    tenant_id: int,
    texts: Sequence[str],
    kind: Kind,
    *,
    embedder: Embedder | None = None,
    timeout: float = EMBED_SECONDS,
    test: bool = False,
) -> list[Vector]:
    """Vectors of texts by the tenant's embedder. `timeout`: for each MAX_TEXTS of them.

    Raises ProviderError.
    """
    model = embedder or providers.embedder(tenant_id, test=test)
    vectors: list[Vector] = []
    with usage.metered(tenant_id, "embed", model) as meter:
        for start in range(0, len(texts), MAX_TEXTS):
            batch = texts[start : start + MAX_TEXTS]
            vectors += model.embed(batch, kind, timeout=timeout)
            meter.characters_in += sum(map(len, batch))
    return vectors


def recognize(
    tenant_id: int,
    samples: Samples,
    rate: int,
    *,
    language: str | None = None,
    task: str = "recognize",
    timeout: float = RECOGNIZE_SECONDS,
    test: bool = False,
) -> Recognized:
    """What is said in at most `recognition.MAX_SECONDS` of sound. Raises ProviderError."""
    model = providers.recognizer(tenant_id, test=test)
    with usage.metered(tenant_id, task, model) as meter:
        meter.audio_seconds = len(samples) / rate
        found = model.recognize(samples, rate, language=language, timeout=timeout)
        meter.characters_out = len(found.text)
    return found
