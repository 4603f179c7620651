"""`/v1/api-keys`."""

from collections.abc import Callable

import pytest

from irisx.tenancy.models import Tenant
from tests.api.client import ApiClient

NEW = {"name": "Production Key", "permissions": ["calls:read", "calls:write"]}


def test_a_new_key_is_shown_once_and_works(client: ApiClient, anonymous: ApiClient) -> None:
    issued = client.post("/v1/api-keys", NEW | {"permissions": ["api-keys:read"]}, status=201)
    anonymous.headers["X-API-Key"] = issued["key"]
    seen = anonymous.get(f"/v1/api-keys/{issued['id']}")
    assert issued["key"].startswith("irx_live_")
    assert issued["key"].startswith(seen["prefix"])
    assert "key" not in seen
    assert seen["last_used_at"] is not None


def test_the_specification_s_own_example_is_accepted(client: ApiClient) -> None:
    example = {
        "name": "Production Key",
        "permissions": ["calls:read", "calls:write", "sms:read", "sms:write"],
        "rate_limit": 100,
        "expires_at": "2027-01-01T00:00:00.000Z",
    }
    issued = client.post("/v1/api-keys", example, status=201)
    assert {name: issued[name] for name in example} == example


def test_a_revoked_key_is_refused_at_once(client: ApiClient, anonymous: ApiClient) -> None:
    issued = client.post("/v1/api-keys", NEW | {"permissions": ["*"]}, status=201)
    anonymous.headers["X-API-Key"] = issued["key"]
    anonymous.get("/v1/api-keys")
    client.delete(f"/v1/api-keys/{issued['id']}")
    assert anonymous.get("/v1/api-keys", status=401)["code"] == "INVALID_API_KEY"


@pytest.mark.parametrize(
    "change", [{"active": False}, {"expires_at": "2020-01-01T00:00:00Z"}], ids=str
)
def test_a_disabled_or_expired_key_is_inactive(
    client: ApiClient, anonymous: ApiClient, change: dict[str, object]
) -> None:
    issued = client.post("/v1/api-keys", NEW | {"permissions": ["*"]}, status=201)
    client.put(f"/v1/api-keys/{issued['id']}", change)
    anonymous.headers["X-API-Key"] = issued["key"]
    assert anonymous.get("/v1/api-keys", status=403)["code"] == "API_KEY_INACTIVE"


def test_a_change_leaves_other_fields_alone(client: ApiClient) -> None:
    issued = client.post("/v1/api-keys", NEW | {"rate_limit": 50}, status=201)
    changed = client.put(f"/v1/api-keys/{issued['id']}", {"name": "Renamed"})
    assert changed["name"] == "Renamed"
    assert changed["rate_limit"] == 50
    assert changed["permissions"] == NEW["permissions"]
    assert client.put(f"/v1/api-keys/{issued['id']}", {"rate_limit": None})["rate_limit"] is None


def test_every_faulty_field_is_listed(client: ApiClient) -> None:
    body = {"name": " ", "permissions": [1], "rate_limit": "100", "colour": "red"}
    fault = client.post("/v1/api-keys", body, status=400)
    assert fault["code"] == "VALIDATION_ERROR"
    fields = [detail["field"] for detail in fault["details"]]
    assert fields == ["name", "permissions.0", "rate_limit", "colour"]


def test_an_unknown_permission_is_named(client: ApiClient) -> None:
    fault = client.post("/v1/api-keys", NEW | {"permissions": ["calls:fly"]}, status=400)
    assert "calls:fly" in fault["message"]


def test_nobody_grants_what_they_do_not_have(
    client_for: Callable[..., ApiClient], tenant: Tenant
) -> None:
    narrow = client_for(tenant, "api-keys:write")
    assert narrow.post("/v1/api-keys", NEW, status=403)["code"] == "PERMISSION_DENIED"
    narrow.post("/v1/api-keys", NEW | {"permissions": ["api-keys:write"]}, status=201)


def test_a_test_key_makes_test_keys_only(
    client_for: Callable[..., ApiClient], tenant: Tenant
) -> None:
    tester = client_for(tenant, test=True)
    tester.post("/v1/api-keys", NEW, status=403)
    issued = tester.post("/v1/api-keys", NEW | {"test": True}, status=201)
    assert issued["key"].startswith("irx_test_")


def test_a_tenant_sees_its_own_keys_only(
    client_for: Callable[..., ApiClient], make_tenant: Callable[..., Tenant]
) -> None:
    one, other = client_for(make_tenant("One")), client_for(make_tenant("Other"))
    issued = one.post("/v1/api-keys", NEW, status=201)
    assert len(one.get("/v1/api-keys")["data"]["api_keys"]) == 2
    listed = other.get("/v1/api-keys")["data"]
    assert issued["id"] not in [key["id"] for key in listed["api_keys"]]
    assert listed["pagination"] == {"limit": 50, "offset": 0, "total": 1}


def test_a_live_key_can_not_be_raised_above_the_tenant_s_ceiling(client: ApiClient) -> None:
    fault = client.post("/v1/api-keys", NEW | {"rate_limit": 1001}, status=400)
    assert fault["details"][0]["field"] == "rate_limit"
