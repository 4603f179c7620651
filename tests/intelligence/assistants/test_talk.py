"""A conversation on a call, from the frames of its tap to what the engine is told to play."""

from collections.abc import Callable, Iterator
from typing import Any
from uuid import uuid4

import gevent
import numpy as np
import pytest

from irisx.intelligence.assistants import service, sessions
from irisx.intelligence.assistants.listening import FRAME_MS
from irisx.intelligence.assistants.models import Outcome
from irisx.intelligence.assistants.talk import Talk
from irisx.kernel.clock import isoformat, now
from irisx.media.process import Media
from irisx.media.synthesis import Hibari, cache_key
from irisx.media.taps import Cause, Report, Start, Tap
from irisx.tenancy.access import SYSTEM
from irisx.tenancy.models import Tenant
from tests.openai_server import OpenAiServer, Turn, openai_server
from tests.waiting import wait_until

ANSWER = ["We are open from nine. ", "Until five."]


@pytest.fixture
def server(configure: Callable[..., None]) -> Iterator[OpenAiServer]:
    with openai_server(Turn(ANSWER)) as server:
        server.transcript = {"text": "When are you open?", "language": "en", "words": []}
        configure(ai_base_url=server.url, ai_chat_model="small", ai_transcription_model="small")
        yield server


@pytest.fixture
def media() -> Iterator[None]:
    """Texts are spoken."""
    process = Media()
    greenlet = gevent.spawn(process.run)
    yield
    process.stop()
    greenlet.join(timeout=5)


class Call:
    """A call's tap, as the reader and the engine use it."""

    def __init__(self, tenant: Tenant, assistant_id: int, talk: str | None = None) -> None:
        self.reports: list[tuple[str, dict[str, Any]]] = []
        self.talk = talk or uuid4().hex
        self.call_id = uuid4()
        arguments = {
            "talk": self.talk,
            "tenant_id": tenant.id,
            "assistant_id": assistant_id,
            "call_id": str(self.call_id),
            "caller": "+15555550100",
        }
        self.tap = Tap(Start("node", str(self.call_id), "assistant", arguments), self._told)
        self.consumer = Talk(self.tap, arguments)

    def _told(self, node: str, report: Report) -> None:
        self.reports.append((report.type, report.data))

    def hears(self, milliseconds: int, probability: float) -> None:
        """The caller makes so much speech, or silence."""
        sound = np.full(256, 1000, np.int16)
        for _ in range(milliseconds // FRAME_MS):
            self.consumer.hear(sound, None)
            self.consumer.voice(sound.astype(np.float32) / 32768, probability)

    def says_something(self) -> None:
        self.hears(960, 0.95)
        self.hears(704, 0.0)

    def played(self, *plays: int) -> None:
        """The engine has played these."""
        for play in plays:
            self.consumer.told("began", {"play": play, "at": isoformat(now())})
            self.consumer.told("played", {"play": play})

    def plays(self, text: str) -> list[int]:
        """The numbers under which a text was to be played so far."""
        key = cache_key(text, Hibari.VOICE)
        return [
            data["play"] for type, data in self.reports if type == "play" and key in data["path"]
        ]

    def wait_play(self, text: str) -> int:
        """Wait until a text is to be played; its number."""
        return wait_until(lambda: self.plays(text), 60)[-1]

    def wait_report(self, type: str) -> dict[str, Any]:
        return wait_until(lambda: next((data for t, data in self.reports if t == type), None), 60)


FIELDS: dict[str, Any] = {
    "name": "Ann",
    "language": "en-US",
    "personality": "friendly",
    "greeting": "Hello.",
    "capabilities": [],
    "escalation_triggers": ["supervisor"],
    "escalation": {"type": "number", "to": "+15555550123"},
    "limits": {},
    "silence": {},
    "listening": {},
    "phrases": {"handover": "One moment.", "repeat": "Again please."},
    "tools": [],
}


@pytest.fixture
def assistant(tenant: Tenant, server: OpenAiServer, media: None) -> int:
    return service.create(SYSTEM, tenant.id, **FIELDS).row.id


@pytest.fixture
def call(tenant: Tenant, assistant: int) -> Call:
    """A call that has heard the greeting."""
    call = Call(tenant, assistant)
    call.played(call.wait_play("Hello."))
    return call


def kept(call: Call) -> sessions.Conversation:
    """The conversation as it is in the database."""
    asked = call.consumer.arguments
    return sessions.begin_call(
        asked.tenant_id,
        asked.assistant_id,
        talk=call.talk,
        call_id=call.call_id,
        caller=None,
        context=None,
        max_seconds=None,
    )


def test_what_is_said_is_recognized_answered_and_kept_with_its_times(
    call: Call, server: OpenAiServer
) -> None:
    call.says_something()
    first = call.wait_play("We are open from nine.")
    second = call.wait_play("Until five.")
    call.played(first, second)
    wait_until(lambda: len(kept(call).turns) == 2 and kept(call).turns[1].ended_at)
    turn = kept(call).turns[1]
    assert (turn.heard, turn.answer) == ("When are you open?", "We are open from nine. Until five.")
    times = [turn.recognized_at, turn.first_words_at, turn.first_audio_at, turn.ended_at]
    assert None not in times and times == sorted(times, key=str)
    assert turn.speech_began_at is not None and turn.speech_ended_at is not None
    assert len(server.bodies("/audio/transcriptions")) == 1


def test_a_pause_within_a_sentence_is_recognized_but_not_answered(
    call: Call, server: OpenAiServer
) -> None:
    call.hears(960, 0.95)
    call.hears(320, 0.0)
    wait_until(lambda: server.bodies("/audio/transcriptions"))
    call.says_something()
    call.wait_play("Until five.")
    assert len(server.bodies("/chat/completions")) == 1
    short, whole = (len(body) for body in server.bodies("/audio/transcriptions"))
    assert whole > short


def test_the_caller_interrupts(call: Call) -> None:
    call.says_something()
    first = call.wait_play("We are open from nine.")
    call.wait_play("Until five.")
    call.consumer.told("began", {"play": first, "at": isoformat(now())})
    call.hears(96, 0.95)
    assert call.reports[-1] == ("stop", {})
    wait_until(lambda: kept(call).turns[1].interrupted)
    assert kept(call).turns[1].answer == "We are open from nine."  # what was heard of it


def test_a_trigger_hands_over_with_a_summary(call: Call, server: OpenAiServer) -> None:
    server.transcript = {"text": "Your supervisor, please.", "language": "en", "words": []}
    server.chat = lambda body: Turn(["Wants a supervisor."])
    call.says_something()
    call.played(call.wait_play("One moment."))
    end = call.wait_report("end")
    assert (end["outcome"], end["destination"]) == ("escalated", FIELDS["escalation"])
    assert end["summary"] == "Wants a supervisor."
    assert cache_key("Wants a supervisor.", Hibari.VOICE) in end["whisper"]
    assert call.tap.closed
    wait_until(lambda: kept(call).ending)
    assert kept(call).summary == "Wants a supervisor."


def test_a_recognizer_that_fails_lets_it_ask_again(call: Call, server: OpenAiServer) -> None:
    server.transcript = {"nothing": 1}
    call.says_something()
    call.wait_play("Again please.")


def test_the_call_ends(call: Call) -> None:
    call.consumer.end(Cause.STOPPED)
    wait_until(lambda: kept(call).ending)
    ending = kept(call).ending
    assert ending is not None and ending.outcome is Outcome.HUNG_UP


def test_an_engine_that_takes_over_is_told_again_what_to_play(call: Call) -> None:
    call.says_something()
    first = call.wait_play("We are open from nine.")
    second = call.wait_play("Until five.")
    call.consumer.told("attached", {"play": first})
    assert call.plays("We are open from nine.") == [first]
    assert call.plays("Until five.") == [second, second]


def test_another_media_process_goes_on(call: Call, tenant: Tenant, assistant: int) -> None:
    call.says_something()
    call.played(call.wait_play("We are open from nine."), call.wait_play("Until five."))
    wait_until(lambda: len(kept(call).turns) == 2)
    call.consumer.end(Cause.LOST)
    again = Call(tenant, assistant, talk=call.talk)
    again.hears(320, 0.0)
    wait_until(lambda: again.consumer.state == "listening")
    again.says_something()
    again.wait_play("Until five.")
    assert again.plays("Hello.") == []  # nobody is greeted twice
    assert len(kept(call).turns) == 3


def test_an_end_that_the_engine_did_not_hear_of_is_told_again(
    call: Call, tenant: Tenant, assistant: int, server: OpenAiServer
) -> None:
    server.chat = lambda body: Turn(["Goodbye."], tools=[("hang_up", {})])
    call.says_something()
    call.played(call.wait_play("Goodbye."))
    wait_until(lambda: kept(call).ending)
    again = Call(tenant, assistant, talk=call.talk)
    assert again.wait_report("end")["outcome"] == "completed"


def test_an_assistant_that_is_gone_fails(tenant: Tenant) -> None:
    assert Call(tenant, 999).wait_report("end")["outcome"] == "failed"
