"""Rows in memory: never older than the last change that was committed."""

from collections.abc import Iterator

import gevent
import pytest
from sqlalchemy import select, text, update

from irisx.kernel import db, kept
from irisx.tenancy.models import Tenant
from tests.waiting import wait_until


@pytest.fixture
def following() -> Iterator[None]:
    greenlet = gevent.spawn(kept.follow)
    wait_until(lambda: kept._kept.listening)
    yield
    greenlet.kill()
    assert not kept._kept.listening


def name_of(tenant: Tenant, asked: list[int]) -> str | None:
    def read() -> str | None:
        asked.append(tenant.id)
        with db.reading() as connection:
            name: str | None = connection.scalar(select(Tenant.name).where(Tenant.id == tenant.id))
        return name

    return kept.kept(("name", tenant.id), read)


def rename(tenant: Tenant, name: str) -> None:
    with db.transaction() as session:
        session.execute(update(Tenant).where(Tenant.id == tenant.id).values(name=name))


def test_what_is_kept_is_read_once_until_it_changes(tenant: Tenant, following: None) -> None:
    asked: list[int] = []
    assert [name_of(tenant, asked) for _ in range(3)] == ["Acme"] * 3
    assert len(asked) == 1
    rename(tenant, "Bell")
    wait_until(lambda: name_of(tenant, asked) == "Bell")


def test_without_a_listener_everything_is_read(tenant: Tenant) -> None:
    asked: list[int] = []
    assert [name_of(tenant, asked) for _ in range(2)] == ["Acme", "Acme"]
    assert len(asked) == 2


def test_what_changes_while_it_is_read_is_not_kept(following: None) -> None:
    def read() -> str:
        kept._kept.forget()  # a change is heard meanwhile
        return "old"

    assert kept.kept("key", read) == "old"
    assert kept.kept("key", lambda: "new") == "new"


def test_a_lost_connection_keeps_nothing(following: None) -> None:
    kept.kept("key", lambda: "old")
    with db.transaction() as session:
        session.execute(
            text(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                " WHERE datname = current_database() AND pid <> pg_backend_pid()"
                " AND query IN ('SELECT', 'LISTEN irisx_changed')"
            )
        )
    try:
        wait_until(lambda: kept.kept("key", lambda: "new") == "new")
    finally:
        db._readers().dispose()


@pytest.mark.parametrize("table", kept.FOLLOWED)
def test_every_followed_table_tells(following: None, table: str) -> None:
    before = kept._kept.changes
    with db.transaction() as session:
        session.execute(text(f"DELETE FROM {table} WHERE id = 0"))
    wait_until(lambda: kept._kept.changes > before)
