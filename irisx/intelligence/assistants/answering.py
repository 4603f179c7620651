"""One answer: knowledge, the model's sentences as they come, and the tools that it calls."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from irisx.intelligence import engine
from irisx.intelligence.assistants import tools
from irisx.intelligence.assistants.dialogue import Ending
from irisx.intelligence.assistants.prompt import functions, system_prompt
from irisx.intelligence.assistants.sessions import Conversation, Turn
from irisx.intelligence.chat import (
    Answer,
    Message,
    Passage,
    Request,
    Role,
    Tool,
    sentences,
)
from irisx.intelligence.errors import ProviderError
from irisx.intelligence.knowledge.models import KnowledgeItem
from irisx.intelligence.knowledge.search import search
from irisx.kernel.clock import now
from irisx.kernel.ids import public_id

#: Times that the model is asked for one answer: after each but the last it may call tools.
_MAX_ROUNDS = 5
#: Longest time of one round (s); the caller waits.
ROUND_SECONDS = 20.0
#: Of earlier turns, so many are told to the model.
_MAX_HISTORY = 30
_MAX_TOKENS = 300
_MAX_PASSAGES = 4
#: Meaning is compared if the embedder answers within it (s), else words alone.
_SEARCH_SECONDS = 2.0
#: Under which the usage rows count it.
_TASK = "assistant"


@dataclass
class Answering:
    """One answer under way; `spoken` yields its sentences, and fills in `turn` but for its text.

    `test`: a test key asks, which reaches no model outside this machine. `details`: which model
    answered, None: none was asked.
    """

    conversation: Conversation
    turn: Turn
    test: bool = False
    ending: Ending | None = None
    details: engine.Details | None = None

    def spoken(self) -> Iterator[str]:
        """The answer's sentences, each as soon as it is complete.

        Raises ProviderError or LimitReached when no model answers.
        """
        config = self.conversation.config
        trigger = triggered(self._heard, config.escalation_triggers)
        if trigger is not None:
            self.ending = tools.escalation(trigger).ending
            yield config.phrases.handover
            return
        passages = self._passages()
        messages = self._messages()
        own = [Tool(**function) for function in functions(config.tools)]
        said = False
        for round_ in range(_MAX_ROUNDS):
            last = round_ == _MAX_ROUNDS - 1
            request = Request(messages, () if last else own, passages, max_tokens=_MAX_TOKENS)
            answer = Answer()
            for sentence in sentences(self._pieces(request, answer)):
                said = True
                self.turn.first_words_at = self.turn.first_words_at or now()
                yield sentence
            if not answer.tool_calls:
                break
            messages += self._used(answer)
            if self.ending is not None:
                break
        if not said and self.ending is None:
            raise ProviderError("The AI provider answered nothing.")

    @property
    def _heard(self) -> str:
        return self.turn.heard or ""

    def _pieces(self, request: Request, answer: Answer) -> Iterator[str]:
        tenant_id = self.conversation.tenant_id
        streaming = engine.stream(
            tenant_id, request, task=_TASK, timeout=ROUND_SECONDS, test=self.test
        )
        self.details = streaming.details
        for delta in streaming.deltas:
            answer.add(delta)
            yield delta.text

    def _passages(self) -> Sequence[Passage]:
        base = self.conversation.config.knowledge_base_id
        if base is None:
            return ()
        found = search(
            self.conversation.tenant_id,
            self._heard,
            limit=_MAX_PASSAGES,
            knowledge_base_id=base,
            timeout=_SEARCH_SECONDS,
            test=self.test,
        )
        self.turn.sources = [
            {
                "item_id": public_id(KnowledgeItem.PREFIX, hit.item_id),
                "title": hit.title,
                "source": hit.source,
                "similarity": hit.similarity,
            }
            for hit in found.hits
        ]
        return [hit.passage() for hit in found.hits]

    def _messages(self) -> list[Message]:
        conversation = self.conversation
        system = system_prompt(
            conversation.config,
            now=now(),
            context=conversation.context,
            collected=conversation.collected,
        )
        messages = [Message(Role.SYSTEM, system)]
        for turn in conversation.turns[-_MAX_HISTORY:]:
            if turn is self.turn:
                continue
            if turn.heard:
                messages.append(Message(Role.USER, turn.heard))
            if turn.answer:
                messages.append(Message(Role.ASSISTANT, turn.answer))
        return [*messages, Message(Role.USER, self._heard)]

    def _used(self, answer: Answer) -> list[Message]:
        """Run the tools that the model called; what was called and what came of it."""
        messages = [Message(Role.ASSISTANT, answer.text, answer.tool_calls)]
        for call in answer.tool_calls:
            done = tools.run(call, self.conversation)
            self.ending = self.ending or done.ending
            self.turn.actions.append(
                {"tool": call.name, "arguments": call.arguments, "result": done.told}
            )
            messages.append(Message(Role.TOOL, done.told, tool_call_id=call.id))
        return messages


def triggered(heard: str, triggers: Sequence[str]) -> str | None:
    """The first of the words and phrases that the caller said, whatever their case."""
    for trigger in triggers:
        if re.search(rf"(?<!\w){re.escape(trigger)}(?!\w)", heard, re.IGNORECASE):
            return trigger
    return None
