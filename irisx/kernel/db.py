"""The PostgreSQL session and what every model shares."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from enum import StrEnum
from functools import lru_cache
from typing import Any, ClassVar

from sqlalchemy import (
    BigInteger,
    Connection,
    DateTime,
    Engine,
    Enum,
    Identity,
    MetaData,
    create_engine,
    event,
    func,
)
from sqlalchemy.dialects.postgresql import ARRAY, JSONB
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.exc import DisconnectionError
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column
from sqlalchemy.pool import ConnectionPoolEntry
from sqlalchemy.types import Text, TypeEngine

from irisx.settings import SettingMissing, get_settings

#: A connection that was used so lately is believed to have its server still (s).
_TRUSTED_SECONDS = 1.0
_USED = "used_at"


def text_enum(enum: type[StrEnum]) -> TypeEngine[Any]:
    """A StrEnum kept as its text: readable in SQL, extended without ALTER TYPE."""
    return Enum(
        enum, native_enum=False, length=32, values_callable=lambda e: [member.value for member in e]
    )


class Base(DeclarativeBase):
    """Declarative base. Strings are TEXT, times are TIMESTAMPTZ, dicts are JSONB."""

    metadata = MetaData(
        naming_convention={
            "ix": "ix_%(column_0_label)s",
            "uq": "uq_%(table_name)s_%(column_0_name)s",
            "ck": "ck_%(table_name)s_%(constraint_name)s",
            "fk": "fk_%(table_name)s_%(column_0_name)s_%(referred_table_name)s",
            "pk": "pk_%(table_name)s",
        }
    )
    type_annotation_map: ClassVar = {
        str: Text(),
        datetime: DateTime(timezone=True),
        dict[str, Any]: JSONB(),
        dict[str, str]: JSONB(),
        list[str]: ARRAY(Text()),
    }


class Row:
    """Mixin: a bigint key and the time of creation."""

    id: Mapped[int] = mapped_column(BigInteger, Identity(), primary_key=True)
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())


@lru_cache
def engine() -> Engine:
    """This process's connection pool."""
    return _pool(pool_size=10, max_overflow=20)


@lru_cache
def _readers() -> Engine:
    """Connections that stay in autocommit: to change it for a statement is a round trip more."""
    return _pool(pool_size=5, max_overflow=5, isolation_level="AUTOCOMMIT")


def _pool(**options: Any) -> Engine:
    url = get_settings().database_url
    if url is None:
        raise SettingMissing("IRISX_DATABASE_URL is not set; `irisx up` sets it for its parts")
    made = create_engine(
        url,
        executemany_mode="values_plus_batch",  # or each row is a round trip of its own
        pool_timeout=5,
        connect_args={"connect_timeout": 3, "application_name": "irisx"},
        **options,
    )
    event.listen(made, "connect", _used)
    event.listen(made, "checkin", _used)
    event.listen(made, "checkout", _check)
    return made


def _used(connection: object, record: ConnectionPoolEntry) -> None:
    record.info[_USED] = time.monotonic()


def _check(connection: DBAPIConnection, record: ConnectionPoolEntry, proxy: object) -> None:
    """Ask a connection that has idled whether its server is still there: the pool takes another.

    `pool_pre_ping` would ask each time, which is a round trip more for every transaction.
    """
    if time.monotonic() - record.info[_USED] < _TRUSTED_SECONDS:
        return
    dialect = engine().dialect
    try:
        dialect.do_ping(connection)
    except dialect.loaded_dbapi.Error as error:
        raise DisconnectionError(str(error)) from error


@contextmanager
def reading() -> Iterator[Connection]:
    """For single statements that only read: each is its own transaction, and one round trip."""
    with _readers().connect() as connection:
        yield connection


@contextmanager
def transaction() -> Iterator[Session]:
    """One transaction: commits at the end, rolls back on an exception.

    Never hold it open across a call to a switch, a provider or a model.
    """
    with Session(engine(), expire_on_commit=False) as session, session.begin():
        yield session
