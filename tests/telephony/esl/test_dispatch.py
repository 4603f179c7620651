import gc

import gevent
import pytest
from gevent.event import Event as Flag
from hypothesis import given
from hypothesis import strategies as st
from structlog.testing import capture_logs

from irisx.telephony.esl.dispatch import BACKLOG_ALARM, Dispatcher
from irisx.telephony.esl.wire import Event
from tests.waiting import wait_until


def make(call: str | None, sequence: int) -> Event:
    lines = [f"Event-Sequence: {sequence}", "Event-Name: DTMF"]
    if call:
        lines.append(f"variable_irisx_call_id: {call}")
    return Event(("\n".join(lines) + "\n\n").encode())


def call_of(event: Event) -> str | None:
    return event.variable("irisx_call_id")


def settled(dispatcher: Dispatcher) -> None:
    wait_until(lambda: dispatcher.active == 0)


@given(st.lists(st.tuples(st.sampled_from(["a", "b", "c", None]), st.integers(1, 99)), max_size=40))
def test_events_that_wait_together_are_handled_by_sequence(arrived: list[tuple[str | None, int]]):
    handled: list[Event] = []
    dispatcher = Dispatcher(handled.append, call_of)
    for call, sequence in arrived:
        dispatcher.dispatch(make(call, sequence))
    settled(dispatcher)
    for call in ("a", "b", "c", None):
        got = [event.sequence for event in handled if call_of(event) == call]
        assert got == sorted(sequence for each, sequence in arrived if each == call)


def test_a_slow_call_delays_neither_the_others_nor_the_reader():
    blocked = Flag()
    done: list[str] = []

    def handle(event: Event) -> None:
        call = call_of(event) or ""
        if call == "slow":
            blocked.wait()
        done.append(f"{call}{event.sequence}")

    dispatcher = Dispatcher(handle, call_of)
    for sequence in range(3):
        dispatcher.dispatch(make("slow", sequence))
        dispatcher.dispatch(make("fast", sequence))
    wait_until(lambda: len(done) == 3)
    assert done == ["fast0", "fast1", "fast2"]
    blocked.set()
    settled(dispatcher)
    assert done[3:] == ["slow0", "slow1", "slow2"]


def test_one_call_is_never_handled_twice_at_a_time():
    inside = 0
    most = 0

    def handle(event: Event) -> None:
        nonlocal inside, most
        inside += 1
        most = max(most, inside)
        gevent.sleep(0)
        inside -= 1

    dispatcher = Dispatcher(handle, call_of)
    for sequence in range(20):
        dispatcher.dispatch(make("a", sequence))
        gevent.sleep(0)
    settled(dispatcher)
    assert most == 1


def test_functions_take_their_turn_among_the_events():
    handled: list[object] = []
    dispatcher = Dispatcher(lambda event: handled.append(event.sequence), call_of)
    dispatcher.dispatch(make("a", 8))
    dispatcher.dispatch(make("a", 9))
    dispatcher.submit("a", handled.append, "function")
    dispatcher.dispatch(make("a", 7))
    dispatcher.dispatch(make("a", 10))
    settled(dispatcher)
    assert handled == [7, 8, 9, "function", 10]


def test_a_function_for_a_call_that_does_nothing_else():
    handled: list[object] = []
    dispatcher = Dispatcher(handled.append, call_of)
    dispatcher.submit("a", handled.append, "function")
    settled(dispatcher)
    assert handled == ["function"]


def test_nothing_is_left_of_a_call_that_is_over():
    dispatcher = Dispatcher(lambda event: gevent.sleep(0), call_of)
    gc.collect()
    before = _greenlets()
    for number in range(200):
        for sequence in range(3):
            dispatcher.dispatch(make(f"call-{number}", sequence))
    assert dispatcher.active == 200
    settled(dispatcher)
    gc.collect()
    assert _greenlets() <= before


def _greenlets() -> int:
    return sum(isinstance(each, gevent.Greenlet) and not each.dead for each in gc.get_objects())


def test_an_exception_is_logged_with_the_call_and_the_call_goes_on():
    handled: list[int] = []

    def handle(event: Event) -> None:
        if event.sequence == 1:
            raise RuntimeError("bug")
        handled.append(event.sequence)

    dispatcher = Dispatcher(handle, call_of)
    with capture_logs() as logs:
        for sequence in range(3):
            dispatcher.dispatch(make("a", sequence))
        settled(dispatcher)
    assert handled == [0, 2]
    [entry] = [entry for entry in logs if entry["event"] == "call.handler_failed"]
    assert entry["call_id"] == "a"
    assert entry["exc_info"]


def test_an_event_that_cannot_be_placed_is_the_callers_error():
    dispatcher = Dispatcher(lambda event: None, lambda event: event["no such header"])
    with pytest.raises(KeyError):
        dispatcher.dispatch(make("a", 1))
    assert dispatcher.active == 0


def test_a_backlog_is_reported():
    blocked = Flag()
    dispatcher = Dispatcher(lambda event: blocked.wait(), call_of)
    with capture_logs() as logs:
        for sequence in range(BACKLOG_ALARM):
            dispatcher.dispatch(make("a", sequence))
    assert {"event": "call.backlog", "call_id": "a", "waiting": BACKLOG_ALARM}.items() <= (
        logs[0].items()
    )
    blocked.set()
    settled(dispatcher)


def test_what_is_held_comes_after_what_was_submitted_meanwhile():
    done: list[str] = []
    dispatcher = Dispatcher(lambda event: done.append(f"event {event.sequence}"), call_of)
    with dispatcher.holding():
        dispatcher.dispatch(make("a", 7))
        dispatcher.submit("a", done.append, "restored")
        settled(dispatcher)
        assert done == ["restored"]
        dispatcher.dispatch(make("a", 8))
        dispatcher.submit("a", done.append, "told more")
    settled(dispatcher)
    assert done == ["restored", "told more", "event 7", "event 8"]


def test_what_is_held_within_what_is_held_waits_for_the_outer_end():
    done: list[int] = []
    dispatcher = Dispatcher(lambda event: done.append(event.sequence), call_of)
    with dispatcher.holding():
        dispatcher.dispatch(make("a", 1))
        with dispatcher.holding():
            dispatcher.dispatch(make("a", 2))
        settled(dispatcher)
        assert done == []
    settled(dispatcher)
    assert done == [1, 2]


def test_events_are_held_no_longer_when_it_failed():
    done: list[int] = []
    dispatcher = Dispatcher(lambda event: done.append(event.sequence), call_of)
    with pytest.raises(RuntimeError), dispatcher.holding():
        dispatcher.dispatch(make("a", 1))
        raise RuntimeError
    dispatcher.dispatch(make("a", 2))
    settled(dispatcher)
    assert done == [1, 2]
