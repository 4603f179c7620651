"""A real PostgreSQL and a real Valkey for every test process, under gevent as in production."""

from gevent import monkey

monkey.patch_all()

from psycogreen.gevent import patch_psycopg

patch_psycopg()

import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
import structlog
from hypothesis import settings
from sqlalchemy import text

from irisx import migrations
from irisx.kernel import db, redis
from irisx.kernel.embedded import databases
from irisx.settings import get_settings
from irisx.tenancy.models import PhoneNumber, Tenant
from irisx.tenancy.settings import TenantSettings

_servers = ExitStack()

# No test is about how long one example takes on a busy machine.
settings.register_profile("irisx", deadline=None)
settings.load_profile("irisx")


def pytest_configure(config: pytest.Config) -> None:
    """Start the servers in each process that runs tests (xdist's controller runs none)."""
    if getattr(config.option, "numprocesses", None) or config.option.collectonly:
        return
    home = Path(_servers.enter_context(tempfile.TemporaryDirectory(prefix="irisx-test-")))
    urls = _servers.enter_context(databases(home, durable=False))
    for name in [name for name in os.environ if name.startswith("IRISX_")]:
        del os.environ[name]
    os.environ |= {
        "IRISX_HOME": str(home),
        "IRISX_DATABASE_URL": urls.database,
        "IRISX_REDIS_URL": urls.redis,
        "IRISX_ESL_URL": "esl://:none@127.0.0.1:1",  # without it all calls are the sandbox's
        "IRISX_SECRET_KEY": "only for tests: 32 characters or more",
        "IRISX_XML_TOKEN": "xml-token-of-the-tests",
        "IRISX_TAPS_DIR": str(home / "taps"),
    }
    get_settings.cache_clear()
    # Plain traces: rich ones, with all locals, take seconds for one logged exception.
    *processors, _ = structlog.get_config()["processors"]
    plain = structlog.dev.ConsoleRenderer(exception_formatter=structlog.dev.plain_traceback)
    structlog.configure(processors=[*processors, plain])
    migrations.upgrade(db.engine())
    # A vacuum would let new rows take the places of deleted ones: rows come in the order in which
    # they were written, as in a new table.
    with db.engine().connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(text("ALTER SYSTEM SET autovacuum = off"))
        connection.execute(text("SELECT pg_reload_conf()"))


def pytest_unconfigure() -> None:
    _servers.close()


@pytest.fixture(autouse=True)
def empty_databases() -> Iterator[None]:
    """Every test starts with empty tables and an empty Redis."""
    yield
    with db.transaction() as session:
        # A test that left a row locked fails here, it does not hang.
        session.execute(text("SET LOCAL lock_timeout = '5s'"))
        # Rows are deleted, since TRUNCATE makes new files: several times the work for a few rows.
        # Foreign keys don't matter when everything goes.
        session.execute(text("SET LOCAL session_replication_role = 'replica'"))
        for table in session.scalars(_TABLES_WITH_PAGES).all():
            session.execute(text(f"DELETE FROM {table}"))
    redis.redis().flushall()


#: Whatever has rows has pages; what never had any is not even read.
_TABLES_WITH_PAGES = text(
    "SELECT oid::regclass::text FROM pg_class"
    " WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace"
    " AND relname <> 'alembic_version' AND pg_relation_size(oid) > 0"
)


@pytest.fixture
def make_tenant() -> Callable[..., Tenant]:
    """`make_tenant("Acme", max_cps=5)`: a stored tenant; keywords are fields of TenantSettings."""

    def make(name: str = "Acme", **settings: object) -> Tenant:
        checked = TenantSettings.model_validate(settings)
        with db.transaction() as session:
            tenant = Tenant(name=name, settings=checked.model_dump(mode="json"))
            session.add(tenant)
        return tenant

    return make


@pytest.fixture
def tenant(make_tenant: Callable[..., Tenant]) -> Tenant:
    return make_tenant()


@pytest.fixture
def number(tenant: Tenant) -> PhoneNumber:
    """A number of `tenant` without a destination."""
    with db.transaction() as session:
        row = PhoneNumber(number="+15550001000", tenant_id=tenant.id, name="Main")
        session.add(row)
    return row


@pytest.fixture
def configure(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., None]]:
    """`configure(ai_base_url=server.url)` sets IRISX_AI_BASE_URL for the rest of the test."""

    def set_values(**values: object) -> None:
        for name, value in values.items():
            monkeypatch.setenv(f"IRISX_{name.upper()}", str(value))
        get_settings.cache_clear()

    yield set_values
    monkeypatch.undo()
    get_settings.cache_clear()
