"""Clients of the API, each as somebody."""

from collections.abc import Callable, Iterator

import pytest
from argon2 import PasswordHasher
from flask import Flask

from irisx.api.app import create_app
from irisx.settings import get_settings
from irisx.tenancy import api_keys, passwords
from irisx.tenancy.access import SYSTEM
from irisx.tenancy.models import Tenant
from tests.api.client import ApiClient
from tests.api.foreign import ForeignIds

ADMIN_TOKEN = "admin-token-of-the-tests"


@pytest.fixture(scope="session")
def app() -> Flask:
    return create_app()


@pytest.fixture(scope="session", autouse=True)
def cheap_passwords() -> None:
    """argon2 is slow by design; what the tests need of it is not."""
    passwords._hasher = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1)


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
def admin(app: Flask, monkeypatch: pytest.MonkeyPatch) -> Iterator[ApiClient]:
    """A client with the installation's administrator token."""
    monkeypatch.setenv("IRISX_ADMIN_TOKEN", ADMIN_TOKEN)
    get_settings.cache_clear()
    yield ApiClient(app, bearer=ADMIN_TOKEN)
    monkeypatch.undo()
    get_settings.cache_clear()


@pytest.fixture
def foreign_ids(make_tenant: Callable[..., Tenant]) -> ForeignIds:
    """Ids of rows of a tenant that is not `tenant`."""
    return ForeignIds(make_tenant("Other").id)
