"""`/`, `/health`, probes, metrics."""

import re
from collections.abc import Iterator

import pytest
from flask import Flask

from irisx.kernel import db, redis
from irisx.settings import get_settings
from tests.api.client import ApiClient

AWAY = {
    "IRISX_DATABASE_URL": "postgresql+psycopg2://x@127.0.0.1:1/x",
    "IRISX_REDIS_URL": "redis://127.0.0.1:1",
}


@pytest.fixture
def away(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The server that the test's parameter names does not answer."""
    caches = (get_settings, db.engine, redis.redis)
    monkeypatch.setenv(request.param, AWAY[request.param])
    for cached in caches:
        cached.cache_clear()
    yield
    monkeypatch.undo()
    for cached in caches:
        cached.cache_clear()


def test_health_is_exactly_the_specification_s(anonymous: ApiClient) -> None:
    body = anonymous.get("/health")
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", body.pop("timestamp"))
    assert body == {
        "status": "healthy",
        "database": {"status": "connected"},
        "redis": {"status": "connected"},
        "version": "2.0.0",
    }


@pytest.mark.parametrize("away", ["IRISX_DATABASE_URL"], indirect=True)
def test_without_the_database_it_is_unhealthy(away: None, anonymous: ApiClient) -> None:
    body = anonymous.get("/health", status=503)
    assert (body["status"], body["database"]["status"]) == ("unhealthy", "disconnected")
    anonymous.get("/readyz", status=503)
    anonymous.get("/livez")


@pytest.mark.parametrize("away", ["IRISX_REDIS_URL"], indirect=True)
def test_without_redis_it_is_degraded(away: None, anonymous: ApiClient) -> None:
    body = anonymous.get("/health")
    assert (body["status"], body["redis"]["status"]) == ("degraded", "disconnected")
    anonymous.get("/readyz")


def test_metrics_are_prometheus_text_by_route(anonymous: ApiClient) -> None:
    anonymous.get("/livez")
    anonymous.get("/nowhere/at/all", status=404)
    text = anonymous.get("/metrics").decode()
    assert 'irisx_http_request_seconds_count{method="GET",route="/livez",status="200"}' in text
    assert "nowhere" not in text


def test_the_explorer_needs_no_other_host(app: Flask) -> None:
    client = app.test_client()
    page = client.get("/docs")
    assert "default-src 'none'" in page.headers["Content-Security-Policy"]
    assert "http" not in page.get_data(as_text=True).replace("http-equiv", "")
    for source in re.findall(r'(?:src|href)="([^"]+)"', page.get_data(as_text=True)):
        assert client.get(source).status_code == 200, source
    assert client.get("/openapi.json").get_json()["info"]["version"] == "2.0.0"
    assert client.get("/docs/assets/../../__init__.py").status_code == 404
