"""The worker's part in knowledge: passages are embedded, again when the embedder changes."""

from datetime import timedelta

from sqlalchemy import bindparam, select, text, update

from irisx.intelligence import engine, providers
from irisx.intelligence.embeddings import MAX_TEXTS, Embedder, Kind
from irisx.intelligence.errors import ProviderError
from irisx.intelligence.knowledge.models import ItemStatus, KnowledgeItem, KnowledgePassage
from irisx.kernel import clock
from irisx.kernel.db import transaction
from irisx.kernel.jobs import wake
from irisx.kernel.logging import get_logger

log = get_logger(__name__)

TOPIC = "knowledge.index"
#: Longer than one batch takes; then another worker goes on where this one stopped.
LEASE = timedelta(minutes=2)
#: Pause after an embedder that was away.
RETRY = timedelta(minutes=1)

_TAKE = text("""
    UPDATE knowledge_items SET next_index_at = now() + :lease
    WHERE id = (
        SELECT id FROM knowledge_items WHERE status = 'indexing' AND next_index_at <= now()
        ORDER BY next_index_at LIMIT 1 FOR UPDATE SKIP LOCKED
    )
    RETURNING id, tenant_id
""")


def index_passages() -> bool:
    """Embed one item's passages; True: there may be another."""
    with transaction() as session:
        taken = session.execute(_TAKE, {"lease": LEASE}).one_or_none()
    if taken is None:
        return False
    embedder = providers.embedder(taken.tenant_id)
    try:
        while _embed_batch(taken.tenant_id, taken.id, embedder):
            pass
    except ProviderError as error:
        log.warning("knowledge_not_indexed", item=taken.id, reason=error.message)
        _settle(taken.id, next_index_at=clock.now() + RETRY, error=error.message)
    else:
        _finish(taken.id, embedder.model)
    return True


def reindex() -> bool:
    """Have passages embedded anew whose tenant has another embedder now."""
    kept = select(KnowledgePassage.tenant_id, KnowledgePassage.embedding_model).distinct()
    with transaction() as session:
        found = session.execute(kept.where(KnowledgePassage.embedding_model.is_not(None))).all()
    for tenant_id, model in found:
        if model == providers.embedder(tenant_id).model:
            continue
        stale = select(KnowledgePassage.item_id).where(
            KnowledgePassage.tenant_id == tenant_id, KnowledgePassage.embedding_model == model
        )
        with transaction() as session:
            session.execute(
                update(KnowledgeItem)
                .where(
                    KnowledgeItem.id.in_(stale),
                    KnowledgeItem.status == ItemStatus.READY,
                )
                .values(
                    status=ItemStatus.INDEXING,
                    next_index_at=clock.now(),
                    updated_at=KnowledgeItem.updated_at,
                )
            )
        wake(TOPIC)
    return False


def _embed_batch(tenant_id: int, item_id: int, embedder: Embedder) -> bool:
    """False: every passage has a vector of this embedder."""
    lacking = (
        select(KnowledgePassage.id, KnowledgePassage.heading, KnowledgePassage.text)
        .where(
            KnowledgePassage.item_id == item_id,
            KnowledgePassage.embedding_model.is_distinct_from(embedder.model),
        )
        .order_by(KnowledgePassage.position)
        .limit(MAX_TEXTS)
    )
    with transaction() as session:
        found = session.execute(lacking).all()
    if not found:
        return False
    texts = [f"{row.heading}\n{row.text}" if row.heading else row.text for row in found]
    vectors = engine.embed(tenant_id, texts, Kind.PASSAGE, embedder=embedder)
    # By key: a passage that was replaced meanwhile is simply not there.
    store = update(KnowledgePassage).where(KnowledgePassage.id == bindparam("key"))
    values = [
        {"key": row.id, "embedding": vector, "embedding_model": embedder.model}
        for row, vector in zip(found, vectors, strict=True)
    ]
    with transaction() as session:
        session.connection().execute(store, values)
        session.execute(
            update(KnowledgeItem)
            .where(KnowledgeItem.id == item_id)
            .values(next_index_at=clock.now() + LEASE)
        )
    return True


def _finish(item_id: int, model: str) -> None:
    """Ready, unless its text was replaced in between."""
    lacking = select(KnowledgePassage.id).where(
        KnowledgePassage.item_id == item_id,
        KnowledgePassage.embedding_model.is_distinct_from(model),
    )
    with transaction() as session:
        done = session.scalar(lacking.limit(1)) is None
    if done:
        _settle(item_id, status=ItemStatus.READY, error=None)
    else:
        _settle(item_id, next_index_at=clock.now())


def _settle(item_id: int, **values: object) -> None:
    with transaction() as session:
        session.execute(
            update(KnowledgeItem)
            .where(KnowledgeItem.id == item_id, KnowledgeItem.status == ItemStatus.INDEXING)
            .values(updated_at=KnowledgeItem.updated_at, **values)
        )
