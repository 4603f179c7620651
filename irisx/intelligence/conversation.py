"""Chat as the API offers it: the tenant's instructions and knowledge in front, sources behind."""

from collections.abc import Sequence
from dataclasses import dataclass

from irisx.intelligence import config, engine
from irisx.intelligence.chat import Message, Request, Role
from irisx.intelligence.engine import Completion
from irisx.intelligence.knowledge.search import Hit, search

_PASSAGES = 5
_QUESTION_CHARACTERS = 1000


@dataclass(frozen=True)
class Reply:
    """`sources`: passages that the model was given, best first."""

    completion: Completion
    sources: Sequence[Hit]


def reply(
    tenant_id: int,
    messages: Sequence[Message],
    *,
    use_knowledge: bool,
    knowledge_base_id: int | None,
    max_tokens: int,
    temperature: float,
    test: bool,
) -> Reply:
    """The next message of a conversation. Raises ProviderError, LimitReached."""
    instructions = config.of(tenant_id).instructions
    front = [Message(Role.SYSTEM, instructions)] if instructions else []
    question = next((m.content for m in reversed(messages) if m.role is Role.USER), "")
    hits: Sequence[Hit] = ()
    if use_knowledge and question:
        hits = search(
            tenant_id,
            question[:_QUESTION_CHARACTERS],
            limit=_PASSAGES,
            knowledge_base_id=knowledge_base_id,
            test=test,
        ).hits
    request = Request(
        [*front, *messages],
        passages=[hit.passage() for hit in hits],
        max_tokens=max_tokens,
        temperature=temperature,
    )
    return Reply(engine.complete(tenant_id, request, task="chat", test=test), hits)
