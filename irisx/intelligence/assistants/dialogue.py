"""A conversation as a state machine: what happens on the call goes in, what to do comes out.

Pure: it knows no audio, model or clock. Late and repeated events are ordinary and change nothing:
recognitions, answers and playbacks are numbered, and a number that is not the present one is over.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from irisx.intelligence.assistants.config import Config
from irisx.intelligence.assistants.models import Outcome

#: How much longer than `max_seconds` an answer under way may take (s).
_GRACE_SECONDS = 30.0
_MAX_FAILURES = 2


class State(StrEnum):
    LISTENING = "listening"
    THINKING = "thinking"
    SPEAKING = "speaking"
    ENDED = "ended"


#: Where each state can lead.
TRANSITIONS: dict[State, frozenset[State]] = {
    State.LISTENING: frozenset({State.THINKING, State.SPEAKING, State.ENDED}),
    State.THINKING: frozenset({State.LISTENING, State.SPEAKING, State.ENDED}),
    State.SPEAKING: frozenset({State.LISTENING, State.THINKING, State.ENDED}),
    State.ENDED: frozenset(),
}


@dataclass(frozen=True, slots=True)
class Ending:
    """How it ends. `destination`: with whom a transfer connects, as PhoneNumber has it."""

    outcome: Outcome
    reason: str = ""
    destination: dict[str, Any] | None = None


# -- what happens ---------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Began:
    """The caller begins to speak."""


@dataclass(frozen=True, slots=True)
class Said:
    """The caller has done speaking."""

    utterance: int


@dataclass(frozen=True, slots=True)
class Recognized:
    """What an utterance says; nothing, if it was a noise."""

    utterance: int
    text: str


@dataclass(frozen=True, slots=True)
class Unrecognized:
    """The recognizer failed."""

    utterance: int


@dataclass(frozen=True, slots=True)
class Sentence:
    answer: int
    text: str


@dataclass(frozen=True, slots=True)
class Answered:
    """All sentences of an answer have come; with `ending` the conversation is to end after them."""

    answer: int
    ending: Ending | None = None


@dataclass(frozen=True, slots=True)
class Unanswered:
    """The model failed."""

    answer: int


@dataclass(frozen=True, slots=True)
class Played:
    """A playback is over."""

    play: int


@dataclass(frozen=True, slots=True)
class Tick:
    """Time passed."""


@dataclass(frozen=True, slots=True)
class Broken:
    """What it can't do without is gone."""

    what: str


@dataclass(frozen=True, slots=True)
class Left:
    """The call is over, or something else is done with it."""


Happening = (
    Began
    | Said
    | Recognized
    | Unrecognized
    | Sentence
    | Answered
    | Unanswered
    | Played
    | Tick
    | Broken
    | Left
)


# -- what to do -----------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Recognize:
    utterance: int


@dataclass(frozen=True, slots=True)
class Think:
    """Answer the caller."""

    answer: int
    text: str


@dataclass(frozen=True, slots=True)
class Say:
    """Play a text after those before it. `answer`: whose sentence it is; 0: of no answer."""

    play: int
    answer: int
    text: str


@dataclass(frozen=True, slots=True)
class Stop:
    """End what is played, and what was to be played after it."""


@dataclass(frozen=True, slots=True)
class Drop:
    """Nobody waits for this answer any more."""

    answer: int


@dataclass(frozen=True, slots=True)
class End:
    ending: Ending


Action = Recognize | Think | Say | Stop | Drop | End


class Dialogue:
    """One conversation. Times are seconds of any clock that does not jump.

    `escalates`: there is somebody who can take the caller over. `turns`: answers given before, in
    a conversation that is taken up again.
    """

    def __init__(self, config: Config, *, escalates: bool, turns: int = 0) -> None:
        self.state = State.LISTENING
        self.answer = turns
        self._config = config
        self._escalates = escalates
        self._turns = turns
        self._began_at = 0.0
        self._quiet_since = 0.0
        self._speaking = False
        self._utterance: int | None = None
        self._asked = ""
        self._answering = False
        self._plays: dict[int, str] = {}
        self._play = 0
        self._cut: Sequence[str] = ()
        self._ending: Ending | None = None
        self._silences = 0
        self._failures = 0

    def begin(self, now: float, *, greet: bool = True, spent: float = 0.0) -> list[Action]:
        """The call is there. `spent`: seconds of a conversation that is taken up again."""
        self._began_at, self._quiet_since = now - spent, now
        return self._say(self._config.greeting) if greet else []

    def handle(self, happening: Happening, now: float) -> list[Action]:
        """What to do about it, in this order."""
        if self.state is State.ENDED:
            return []
        match happening:
            case Began() | Said() | Recognized() | Unrecognized():
                return self._from_caller(happening, now)
            case Sentence() | Answered() | Unanswered():
                return self._from_model(happening, now)
            case Played(play):
                return self._go_on(now) if self._plays.pop(play, None) is not None else []
            case Tick():
                return self._time_passed(now)
            case Broken(what):
                return [Stop(), *self._end(Ending(Outcome.FAILED, what))]
            case Left():
                return self._end(Ending(Outcome.HUNG_UP))

    # -- the caller ---------------------------------------------------------------------------

    def _from_caller(
        self, happening: Began | Said | Recognized | Unrecognized, now: float
    ) -> list[Action]:
        match happening:
            case Began():
                return self._caller_began()
            case Said(utterance):
                return self._caller_said(utterance, now)
            case Recognized(utterance, text) if utterance == self._utterance:
                return self._recognized(text, now)
            case Unrecognized(utterance) if utterance == self._utterance:
                self._utterance = None
                return self._failed()
        return []

    def _caller_began(self) -> list[Action]:
        interrupts = self._config.listening.barge_in and self._ending is None
        if self.state is State.SPEAKING and not interrupts:
            return []
        self._speaking = True
        actions: list[Action] = []
        if self.state is State.SPEAKING:
            self._cut = tuple(self._plays.values())
            self._plays.clear()
            self._asked = ""
            actions.append(Stop())
        if self._answering:
            self._answering = False
            self._cut = ()
            actions.append(Drop(self.answer))
        self.state = State.LISTENING
        return actions

    def _caller_said(self, utterance: int, now: float) -> list[Action]:
        if self.state is not State.LISTENING:
            return []
        self._speaking = False
        self._quiet_since = now
        self._utterance = utterance
        self.state = State.THINKING
        return [Recognize(utterance)]

    def _recognized(self, text: str, now: float) -> list[Action]:
        self._utterance = None
        self._asked = f"{self._asked} {text}".strip()
        if self.state is not State.THINKING:  # the caller goes on: it belongs together
            return []
        if not self._asked:
            return self._nothing_said(now)
        self._cut = ()
        self._silences = 0
        self._turns += 1
        if self._turns > self._config.limits.max_turns:
            return self._limit("turns")
        self.answer += 1
        self._answering = True
        return [Think(self.answer, self._asked)]

    def _nothing_said(self, now: float) -> list[Action]:
        """It was a noise: what it interrupted is said again."""
        cut, self._cut = self._cut, ()
        actions = [action for text in cut for action in self._say(text)]
        return actions or self._go_on(now)

    # -- what the assistant does ----------------------------------------------------------------

    def _from_model(self, happening: Sentence | Answered | Unanswered, now: float) -> list[Action]:
        if not self._answering or happening.answer != self.answer:
            return []
        match happening:
            case Sentence(answer, text):
                return self._say(text, answer)
            case Answered(_, ending):
                self._answering, self._ending, self._failures = False, ending, 0
                self._asked = ""
                return self._go_on(now)
            case Unanswered():
                self._answering = False
                return self._failed()

    def _say(self, text: str, answer: int = 0) -> list[Action]:
        self._play += 1
        self._plays[self._play] = text
        self.state = State.SPEAKING
        return [Say(self._play, answer, text)]

    def _go_on(self, now: float) -> list[Action]:
        """Something that was under way is over: what comes now?"""
        if self._plays:
            return []
        if self._answering:
            self.state = State.THINKING
            return []
        if self._ending is not None:
            return self._end(self._ending)
        if self.state is not State.LISTENING:
            self.state = State.LISTENING
            self._quiet_since = now
        return []

    def _failed(self) -> list[Action]:
        """Once the caller is asked again, the second time in a row it is over."""
        self._failures += 1
        if self.state is State.LISTENING:  # the caller speaks already
            return []
        self._asked = ""
        if self._failures < _MAX_FAILURES:
            return self._say(self._config.phrases.repeat)
        self._ending = Ending(Outcome.FAILED, "recognizer or model failed")
        return self._say(self._last_words)

    @property
    def _last_words(self) -> str:
        phrases = self._config.phrases
        return phrases.handover if self._escalates else phrases.sorry

    # -- time -----------------------------------------------------------------------------------

    def _time_passed(self, now: float) -> list[Action]:
        over = now - self._began_at - self._config.limits.max_seconds
        if over >= _GRACE_SECONDS:
            return [Stop(), *self._end(Ending(Outcome.LIMIT, "seconds"))]
        if self.state is not State.LISTENING or self._speaking:
            return []
        if over >= 0:
            return self._limit("seconds")
        silence = self._config.silence
        if now - self._quiet_since < silence.seconds:
            return []
        self._silences += 1
        if self._silences <= len(silence.prompts):
            return self._say(silence.prompts[self._silences - 1])
        self._ending = Ending(Outcome.SILENCE)
        return self._say(silence.goodbye)

    def _limit(self, which: str) -> list[Action]:
        self._ending = Ending(Outcome.LIMIT, which)
        return self._say(self._last_words)

    def _end(self, ending: Ending) -> list[Action]:
        actions: list[Action] = [Drop(self.answer)] if self._answering else []
        self._answering = False
        self.state = State.ENDED
        return [*actions, End(ending)]
