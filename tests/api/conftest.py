"""Clients of the API, each as somebody."""

from collections.abc import Callable

import pytest
from flask import Flask

from irisx.api.app import create_app
from irisx.tenancy import api_keys
from irisx.tenancy.access import SYSTEM
from irisx.tenancy.models import Tenant
from tests.api.client import ApiClient

ADMIN_TOKEN = "admin-token-of-the-tests"


@pytest.fixture(scope="session")
def app() -> Flask:
    return create_app()


@pytest.fixture(autouse=True)
def no_cached_keys() -> None:
    """Rows are emptied between tests; what the process remembers of keys goes with them."""
    api_keys.forget_cached()


@pytest.fixture
def client_for(app: Flask) -> Callable[..., ApiClient]:
    """`client_for(tenant, "calls:read")`: a client with a new key with these permissions.

    Without permissions the key may do everything; its rate limit is out of the way.
    """

    def make(tenant: Tenant, *permissions: str, test: bool = False) -> ApiClient:
        issued = api_keys.create(
            SYSTEM,
            tenant.id,
            name="test",
            permissions=list(permissions) or ["*"],
            rate_limit=1_000_000,
            test=test,
        )
        return ApiClient(app, key=issued.secret)

    return make


@pytest.fixture
def client(client_for: Callable[..., ApiClient], tenant: Tenant) -> ApiClient:
    """A client of `tenant` that may do everything."""
    return client_for(tenant)


@pytest.fixture
def anonymous(app: Flask) -> ApiClient:
    return ApiClient(app)


@pytest.fixture
def admin(app: Flask, monkeypatch: pytest.MonkeyPatch) -> ApiClient:
    """A client with the installation's administrator token."""
    from irisx.settings import get_settings

    monkeypatch.setenv("IRISX_ADMIN_TOKEN", ADMIN_TOKEN)
    get_settings.cache_clear()
    yield ApiClient(app, bearer=ADMIN_TOKEN)
    monkeypatch.undo()
    get_settings.cache_clear()
