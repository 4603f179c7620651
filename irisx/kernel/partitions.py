"""Monthly partitions of the tables that grow with traffic.

A partitioned table is whichever the catalogue says is one: `PARTITION BY RANGE (a timestamptz)`.
Each has a DEFAULT partition, so that a row without a month's partition is never refused.
"""

from collections.abc import Iterator
from datetime import UTC, datetime

from sqlalchemy import Connection, text
from sqlalchemy.orm import Session

from irisx.kernel import clock

_LOCK = 4_947_585_801  # any number, the same in every process: pg_advisory_xact_lock

_TABLES = text("""
    SELECT format('%I', c.relname) AS name, format('%I', a.attname) AS key
    FROM pg_partitioned_table p
    JOIN pg_class c ON c.oid = p.partrelid
    JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum = p.partattrs[0]
    WHERE c.relnamespace = current_schema()::regnamespace AND p.partstrat = 'r'
""")


def ensure_partitions(session: Session | Connection, months_ahead: int = 3) -> list[str]:
    """Make the partitions of this month and the next ones where they are missing.

    Rows that had gone to the DEFAULT partition move to the month that is theirs. Returns the
    names of the new partitions. Safe to call from several processes at once.
    """
    session.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": _LOCK})
    made = []
    for table, key in session.execute(_TABLES).all():
        default = f"{table}_default"
        if not _exists(session, default):
            session.execute(text(f"CREATE TABLE {default} PARTITION OF {table} DEFAULT"))
            made.append(default)
        for start, end in _months(clock.now(), months_ahead):
            name = f"{table}_y{start:%Y}m{start:%m}"
            if not _exists(session, name):
                _make(session, name, table, key, start, end)
                made.append(name)
    return made


def _months(moment: datetime, ahead: int) -> Iterator[tuple[datetime, datetime]]:
    """First instant (UTC) of each month and of the one after it, from `moment`'s month on."""
    first = moment.year * 12 + moment.month - 1
    for index in range(first, first + ahead + 1):
        start, end = (datetime(i // 12, i % 12 + 1, 1, tzinfo=UTC) for i in (index, index + 1))
        yield start, end


def _exists(session: Session | Connection, name: str) -> bool:
    found = session.execute(text("SELECT to_regclass(:name) IS NOT NULL"), {"name": name})
    return bool(found.scalar_one())


def _make(
    session: Session | Connection, name: str, table: str, key: str, start: datetime, end: datetime
) -> None:
    # Made beside the table and attached: that locks out no writer, CREATE … PARTITION OF would.
    period = {"start": start.isoformat(), "end": end.isoformat()}
    session.execute(text(f"CREATE TABLE {name} (LIKE {table} INCLUDING DEFAULTS)"))
    session.execute(text(f"LOCK TABLE {table}_default IN SHARE ROW EXCLUSIVE MODE"))
    session.execute(
        text(
            f"WITH moved AS (DELETE FROM {table}_default"  # noqa: S608 - names of the catalogue
            f" WHERE {key} >= CAST(:start AS timestamptz) AND {key} < CAST(:end AS timestamptz)"
            f" RETURNING *) INSERT INTO {name} SELECT * FROM moved"
        ),
        period,
    )
    session.execute(
        text(
            f"ALTER TABLE {table} ATTACH PARTITION {name}"
            f" FOR VALUES FROM ('{period['start']}') TO ('{period['end']}')"
        )
    )
