"""Email accounts that lead to servers on loopback."""

from collections.abc import Callable

import pytest
from flask import Flask

from irisx.api.app import create_app
from irisx.messaging import accounts
from irisx.messaging.models import ProviderAccount
from irisx.settings import get_settings
from irisx.tenancy import api_keys
from irisx.tenancy.access import SYSTEM
from irisx.tenancy.models import Tenant
from tests.api.client import ApiClient
from tests.smtp_server import SmtpServer

SENDER = "hello@acme.example"


@pytest.fixture(autouse=True)
def loopback_is_allowed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("IRISX_ALLOWED_PRIVATE_HOSTS", "127.0.0.1")
    get_settings.cache_clear()


@pytest.fixture(scope="session")
def app() -> Flask:
    return create_app()


@pytest.fixture
def client(app: Flask, tenant: Tenant) -> ApiClient:
    """A client of `tenant` that may do everything."""
    issued = api_keys.create(
        SYSTEM, tenant.id, name="test", permissions=["*"], rate_limit=1_000_000
    )
    return ApiClient(app, key=issued.secret)


@pytest.fixture
def smtp_account(tenant: Tenant) -> Callable[..., ProviderAccount]:
    """`smtp_account(server, dkim_domain=…)`: an account of `tenant`; keywords are settings."""

    def make(
        server: SmtpServer, credentials: dict[str, str] | None = None, **settings: object
    ) -> ProviderAccount:
        return accounts.create(
            SYSTEM,
            tenant.id,
            channel="email",
            provider="smtp",
            name="SMTP",
            settings={"host": "127.0.0.1", "port": server.port, "security": "none", **settings},
            credentials={"inbound_secret": "inbound-secret-of-the-tests", **(credentials or {})},
            senders=[SENDER],
        )

    return make
