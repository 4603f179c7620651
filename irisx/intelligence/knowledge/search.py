"""Searching a tenant's knowledge by words and by meaning at once.

Two ranked lists, of full-text search and of vectors' nearness, are put together by reciprocal rank
fusion (Cormack, Clarke, Büttcher, SIGIR 2009): robust where the two scores can't be compared.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import text
from sqlalchemy.orm import Session

from irisx.intelligence import engine, providers
from irisx.intelligence.chat import Passage
from irisx.intelligence.embeddings import Kind, Vector
from irisx.intelligence.errors import ProviderError
from irisx.kernel.db import transaction
from irisx.kernel.logging import get_logger

log = get_logger(__name__)

#: Candidates of each list.
_CANDIDATES = 40
#: The constant of reciprocal rank fusion, as its authors found it.
_RANK_CONSTANT = 60

_ITEMS = """
    FROM knowledge_passages p JOIN knowledge_items i ON i.id = p.item_id
    WHERE p.tenant_id = :tenant_id
        AND (CAST(:base AS bigint) IS NULL OR i.id = :base OR i.knowledge_base_id = :base)
"""
_COLUMNS = "p.id, p.item_id, p.heading, p.text, p.position, i.title, i.source"

# Any of the words, not all: questions hold many words that their answers do not.
_BY_WORDS = text(f"""
    WITH asked AS (
        SELECT replace(plainto_tsquery('english', :query)::text, '&', '|')::tsquery AS words
    )
    SELECT {_COLUMNS}, ts_rank_cd(p.words, asked.words, 1) AS rank
    {_ITEMS.replace("WHERE", "CROSS JOIN asked WHERE")} AND p.words @@ asked.words
    ORDER BY rank DESC, p.id LIMIT :limit
""")
_BY_MEANING = text(f"""
    SELECT {_COLUMNS}, 1 - (p.embedding::vector <=> CAST(:vector AS vector)) AS similarity
    {_ITEMS} AND p.embedding_model = :model AND cardinality(p.embedding) = :dimensions
    ORDER BY p.embedding::vector <=> CAST(:vector AS vector), p.id LIMIT :limit
""")
_HAS_PGVECTOR = text("SELECT to_regtype('vector') IS NOT NULL")


@dataclass
class Hit:
    """A passage that was found.

    `similarity`: cosine of question and passage, None if it was found by words only; `score`: of
    the fusion, comparable within one answer only.
    """

    item_id: int
    title: str
    source: str | None
    heading: str | None
    text: str
    position: int
    similarity: float | None = None
    score: float = 0.0

    def passage(self) -> Passage:
        """As a chat model takes it."""
        return Passage(self.text, self.title, self.item_id, self.similarity)


@dataclass(frozen=True)
class Found:
    """Best first. `by_meaning` False: only words were compared; `reason` says why."""

    hits: Sequence[Hit]
    by_meaning: bool
    reason: str | None = None


def search(
    tenant_id: int,
    query: str,
    *,
    limit: int = 5,
    knowledge_base_id: int | None = None,
    timeout: float = engine.EMBED_SECONDS,
    test: bool = False,
) -> Found:
    """The passages that fit a question best. `knowledge_base_id`: an item or a collection of them.

    Where the embedder or pgvector is away, words alone decide, and the answer says so.
    """
    vector, reason = _vector(tenant_id, query, timeout, test)
    about: dict[str, Any] = {
        "tenant_id": tenant_id,
        "base": knowledge_base_id,
        "limit": _CANDIDATES,
    }
    by_meaning: Sequence[Any] = ()
    with transaction() as session:
        by_words = session.execute(_BY_WORDS, about | {"query": query}).all()
        if vector is not None and not has_pgvector(session):
            vector, reason = None, "PostgreSQL lacks the extension pgvector."
        if vector is not None:
            model, values = vector
            compared = {"model": model, "vector": str(values), "dimensions": len(values)}
            by_meaning = session.execute(_BY_MEANING, about | compared).all()
    hits = _fused(by_words, by_meaning)
    return Found(hits[:limit], by_meaning=vector is not None, reason=reason)


def _vector(
    tenant_id: int, query: str, timeout: float, test: bool
) -> tuple[tuple[str, Vector] | None, str | None]:
    """The model and the question's vector, or the reason why there is none."""
    embedder = providers.embedder(tenant_id, test=test)
    try:
        (vector,) = engine.embed(tenant_id, [query], Kind.QUERY, embedder=embedder, timeout=timeout)
    except ProviderError as error:
        log.warning("searched_by_words_only", tenant_id=tenant_id, reason=error.message)
        return None, error.message
    return (embedder.model, vector), None


def has_pgvector(session: Session) -> bool:
    """Whether the database can compare vectors: the extension is there and was created."""
    return bool(session.execute(_HAS_PGVECTOR).scalar_one())


def _fused(by_words: Sequence[Any], by_meaning: Sequence[Any]) -> list[Hit]:
    hits: dict[int, Hit] = {}
    for ranked in (by_words, by_meaning):
        for rank, row in enumerate(ranked, 1):
            hit = hits.setdefault(
                row.id,
                Hit(row.item_id, row.title, row.source, row.heading, row.text, row.position),
            )
            hit.score += 1 / (_RANK_CONSTANT + rank)
            if ranked is by_meaning:
                hit.similarity = round(float(row.similarity), 4)
    return sorted(hits.values(), key=lambda hit: -hit.score)
