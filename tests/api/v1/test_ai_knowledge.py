"""`/v1/ai/knowledge`: adding, indexing by the worker, searching, and other tenants."""

import io

import pytest
from sqlalchemy import text

from irisx.intelligence.knowledge import indexing, search, service
from irisx.intelligence.knowledge.models import KnowledgeItem, KnowledgePassage
from irisx.kernel.db import transaction
from irisx.tenancy import audit
from irisx.tenancy.access import SYSTEM
from irisx.tenancy.models import Tenant
from tests.api.client import ApiClient
from tests.intelligence import knowledge_files as files
from tests.openai_server import Turn, openai_server
from tests.receiver import Answer, receiving

HOURS = "We are open from 9 am to 5 pm on weekdays."
REFUNDS = "Money is paid back to the card that was charged, within 14 days."
DELIVERY = "Parcels to France take three days."


def add(client: ApiClient, content: str, title: str = "FAQ", **fields) -> str:
    body = {"title": title, "content": content, **fields}
    return client.post("/v1/ai/knowledge", body, status=201)["id"]


def index() -> None:
    while indexing.index_passages():
        pass


def found(client: ApiClient, query: str, **fields) -> list[str]:
    answer = client.post("/v1/ai/knowledge/search", {"query": query, **fields})["data"]
    return [hit["text"] for hit in answer["results"]]


def test_knowledge_is_found_by_words_at_once_and_by_meaning_soon(client: ApiClient) -> None:
    for content in (HOURS, REFUNDS, DELIVERY):
        add(client, content)
    assert found(client, "which weekday?") == [HOURS]  # another form of the word
    assert found(client, "¿Cuándo abren?") == []
    index()
    answer = client.post("/v1/ai/knowledge/search", {"query": "¿Cuándo abren?"})["data"]
    assert (answer["results"][0]["text"], answer["by_meaning"]) == (HOURS, True)
    assert answer["results"][0]["similarity"] > answer["results"][1]["similarity"]
    items = client.get("/v1/ai/knowledge")["data"]["knowledge"]
    assert {item["status"] for item in items} == {"ready"}
    assert found(client, "weekdays", limit=1) == [HOURS]


def test_what_both_rankings_like_comes_first(client: ApiClient) -> None:
    for content in (HOURS, REFUNDS, DELIVERY):
        add(client, content)
    index()
    results = client.post("/v1/ai/knowledge/search", {"query": "how long are parcels under way"})
    best, second = results["data"]["results"][:2]
    assert best["text"] == DELIVERY
    assert best["score"] > 1.5 * second["score"]  # it is in both lists


def test_a_collection_bounds_a_search_and_takes_its_items_along(client: ApiClient) -> None:
    shop = client.post("/v1/ai/knowledge", {"title": "Shop"}, status=201)
    assert (shop["type"], shop["status"]) == ("collection", "ready")
    inside = add(client, REFUNDS, knowledge_base_id=shop["id"])
    outside = add(client, "Refunds of the other shop take a year.")
    query = {"query": "paid refunds charged"}
    assert found(client, **query, knowledge_base_id=shop["id"]) == [REFUNDS]
    assert found(client, **query, knowledge_base_id=outside)[0].startswith("Refunds of the other")
    listed = client.get(f"/v1/ai/knowledge?knowledge_base_id={shop['id']}")["data"]
    assert [item["id"] for item in listed["knowledge"]] == [inside]
    for body in ({"knowledge_base_id": outside}, {"knowledge_base_id": "kb_999999"}):
        client.put(f"/v1/ai/knowledge/{inside}", body, status=400)
    client.put(f"/v1/ai/knowledge/{shop['id']}", {"knowledge_base_id": shop["id"]}, status=400)
    client.delete(f"/v1/ai/knowledge/{shop['id']}")
    client.get(f"/v1/ai/knowledge/{inside}", status=404)
    client.get(f"/v1/ai/knowledge/{outside}")


def test_a_new_text_replaces_the_old(client: ApiClient, tenant: Tenant) -> None:
    item = add(client, HOURS)
    index()
    changed = client.put(f"/v1/ai/knowledge/{item}", {"content": REFUNDS, "title": "Refunds"})
    assert (changed["title"], changed["status"]) == ("Refunds", "indexing")
    assert found(client, "weekdays") == []
    assert found(client, "charged card") == [REFUNDS]
    assert client.get(f"/v1/ai/knowledge/{item}")["content"] == REFUNDS
    actions = [entry.action for entry in audit.entries(tenant.id, before_id=None, limit=10)]
    assert actions.count("knowledge_item.updated") == 1
    client.delete(f"/v1/ai/knowledge/{item}")
    assert found(client, "charged card") == []


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "title"),
        ({"title": "x", "content": "   \n "}, "content"),
        ({"title": "x", "content": "a", "url": "https://example.com"}, "body"),
        ({"url": "http://127.0.0.1/"}, "url"),
        ({"url": "file:///etc/passwd"}, "url"),
        ({"title": "x", "content": "a", "knowledge_base_id": "kb_99"}, "knowledge_base_id"),
    ],
)
def test_faults_are_named(client: ApiClient, body: dict[str, str], field: str) -> None:
    answer = client.post("/v1/ai/knowledge", body, status=400)
    assert [fault["field"] for fault in answer["details"]] == [field]


def test_a_page_is_fetched_through_the_guard(client: ApiClient, configure) -> None:
    configure(allowed_private_hosts="127.0.0.1")
    page = Answer(200, {"Content-Type": "text/html"}, files.HTML)
    with receiving(lambda request: page) as receiver:
        url = f"{receiver.url}/help"
        item = client.post("/v1/ai/knowledge", {"url": url}, status=201)
        assert (item["title"], item["source"], item["type"]) == ("Help", url, "url")
        page.body = b"<p>We moved to Rome.</p>"
        client.put(f"/v1/ai/knowledge/{item['id']}", {"refresh": True})
        assert found(client, "rome") == ["We moved to Rome."]
        page.status = 404
        fault = client.put(f"/v1/ai/knowledge/{item['id']}", {"refresh": True}, status=400)
        assert fault["details"][0]["message"] == "its server answered 404"
    assert found(client, "rome") == ["We moved to Rome."]


def test_a_document_is_uploaded(client: ApiClient) -> None:
    def upload(data: bytes, name: str, status: int = 201, **fields: str):
        return client.post(
            "/v1/ai/knowledge/upload",
            data={"file": (io.BytesIO(data), name), **fields},
            status=status,
        )

    item = upload(files.pdf("Apples cost 2 dollars."), "prices.pdf", title="Prices")
    assert (item["title"], item["source"], item["type"]) == ("Prices", "prices.pdf", "document")
    assert found(client, "apple") == ["Apples cost 2 dollars."]
    fault = upload(b"PK\x03\x04", "x.docx", status=400)
    assert fault["details"][0]["field"] == "file"
    assert client.put(f"/v1/ai/knowledge/{item['id']}", {"content": "x"}, status=400)


def test_tenants_find_only_their_own(client: ApiClient, client_for, make_tenant) -> None:
    mine = add(client, HOURS)
    other = client_for(make_tenant("Other"))
    index()
    assert found(other, "when are you open") == []
    assert found(other, "open weekdays", knowledge_base_id=mine) == []
    other.post(
        "/v1/ai/knowledge",
        {"title": "x", "content": "y", "knowledge_base_id": mine},
        status=400,
    )


def test_without_an_embedder_words_decide_and_nothing_is_lost(
    client: ApiClient, tenant: Tenant, configure
) -> None:
    configure(ai_base_url="http://127.0.0.1:1/v1")
    configure(ai_embedding_model="e")
    item = add(client, HOURS)
    indexing.index_passages()
    shown = client.get(f"/v1/ai/knowledge/{item}")
    assert shown["status"] == "indexing"
    assert "can't be reached" in shown["error"]
    answer = client.post("/v1/ai/knowledge/search", {"query": "weekdays"})["data"]
    assert [hit["text"] for hit in answer["results"]] == [HOURS]
    assert (answer["by_meaning"], "can't be reached" in answer["reason"]) == (False, True)


def test_another_embedder_has_everything_embedded_anew(
    client: ApiClient, tenant: Tenant, configure
) -> None:
    add(client, HOURS)
    index()
    indexing.reindex()
    assert not indexing.index_passages()  # nothing is stale
    with openai_server(Turn()) as server:
        configure(ai_base_url=server.url)
        configure(ai_embedding_model="letters")
        indexing.reindex()
        index()
        hit = search.search(tenant.id, "open").hits[0]
    assert hit.similarity is not None
    with transaction() as session:
        assert session.query(KnowledgePassage.embedding_model).distinct().all() == [("letters",)]


def test_without_pgvector_words_decide(client: ApiClient, monkeypatch) -> None:
    monkeypatch.setattr(search, "_HAS_PGVECTOR", text("SELECT false"))
    add(client, HOURS)
    index()
    answer = client.post("/v1/ai/knowledge/search", {"query": "weekdays"})["data"]
    assert [hit["text"] for hit in answer["results"]] == [HOURS]
    assert "pgvector" in answer["reason"]


def test_a_worker_that_died_is_followed_by_another(tenant: Tenant, monkeypatch) -> None:
    item = service.add(SYSTEM, tenant.id, title="x", content=HOURS)

    def die(*_: object, **__: object) -> None:
        raise SystemExit

    with monkeypatch.context() as broken:
        broken.setattr(indexing.engine, "embed", die)
        with pytest.raises(SystemExit):
            indexing.index_passages()
    assert not indexing.index_passages()  # leased
    with transaction() as session:
        session.get_one(KnowledgeItem, item.id).next_index_at = item.created_at
    assert indexing.index_passages()
    assert service.get(tenant.id, item.id).status == "ready"


@pytest.mark.parametrize("query", ["'; DROP TABLE calls; --", "a & | ! ( :*", "%", "\\", "é" * 900])
def test_any_question_is_only_a_question(client: ApiClient, query: str) -> None:
    add(client, HOURS)
    assert isinstance(found(client, query), list)
