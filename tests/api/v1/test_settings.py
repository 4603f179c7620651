"""`/v1/settings/phone-numbers`, and the administrator's view of the same numbers."""

from collections.abc import Callable
from typing import Any

import pytest

from irisx.tenancy.models import PhoneNumber, Tenant
from tests.api.client import ApiClient

NUMBERS = "/v1/settings/phone-numbers"


@pytest.mark.parametrize("number", ["+15555551234", "+4930123456", "+123456789012345"])
def test_e164_by_form_is_enough(client: ApiClient, number: str) -> None:
    assert client.post(NUMBERS, {"number": number}, status=201)["number"] == number


@pytest.mark.parametrize(
    "number",
    ["15555551234", "+0555", "+1555", "+1555555123456789", "+1 555 555 1234", "+1555x", ""],
)
def test_anything_else_is_no_number(client: ApiClient, number: str) -> None:
    assert client.post(NUMBERS, {"number": number}, status=400)["details"][0]["field"] == "number"


def test_a_destination_is_kept_as_the_engine_reads_it(client: ApiClient) -> None:
    account = client.post("/v1/sip-accounts", {"name": "Desk"}, status=201)["id"]
    for position, destination in enumerate(
        [
            {"type": "agent", "id": account},
            {"type": "number", "to": "+15555550100"},
            {"type": "sip", "to": "sip:desk@pbx.example.net:5070"},
        ]
    ):
        number = {"number": f"+1555000{position:04}", "destination": destination}
        made = client.post(NUMBERS, number, status=201)
        shown = {k: v for k, v in made["destination"].items() if v is not None}
        assert shown == {k: v.removeprefix("sip:") for k, v in destination.items()}


@pytest.mark.parametrize(
    ("kind", "unknown"), [("queue", "queue_9"), ("assistant", "asst_9"), ("flow", "flow_9")]
)
def test_a_destination_that_is_not_there_is_named(
    client: ApiClient, kind: str, unknown: str
) -> None:
    number = {"number": "+15550003000", "destination": {"type": kind, "id": unknown}}
    [detail] = client.post(NUMBERS, number, status=400)["details"]
    assert detail["field"] == "destination.id"
    assert unknown in detail["message"]


@pytest.mark.parametrize(
    "destination",
    [
        {"type": "sip", "to": "sip:a@example.net\r\nRoute: x"},
        {"type": "sip", "to": "a@example.net;transport=ws"},
        {"type": "sip", "to": "a,b@example.net"},
        {"type": "sip", "to": "${system(id)}@example.net"},
        {"type": "sip", "to": "{x=y}a@example.net"},
        {"type": "sip", "to": "a@example.net", "id": "sip_1"},
        {"type": "number", "to": "911"},
        {"type": "number"},
        {"type": "agent", "id": "usr_1"},
        {"type": "agent", "id": "sip_999"},
        {"type": "rocket"},
        {},
        "sip_1",
    ],
    ids=str,
)
def test_a_hostile_or_faulty_destination_is_refused(client: ApiClient, destination: Any) -> None:
    number = {"number": "+15550003000", "destination": destination}
    fault = client.post(NUMBERS, number, status=400)
    assert fault["details"][0]["field"].startswith("destination")


def test_an_agent_of_another_tenant_can_not_be_reached(
    client: ApiClient, client_for: Callable[..., ApiClient], make_tenant: Callable[..., Tenant]
) -> None:
    other = client_for(make_tenant("Other"))
    theirs = other.post("/v1/sip-accounts", {"name": "Desk"}, status=201)["id"]
    number = {"number": "+15550003000", "destination": {"type": "agent", "id": theirs}}
    assert client.post(NUMBERS, number, status=400)["details"][0]["field"] == "destination.id"


def test_an_account_that_calls_go_to_is_not_deleted(client: ApiClient) -> None:
    account = client.post("/v1/sip-accounts", {"name": "Desk"}, status=201)["id"]
    number = {"number": "+15550003000", "destination": {"type": "agent", "id": account}}
    made = client.post(NUMBERS, number, status=201)
    fault = client.delete(f"/v1/sip-accounts/{account}", status=409)
    assert fault["code"] == "SIP_ACCOUNT_IN_USE"
    client.put(f"{NUMBERS}/{made['id']}", {"destination": None})
    client.delete(f"/v1/sip-accounts/{account}")


def test_a_number_is_one_tenant_s(
    client: ApiClient, client_for: Callable[..., ApiClient], make_tenant: Callable[..., Tenant]
) -> None:
    client.post(NUMBERS, {"number": "+15550003000"}, status=201)
    other = client_for(make_tenant("Other"))
    fault = other.post(NUMBERS, {"number": "+15550003000"}, status=409)
    assert fault["code"] == "NUMBER_TAKEN"


def test_an_assigned_number_forgets_where_it_led(
    admin: ApiClient, client: ApiClient, number: PhoneNumber, make_tenant: Callable[..., Tenant]
) -> None:
    destination = {"type": "number", "to": "+15555550100"}
    client.put(f"{NUMBERS}/{number.public_id}", {"destination": destination})
    other = make_tenant("Other").public_id
    path = f"/admin/phone-numbers/{number.public_id}"
    assigned = admin.post(f"{path}/assign", {"tenant_id": other})
    assert (assigned["tenant_id"], assigned["destination"]) == (other, None)
    client.get(f"{NUMBERS}/{number.public_id}", status=404)
    pooled = admin.post(f"{path}/assign", {"tenant_id": None})
    assert pooled["tenant_id"] is None
    fault = admin.put(path, {"destination": destination}, status=400)
    assert fault["details"][0]["field"] == "destination"
    admin.post(f"{path}/assign", {"tenant_id": "ten_999"}, status=400)


def test_a_number_is_provisioned_for_a_tenant_or_the_pool(
    admin: ApiClient, client: ApiClient, tenant: Tenant
) -> None:
    def provision(number: str, **fields: object) -> Any:
        return admin.post("/admin/phone-numbers", {"number": number} | fields, status=201)

    provision("+15550003001")
    theirs = provision("+15550003002", tenant_id=tenant.public_id)
    assert theirs["tenant_id"] == tenant.public_id
    [listed] = client.get(NUMBERS)["data"]["phone_numbers"]
    assert listed["id"] == theirs["id"]


def test_numbers_are_listed_by_pages(client: ApiClient) -> None:
    for last in range(3):
        client.post(NUMBERS, {"number": f"+1555000300{last}"}, status=201)
    page = client.get(f"{NUMBERS}?limit=2&offset=1")["data"]
    assert [row["number"] for row in page["phone_numbers"]] == ["+15550003001", "+15550003002"]
    assert page["pagination"] == {"limit": 2, "offset": 1, "total": 3}
