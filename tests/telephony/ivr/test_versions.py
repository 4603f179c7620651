"""Which version a call gets, also while the database is away."""

from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from sqlalchemy import Connection
from sqlalchemy.exc import OperationalError

from irisx.kernel.db import reading
from irisx.telephony.ivr import service, versions
from irisx.tenancy.access import SYSTEM
from irisx.tenancy.models import Tenant

FLOW = {"name": "a", "entry_point": "bye", "nodes": [{"id": "bye", "type": "hangup"}]}


class Database:
    """The database, which is away while `away`."""

    def __init__(self) -> None:
        self.away = False
        self.asked = 0

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        self.asked += 1
        if self.away:
            raise OperationalError("SELECT", {}, Exception("connection refused"))
        with reading() as connection:
            yield connection


@pytest.fixture
def database(monkeypatch: pytest.MonkeyPatch) -> Database:
    database = Database()
    monkeypatch.setattr(versions, "reading", database.reading)
    monkeypatch.setattr(versions, "_LOOK_SECONDS", 0.01)
    versions._last_published.clear()
    return database


def test_a_known_flow_begins_without_the_database(tenant: Tenant, database: Database) -> None:
    flow = service.create(SYSTEM, tenant.id, FLOW, publish=True).flow.public_id
    before = versions.published(tenant.id, flow)
    assert before is not None
    database.away = True
    assert versions.published(tenant.id, flow) == before


def test_an_unknown_one_is_waited_for(
    tenant: Tenant, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    flow = service.create(SYSTEM, tenant.id, FLOW, publish=True).flow.public_id
    database.away = True
    with pytest.raises(OperationalError):
        versions.published(tenant.id, flow)

    def read() -> versions.Version | None:
        database.away = database.asked < 4
        return versions.published(tenant.id, flow)

    assert versions.patiently(read) is not None
    database.away = True
    monkeypatch.setattr(versions, "_PATIENCE_SECONDS", 0.05)
    with pytest.raises(OperationalError):
        versions.patiently(lambda: versions.published(tenant.id, "flow_77"))


def test_a_flow_of_another_tenant_is_none(tenant: Tenant, make_tenant: object) -> None:
    flow = service.create(SYSTEM, tenant.id, FLOW, publish=True).flow.public_id
    other = make_tenant("Other")  # type: ignore[operator]
    assert versions.published(other.id, flow) is None
    assert versions.published(tenant.id, "flow_x") is None
