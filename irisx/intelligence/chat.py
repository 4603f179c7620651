"""What a chat model is, whoever runs it: messages in, deltas of text and tool calls out."""

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Protocol


class Role(StrEnum):
    SYSTEM = "system"
    USER = "user"
    ASSISTANT = "assistant"
    TOOL = "tool"


@dataclass(frozen=True)
class ToolCall:
    """A tool that the model wants run. `arguments`: JSON object as the model wrote it.

    None: what it wrote is no JSON object; tell the model so in the tool's answer.
    """

    id: str
    name: str
    arguments: dict[str, Any] | None


@dataclass(frozen=True)
class Message:
    """One message. `tool_calls`: of an assistant; `tool_call_id`: what a tool's answer is to."""

    role: Role
    content: str
    tool_calls: Sequence[ToolCall] = ()
    tool_call_id: str | None = None


@dataclass(frozen=True)
class Tool:
    """A function that the model may call. `parameters`: JSON Schema of an object."""

    name: str
    description: str
    parameters: dict[str, Any]


@dataclass(frozen=True)
class Passage:
    """A piece of the tenant's knowledge that an answer may rest on. `source`: title or URL."""

    text: str
    source: str
    item_id: int | None = None
    score: float | None = None


@dataclass(frozen=True)
class Tokens:
    """As the provider counted them."""

    prompt: int
    completion: int


@dataclass(frozen=True)
class Delta:
    """A piece of an answer. Tool calls come whole; `tokens` with the last delta, if at all."""

    text: str = ""
    tool_calls: Sequence[ToolCall] = ()
    finish: str | None = None
    tokens: Tokens | None = None


@dataclass(frozen=True)
class Request:
    """What a model is asked. `passages`: knowledge that the answer must rest on."""

    messages: Sequence[Message]
    tools: Sequence[Tool] = ()
    passages: Sequence[Passage] = ()
    max_tokens: int = 800
    temperature: float = 0.2
    json_schema: dict[str, Any] | None = None


class ChatModel(Protocol):
    """`provider` and `model` go into answers and usage rows; `sandbox`: no language model."""

    provider: str
    model: str
    sandbox: bool

    def stream(self, request: Request, *, timeout: float) -> Iterator[Delta]:
        """The answer as it is made, within `timeout` seconds in all. Raises ProviderError."""


@dataclass
class Answer:
    """A whole answer, put together from its deltas."""

    text: str = ""
    tool_calls: list[ToolCall] = field(default_factory=list)
    finish: str | None = None
    tokens: Tokens | None = None

    def add(self, delta: Delta) -> None:
        self.text += delta.text
        self.tool_calls += delta.tool_calls
        self.finish = delta.finish or self.finish
        self.tokens = delta.tokens or self.tokens


#: The end of a sentence: its mark, closing quotes, and the space that proves it over. An
#: abbreviation of one letter or a title before a name ends none.
_END = re.compile(
    r"""(?<!\b[A-Za-z])(?<!\b(?:Mr|Dr|St|No|vs))(?<!\b(?:Mrs|etc|e\.g|i\.e))[.!?…]+["'”’)]*\s+"""
    r"|[。！？]|\n+"
)


def sentences(pieces: Iterable[str]) -> Iterator[str]:
    """Whole sentences out of pieces of text, each as soon as it is over; joined: the same words.

    A sentence is held back until what follows it has begun, or at the end.
    """
    held = ""
    for piece in pieces:
        held += piece
        while match := _END.search(held):
            sentence, held = held[: match.end()].strip(), held[match.end() :]
            if sentence:
                yield sentence
    if held.strip():
        yield held.strip()
