"""The turns of a conversation on a call: put together from what happens, and written down.

Writing never holds the conversation up: while the database is away the turns wait.
"""

from datetime import datetime

import gevent
import structlog
from gevent.event import Event
from sqlalchemy.exc import SQLAlchemyError

from irisx.intelligence.assistants import sessions
from irisx.intelligence.assistants.dialogue import Ending
from irisx.intelligence.assistants.hearing import Ear
from irisx.intelligence.assistants.sessions import Conversation, Turn
from irisx.kernel.clock import now

log = structlog.get_logger(__name__)

_AGAIN_SECONDS = 1.0
#: A database that is away for longer (s) loses the turns that were not written.
_GIVE_UP_SECONDS = 600.0


class TurnKeeper:
    """Keeps one conversation's turns."""

    def __init__(self, conversation: Conversation) -> None:
        self._conversation = conversation
        self._answers: dict[int, Turn] = {}
        self._plays: dict[int, tuple[Turn, str]] = {}
        self._begun: dict[int, list[str]] = {}
        self._unwritten: dict[int, Turn] = {}
        self._something = Event()
        self._ending: tuple[Ending, str | None] | None = None
        self._writer = gevent.spawn(self._write)

    # -- what happens -------------------------------------------------------------------------

    def answer_begins(self, answer: int, heard: str, confidence: float | None, ear: Ear) -> Turn:
        """The caller said something, and is to be answered."""
        turn = self._new(
            heard=heard,
            confidence=confidence,
            speech_began_at=ear.speech_began_at,
            speech_ended_at=ear.speech_ended_at,
            recognized_at=now(),
        )
        self._answers[answer] = turn
        return turn

    def says(self, play: int, answer: int, text: str) -> None:
        """A text is about to be played. `answer` 0: it is of no answer."""
        turn = self._answers[answer] if answer else self._new()
        turn.answer = f"{turn.answer} {text}".strip()
        self._plays[play] = (turn, text)
        self.keep(turn)

    def playback_began(self, play: int, at: datetime) -> None:
        if play in self._plays:
            turn, text = self._plays[play]
            turn.first_audio_at = turn.first_audio_at or at
            self._begun.setdefault(turn.number, []).append(text)
            self.keep(turn)

    def playback_ended(self, play: int) -> None:
        if play in self._plays:
            turn, _ = self._plays.pop(play)
            turn.ended_at = now()
            self.keep(turn)

    def interrupted(self) -> None:
        """Whatever plays or was to be played is not heard any more."""
        for turn, _ in self._plays.values():
            turn.interrupted = True
            turn.answer = " ".join(self._begun.get(turn.number, ()))
            turn.ended_at = now()
            self.keep(turn)
        self._plays.clear()

    def answer_dropped(self, answer: int) -> None:
        """Nobody waits for the rest of it."""
        if (turn := self._answers.get(answer)) is not None:
            turn.interrupted = True
            turn.ended_at = now()
            self.keep(turn)

    def _new(self, **fields: object) -> Turn:
        turn = Turn(len(self._conversation.turns), **fields)  # type: ignore[arg-type]
        self._conversation.turns.append(turn)
        return turn

    # -- writing ------------------------------------------------------------------------------

    def keep(self, turn: Turn) -> None:
        """Write it as it is by now, soon."""
        self._unwritten[turn.number] = turn
        self._something.set()

    def finish(self, ending: Ending, summary: str | None) -> None:
        """The conversation is over: write what is left, then its end."""
        self._ending = (ending, summary)
        self._something.set()

    def _write(self) -> None:
        failing_since: datetime | None = None
        while self._unwritten or self._ending is None:
            self._something.wait()
            self._something.clear()
            try:
                while self._unwritten:
                    number = next(iter(self._unwritten))
                    sessions.keep_turn(self._conversation, self._unwritten[number])
                    del self._unwritten[number]
                if self._ending is not None:
                    sessions.finish(self._conversation, *self._ending)
                failing_since = None
            except SQLAlchemyError as error:
                failing_since = failing_since or now()
                session = self._conversation.public_id
                log.warning("assistant.not_written", session=session, reason=str(error)[:200])
                if (now() - failing_since).total_seconds() > _GIVE_UP_SECONDS:
                    log.error("assistant.turns_lost", session=session, turns=len(self._unwritten))
                    return
                gevent.sleep(_AGAIN_SECONDS)
                self._something.set()
