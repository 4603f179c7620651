"""The ground under every operation: parsing, errors, headers."""

import re
from typing import Any

import pytest
from flask import Flask

from irisx.api.app import MAX_BODY_BYTES
from irisx.kernel import db
from irisx.settings import get_settings
from tests.api.client import ApiClient

NEW = {"name": "Key", "permissions": ["calls:read"]}


def send(client: ApiClient, raw: bytes, kind: str = "application/json", status: int = 400) -> Any:
    response = client.request(
        "POST", "/v1/api-keys", data=raw, headers={"Content-Type": kind}, status=status
    )
    return response.get_json()


@pytest.mark.parametrize(
    "raw",
    [b"", b"{", b'{"name": "a"} x', b"\xff", b'"\\ud800"', b"9" * 5000],
    ids=repr,
)
def test_malformed_json_is_said_to_be_so(client: ApiClient, raw: bytes) -> None:
    [detail] = send(client, raw)["details"]
    assert detail["field"] == "body"
    assert detail["message"].startswith("malformed JSON: ")


def test_a_depth_bomb_is_malformed(client: ApiClient) -> None:
    bomb = b'{"name": ' + b"[" * 100_000 + b"]" * 100_000 + b"}"
    assert "recursion limit" in send(client, bomb)["message"]


@pytest.mark.parametrize("raw", [b"[]", b"null", b'"text"', b'"{}"'], ids=repr)
def test_a_body_is_an_object(client: ApiClient, raw: bytes) -> None:
    assert send(client, raw)["details"][0]["field"] == "body"


@pytest.mark.parametrize("kind", ["text/plain", "application/x-www-form-urlencoded"])
def test_another_content_type_is_415(client: ApiClient, kind: str) -> None:
    assert send(client, b"{}", kind, status=415)["code"] == "UNSUPPORTED_MEDIA_TYPE"


def test_too_large_a_body_is_413(client: ApiClient) -> None:
    assert send(client, b" " * (MAX_BODY_BYTES + 1), status=413)["details"] == []


def test_nul_is_refused_and_its_spelling_is_text(client: ApiClient) -> None:
    raw = b'{"name": "a%s", "permissions": ["calls:read"]}'
    assert "NUL" in send(client, raw % rb"\u0000")["message"]
    assert send(client, raw % rb"\\u0000", status=201)["name"] == r"a\u0000"


@pytest.mark.parametrize(
    ("query", "field", "message"),
    [
        ("limit=0", "limit", "greater than or equal to 1"),
        ("limit=101", "limit", "less than or equal to 100"),
        ("limit=x", "limit", "valid integer"),
        ("limit=1&limit=2", "limit", "more than once"),
        ("offset=-1", "offset", "greater than or equal to 0"),
        ("colour=red", "colour", "unknown field"),
        ("limit=%00", "limit", "NUL"),
    ],
)
def test_a_faulty_query_is_refused_by_name(
    client: ApiClient, query: str, field: str, message: str
) -> None:
    [detail] = client.get(f"/v1/api-keys?{query}", status=400)["details"]
    assert detail["field"] == field
    assert message in detail["message"]


def test_a_parameter_is_unknown_where_there_are_none(client: ApiClient) -> None:
    [detail] = client.get("/v1/settings?x=1", status=400)["details"]
    assert detail == {"field": "x", "message": "unknown parameter"}


@pytest.mark.parametrize("key_id", ["key_x", "usr_1", "1", "key_" + "9" * 30, "key_-1", "key_%00"])
def test_an_id_that_can_not_be_is_not_found(client: ApiClient, key_id: str) -> None:
    assert client.get(f"/v1/api-keys/{key_id}", status=404)["code"] == "NOT_FOUND"


def test_an_unknown_path_is_404_in_our_shape(anonymous: ApiClient) -> None:
    body = anonymous.get("/v1/nothing", status=404)
    assert set(body) == {"error", "message", "code", "details"}
    assert body["code"] == "NOT_FOUND"


def test_a_wrong_method_is_405_with_allow(anonymous: ApiClient) -> None:
    response = anonymous.request("PATCH", "/v1/api-keys", status=405)
    assert response.get_json()["code"] == "METHOD_NOT_ALLOWED"
    assert {"GET", "POST"} <= set(response.headers["Allow"].replace(" ", "").split(","))


def test_a_request_id_comes_back_if_it_is_a_plain_token(anonymous: ApiClient) -> None:
    def answered(given: str) -> str:
        response = anonymous.request("GET", "/livez", headers={"X-Request-Id": given})
        return response.headers["X-Request-Id"]

    assert answered("trace-1.a_B") == "trace-1.a_B"
    for hostile in ("a b", "x" * 65, "a\tb", '"', "é"):
        assert re.fullmatch(r"req_[0-9a-f]{32}", answered(hostile))


def test_an_unexpected_error_tells_nothing(
    app: Flask, client: ApiClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    def explode(*_: object, **__: object) -> None:
        raise RuntimeError("password=hunter2")

    monkeypatch.setattr("irisx.tenancy.api_keys.list_page", explode)
    response = app.test_client().get("/v1/api-keys", headers=client.headers)
    assert response.status_code == 500
    assert response.get_json()["code"] == "INTERNAL_ERROR"
    assert "hunter2" not in response.get_data(as_text=True)


def test_without_the_database_it_is_503_that_says_so(
    client: ApiClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("IRISX_DATABASE_URL", "postgresql+psycopg2://x@127.0.0.1:1/x")
    for cached in (get_settings, db.engine):
        cached.cache_clear()
    try:
        body = client.get("/v1/api-keys", status=503)
    finally:
        monkeypatch.undo()
        for cached in (get_settings, db.engine):
            cached.cache_clear()
    assert body["code"] == "SERVICE_UNAVAILABLE"
    assert "database" in body["message"]
