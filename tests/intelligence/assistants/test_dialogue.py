"""The conversation as a state machine."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from irisx.intelligence.assistants.config import Config
from irisx.intelligence.assistants.dialogue import (
    TRANSITIONS,
    Action,
    Answered,
    Began,
    Broken,
    Dialogue,
    Drop,
    End,
    Ending,
    Happening,
    Left,
    Played,
    Recognize,
    Recognized,
    Said,
    Say,
    Sentence,
    State,
    Stop,
    Think,
    Tick,
    Unanswered,
    Unrecognized,
)
from irisx.intelligence.assistants.models import Outcome


def config(**changed: Any) -> Config:
    fields: dict[str, Any] = {
        "name": "Ann",
        "language": "en-US",
        "voice": None,
        "personality": "friendly",
        "greeting": "Hello.",
        "instructions": None,
        "knowledge_base_id": None,
        "capabilities": [],
        "escalation_triggers": [],
        "escalation": None,
        "limits": {"max_turns": 3, "max_seconds": 60},
        "silence": {"seconds": 5, "prompts": ["Still there?"], "goodbye": "Bye."},
        "listening": {},
        "phrases": {"repeat": "Again?", "handover": "A colleague.", "sorry": "Sorry."},
        "tools": [],
    }
    return Config.model_validate(fields | changed)


class Call:
    """A dialogue with the clock in hand."""

    def __init__(self, *, escalates: bool = False, greeted: bool = True, **changed: Any) -> None:
        self.now = 100.0
        self.dialogue = Dialogue(config(**changed), escalates=escalates)
        self.first = self.dialogue.begin(self.now)
        if greeted:
            assert self.does(Played(1)) == []

    def does(self, *happenings: Happening) -> list[Action]:
        return [act for one in happenings for act in self.dialogue.handle(one, self.now)]

    def waits(self, seconds: float) -> list[Action]:
        self.now += seconds
        return self.does(Tick())

    def asks(self, text: str = "When are you open?", utterance: int = 1) -> list[Action]:
        return self.does(Began(), Said(utterance), Recognized(utterance, text))

    @property
    def state(self) -> State:
        return self.dialogue.state


def test_the_greeting_is_spoken_and_then_it_listens() -> None:
    call = Call(greeted=False)
    assert call.first == [Say(1, 0, "Hello.")]
    assert call.state is State.SPEAKING
    assert call.does(Played(1)) == []
    assert call.state is State.LISTENING


def test_a_question_is_answered_sentence_by_sentence() -> None:
    call = Call()
    assert call.does(Began(), Said(1)) == [Recognize(1)]
    assert call.does(Recognized(1, "When are you open?")) == [Think(1, "When are you open?")]
    assert call.does(Sentence(1, "At nine.")) == [Say(2, 1, "At nine.")]
    assert call.does(Played(2)) == []
    assert call.state is State.THINKING  # more may come
    assert call.does(Sentence(1, "Until five."), Answered(1)) == [Say(3, 1, "Until five.")]
    call.does(Played(3))
    assert call.state is State.LISTENING


def test_the_caller_interrupts() -> None:
    call = Call()
    call.asks()
    call.does(Sentence(1, "At nine."), Sentence(1, "Until five."))
    assert call.does(Began()) == [Stop(), Drop(1)]
    assert call.state is State.LISTENING
    assert call.does(Sentence(1, "Too late."), Answered(1), Played(2)) == []
    assert call.does(Said(2), Recognized(2, "And today?")) == [Recognize(2), Think(2, "And today?")]


def test_a_noise_that_interrupted_lets_it_go_on() -> None:
    call = Call()
    call.asks()
    call.does(Sentence(1, "At nine."), Sentence(1, "Until five."), Answered(1), Played(2))
    assert call.does(Began()) == [Stop()]
    assert call.does(Said(2), Recognized(2, "")) == [Recognize(2), Say(4, 0, "Until five.")]


def test_without_barge_in_it_speaks_on() -> None:
    call = Call(listening={"barge_in": False})
    call.asks()
    call.does(Sentence(1, "At nine."))
    assert call.does(Began(), Said(2)) == []
    assert call.state is State.SPEAKING


def test_who_goes_on_before_the_answer_is_asked_together() -> None:
    call = Call()
    call.does(Began(), Said(1), Recognized(1, "I want"))
    assert call.does(Began()) == [Drop(1)]
    assert call.does(Said(2), Recognized(2, "to pay.")) == [
        Recognize(2),
        Think(2, "I want to pay."),
    ]


def test_who_goes_on_before_it_is_recognized_is_asked_together() -> None:
    call = Call()
    call.does(Began(), Said(1), Began())
    assert call.does(Recognized(1, "I want")) == []
    assert call.does(Said(2), Recognized(2, "to pay."))[-1] == Think(1, "I want to pay.")


def test_a_tool_ends_it_after_the_last_words() -> None:
    call = Call()
    call.asks()
    ending = Ending(Outcome.COMPLETED)
    assert call.does(Sentence(1, "Goodbye."), Answered(1, ending)) == [Say(2, 1, "Goodbye.")]
    assert call.does(Began()) == []  # nobody interrupts a goodbye
    assert call.does(Played(2)) == [End(ending)]
    assert call.state is State.ENDED


def test_a_tool_without_words_ends_it_at_once() -> None:
    call = Call()
    call.asks()
    assert call.does(Answered(1, Ending(Outcome.ESCALATED, "angry"))) == [
        End(Ending(Outcome.ESCALATED, "angry"))
    ]


def test_a_silent_caller_is_asked_and_then_left() -> None:
    call = Call()
    assert call.waits(4) == []
    assert call.waits(1) == [Say(2, 0, "Still there?")]
    assert call.waits(9) == []  # it still speaks
    call.does(Played(2))
    assert call.waits(5) == [Say(3, 0, "Bye.")]
    assert call.does(Played(3)) == [End(Ending(Outcome.SILENCE))]


def test_who_speaks_is_not_silent() -> None:
    call = Call()
    call.waits(5)
    call.does(Played(2), Began())
    assert call.waits(6) == []
    call.does(Said(1), Recognized(1, "Yes."), Sentence(1, "Good."), Answered(1), Played(3))
    assert call.waits(5) == [Say(4, 0, "Still there?")]


@pytest.mark.parametrize("escalates", [True, False])
def test_too_many_turns(escalates: bool) -> None:
    call = Call(escalates=escalates, limits={"max_turns": 1})
    call.asks()
    call.does(Sentence(1, "At nine."), Answered(1), Played(2))
    words = "A colleague." if escalates else "Sorry."
    assert call.asks(utterance=2) == [Recognize(2), Say(3, 0, words)]
    assert call.does(Played(3)) == [End(Ending(Outcome.LIMIT, "turns"))]


def test_too_long() -> None:
    call = Call(limits={"max_seconds": 10})
    call.asks()
    assert call.waits(20) == []  # an answer under way is waited for
    assert call.does(Sentence(1, "At nine."), Answered(1), Played(2))[:1] == [Say(2, 1, "At nine.")]
    assert call.waits(0) == [Say(3, 0, "Sorry.")]
    assert call.does(Played(3)) == [End(Ending(Outcome.LIMIT, "seconds"))]


def test_far_too_long_waits_for_nothing() -> None:
    call = Call(limits={"max_seconds": 10})
    call.asks()
    assert call.waits(40) == [Stop(), Drop(1), End(Ending(Outcome.LIMIT, "seconds"))]


def test_a_failure_is_asked_again_and_the_second_one_ends_it() -> None:
    call = Call()
    assert call.does(Began(), Said(1), Unrecognized(1)) == [Recognize(1), Say(2, 0, "Again?")]
    call.does(Played(2))
    call.asks(utterance=2)
    assert call.does(Unanswered(1)) == [Say(3, 0, "Sorry.")]
    assert [type(act) for act in call.does(Played(3))] == [End]


def test_the_caller_leaves() -> None:
    call = Call()
    call.asks()
    assert call.does(Left()) == [Drop(1), End(Ending(Outcome.HUNG_UP))]
    assert call.does(Sentence(1, "Late."), Tick(), Left()) == []


def test_without_speech_it_ends_at_once() -> None:
    call = Call()
    call.asks()
    call.does(Sentence(1, "At nine."))
    assert call.does(Broken("speech")) == [
        Stop(),
        Drop(1),
        End(Ending(Outcome.FAILED, "speech")),
    ]


numbers = st.integers(0, 6)
happenings = st.one_of(
    st.just(Began()),
    st.just(Left()),
    st.just(Broken("speech")),
    st.builds(Said, numbers),
    st.builds(Recognized, numbers, st.sampled_from(["", "Yes."])),
    st.builds(Unrecognized, numbers),
    st.builds(Sentence, numbers, st.just("Good.")),
    st.builds(Answered, numbers, st.sampled_from([None, Ending(Outcome.COMPLETED)])),
    st.builds(Unanswered, numbers),
    st.builds(Played, numbers),
    st.just(Tick()),
)


@given(st.lists(st.tuples(happenings, st.floats(0, 20)), max_size=60), st.booleans(), st.booleans())
def test_whatever_happens_it_keeps_to_its_table(
    story: list[tuple[Happening, float]], escalates: bool, barge_in: bool
) -> None:
    """Late, repeated and reordered events included: no answer is spoken that was dropped, it ends
    once, and nothing happens after that."""
    dialogue = Dialogue(config(listening={"barge_in": barge_in}), escalates=escalates)
    now, ended, live = 0.0, 0, set[int]()
    dialogue.begin(now)
    for happening, seconds in story:
        before, now = dialogue.state, now + seconds
        actions = dialogue.handle(happening, now)
        after = dialogue.state
        assert before is after or after in TRANSITIONS[before]
        assert not (ended and actions)
        for act in actions:
            match act:
                case Think(answer):
                    live.add(answer)
                case Drop(answer):
                    live.discard(answer)
                case Say(_, answer, _):
                    assert answer == 0 or answer in live
                case End():
                    ended += 1
    assert ended <= 1
    assert (dialogue.state is State.ENDED) is (ended == 1)
