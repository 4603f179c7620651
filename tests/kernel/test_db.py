"""The pool: what idled is asked before it is used, and reading is no transaction."""

import pytest
from sqlalchemy import NullPool, create_engine, text

from irisx.kernel import db


def test_a_connection_whose_server_went_while_it_idled_is_replaced(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with db.transaction() as session:
        before = session.scalar(text("SELECT pg_backend_pid()"))
    with create_engine(db.engine().url, poolclass=NullPool).begin() as another:
        another.execute(
            text(
                "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity"
                " WHERE datname = current_database() AND pid <> pg_backend_pid()"
            )
        )
    monkeypatch.setattr(db, "_TRUSTED_SECONDS", 0.0)
    try:
        with db.transaction() as session:
            assert session.scalar(text("SELECT pg_backend_pid()")) != before
    finally:
        for pool in (db.engine(), db._readers()):
            pool.dispose()  # its other connections, which would be trusted after this test


def test_reading_is_no_transaction() -> None:
    with db.reading() as connection:
        first, second = (connection.scalar(text("SELECT now()")) for _ in range(2))
        assert first < second
    with db.transaction() as session:
        first, second = (session.scalar(text("SELECT now()")) for _ in range(2))
        assert first == second
