"""`/v1/whatsapp/templates`: in the sandbox, and against a server that speaks the Graph API."""

import json
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

import pytest

from irisx.kernel import clock
from irisx.kernel.db import transaction
from irisx.messaging import accounts
from irisx.messaging.channels.whatsapp.models import StoredTemplate
from irisx.messaging.models import ProviderAccount
from irisx.tenancy.access import SYSTEM
from irisx.tenancy.models import Tenant
from tests.api.client import ApiClient
from tests.api.v1.test_whatsapp import TEMPLATE, posts
from tests.graph_server import BUSINESS, Graph, answered, error, graph
from tests.messaging.channels.whatsapp.test_cloud import CREDENTIALS
from tests.messaging.pipeline import events

pytestmark = pytest.mark.usefixtures("number")

PATH = "/v1/whatsapp/templates"
NEW = {
    "name": "order_confirmation",
    "language": "en",
    "category": "UTILITY",
    "components": [
        {
            "type": "BODY",
            "text": "Hello {{1}}, order {{2}}.",
            "example": {"body_text": [["Ann", "1"]]},
        }
    ],
}
PARAMETERS = [{"type": "text", "text": "John"}, {"type": "text", "text": "12345"}]
FILLED = TEMPLATE | {"components": [{"type": "body", "parameters": PARAMETERS}]}


@pytest.fixture
def meta(configure: Callable[..., None]) -> Iterator[Graph]:
    configure(allowed_private_hosts="127.0.0.1")
    with graph() as server:
        yield server


def account(tenant: Tenant, meta: Graph, **settings: Any) -> ProviderAccount:
    return accounts.create(
        SYSTEM,
        tenant.id,
        channel="whatsapp",
        provider="cloud-api",
        name="Main",
        settings={
            "phone_number_id": "1065",
            "phone_number": "+15550001000",
            "business_account_id": BUSINESS,
            "base_url": meta.url,
        }
        | settings,
        credentials=CREDENTIALS,
    )


def listed(client: ApiClient, query: str = "") -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = client.get(PATH + query)["data"]["templates"]
    return found


def test_the_sandbox_decides_by_the_name(client: ApiClient) -> None:
    made = client.post(PATH, NEW, status=201)
    assert (made["status"], made["sandbox"], made["business_account"]) == ("approved", True, None)
    client.post(PATH, NEW | {"name": "x_rejected"}, status=201)
    assert [t["name"] for t in listed(client, "?status=rejected")] == ["x_rejected"]
    assert client.post(PATH, NEW, status=409)["code"] == "TEMPLATE_EXISTS"
    assert client.get(f"{PATH}/{made['id']}") == made
    client.delete(f"{PATH}/{made['id']}")
    client.get(f"{PATH}/{made['id']}", status=404)
    assert client.post(f"{PATH}/sync", {})["data"]["sandbox"] is True
    actions = [e["action"] for e in client.get("/v1/audit-log")["data"]["entries"]]
    assert actions[:3] == ["stored_template.deleted", *["stored_template.created"] * 2]


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"name": "Order Confirmation"}, "name"),
        ({"category": "NEWS"}, "category"),
        ({"components": []}, "components"),
        ({"components": [{"type": "BODY", "text": "{{2}}"}]}, "components.0.text"),
        ({"account_id": "acct_1"}, "account_id"),
    ],
)
def test_bad_templates_are_refused(client: ApiClient, fields: Any, field: str) -> None:
    refused = client.post(PATH, NEW | fields, status=400)
    assert refused["details"][0]["field"] == field


def test_a_message_has_to_fill_its_template(client: ApiClient) -> None:
    made = client.post(PATH, NEW, status=201)
    sent = client.post("/v1/whatsapp/template", FILLED, status=201)
    assert sent["body"] == "Hello John, order 12345."
    short = TEMPLATE | {"components": [{"type": "body", "parameters": PARAMETERS[:1]}]}
    refused = client.post("/v1/whatsapp/template", short, status=400)
    assert refused["details"][0]["field"] == "components.0.parameters"
    template = {"name": NEW["name"], "language": {"code": "en"}}
    send = {"to": TEMPLATE["to"], "type": "template", "template": template}
    refused = client.post("/v1/whatsapp/send", send, status=400)
    assert refused["details"][0]["field"] == "template.components"
    for fields, field in (
        ({"language": "de"}, "language"),
        ({"template_name": "x"}, "template_name"),
    ):
        refused = client.post("/v1/whatsapp/template", FILLED | fields, status=400)
        assert refused["details"][0]["field"] == field
    client.delete(f"{PATH}/{made['id']}")
    client.post("/v1/whatsapp/template", FILLED, status=201)  # nothing is known: nothing is checked


def test_made_told_and_deleted_at_meta(client: ApiClient, tenant: Tenant, meta: Graph) -> None:
    row = account(tenant, meta)
    made = client.post(PATH, NEW, status=201)
    assert (made["status"], made["business_account"]) == ("pending", BUSINESS)
    assert [t["name"] for t in meta.templates] == [NEW["name"]]
    refused = client.post("/v1/whatsapp/template", FILLED, status=409)
    assert refused["code"] == "TEMPLATE_NOT_APPROVED"

    def told(event: str, at: float, business: str = BUSINESS, **more: str) -> None:
        value = {
            "event": event,
            "message_template_name": NEW["name"],
            "message_template_language": "en",
        } | more
        change = {"field": "message_template_status_update", "value": value}
        posts(client, row, {"entry": [{"id": business, "time": int(at), "changes": [change]}]})

    now = (clock.now() + timedelta(seconds=5)).timestamp()
    told("APPROVED", now, business="999")
    assert listed(client)[0]["status"] == "pending"
    told("REJECTED", now + 2, reason="INVALID_FORMAT")
    told("APPROVED", now + 1)  # overtaken
    told("REJECTED", now + 2, reason="INVALID_FORMAT")  # repeated
    (found,) = listed(client)
    assert (found["status"], found["rejected_reason"]) == ("rejected", "INVALID_FORMAT")
    told("REINSTATED", now + 3, reason="NONE")
    assert listed(client)[0]["status"] == "approved"
    assert [e["status"] for e in events("whatsapp.template_updated")] == ["rejected", "approved"]
    client.post("/v1/whatsapp/template", FILLED, status=201)
    client.delete(f"{PATH}/{made['id']}")
    assert meta.templates == []


def test_a_sync_takes_over_what_meta_has(client: ApiClient, tenant: Tenant, meta: Graph) -> None:
    account(tenant, meta)
    for name in ("a", "b", "c", "d", "e"):
        meta.add(name)
    done = client.post(f"{PATH}/sync", {})["data"]
    assert (done["added"], done["total"]) == (5, 5)
    meta.templates[0]["status"] = "PAUSED"
    meta.templates[1]["status"] = "SOMETHING_NEW"
    gone = meta.templates.pop()
    done = client.post(f"{PATH}/sync", {})["data"]
    assert (done["added"], done["changed"], done["removed"], done["total"]) == (0, 2, 1, 4)
    assert {t["name"]: t["status"] for t in listed(client)} == {
        "a": "paused", "b": "unknown", "c": "approved", "d": "approved",
    }  # fmt: skip
    meta.templates.append(gone)  # its answer was lost, as it were
    again = client.post(PATH, NEW | {"name": "e"}, status=409)
    assert again["code"] == "TEMPLATE_EXISTS"
    meta.templates.clear()
    row = listed(client)[0]
    client.delete(f"{PATH}/{row['id']}")  # Meta does not have it any more


@pytest.mark.parametrize(
    ("broken", "status", "code"),
    [
        (error(190, "expired", 401), 409, "ACCOUNT_REFUSED"),
        (error(100, f"bad {CREDENTIALS['access_token']}", 400), 409, "PROVIDER_REFUSED"),
        (error(80007, "too many", 400), 503, "PROVIDER_UNAVAILABLE"),
        (error(2, "away", 500), 503, "PROVIDER_UNAVAILABLE"),
        (answered([], 200), 503, "PROVIDER_UNAVAILABLE"),
        (answered("?", 502), 503, "PROVIDER_UNAVAILABLE"),
    ],
)
def test_what_meta_refuses_changes_nothing(
    client: ApiClient, tenant: Tenant, meta: Graph, broken: Any, status: int, code: str
) -> None:
    account(tenant, meta)
    meta.broken = broken
    for path, body in ((PATH, NEW), (f"{PATH}/sync", {})):
        refused = client.post(path, body, status=status)
        assert refused["code"] == code
        assert CREDENTIALS["access_token"] not in json.dumps(refused)
    assert listed(client) == []


def test_an_account_without_a_business_account(
    client: ApiClient, tenant: Tenant, meta: Graph
) -> None:
    row = account(tenant, meta, business_account_id=None)
    for choice in ({}, {"account_id": row.public_id}):
        assert client.post(PATH, NEW | choice, status=409)["code"] == "NO_BUSINESS_ACCOUNT"
    client.post("/v1/whatsapp/template", FILLED, status=201)


def test_a_test_key_stays_in_the_sandbox(
    client_for: Callable[..., ApiClient], tenant: Tenant, meta: Graph
) -> None:
    account(tenant, meta)
    assert client_for(tenant, test=True).post(PATH, NEW, status=201)["sandbox"] is True
    assert meta.templates == []
    with transaction() as session:
        assert session.query(StoredTemplate).count() == 1
