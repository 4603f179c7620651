"""Knowledge items and the passages that they are searched by."""

from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import ARRAY, REAL, BigInteger, Computed, ForeignKey, Index, Integer, func, text
from sqlalchemy.dialects.postgresql import TSVECTOR
from sqlalchemy.orm import Mapped, mapped_column

from irisx.kernel.db import Base, Row, text_enum
from irisx.tenancy.models import Noun


class ItemType(StrEnum):
    """COLLECTION holds other items and no text of its own."""

    TEXT = "text"
    URL = "url"
    DOCUMENT = "document"
    COLLECTION = "collection"


class ItemStatus(StrEnum):
    """INDEXING: found by its words already, by its meaning once it is READY."""

    INDEXING = "indexing"
    READY = "ready"


class KnowledgeItem(Noun, Base):
    """A text, a page, a document, or a collection of them.

    `source`: its URL or file name. `next_index_at`: when the worker embeds it, or tries again;
    `error`: why it could not the last time.
    """

    PREFIX = "kb"
    __tablename__ = "knowledge_items"

    tenant_id: Mapped[int] = mapped_column(ForeignKey("tenants.id"), index=True)
    knowledge_base_id: Mapped[int | None] = mapped_column(
        ForeignKey("knowledge_items.id", ondelete="CASCADE"), index=True
    )
    type: Mapped[ItemType] = mapped_column(text_enum(ItemType))
    title: Mapped[str]
    source: Mapped[str | None]
    content: Mapped[str]
    status: Mapped[ItemStatus] = mapped_column(text_enum(ItemStatus))
    next_index_at: Mapped[datetime] = mapped_column(server_default=func.now())
    error: Mapped[str | None]
    updated_at: Mapped[datetime] = mapped_column(server_default=func.now(), onupdate=func.now())

    __table_args__ = (
        Index(
            "ix_knowledge_items_indexing",
            "next_index_at",
            postgresql_where=text("status = 'indexing'"),
        ),
    )


class KnowledgePassage(Row, Base):
    """A piece of an item's text, small enough to be quoted and embedded.

    `embedding`: a unit vector of `embedding_model`; vectors of two models are never compared. It
    is an array, cast to pgvector's type in searches: without that extension everything else works.
    `words`: English stems, which fold the forms of other languages' words alike on both sides.
    """

    __tablename__ = "knowledge_passages"

    tenant_id: Mapped[int] = mapped_column(BigInteger)
    item_id: Mapped[int] = mapped_column(ForeignKey("knowledge_items.id", ondelete="CASCADE"))
    position: Mapped[int] = mapped_column(Integer)
    heading: Mapped[str | None]
    text: Mapped[str]
    embedding: Mapped[list[float] | None] = mapped_column(ARRAY(REAL))
    embedding_model: Mapped[str | None]
    words: Mapped[Any] = mapped_column(
        TSVECTOR,
        Computed("to_tsvector('english', coalesce(heading, '') || ' ' || text)", persisted=True),
    )

    __table_args__ = (
        Index("ix_knowledge_passages_item", "item_id", "position", unique=True),
        Index("ix_knowledge_passages_tenant", "tenant_id", "embedding_model"),
        Index("ix_knowledge_passages_words", "words", postgresql_using="gin"),
    )
