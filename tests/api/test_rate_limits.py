"""Requests a minute, by class of operation and key."""

from collections.abc import Callable

import pytest
from flask import Flask
from limits.storage import RedisStorage

from irisx.api import http
from irisx.kernel import ratelimit
from irisx.kernel.ratelimit import RateLimiter
from irisx.tenancy import api_keys
from irisx.tenancy.access import SYSTEM
from irisx.tenancy.models import Tenant
from tests.api.client import ApiClient


@pytest.fixture
def keyed(app: Flask, tenant: Tenant) -> Callable[..., ApiClient]:
    def make(rate_limit: int | None) -> ApiClient:
        issued = api_keys.create(
            SYSTEM, tenant.id, name="k", permissions=["*"], rate_limit=rate_limit
        )
        return ApiClient(app, key=issued.secret)

    return make


@pytest.fixture(autouse=True)
def one_minute(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep a test within one window of the clock."""
    monkeypatch.setattr(ratelimit.time, "time", lambda: 1_700_000_000.0)


def test_the_hundred_and_first_request_of_a_minute_is_refused(
    keyed: Callable[..., ApiClient],
) -> None:
    client = keyed(None)
    answers = [client.request("GET", "/v1/settings") for _ in range(101)]
    assert [answer.status_code for answer in answers] == [200] * 100 + [429]
    assert answers[0].headers["X-RateLimit-Limit"] == "100"
    assert answers[0].headers["X-RateLimit-Remaining"] == "99"
    assert answers[0].headers["X-RateLimit-Reset"] == "1700000040000"
    refused = answers[-1]
    assert refused.get_json()["code"] == "RATE_LIMIT_EXCEEDED"
    assert refused.headers["X-RateLimit-Remaining"] == "0"
    assert refused.headers["Retry-After"] == "40"


def test_keys_are_counted_apart_and_have_limits_of_their_own(
    keyed: Callable[..., ApiClient],
) -> None:
    small, other = keyed(2), keyed(None)
    statuses = [small.request("GET", "/v1/settings").status_code for _ in range(3)]
    assert statuses == [200, 200, 429]
    other.get("/v1/settings")


def test_a_refused_permission_counts_too(
    client_for: Callable[..., ApiClient], keyed: Callable[..., ApiClient], tenant: Tenant
) -> None:
    narrow = client_for(tenant, "calls:read").request("GET", "/v1/settings", status=403)
    assert narrow.headers["X-RateLimit-Remaining"] == "999999"


@pytest.mark.parametrize(
    ("rate", "standard", "limit"),
    [
        (http.Rate.STANDARD, None, 100),
        (http.Rate.SMS, None, 30),
        (http.Rate.CALL_CREATION, None, 10),
        (http.Rate.BULK, None, 5),
        (http.Rate.CALL_CREATION, 100, 10),
        (http.Rate.CALL_CREATION, 12_000, 1200),
        (http.Rate.BULK, 1, 1),
    ],
)
def test_classes_keep_their_proportion(rate: http.Rate, standard: int | None, limit: int) -> None:
    assert rate.limit(standard) == limit


def test_without_redis_every_request_goes_through(
    keyed: Callable[..., ApiClient], monkeypatch: pytest.MonkeyPatch
) -> None:
    away = RateLimiter(RedisStorage("redis://127.0.0.1:1", wrap_exceptions=False))
    monkeypatch.setattr(http, "limiter", lambda: away)
    client = keyed(1)
    assert [client.request("GET", "/v1/settings").status_code for _ in range(3)] == [200] * 3
