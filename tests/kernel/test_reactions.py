"""Readers of domain events: each event once and in order, and a bad one alone is left out."""

from collections.abc import Sequence

import pytest
from sqlalchemy import select, text
from sqlalchemy.orm import Session

from irisx.kernel import clock
from irisx.kernel.db import transaction
from irisx.kernel.events import DomainEvent, publish
from irisx.kernel.reactions import react
from irisx.tenancy.models import Tenant


def told(tenant: Tenant, *names: str, kind: str = "call.completed") -> None:
    with transaction() as session:
        for name in names:
            publish(
                session,
                key=name,
                tenant_id=tenant.id,
                type=kind,
                data={"name": name},
                occurred_at=clock.now(),
            )


class Reader:
    """Remembers what it did in the database, as a reader does; `bad` are names it chokes on."""

    def __init__(self, *bad: str) -> None:
        self.bad = bad
        self.batches: list[int] = []

    def __call__(self, session: Session, events: Sequence[DomainEvent]) -> None:
        self.batches.append(len(events))
        for event in events:
            name = event.data["name"]
            session.execute(text("INSERT INTO notes VALUES (:name)"), {"name": name})
            if name in self.bad:
                raise ValueError(name)

    def run(self) -> bool:
        return react("reader", ["call.completed"], self)


@pytest.fixture(autouse=True)
def notes() -> None:
    with transaction() as session:
        session.execute(text("CREATE TABLE IF NOT EXISTS notes (name text)"))


def noted() -> list[str]:
    with transaction() as session:
        return list(session.scalars(text("SELECT name FROM notes")))


def test_events_come_once_in_order_and_together(tenant: Tenant) -> None:
    reader = Reader()
    told(tenant, "a", "b")
    told(tenant, "other", kind="call.initiated")
    told(tenant, "c")
    assert not reader.run()
    assert not reader.run()
    assert noted() == ["a", "b", "c"]
    assert reader.batches == [3]


def test_a_bad_event_is_left_out_and_holds_up_nobody(tenant: Tenant) -> None:
    reader = Reader("b")
    told(tenant, "a", "b", "c")
    reader.run()
    reader.run()
    assert noted() == ["a", "c"]


def test_what_is_not_committed_yet_comes_later(tenant: Tenant) -> None:
    reader = Reader()
    with transaction() as open_one:
        publish(
            open_one,
            key="slow",
            tenant_id=tenant.id,
            type="call.completed",
            data={"name": "slow"},
            occurred_at=clock.now(),
        )
        open_one.flush()
        told(tenant, "quick")
        reader.run()
        assert "slow" not in noted()
    reader.run()
    assert sorted(noted()) == ["quick", "slow"]


def test_many_are_taken_in_several_runs(tenant: Tenant) -> None:
    told(tenant, *(f"{number:03d}" for number in range(150)))
    reader = Reader()
    assert reader.run()
    assert not reader.run()
    assert noted() == sorted(noted())
    assert reader.batches == [100, 50]
    with transaction() as session:
        assert len(session.scalars(select(DomainEvent.id)).all()) == 150
