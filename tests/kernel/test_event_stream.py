"""A stream has every event once, in whatever order transactions commit."""

from contextlib import ExitStack

import gevent
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from redis import Redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from irisx.kernel import clock, db, event_stream, events, jobs
from irisx.kernel.errors import TooManyRequests
from irisx.kernel.event_stream import EventStreams, present, read_after
from tests.waiting import wait_until


def publish(session: db.Session, key: str, tenant_id: int = 1, type: str = "call.ringing") -> None:
    events.publish(
        session, key=key, tenant_id=tenant_id, type=type, data={}, occurred_at=clock.now()
    )


def committed(key: str, **options: object) -> None:
    with db.transaction() as session:
        publish(session, key, **options)


def keys(found) -> list[str]:
    with db.transaction() as session:
        return [session.get_one(events.DomainEvent, event.position.id).key for event in found]


@pytest.fixture
def streams():
    streams = EventStreams()
    yield streams
    streams.stop()


@pytest.fixture
def reading(streams):
    """`reading(…)`: a list that fills with the events of a stream, read in a greenlet."""
    greenlets = []

    def read(tenant_id: int = 1, position=None, types=None) -> list:
        stream = streams.open(tenant_id, position, types)
        heard: list = []

        def consume() -> None:
            for event in stream:
                heard.append(event)
            stream.close()

        greenlets.append(gevent.spawn(consume))
        return heard

    yield read
    streams.stop()
    gevent.joinall(greenlets, timeout=5, raise_error=True)


def types_of(heard: list) -> list[str]:
    return [event.type for event in heard if event is not None]


def test_an_older_transaction_that_commits_late_is_not_missed() -> None:
    start = present()
    with db.transaction() as late:
        publish(late, "late")
        late.flush()
        committed("early")
        before = read_after(1, start)
        assert before.events == []
        assert before.held_back
    after = read_after(1, before.next)
    assert keys(after.events) == ["late", "early"]
    assert not after.held_back


@settings(
    max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(st.lists(st.tuples(st.integers(0, 3), st.sampled_from(["write", "commit", "read"]))))
def test_every_event_is_read_once_however_transactions_interleave(steps) -> None:
    position = first = present()
    seen: list[str] = []
    written: list[str] = []
    with ExitStack() as stack:
        open_: dict[int, ExitStack] = {}
        sessions: dict[int, db.Session] = {}
        for number, (slot, verb) in enumerate(steps):
            if verb == "write":
                if slot not in open_:
                    open_[slot] = stack.enter_context(ExitStack())
                    sessions[slot] = open_[slot].enter_context(db.transaction())
                key = f"{first.xid}-{number}"
                publish(sessions[slot], key)
                written.append(key)
            elif verb == "commit" and slot in open_:
                open_.pop(slot).close()
            elif verb == "read":
                batch = read_after(1, position)
                position = batch.next
                seen += keys(batch.events)
    batch = read_after(1, position)
    seen += keys(batch.events)
    assert sorted(seen) == sorted(written)


def test_a_long_backlog_comes_in_batches(monkeypatch) -> None:
    monkeypatch.setattr(event_stream, "BATCH", 10)
    start = present()
    for number in range(25):
        committed(str(number))
    found: list[str] = []
    more, position = True, start
    while more:
        batch = read_after(1, position)
        found += keys(batch.events)
        more, position = batch.more, batch.next
    assert found == [str(number) for number in range(25)]


def test_a_stream_hears_its_tenant_at_once(reading) -> None:
    heard, other = reading(1), reading(2)
    wait_until(lambda: heard and other)  # both have said that there is nothing
    committed("one", tenant_id=1, type="call.completed")
    wait_until(lambda: types_of(heard) == ["call.completed"], timeout=1)
    committed("two", tenant_id=2, type="call.failed")
    wait_until(lambda: types_of(other) == ["call.failed"], timeout=1)
    assert types_of(heard) == ["call.completed"]


def test_a_stream_resumes_behind_a_position_with_chosen_types(reading) -> None:
    start = present()
    for key, type in (("1", "call.ringing"), ("2", "call.completed"), ("3", "call.completed")):
        committed(key, type=type)
    first, second = read_after(1, start, ["call.completed"]).events
    heard = reading(1, first.position, ["call.completed"])
    wait_until(lambda: types_of(heard))
    assert [event.position for event in heard if event] == [second.position]


def test_without_redis_a_stream_polls(reading, monkeypatch) -> None:
    monkeypatch.setattr(jobs, "redis", lambda: Redis(port=1, retry=Retry(NoBackoff(), 0)))
    monkeypatch.setattr(event_stream, "POLL_SECONDS", 0.1)
    heard = reading(1)
    wait_until(lambda: heard)
    committed("one")
    wait_until(lambda: types_of(heard) == ["call.ringing"], timeout=2)


def test_streams_are_kept_alive_bounded_and_ended(streams, monkeypatch) -> None:
    monkeypatch.setattr(event_stream, "KEEP_ALIVE_SECONDS", 0.05)
    monkeypatch.setattr(event_stream, "MAX_SECONDS", 0.4)
    monkeypatch.setattr(event_stream, "MAX_STREAMS", 1)
    stream = streams.open(1)
    with pytest.raises(TooManyRequests):
        streams.open(1)
    streams.open(2)
    said = list(stream)
    assert 3 <= len(said) <= 9
    assert set(said) == {None}
    stream.close()
    streams.open(1).close()


def test_a_stop_ends_a_stream_that_waits(streams) -> None:
    stream = streams.open(1)
    reader = gevent.spawn(list, stream)
    gevent.sleep(0.1)
    streams.stop()
    reader.get(timeout=1)
