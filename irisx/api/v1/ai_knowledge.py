"""`/v1/ai/knowledge`: what answers rest on."""

from typing import Annotated, Any, ClassVar, Self

from pydantic import Field, StringConstraints, model_validator

from irisx.api.http import Router
from irisx.api.schemas import (
    UNSET,
    Answer,
    Body,
    FilePart,
    Form,
    Name,
    OffsetPagination,
    OffsetQuery,
    PublicId,
    Success,
    Timestamp,
    listed,
)
from irisx.intelligence.knowledge import search, service
from irisx.intelligence.knowledge.documents import MAX_BYTES, MAX_CHARACTERS
from irisx.intelligence.knowledge.models import ItemStatus, ItemType, KnowledgeItem
from irisx.intelligence.knowledge.search import Found
from irisx.kernel.http import MAX_URL_LENGTH
from irisx.tenancy.access import Caller

router = Router("Knowledge Base")

_READ = "ai:read"
_WRITE = "ai:write"

ItemId = Annotated[int, PublicId("kb")]
Content = Annotated[str, StringConstraints(min_length=1, max_length=MAX_CHARACTERS)]
Url = Annotated[str, StringConstraints(min_length=1, max_length=MAX_URL_LENGTH)]
Collection = Annotated[
    ItemId | None, Field(description="The collection that holds it; null: none.")
]


class KnowledgeQuery(OffsetQuery):
    type: ItemType | None = None
    knowledge_base_id: ItemId | None = Field(None, description="Only what this collection holds.")


class NewKnowledge(Body):
    """A text (`content`), the page at a `url`, or, with neither, a collection of others."""

    title: Name | None = Field(None, description="Default, for a URL: the page's own.")
    content: Content | None = Field(None, description="Text or Markdown.")
    url: Url | None = Field(None, description="A page, PDF or DOCX that is fetched now.")
    knowledge_base_id: Collection = None

    @model_validator(mode="after")
    def one_kind(self) -> Self:
        if self.content is not None and self.url is not None:
            raise ValueError("give content or url, not both")
        if self.content is None and self.url is None and self.knowledge_base_id is not None:
            raise ValueError("a collection is not put into another: give content or url")
        return self


class KnowledgeChange(Body):
    title: Name = UNSET
    content: Content = UNSET
    knowledge_base_id: Collection = UNSET
    refresh: bool = Field(False, description="Fetch the page of a URL again.")


class KnowledgeUpload(Form):
    """PDF, DOCX, TXT, Markdown or HTML of at most 20 MB; what it is, its bytes say."""

    MAX_BYTES: ClassVar[int] = MAX_BYTES

    file: FilePart
    title: Name | None = None
    knowledge_base_id: ItemId | None = None


class Knowledge(Answer):
    id: ItemId
    title: str
    type: ItemType
    knowledge_base_id: ItemId | None
    source: str | None = Field(description="Its URL or file name.")
    status: ItemStatus = Field(description="`indexing`: found by its words, not yet by meaning.")
    error: str | None = Field(description="Why it could not be indexed yet; it is tried again.")
    created_at: Timestamp
    updated_at: Timestamp


class WholeKnowledge(Knowledge):
    content: str


class KnowledgeList(Answer):
    knowledge: list[Knowledge]
    pagination: OffsetPagination


@router.get("/v1/ai/knowledge", access=_READ, answer=Success[KnowledgeList])
def list_knowledge(caller: Caller, query: KnowledgeQuery) -> dict[str, Any]:
    """List knowledge items."""
    rows, total = service.list_page(
        caller.tenant_id,
        limit=query.limit,
        offset=query.offset,
        type=query.type,
        knowledge_base_id=query.knowledge_base_id,
    )
    return listed("knowledge", rows, query, total)


@router.post("/v1/ai/knowledge", access=_WRITE, answer=Knowledge, status=201)
def add_knowledge(caller: Caller, body: NewKnowledge) -> KnowledgeItem:
    """Add knowledge: a text, a page, or a collection of items."""
    return service.add(caller, caller.tenant_id, **dict(body))


@router.post("/v1/ai/knowledge/upload", access=_WRITE, answer=Knowledge, status=201)
def upload_knowledge(caller: Caller, form: KnowledgeUpload) -> KnowledgeItem:
    """Upload a document."""
    return service.upload(
        caller,
        caller.tenant_id,
        form.file.read(),
        form.file.filename or "",
        title=form.title,
        knowledge_base_id=form.knowledge_base_id,
    )


@router.get("/v1/ai/knowledge/<item_id>", access=_READ, answer=WholeKnowledge)
def get_knowledge(caller: Caller, item_id: ItemId) -> KnowledgeItem:
    """Get a knowledge item with its text."""
    return service.get(caller.tenant_id, item_id)


@router.put("/v1/ai/knowledge/<item_id>", access=_WRITE, answer=Knowledge)
def update_knowledge(caller: Caller, item_id: ItemId, body: KnowledgeChange) -> KnowledgeItem:
    """Update knowledge: fields that are left out stay as they are."""
    changed = body.model_dump(exclude_unset=True)
    return service.change(caller, caller.tenant_id, item_id, **changed)


@router.delete("/v1/ai/knowledge/<item_id>", access=_WRITE)
def delete_knowledge(caller: Caller, item_id: ItemId) -> None:
    """Delete knowledge; a collection with all that it holds."""
    service.remove(caller, caller.tenant_id, item_id)


class KnowledgeSearch(Body):
    query: Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=1000)]
    limit: int = Field(5, ge=1, le=20)
    knowledge_base_id: ItemId | None = Field(None, description="Only this item or collection.")


class KnowledgeHit(Answer):
    item_id: ItemId
    title: str
    source: str | None
    heading: str | None
    text: str
    position: int = Field(description="Which passage of the item, from 0.")
    similarity: float | None = Field(
        description="Cosine of question and passage; null: found by its words only."
    )
    score: float = Field(description="Of both rankings together; compares within one answer only.")


class KnowledgeResults(Answer):
    results: list[KnowledgeHit] = Field(validation_alias="hits")
    by_meaning: bool = Field(description="False: only words were compared; `reason` says why.")
    reason: str | None


@router.post("/v1/ai/knowledge/search", access=_READ, answer=Success[KnowledgeResults])
def search_knowledge(caller: Caller, body: KnowledgeSearch) -> dict[str, Found]:
    """Search the knowledge base, by words and by meaning."""
    found = search.search(
        caller.tenant_id,
        body.query,
        limit=body.limit,
        knowledge_base_id=body.knowledge_base_id,
        test=caller.test,
    )
    return {"data": found}
