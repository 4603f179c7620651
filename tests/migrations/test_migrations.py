"""The migrations and the models say the same."""

from collections.abc import Iterator

import pytest
from sqlalchemy import Engine, create_engine, text

from irisx import migrations
from irisx.kernel import db


@pytest.fixture
def empty() -> Iterator[Engine]:
    """A database of its own without a table."""
    admin = db.engine().execution_options(isolation_level="AUTOCOMMIT")
    with admin.connect() as connection:
        connection.execute(text("CREATE DATABASE migrated"))
    engine = create_engine(db.engine().url.set(database="migrated"))
    yield engine
    engine.dispose()
    with admin.connect() as connection:
        connection.execute(text("DROP DATABASE migrated"))


@pytest.fixture
def migrated(empty: Engine) -> Engine:
    """The database that the migrations made."""
    migrations.upgrade(empty)
    return empty


def test_migrations_make_what_the_models_declare(migrated: Engine) -> None:
    """If this fails, a model has changed: run scripts/migration "what changed"."""
    assert migrations.drift(migrated) == []


def test_a_migrated_database_has_nothing_pending(migrated: Engine) -> None:
    assert migrations.pending(migrated) == []


def test_a_new_database_lacks_every_revision(empty: Engine) -> None:
    assert migrations.pending(empty)[0] == "0001"


def test_upgrading_twice_changes_nothing(migrated: Engine) -> None:
    migrations.upgrade(migrated)
    assert migrations.drift(migrated) == []
