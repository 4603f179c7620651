"""The PostgreSQL session and what every model shares."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from enum import StrEnum
from functools import lru_cache
from typing import Any, ClassVar

from sqlalchemy import BigInteger, DateTime, Engine, Enum, Identity, MetaData, create_engine, func
from sqlalchemy.dialects.postgresql import ARRAY, JSONB
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column
from sqlalchemy.types import Text, TypeEngine

from irisx.settings import SettingMissing, get_settings


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
    url = get_settings().database_url
    if url is None:
        raise SettingMissing("IRISX_DATABASE_URL is not set; `irisx up` sets it for its parts")
    return create_engine(
        url,
        pool_size=10,
        max_overflow=20,
        pool_pre_ping=True,
        executemany_mode="values_plus_batch",  # or each row is a round trip of its own
        pool_timeout=5,
        connect_args={"connect_timeout": 3, "application_name": "irisx"},
    )


@contextmanager
def transaction() -> Iterator[Session]:
    """One transaction: commits at the end, rolls back on an exception.

    Never hold it open across a call to a switch, a provider or a model.
    """
    with Session(engine(), expire_on_commit=False) as session, session.begin():
        yield session
