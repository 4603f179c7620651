"""`/admin/tenants`, and what a tenant may change of itself."""

from collections.abc import Callable

import pytest
from flask import Flask

from irisx.tenancy.models import PhoneNumber, Tenant
from irisx.tenancy.settings import ADMIN_ONLY
from tests.api.client import ApiClient


def test_a_new_tenant_gets_a_first_key_that_works(admin: ApiClient, app: Flask) -> None:
    made = admin.post("/admin/tenants", {"name": "Acme", "settings": {"max_cps": 50}}, status=201)
    assert made["settings"]["max_cps"] == 50
    key = admin.post(
        f"/admin/tenants/{made['id']}/api-keys",
        {"name": "First", "permissions": ["*"], "rate_limit": 120_000},
        status=201,
    )
    settings = ApiClient(app, key=key["key"]).get("/v1/settings")
    assert settings["max_cps"] == 50


def test_suspending_refuses_keys_at_once_and_activating_lets_them_in(
    admin: ApiClient, client: ApiClient, tenant: Tenant
) -> None:
    client.get("/v1/settings")
    admin.post(f"/admin/tenants/{tenant.public_id}/suspend")
    assert client.get("/v1/settings", status=403)["code"] == "TENANT_INACTIVE"
    admin.post(f"/admin/tenants/{tenant.public_id}/activate")
    client.get("/v1/settings")


def test_a_deleted_tenant_is_gone_for_good(
    admin: ApiClient, client: ApiClient, tenant: Tenant
) -> None:
    path = f"/admin/tenants/{tenant.public_id}"
    admin.delete(path)
    admin.get(path, status=404)
    admin.post(f"{path}/activate", status=404)
    client.get("/v1/settings", status=403)
    assert admin.get("/admin/tenants")["data"]["tenants"] == []
    assert len(admin.get("/admin/tenants?status=deleted")["data"]["tenants"]) == 1


def test_a_change_keeps_other_settings(admin: ApiClient, tenant: Tenant) -> None:
    path = f"/admin/tenants/{tenant.public_id}"
    admin.put(path, {"settings": {"max_cps": 20}})
    changed = admin.put(path, {"name": "Renamed", "settings": {"timezone": "Europe/Berlin"}})
    assert changed["name"] == "Renamed"
    assert changed["settings"]["max_cps"] == 20
    assert changed["settings"]["timezone"] == "Europe/Berlin"


RAISED = {
    "max_cps": 1000,
    "max_concurrent_calls": 100_000,
    "allowed_countries": ["US", "CA", "CU"],
    "allowed_prefixes": ["1900"],
    "max_cost_per_minute": 100.0,
    "max_rate_limit": 1_000_000,
}


def test_every_bound_is_tried_below() -> None:
    assert RAISED.keys() == ADMIN_ONLY


@pytest.mark.parametrize("name", RAISED)
def test_a_tenant_does_not_change_its_bounds(client: ApiClient, name: str) -> None:
    fault = client.put("/v1/settings", {name: RAISED[name], "record_calls": True}, status=403)
    assert fault["code"] == "ADMIN_ONLY_SETTING"
    assert [detail["field"] for detail in fault["details"]] == [name]
    assert client.get("/v1/settings")["record_calls"] is False


def test_what_a_tenant_read_it_may_send_back_changed(client: ApiClient) -> None:
    settings = client.get("/v1/settings")
    changed = client.put("/v1/settings", settings | {"record_calls": True})
    assert changed == settings | {"record_calls": True}


def test_the_default_caller_id_is_one_of_the_tenant_s_numbers(
    client: ApiClient, number: PhoneNumber
) -> None:
    fault = client.put("/v1/settings", {"default_caller_id": "+15550002000"}, status=400)
    assert fault["details"][0]["field"] == "default_caller_id"
    client.put("/v1/settings", {"default_caller_id": number.number})
    path = f"/v1/settings/phone-numbers/{number.public_id}"
    assert client.delete(path, status=409)["code"] == "NUMBER_IN_USE"


@pytest.mark.parametrize("zone", ["Mars/Olympus", "../../etc/passwd", "", "/etc/localtime"])
def test_a_time_zone_is_a_known_one(client: ApiClient, zone: str) -> None:
    fault = client.put("/v1/settings", {"timezone": zone}, status=400)
    assert fault["details"][0]["field"] == "timezone"


def test_a_feature_switched_off_refuses_its_area(
    admin: ApiClient, client_for: Callable[..., ApiClient], tenant: Tenant
) -> None:
    path = f"/admin/features/tenant/{tenant.public_id}"
    admin.put(path, {"features": {"webhooks": False}})
    client = client_for(tenant)
    assert client.get("/v1/webhooks", status=403)["code"] == "FEATURE_DISABLED"
    client.get("/v1/settings")
    [flag] = [f for f in admin.get(path)["data"]["features"] if f["id"] == "webhooks"]
    assert (flag["enabled"], flag["own"]) == (False, True)


def test_a_feature_s_default_holds_for_tenants_without_a_choice(
    admin: ApiClient, client_for: Callable[..., ApiClient], tenant: Tenant
) -> None:
    admin.put("/admin/features/recordings", {"enabled": False})
    assert client_for(tenant).get("/v1/recordings", status=403)["code"] == "FEATURE_DISABLED"
    path = f"/admin/features/tenant/{tenant.public_id}"
    admin.put(path, {"features": {"recordings": True}})
    client_for(tenant).get("/v1/recordings")
    admin.put(path, {"features": {"flying": True}}, status=400)
