import json
import time
from collections.abc import Iterator
from uuid import uuid4

import gevent
import pytest
from gevent.event import Event
from hypothesis import given
from hypothesis import strategies as st
from redis import ConnectionError as RedisConnectionError
from redis import Redis

from irisx.kernel.errors import Conflict, Forbidden, IrisxError, NotFound, Unavailable
from irisx.kernel.redis import redis
from irisx.telephony import bus
from irisx.telephony.bus import Command
from irisx.telephony.calls.models import Call
from tests.telephony.bus_engine import BusEngine, serving
from tests.waiting import wait_until

COMMANDS = "irisx:engine:engine-1:commands"


@pytest.fixture
def engine() -> Iterator[BusEngine]:
    with serving() as engine:
        yield engine


@pytest.fixture
def call() -> Call:
    return Call(id=uuid4(), node="fs1")


def command(*, deadline_ms: int, id: str = "c1") -> Command:
    return Command(id, "end", uuid4(), {}, deadline_ms)


def in_ms(milliseconds: int) -> int:
    return int(time.time() * 1000) + milliseconds


def test_the_command_reaches_the_engine_whole_and_its_answer_comes_back(
    engine: BusEngine, call: Call
) -> None:
    engine.answer = lambda command: {"echo": command.args["digits"]}
    assert bus.request(call, "dtmf", {"digits": "1#"}) == {"echo": "1#"}
    (received,) = engine.received
    assert (received.verb, received.call_id, received.args) == ("dtmf", call.id, {"digits": "1#"})


@pytest.mark.parametrize("kind", [Conflict, NotFound, Forbidden, Unavailable])
def test_an_error_of_the_engine_is_raised_as_it_was(
    engine: BusEngine, call: Call, kind: type[IrisxError]
) -> None:
    def refuse(command: Command) -> dict[str, object]:
        raise kind("no", code="OWN_CODE", details=[{"field": "to", "message": "why"}])

    engine.answer = refuse
    with pytest.raises(kind) as raised:
        bus.request(call, "hold")
    assert raised.value.status == kind.status
    assert (raised.value.message, raised.value.code) == ("no", "OWN_CODE")
    assert raised.value.details == [{"field": "to", "message": "why"}]


def test_a_defect_of_the_engine_is_an_internal_error_without_its_text(
    engine: BusEngine, call: Call
) -> None:
    def fail(command: Command) -> dict[str, object]:
        raise RuntimeError("password=hunter2")

    engine.answer = fail
    with pytest.raises(IrisxError) as raised:
        bus.request(call, "hold")
    assert raised.value.status == 500
    assert raised.value.code == "INTERNAL_ERROR"
    assert "hunter2" not in raised.value.message


def test_a_call_whose_node_no_engine_holds_is_unavailable_at_once(call: Call) -> None:
    began = time.monotonic()
    with pytest.raises(Unavailable) as raised:
        bus.request(call, "end")
    assert raised.value.code == "ENGINE_UNAVAILABLE"
    assert time.monotonic() - began < 1


def test_a_call_without_a_node_is_unavailable(engine: BusEngine) -> None:
    with pytest.raises(Unavailable) as raised:
        bus.request(Call(id=uuid4(), node=None), "end")
    assert raised.value.code == "ENGINE_UNAVAILABLE"
    assert engine.received == []


def test_a_command_that_a_dead_engine_left_is_withdrawn(call: Call) -> None:
    redis().set("irisx:node:fs1", json.dumps({"engine": "engine-1"}))
    with pytest.raises(Unavailable) as raised:
        bus.request(call, "end", timeout=0.1)
    assert raised.value.code == "ENGINE_UNAVAILABLE"
    assert redis().llen(COMMANDS) == 0


def test_a_command_that_a_dead_engine_left_is_done_by_the_one_that_takes_its_node(
    call: Call,
) -> None:
    redis().set("irisx:node:fs1", json.dumps({"engine": "dead"}))
    asked = gevent.spawn(bus.request, call, "dtmf", {"digits": "1"})
    wait_until(lambda: redis().llen("irisx:engine:dead:commands"))
    with serving() as engine:
        assert asked.get(timeout=5) == {}
        assert [command.verb for command in engine.received] == ["dtmf"]
    assert not redis().llen("irisx:engine:dead:commands")


def test_a_command_that_was_taken_but_not_answered_says_that_its_effect_is_unknown(
    engine: BusEngine, call: Call
) -> None:
    released = Event()

    def hang(command: Command) -> dict[str, object]:
        released.wait()
        return {}

    engine.answer = hang
    with pytest.raises(Unavailable) as raised:
        bus.request(call, "end", timeout=0.1)
    assert raised.value.code == "ENGINE_TIMEOUT"
    released.set()


def test_a_slow_command_does_not_hold_up_the_others(engine: BusEngine, call: Call) -> None:
    released = Event()

    def answer(command: Command) -> dict[str, object]:
        if command.verb == "slow":
            released.wait()
        return {"verb": command.verb}

    engine.answer = answer
    slow = gevent.spawn(bus.request, call, "slow")
    wait_until(lambda: engine.received)
    assert bus.request(call, "quick") == {"verb": "quick"}
    released.set()
    assert slow.get(timeout=5) == {"verb": "slow"}


def test_a_command_past_its_deadline_is_not_carried_out(engine: BusEngine) -> None:
    late, due = (
        command(deadline_ms=in_ms(-1), id="late"),
        command(deadline_ms=in_ms(5000), id="due"),
    )
    redis().lpush(COMMANDS, late.encode())
    redis().lpush(COMMANDS, due.encode())
    wait_until(lambda: engine.received)
    assert [received.id for received in engine.received] == ["due"]


@pytest.mark.parametrize(
    "text", [b"", b"{", b"[]", b"7", b"null", b'{"id": "x"}', b'{"call_id": "no"}', b"\xff\xfe"]
)
def test_what_is_no_command_is_passed_over(engine: BusEngine, call: Call, text: bytes) -> None:
    redis().lpush(COMMANDS, text)
    assert bus.request(call, "end") == {}


def test_answers_that_nobody_fetches_expire(engine: BusEngine) -> None:
    redis().lpush(COMMANDS, command(deadline_ms=in_ms(5000)).encode())
    wait_until(lambda: redis().exists("irisx:reply:c1"))
    assert 0 < redis().ttl("irisx:reply:c1") <= 30


def test_no_more_commands_are_taken_than_may_run(
    monkeypatch: pytest.MonkeyPatch, call: Call
) -> None:
    monkeypatch.setattr(bus, "MAX_RUNNING", 2)
    released = Event()
    with serving() as engine:
        engine.answer = lambda command: {"released": released.wait()}
        requests = [gevent.spawn(bus.request, call, "hold") for _ in range(3)]
        wait_until(lambda: len(engine.received) == 2)
        wait_until(lambda: redis().llen(COMMANDS) == 1)
        released.set()
        gevent.joinall(requests, timeout=5, raise_error=True)
    assert len(engine.received) == 3


def test_an_engine_that_stops_ends_its_commands_first(call: Call) -> None:
    stop, ended = Event(), []

    def handle(command: Command) -> dict[str, object]:
        stop.set()
        gevent.sleep(0)
        ended.append(command.verb)
        return {}

    redis().lpush(COMMANDS, command(deadline_ms=in_ms(5000)).encode())
    gevent.spawn(bus.serve, "engine-1", handle, stop).get(timeout=5)
    assert ended == ["end"]


def test_the_engine_serves_on_when_redis_comes_back(
    engine: BusEngine, call: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    brpop = Redis.brpop
    failed = []

    def away(self: "Redis[bytes]", keys: list[str], timeout: float = 0) -> object:
        if keys == [COMMANDS] and len(failed) < 2:
            failed.append(keys)
            raise RedisConnectionError("away")
        return brpop(self, keys, timeout)

    monkeypatch.setattr(Redis, "brpop", away)
    wait_until(lambda: len(failed) == 2)
    assert bus.request(call, "end") == {}


def test_without_redis_a_request_says_so(call: Call, no_redis: None) -> None:
    with pytest.raises(Unavailable) as raised:
        bus.request(call, "end")
    assert raised.value.code == "REDIS_UNAVAILABLE"


@pytest.fixture
def no_redis(monkeypatch: pytest.MonkeyPatch) -> None:
    nobody = Redis(host="127.0.0.1", port=1, retry=redis().get_retry())
    monkeypatch.setattr(bus, "redis", lambda: nobody)


def test_redis_that_is_away_is_noticed_at_once(call: Call, no_redis: None) -> None:
    began = time.monotonic()
    bus.wake_dialer()
    assert time.monotonic() - began < 0.5


def test_a_wake_that_redis_does_not_take_is_not_an_error(no_redis: None) -> None:
    bus.wake_dialer()


def test_a_wake_ends_the_wait_for_new_calls() -> None:
    waiting = gevent.spawn(bus.wait_for_new_calls, Event())
    bus.wake_dialer()
    waiting.get(timeout=0.9)  # without the wake it takes a second
    assert redis().llen("irisx:calls:new") == 0


def test_wakes_do_not_pile_up_without_an_engine() -> None:
    for _ in range(300):
        bus.wake_dialer()
    assert redis().llen("irisx:calls:new") <= 101


def test_without_redis_the_wait_for_new_calls_ends_with_the_engine(no_redis: None) -> None:
    stop = Event()
    waiting = gevent.spawn(bus.wait_for_new_calls, stop)
    stop.set()
    waiting.get(timeout=0.9)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda children: (
        st.lists(children, max_size=3) | st.dictionaries(st.text(), children, max_size=3)
    ),
    max_leaves=10,
)


@given(st.text(), st.dictionaries(st.text(), json_values, max_size=5), st.uuids())
def test_a_command_survives_the_wire(verb: str, args: dict[str, object], call_id: object) -> None:
    sent = Command("id", verb, call_id, args, 1)
    assert Command.decode(sent.encode().encode()) == sent
