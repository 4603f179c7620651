"""Calls that a voice assistant talks on: by a number, in a flow, and with the engine killed."""

from collections.abc import Iterator
from typing import Any
from uuid import UUID

import gevent
import pytest
from sqlalchemy import select

from irisx.intelligence.assistants import service, talk
from irisx.intelligence.assistants.models import AssistantSession, AssistantTurn, Outcome
from irisx.kernel.db import transaction
from irisx.kernel.ids import public_id
from irisx.media import process
from irisx.media.taps import messages
from irisx.settings import get_settings
from irisx.tenancy.access import SYSTEM
from irisx.tenancy.models import PhoneNumber, Tenant
from tests.contract import acd
from tests.contract.rig import ANSWERS, STAYS, Line, Machine, Rig
from tests.contract.test_ivr import CALLED, ended, node, pause, publish
from tests.contract.test_recovery import EngineProcess, engine_process, restart
from tests.waiting import wait_until

#: One that leaves a caller who says nothing.
FIELDS: dict[str, Any] = {
    "name": "Ann",
    "language": "en-US",
    "personality": "friendly",
    "greeting": "Hello.",
    "capabilities": [],
    "escalation_triggers": [],
    "limits": {},
    "silence": {"seconds": 2, "prompts": [], "goodbye": "Goodbye."},
    "listening": {},
    "phrases": {},
    "tools": [],
}


@pytest.fixture
def media(running_switch: Machine) -> Iterator[None]:
    """A media process, in this one, beside the switch."""
    settings = get_settings()
    sandbox = running_switch.freeswitch is None
    settings.esl_url = None if sandbox else running_switch.url
    settings.sandbox_esl_url = running_switch.url if sandbox else None
    process.CONSUMERS[talk.NAME] = talk.Talk
    media = process.Media()
    greenlet = gevent.spawn(media.run)
    wait_until(lambda: all(messages.is_alive(name) for name in settings.nodes), 15)
    yield
    media.stop()
    greenlet.join(timeout=5)


@pytest.fixture
def assistant(tenant: Tenant, media: None) -> str:
    return public_id("asst", service.create(SYSTEM, tenant.id, **FIELDS).row.id)


def session_of(call_id: UUID) -> tuple[AssistantSession, list[AssistantTurn]]:
    """The call's one conversation, once it has ended."""

    def over() -> AssistantSession | None:
        with transaction() as session:
            row = session.scalars(select(AssistantSession).filter_by(call_id=call_id)).one()
        return row if row.outcome is not None else None

    found = wait_until(over, 15)
    assert found is not None
    with transaction() as session:
        turns = select(AssistantTurn).filter_by(session_id=found.id).order_by(AssistantTurn.number)
        return found, list(session.scalars(turns))


def call_in(line: Line) -> UUID:
    line.call_in(CALLED, hold_ms=60_000)
    return wait_until(lambda: next(iter(line.rows()), None)).id


def was_greeted_and_left(line: Line, call_id: UUID) -> None:
    call = line.wait_status(call_id, "completed", timeout=50)
    assert call.hangup_by != "caller"
    row, turns = session_of(call_id)
    assert row.outcome is Outcome.SILENCE
    assert [turn.answer for turn in turns] == ["Hello.", "Goodbye."]
    assert all(turn.first_audio_at is not None for turn in turns)


def test_a_caller_who_says_nothing_is_greeted_and_left(line: Rig, assistant: str) -> None:
    line.destination(CALLED, {"type": "assistant", "id": assistant})
    call_id = call_in(line)
    was_greeted_and_left(line, call_id)
    assert line.row(call_id).answered_at is not None


def test_a_flow_goes_on_when_the_assistant_is_done(line: Rig, assistant: str) -> None:
    talks = node(
        "talk", "ai_agent", {"assistant": assistant}, next="bye", branches={"transfer": "wrong"}
    )
    flow = publish(line, pause("a", 100, "talk"), talks, pause("bye", 100), pause("wrong", 100))
    line.destination(CALLED, {"type": "flow", "id": flow})
    call_id = call_in(line)
    assert ended(line, call_id, timeout=50) == [("a", "next"), ("talk", "next"), ("bye", "next")]
    row, _ = session_of(call_id)
    assert row.outcome is Outcome.SILENCE


def test_a_caller_who_hangs_up_ends_the_conversation(line: Rig, assistant: str) -> None:
    line.destination(CALLED, {"type": "assistant", "id": assistant})
    line.call_in(CALLED, hold_ms=1500)
    call_id = wait_until(lambda: next(iter(line.rows()), None)).id
    line.wait_status(call_id, "completed", timeout=20)
    row, _ = session_of(call_id)
    assert row.outcome is Outcome.HUNG_UP


def hands_over_to(line: Rig, destination: dict[str, str]) -> UUID:
    """A call of somebody who says nothing to an assistant whose time is over after ten seconds,
    which is the one end that leads such a caller to a person."""
    fields = FIELDS | {
        "silence": {"seconds": 60, "prompts": [], "goodbye": "Goodbye."},
        "limits": {"max_seconds": 10},
        "phrases": {"handover": "One moment."},
        "escalation": destination,
    }
    assistant = public_id("asst", service.create(SYSTEM, line.tenant.id, **fields).row.id)
    line.destination(CALLED, {"type": "assistant", "id": assistant})
    return call_in(line)


def was_handed_over(call_id: UUID, destination: dict[str, str]) -> None:
    row, turns = session_of(call_id)
    assert (row.outcome, row.destination) == (Outcome.LIMIT, destination)
    assert turns[-1].answer == "One moment."


def test_a_caller_who_takes_too_long_is_handed_over(line: Rig, media: None) -> None:
    taken_over = {"type": "number", "to": line.far_end(ANSWERS)}
    call_id = hands_over_to(line, taken_over)
    line.wait_line(call_id, "call.bridged", timeout=60)
    was_handed_over(call_id, taken_over)
    line.wait_status(call_id, "completed", timeout=20)


def test_a_caller_is_handed_over_to_a_queue_and_an_agent_answers(line: Rig, media: None) -> None:
    ann = acd.agent(line, line.far_end(STAYS))
    queue = acd.queue(line, ann)
    taken_over = {"type": "queue", "id": public_id("queue", queue)}
    call_id = hands_over_to(line, taken_over)
    talking = acd.wait_record(queue, "talking", timeout=60)
    assert (talking.call_id, talking.agent_id) == (call_id, ann.id)
    was_handed_over(call_id, taken_over)
    line.command(call_id, "end")
    line.wait_status(call_id, "completed", timeout=20)
    acd.wait_record(queue, "completed")


class TestEngineKilled:
    """The conversation is in the media process, and the channel says how far it was played."""

    @pytest.fixture
    def line(self, running_switch: Machine, tenant: Tenant, number: PhoneNumber) -> Iterator[Line]:
        with Line.on(running_switch, tenant, number.number) as made:
            yield made

    @pytest.fixture
    def engine(self, running_switch: Machine, line: Line) -> Iterator[EngineProcess]:
        with engine_process(running_switch) as started:
            yield started

    @pytest.mark.parametrize("kind", ["assistant", "flow"])
    def test_the_conversation_goes_on(
        self, line: Line, engine: EngineProcess, assistant: str, kind: str
    ) -> None:
        destination = {"type": "assistant", "id": assistant}
        if kind == "flow":
            talks = node("talk", "ai_agent", {"assistant": assistant})
            destination = {"type": "flow", "id": publish(line, talks)}
        line.destination(CALLED, destination)
        call_id = call_in(line)

        def greeted() -> bool:
            began = select(AssistantTurn.first_audio_at).where(AssistantTurn.number == 0)
            with transaction() as session:
                return session.scalar(began) is not None

        wait_until(greeted, 30)
        restart(engine)
        was_greeted_and_left(line, call_id)
