"""`/admin/carriers`."""

import json
from typing import Any

import pytest

from irisx.kernel.crypto import decrypt
from irisx.kernel.redis import redis
from irisx.tenancy import carriers
from tests.api.client import ApiClient

NEW = {
    "name": "Trunk",
    "host": "sip.example.net",
    "port": 5061,
    "transport": "tls",
    "username": "irisx",
    "password": "s3cret",
    "register": True,
    "prefixes": ["1", "44"],
    "priority": 10,
    "cost": 0.0125,
    "max_cps": 20,
    "max_concurrent": 200,
}


def test_a_carrier_is_shown_as_it_was_sent_without_its_password(admin: ApiClient) -> None:
    made = admin.post("/admin/carriers", NEW, status=201)
    assert {name: made.get(name) for name in NEW} == NEW | {"password": None}
    row = carriers.get(int(made["id"].removeprefix("car_")))
    assert "s3cret" not in str(row.password_encrypted)
    assert decrypt(str(row.password_encrypted)) == "s3cret"


def test_a_change_leaves_the_password(admin: ApiClient) -> None:
    made = admin.post("/admin/carriers", NEW, status=201)
    changed = admin.put(f"/admin/carriers/{made['id']}", {"cost": 0.02, "register": False})
    assert (changed["cost"], changed["register"], changed["name"]) == (0.02, False, "Trunk")
    assert carriers.get(int(made["id"].removeprefix("car_"))).password_encrypted


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("host", "10.0.0.256"),
        ("host", "-x.example.net"),
        ("host", "a b"),
        ("host", "x\r\ny"),
        ("host", "sip:x@example.net"),
        ("host", "example.net;transport=tcp"),
        ("host", "${domain}"),
        ("port", 0),
        ("port", 65_536),
        ("transport", "ws"),
        ("username", "a\nb"),
        ("username", "a b"),
        ("prefixes", ["+1"]),
        ("cost", -1),
        ("max_cps", 0),
        ("register", "yes"),
    ],
    ids=str,
)
def test_a_faulty_field_is_named(admin: ApiClient, field: str, value: Any) -> None:
    fault = admin.post("/admin/carriers", NEW | {field: value}, status=400)
    assert fault["details"][0]["field"].partition(".")[0] == field


@pytest.mark.parametrize("host", ["192.0.2.1", "2001:db8::1", "a", "_sip._udp.example.net"])
def test_a_host_is_a_name_or_an_address(admin: ApiClient, host: str) -> None:
    assert admin.post("/admin/carriers", NEW | {"host": host}, status=201)["host"] == host


def test_registering_needs_credentials(admin: ApiClient) -> None:
    fault = admin.post("/admin/carriers", NEW | {"password": None}, status=400)
    assert fault["details"][0]["field"] == "register"


def test_names_are_unique(admin: ApiClient) -> None:
    admin.post("/admin/carriers", NEW, status=201)
    assert admin.post("/admin/carriers", NEW, status=409)["code"] == "NAME_TAKEN"
    other = admin.post("/admin/carriers", NEW | {"name": "Other"}, status=201)
    path = f"/admin/carriers/{other['id']}"
    assert admin.put(path, {"name": "Trunk"}, status=409)["code"] == "NAME_TAKEN"


def test_engines_are_told_of_every_change(admin: ApiClient) -> None:
    listener = redis().pubsub()
    listener.subscribe(carriers.CHANGES)
    assert listener.get_message(timeout=2)["type"] == "subscribe"
    made = admin.post("/admin/carriers", NEW, status=201)
    path = f"/admin/carriers/{made['id']}"
    admin.put(path, {"port": 5060})
    admin.delete(path)
    heard = [json.loads(listener.get_message(timeout=2)["data"]) for _ in range(3)]
    listener.close()
    assert [message["change"] for message in heard] == ["created", "updated", "deleted"]
    assert {message["gateway"] for message in heard} == {f"carrier_{made['id'][4:]}"}
