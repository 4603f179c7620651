"""`/v1/audit-log`."""

from collections.abc import Callable

from irisx.tenancy.models import Tenant
from tests.api.client import ApiClient


def entries(client: ApiClient, query: str = "") -> list[dict[str, object]]:
    found: list[dict[str, object]] = client.get(f"/v1/audit-log{query}")["data"]["entries"]
    return found


def test_every_change_is_there_with_who_and_what_and_no_secret(client: ApiClient) -> None:
    made = client.request(
        "POST",
        "/v1/users",
        json={
            "email": "ann@example.com",
            "name": "Ann",
            "password": "a long password",
            "permissions": ["calls:read"],
        },
        headers={"X-Request-Id": "trace-7"},
        status=201,
    ).get_json()
    client.put(f"/v1/users/{made['id']}", {"name": "Anna", "password": "another password"})
    client.delete(f"/v1/users/{made['id']}")
    deleted, updated, created, _key = entries(client)
    assert [e["action"] for e in (created, updated, deleted)] == [
        "user.created",
        "user.updated",
        "user.deleted",
    ]
    assert {e["target"] for e in (created, updated, deleted)} == {made["id"]}
    assert created["request_id"] == "trace-7"
    assert created["ip"] == "127.0.0.1"
    assert str(created["actor"]).startswith("key_")
    assert updated["before"]["name"] == "Ann"  # type: ignore[index]
    assert updated["after"]["name"] == "Anna"  # type: ignore[index]
    assert created["after"]["password_hash"] == "[set]"  # type: ignore[index]
    assert "argon2" not in str([created, updated, deleted])


def test_a_failed_change_leaves_no_entry(client: ApiClient) -> None:
    before = len(entries(client))
    client.post("/v1/api-keys", {"name": "x", "permissions": ["calls:fly"]}, status=400)
    client.put("/v1/settings", {"max_cps": 999}, status=403)
    assert len(entries(client)) == before


def test_it_is_read_page_by_page_to_its_end(client: ApiClient) -> None:
    for number in range(5):
        client.post("/v1/sip-accounts", {"name": f"Desk {number}"}, status=201)
    seen, cursor = [], ""
    while True:
        page = client.get(f"/v1/audit-log?limit=2&action=sip_account.created{cursor}")["data"]
        seen += [entry["after"]["name"] for entry in page["entries"]]
        if page["pagination"]["next_cursor"] is None:
            break
        cursor = f"&cursor={page['pagination']['next_cursor']}"
    assert seen == [f"Desk {number}" for number in reversed(range(5))]


def test_a_cursor_of_another_tenant_is_refused(
    client: ApiClient, client_for: Callable[..., ApiClient], make_tenant: Callable[..., Tenant]
) -> None:
    client.post("/v1/sip-accounts", {"name": "Desk"}, status=201)
    cursor = client.get("/v1/audit-log?limit=1")["data"]["pagination"]["next_cursor"]
    other = client_for(make_tenant("Other"))
    fault = other.get(f"/v1/audit-log?cursor={cursor}", status=400)
    assert fault["details"][0]["field"] == "cursor"


def test_an_administrator_sees_everybody_s(admin: ApiClient, client: ApiClient) -> None:
    admin.post("/admin/tenants", {"name": "New"}, status=201)
    actions = [e["action"] for e in admin.get("/admin/system/audit-log")["data"]["entries"]]
    assert actions[0] == "tenant.created"
    assert "tenant.created" not in [e["action"] for e in entries(client)]
