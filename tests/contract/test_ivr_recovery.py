"""An engine is killed while callers are in flows: they go on, and hear nothing twice."""

from collections import Counter
from collections.abc import Iterator

import pytest
from sqlalchemy import select

from irisx.kernel.db import transaction
from irisx.kernel.events import DomainEvent
from irisx.telephony.esl import commands
from irisx.telephony.esl.connection import Connection
from irisx.telephony.esl.wire import Event
from irisx.tenancy.models import PhoneNumber, Tenant
from tests.contract.rig import ALSO_STAYS, Line, Machine
from tests.contract.test_ivr import CALLED, node, path, pause, publish, silence
from tests.contract.test_recovery import EngineProcess, engine_process, restart
from tests.waiting import wait_until


@pytest.fixture
def line(running_switch: Machine, tenant: Tenant, number: PhoneNumber) -> Iterator[Line]:
    with Line.on(running_switch, tenant, number.number) as made:
        yield made


@pytest.fixture
def engine(running_switch: Machine, line: Line) -> Iterator[EngineProcess]:
    with engine_process(running_switch) as started:
        yield started


@pytest.fixture
def played(running_switch: Machine) -> Iterator[Counter[str]]:
    """How often the switch began to play each file."""
    counts: Counter[str] = Counter()

    def count(event: Event) -> None:
        file = event.get("Playback-File-Path")
        if file is not None and file.endswith(".wav"):
            counts[file.rpartition("/")[2]] += 1

    witness = Connection(running_switch.url, count, events=["PLAYBACK_START"], subclasses=[])
    witness.start()
    assert witness.wait_up(10)
    yield counts
    witness.close()


def play(id: str, milliseconds: int, next: str) -> dict[str, object]:
    """A prompt that a digit stops, unlike those beside it, so that it is played on its own."""
    return node(id, "play", {"prompts": [silence(milliseconds)]}, next=next)


def test_prompts_go_on_and_none_is_played_twice(
    line: Line, engine: EngineProcess, played: Counter[str]
) -> None:
    flow = publish(
        line,
        pause("a", 1500, "b"),
        play("b", 1400, "c"),
        pause("c", 1300, "ask"),
        node("ask", "gather", {"timeout": 1, "num_digits": 1}, branches={"timeout": "d"}),
        pause("d", 100),
    )
    line.destination(CALLED, {"type": "flow", "id": flow})
    line.call_in(CALLED, hold_ms=20_000)
    wait_until(lambda: played["1400.wav"] == 1)
    restart(engine)
    call_id = wait_until(line.rows, 20)[0].id
    call = line.wait_status(call_id, "completed", timeout=20)
    wait_until(lambda: played == {"1500.wav": 1, "1400.wav": 1, "1300.wav": 1, "100.wav": 1})
    assert path(call_id)[-1] == ("d", "next")
    assert call.hangup_by != "caller"


def test_digits_typed_while_no_engine_is_there_count(
    line: Line, engine: EngineProcess, played: Counter[str]
) -> None:
    ask = {"timeout": 20, "num_digits": 4, "prompts": [silence(600)]}
    flow = publish(
        line,
        pause("a", 100, "ask"),
        node("ask", "gather", ask, branches={"1234": "right", "timeout": "wrong"}),
        pause("right", 300),
        pause("wrong", 400),
    )
    line.destination(CALLED, {"type": "flow", "id": flow})
    line.call_in(CALLED, hold_ms=20_000, digits=" 1234")
    wait_until(lambda: played["600.wav"] == 1)
    restart(engine)
    call_id = wait_until(line.rows, 20)[0].id
    line.wait_status(call_id, "completed", timeout=20)
    wait_until(lambda: played == {"100.wav": 1, "600.wav": 1, "300.wav": 1})
    assert ("ask", "1234") in path(call_id)


def test_a_second_attempt_is_not_the_first_again(
    line: Line, engine: EngineProcess, played: Counter[str]
) -> None:
    """The node is run anew; what its first attempt answered is kept."""
    ask = {
        "timeout": 1,
        "attempts": 2,
        "num_digits": 1,
        "prompts": [silence(600)],
        "no_input": {"prompts": [silence(2000)]},
    }
    flow = publish(
        line,
        node("set", "set_variable", {"variables": {"n": 5}}, next="ask"),
        node("ask", "gather", ask, branches={"timeout": "end"}),
        node(
            "end",
            "condition",
            {"cases": [{"when": {"value": "n", "is": "equal", "to": 5}, "branch": "kept"}]},
            branches={"kept": "bye", "default": "lost"},
        ),
        pause("bye", 300),
        pause("lost", 400),
    )
    line.destination(CALLED, {"type": "flow", "id": flow})
    line.call_in(CALLED, hold_ms=20_000)
    # Both prompts of the second attempt are one playback.
    wait_until(lambda: played["600.wav"] == 2, 15)
    restart(engine)
    call_id = wait_until(line.rows, 20)[0].id
    line.wait_status(call_id, "completed", timeout=20)
    wait_until(lambda: played["600.wav"] == 2 and played["300.wav"] == 1 and played["400.wav"] == 0)
    assert path(call_id)[-2:] == [("end", "kept"), ("bye", "next")]


def test_a_subflow_returns_and_no_event_is_told_twice(
    line: Line, engine: EngineProcess, played: Counter[str]
) -> None:
    ask = {"timeout": 1, "num_digits": 1, "prompts": [silence(2600)]}
    inner = publish(
        line,
        node("ask", "gather", ask, branches={"timeout": "back"}),
        node("back", "return", {"outcome": "done"}),
    )
    outer = publish(
        line,
        node("one", "send_sms", {"text": "one at {{ now }}"}, next="sub"),
        node("sub", "subflow", {"flow": inner}, branches={"done": "two"}, next="lost"),
        node("two", "send_sms", {"text": "two"}, next="bye"),
        pause("bye", 300),
        pause("lost", 400),
    )
    line.destination(CALLED, {"type": "flow", "id": outer})
    line.call_in(CALLED, hold_ms=20_000)
    wait_until(lambda: played["2600.wav"] == 1)
    call_id = wait_until(line.rows, 20)[0].id
    # What a node's traffic was is written in batches: a kill loses the last milliseconds of it.
    wait_until(lambda: path(call_id))
    restart(engine)
    line.wait_status(call_id, "completed", timeout=20)
    wait_until(lambda: played == {"2600.wav": 1, "300.wav": 1})
    passed = path(call_id)
    assert sorted(name for name, _ in passed) == ["ask", "back", "bye", "one", "sub", "two"]
    assert ("sub", "done") in passed
    with transaction() as session:
        rows = session.scalars(select(DomainEvent).where(DomainEvent.type == "ivr.send_sms")).all()
    assert sorted(row.data["text"][:3] for row in rows) == ["one", "two"]


def test_a_flow_goes_on_after_a_transfer_that_ended_without_an_engine(
    line: Line, engine: EngineProcess, played: Counter[str]
) -> None:
    target = {"type": "number", "to": line.far_end(ALSO_STAYS)}
    flow = publish(
        line,
        node(
            "to",
            "transfer",
            {"targets": [target]},
            next="after",
            branches={name: "failed" for name in ("busy", "no-answer", "failed")},
        ),
        pause("after", 300),
        pause("failed", 400),
    )
    line.destination(CALLED, {"type": "flow", "id": flow})
    line.call_in(CALLED, hold_ms=30_000)
    row = wait_until(lambda: next(iter(line.rows()), None))
    line.wait_line(row.id, "call.bridged")
    engine.kill()
    wait_until(lambda: len(line.switch_channels()) == 2)
    partner = next(uuid for uuid in line.switch_channels() if uuid != str(row.id))
    line.observer.api(commands.uuid_kill(partner))
    wait_until(lambda: len(line.switch_channels()) == 1)
    engine.start()
    line.wait_status(row.id, "completed", timeout=20)
    wait_until(lambda: played["300.wav"] == 1)
    assert path(row.id)[-2:] == [("to", "next"), ("after", "next")]
