"""What a tenant does with its knowledge: adds, changes, deletes. Searching is `search.py`."""

from collections.abc import Sequence
from typing import TypedDict, Unpack

from sqlalchemy import delete, func, insert, select
from sqlalchemy.orm import Session

from irisx.intelligence.knowledge.documents import MAX_BYTES, Document, NotReadable, read
from irisx.intelligence.knowledge.indexing import TOPIC
from irisx.intelligence.knowledge.models import (
    ItemStatus,
    ItemType,
    KnowledgeItem,
    KnowledgePassage,
)
from irisx.intelligence.knowledge.passages import split
from irisx.kernel import http
from irisx.kernel.clock import now
from irisx.kernel.db import transaction
from irisx.kernel.errors import Conflict, invalid
from irisx.kernel.jobs import wake
from irisx.tenancy import audit, rows
from irisx.tenancy.access import Actor

MAX_ITEMS = 1_000
#: Passages of a tenant: a search compares its question with each of them.
MAX_PASSAGES = 20_000
_FETCH_SECONDS = 10.0


class Fields(TypedDict, total=False):
    """What may be changed of an item. `refresh`: fetch the page of a URL item again."""

    title: str
    content: str
    knowledge_base_id: int | None
    refresh: bool


def list_page(
    tenant_id: int,
    *,
    limit: int,
    offset: int,
    type: ItemType | None = None,
    knowledge_base_id: int | None = None,
) -> tuple[Sequence[KnowledgeItem], int]:
    """Items of a tenant, oldest first, and how many there are."""
    mine = select(KnowledgeItem).where(KnowledgeItem.tenant_id == tenant_id)
    if type is not None:
        mine = mine.where(KnowledgeItem.type == type)
    if knowledge_base_id is not None:
        mine = mine.where(KnowledgeItem.knowledge_base_id == knowledge_base_id)
    with transaction() as session:
        return rows.page(session, mine, limit=limit, offset=offset)


def get(tenant_id: int, item_id: int) -> KnowledgeItem:
    with transaction() as session:
        return rows.fetch(session, KnowledgeItem, item_id, tenant_id=tenant_id)


def add(
    by: Actor,
    tenant_id: int,
    *,
    title: str | None = None,
    content: str | None = None,
    url: str | None = None,
    knowledge_base_id: int | None = None,
) -> KnowledgeItem:
    """A text, the page at a URL, or, with neither, a collection.

    A page is fetched now, through the guard; ValidationError about `url` says why it can't be.
    """
    if url is not None:
        document = _fetched(url)
        kind, title, text = ItemType.URL, title or document.title or url, document.text
    elif content is not None:
        kind, text = ItemType.TEXT, content
    else:
        kind, text = ItemType.COLLECTION, ""
    if not title:
        raise invalid("title", "required")
    return _store(by, tenant_id, kind, title, text, url, knowledge_base_id)


def upload(
    by: Actor,
    tenant_id: int,
    data: bytes,
    name: str,
    *,
    title: str | None = None,
    knowledge_base_id: int | None = None,
) -> KnowledgeItem:
    """A document. Raises ValidationError about `file`."""
    try:
        document = read(data, name)
    except NotReadable as error:
        raise invalid("file", str(error)) from error
    title = title or document.title or name or "Document"
    return _store(
        by, tenant_id, ItemType.DOCUMENT, title, document.text, name or None, knowledge_base_id
    )


def _store(
    by: Actor,
    tenant_id: int,
    kind: ItemType,
    title: str,
    text: str,
    source: str | None,
    knowledge_base_id: int | None,
) -> KnowledgeItem:
    row = KnowledgeItem(
        tenant_id=tenant_id, type=kind, title=title, source=source, content=text, error=None
    )
    with transaction() as session:
        held = select(func.count()).where(KnowledgeItem.tenant_id == tenant_id)
        if session.scalars(held).one() >= MAX_ITEMS:
            raise Conflict(f"A tenant has at most {MAX_ITEMS} knowledge items.")
        row.knowledge_base_id = _collection(session, tenant_id, knowledge_base_id)
        row.status = ItemStatus.READY
        session.add(row)
        session.flush()
        _set_text(session, row, text)
        audit.created(session, by, row)
        session.refresh(row)
    wake(TOPIC)
    return row


def change(by: Actor, tenant_id: int, item_id: int, **fields: Unpack[Fields]) -> KnowledgeItem:
    """Set the given fields. A new text is found by its words at once, by its meaning soon."""
    text = fields.get("content")
    if fields.get("refresh"):
        current = get(tenant_id, item_id)
        if current.type is not ItemType.URL or current.source is None:
            raise invalid("refresh", "only an item of a URL can be fetched again")
        text = _fetched(current.source).text
    with transaction() as session:
        row = rows.fetch(session, KnowledgeItem, item_id, tenant_id=tenant_id, lock=True)
        before = audit.snapshot(row)
        row.title = fields.get("title", row.title)
        if "knowledge_base_id" in fields:
            row.knowledge_base_id = _moved(session, row, fields["knowledge_base_id"])
        if "content" in fields and row.type is not ItemType.TEXT:
            raise invalid("content", f"is not set by hand for an item of type {row.type}")
        if text is not None:
            _set_text(session, row, text)
        audit.updated(session, by, row, before)
        session.refresh(row)
    wake(TOPIC)
    return row


def remove(by: Actor, tenant_id: int, item_id: int) -> None:
    """The item and its passages go; of a collection, all that it holds."""
    with transaction() as session:
        row = rows.fetch(session, KnowledgeItem, item_id, tenant_id=tenant_id, lock=True)
        audit.deleted(session, by, row)
        session.delete(row)


def _fetched(url: str) -> Document:
    try:
        reply = http.request("GET", url, timeout=_FETCH_SECONDS, max_bytes=MAX_BYTES)
    except http.HttpFailure as failure:
        raise invalid("url", str(failure)) from failure
    if reply.status != 200:
        raise invalid("url", f"its server answered {reply.status}")
    if reply.truncated:
        raise invalid("url", f"the page is larger than {MAX_BYTES} bytes")
    name = ".html" if "html" in reply.headers.get("Content-Type", "") else url.partition("?")[0]
    try:
        return read(reply.body, name)
    except NotReadable as error:
        raise invalid("url", str(error)) from error


def _collection(session: Session, tenant_id: int, item_id: int | None) -> int | None:
    """The key of a collection of the tenant."""
    if item_id is None:
        return None
    mine = select(KnowledgeItem.type).where(
        KnowledgeItem.tenant_id == tenant_id, KnowledgeItem.id == item_id
    )
    if session.scalar(mine) is not ItemType.COLLECTION:
        raise invalid("knowledge_base_id", "there is no collection with this id")
    return item_id


def _moved(session: Session, row: KnowledgeItem, into: int | None) -> int | None:
    if into is not None and row.type is ItemType.COLLECTION:
        raise invalid("knowledge_base_id", "a collection is not put into another")
    return _collection(session, row.tenant_id, into)


def _set_text(session: Session, row: KnowledgeItem, text: str) -> None:
    """Replace the item's passages; the worker embeds them."""
    pieces = split(text)
    if row.type is ItemType.TEXT and not pieces:
        raise invalid("content", "holds no text")
    session.execute(delete(KnowledgePassage).where(KnowledgePassage.item_id == row.id))
    held = select(func.count()).where(KnowledgePassage.tenant_id == row.tenant_id)
    if session.scalars(held).one() + len(pieces) > MAX_PASSAGES:
        raise Conflict(f"A tenant's knowledge has at most {MAX_PASSAGES} passages.")
    row.content = text
    if not pieces:
        return
    row.status, row.next_index_at, row.error = ItemStatus.INDEXING, now(), None
    session.execute(
        insert(KnowledgePassage),
        [
            {
                "tenant_id": row.tenant_id,
                "item_id": row.id,
                "position": position,
                "heading": piece.heading,
                "text": piece.text,
            }
            for position, piece in enumerate(pieces)
        ],
    )
