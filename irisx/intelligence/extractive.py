"""The chat model of an installation without a language model: it quotes, it makes nothing up.

It answers with the sentences of the tenant's knowledge that share the most words with the question,
or says that it knows nothing about it. It calls no tools and writes no text of its own beyond the
fixed sentences here.
"""

import re
from collections.abc import Iterator, Sequence

from irisx.intelligence.chat import Delta, Passage, Request, Role, sentences

NO_KNOWLEDGE = (
    "I can't answer that: it is not in the knowledge base, and no language model is configured."
)
_QUOTED_SENTENCES = 2
_MAX_CHARACTERS = 500
_ABOUT_AS_GOOD = 0.6
#: Similarity, by the local embedder, of a question and a passage that answers it in other words.
CLOSE = 0.8
_WORD = re.compile(r"\w+")
#: Words that say nothing about what a question is about.
_COMMON = frozenset((
    "a", "an", "and", "any", "are", "at", "be", "by", "can", "could", "do", "does", "for",
    "from", "get", "give", "have", "how", "i", "in", "is", "it", "me", "my", "of", "on", "or",
    "please", "tell", "that", "the", "their", "there", "they", "this", "to", "us", "was",
    "we", "what", "when", "where", "which", "who", "will", "with", "would", "you", "your",
))  # fmt: skip


class ExtractiveChat:
    """`sandbox`: it is no language model, and answers say so."""

    provider = "local"
    model = "extractive"
    sandbox = True

    def stream(self, request: Request, *, timeout: float) -> Iterator[Delta]:
        """One delta a sentence."""
        asked = [m.content for m in request.messages if m.role is Role.USER]
        found = quote(asked[-1] if asked else "", request.passages)
        for index, sentence in enumerate(found or [NO_KNOWLEDGE]):
            yield Delta(text=f" {sentence}" if index else sentence)
        yield Delta(finish="stop")


def quote(question: str, passages: Sequence[Passage]) -> list[str]:
    """The sentences that answer best, in the passages' order; none where nothing fits.

    A sentence must share a word of substance with the question, or be of the passage that the
    search ranked first and found close in meaning.
    """
    wanted = stems(question)
    ranked: list[tuple[float, int, str]] = []
    for rank, passage in enumerate(passages):
        close = rank == 0 and (passage.score or 0.0) >= CLOSE
        for sentence in sentences([passage.text]):
            shared = len(wanted & stems(sentence))
            if shared or close:
                # The search's order breaks ties.
                value = shared + 0.5 / (1 + rank)
                ranked.append((value, len(ranked), sentence[:_MAX_CHARACTERS]))
    best = sorted(ranked, key=lambda item: (-item[0], item[1]))[:_QUOTED_SENTENCES]
    # A second one only where it is about as good.
    good = [item for item in best if item[0] >= best[0][0] * _ABOUT_AS_GOOD]
    return [sentence for _, _, sentence in sorted(good, key=lambda item: item[1])]


def stems(text: str) -> frozenset[str]:
    """The words of substance, cut to the part that their forms share in many languages."""
    words = (word.lower() for word in _WORD.findall(text))
    return frozenset(
        word[:6].rstrip("s") for word in words if word not in _COMMON and len(word) > 1
    )
