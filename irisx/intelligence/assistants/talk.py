"""A conversation on a call: the call's audio in, sentences to play out.

Runs in the media process, as a tap's consumer (`irisx/media/taps`): it hears the caller, has the
utterances recognized and answered, and has the answers spoken sentence by sentence. The engine
plays what it is told to, and tells when that began and ended (`irisx/telephony/assist.py`). What
to do when is `dialogue.py`'s; here is how.

An engine that is killed does not interrupt it: what it tells waits for the next engine, which says
how far the channel has come. After a restart of the media process the engine begins a new tap of
the same talk, and the conversation is taken up from the database.
"""

import time
from datetime import datetime
from typing import Any
from uuid import UUID

import gevent
import structlog
from gevent.event import AsyncResult
from gevent.queue import Queue
from pydantic import BaseModel
from sqlalchemy.exc import SQLAlchemyError

from irisx.intelligence import engine
from irisx.intelligence.assistants import sessions
from irisx.intelligence.assistants.answering import Answering
from irisx.intelligence.assistants.config import Config
from irisx.intelligence.assistants.dialogue import (
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
from irisx.intelligence.assistants.hearing import Ear
from irisx.intelligence.assistants.listening import Phase
from irisx.intelligence.assistants.models import Outcome
from irisx.intelligence.assistants.sessions import Conversation, Turn
from irisx.intelligence.assistants.summary import summarize
from irisx.intelligence.assistants.turns import TurnKeeper
from irisx.intelligence.recognition import Recognized as Recognition
from irisx.kernel.clock import now
from irisx.kernel.errors import IrisxError
from irisx.media import client
from irisx.media.amd.frames import RATE, Frame
from irisx.media.taps import Cause, Consumer, Tap
from irisx.media.taps.consumer import Samples

log = structlog.get_logger(__name__)

#: What the engine asks for (`media/process.py`).
NAME = "assistant"
#: Longest time (s) for which the caller waits for an utterance to be recognized.
_RECOGNIZE_SECONDS = 8.0
_SPEAK_SECONDS = 15.0
#: An outcome with which a person takes over, where there is one.
_HANDED_OVER = frozenset({Outcome.ESCALATED, Outcome.LIMIT, Outcome.FAILED})


class TalkArguments(BaseModel):
    """What the engine says of the call. `escalates`: a flow takes callers over."""

    talk: str
    tenant_id: int
    assistant_id: int
    call_id: UUID
    caller: str | None = None
    context: str | None = None
    max_seconds: int | None = None
    escalates: bool = False


class Talk(Consumer):
    """One conversation, from the first audio to the last."""

    def __init__(self, tap: Tap, args: dict[str, Any]) -> None:
        self._tap = tap
        self.arguments = TalkArguments.model_validate(args)
        self._ear = Ear()
        self._conversation: Conversation | None = None
        self._dialogue: Dialogue | None = None
        self._keeper: TurnKeeper | None = None
        self._utterance = 0
        self._recognition: AsyncResult[Recognition] | None = None
        self._confidence: float | None = None
        self._answering: gevent.Greenlet | None = None
        self._to_say: Queue[Say] = Queue()
        self._speaker: gevent.Greenlet | None = None
        self._sent: dict[int, dict[str, Any]] = {}
        gevent.spawn(self._begin)

    @property
    def state(self) -> State | None:
        """None until it has begun."""
        return self._dialogue.state if self._dialogue is not None else None

    # -- its begin ----------------------------------------------------------------------------

    def _begin(self) -> None:
        asked = self.arguments
        try:
            conversation = sessions.begin_call(
                asked.tenant_id,
                asked.assistant_id,
                talk=asked.talk,
                call_id=asked.call_id,
                caller=asked.caller,
                context=asked.context,
                max_seconds=asked.max_seconds,
            )
        except (IrisxError, SQLAlchemyError) as error:
            log.error("assistant.not_begun", call=str(asked.call_id), reason=str(error)[:300])
            self._report_end(Ending(Outcome.FAILED, "the assistant can't be read"), None, None)
            return
        if conversation.ending is not None:  # the engine was killed before it heard of it
            self._report_end(conversation.ending, conversation.summary, None)
            return
        config = conversation.config
        escalates = asked.escalates or config.escalation is not None
        answers = sum(turn.heard is not None for turn in conversation.turns)
        self._conversation = conversation
        self._keeper = TurnKeeper(conversation)
        self._dialogue = Dialogue(config, escalates=escalates, turns=answers)
        self._ear.listen(config.listening.end_of_turn_ms)
        self._speaker = gevent.spawn(self._speak)
        spent = (now() - conversation.began_at).total_seconds()
        greet = not any(turn.first_audio_at for turn in conversation.turns)
        first = self._dialogue.begin(time.monotonic(), greet=greet, spent=max(spent, 0.0))
        self._do_all(first)

    # -- what is heard --------------------------------------------------------------------------

    def hear(self, said: Samples, heard: Samples | None) -> None:
        self._ear.hear(said)

    def voice(self, frame: Frame, probability: float) -> None:
        change = self._ear.judge(probability)
        if change is None:
            if self._ear.ticks:
                self._happens(Tick())
            return
        match change.phase:
            case Phase.SPEAKING if change.began:
                self._happens(Began())
            case Phase.SPEAKING:
                self._recognition = None  # it was a pause, no end
            case Phase.PAUSED:
                self._recognition = self._recognize()
            case Phase.QUIET:
                self._utterance += 1
                self._happens(Said(self._utterance))

    def end(self, cause: Cause) -> None:
        """Where the switch ended it, the caller is gone; else the engine begins another tap."""
        if cause is Cause.STOPPED:
            self._happens(Left())
        elif cause in (Cause.FAILED, Cause.STALLED):
            self._happens(Broken(cause.value))

    # -- what the engine tells ------------------------------------------------------------------

    def told(self, type: str, data: dict[str, Any]) -> None:
        """`began` and `played`, of a playback; `attached`: another engine has the call, whose
        channel has come so far."""
        play = int(data["play"])
        match type:
            case "began" if self._keeper is not None:
                self._keeper.playback_began(play, datetime.fromisoformat(data["at"]))
            case "played":
                self._played(play)
            case "attached":
                for known in [known for known in self._sent if known <= play]:
                    self._played(known)
                for waiting in self._sent.values():
                    self._tap.report("play", waiting)

    def _played(self, play: int) -> None:
        if self._sent.pop(play, None) is not None and self._keeper is not None:
            self._keeper.playback_ended(play)
            self._happens(Played(play))

    # -- what to do -----------------------------------------------------------------------------

    def _happens(self, happening: Happening) -> None:
        if self._dialogue is not None:
            self._do_all(self._dialogue.handle(happening, time.monotonic()))

    def _do_all(self, actions: list[Action]) -> None:
        for action in actions:
            self._do(action)

    def _do(self, action: Action) -> None:
        assert self._keeper is not None
        match action:
            case Recognize(utterance):
                recognition = self._recognition or self._recognize()
                gevent.spawn(self._await_recognition, utterance, recognition)
            case Think(answer, text):
                turn = self._keeper.answer_begins(answer, text, self._confidence, self._ear)
                self._answering = gevent.spawn(self._answer, answer, turn)
            case Say(play, answer, text):
                self._keeper.says(play, answer, text)
                self._to_say.put(action)
            case Stop():
                self._stop()
            case Drop(answer):
                if self._answering is not None:
                    self._answering.kill(block=False)
                self._keeper.answer_dropped(answer)
            case End(ending):
                gevent.spawn(self._end, ending)

    def _recognize(self) -> "AsyncResult[Recognition]":
        """Begin to recognize what has been said of this utterance so far."""
        result: AsyncResult[Recognition] = AsyncResult()
        gevent.spawn(self._recognition_of, self._ear.utterance(), result)
        return result

    def _recognition_of(self, samples: Samples, result: "AsyncResult[Recognition]") -> None:
        try:
            found = engine.recognize(
                self.arguments.tenant_id,
                samples,
                RATE,
                language=self._config.language.split("-")[0],
                task=NAME,
                timeout=_RECOGNIZE_SECONDS,
            )
        except Exception as error:
            result.set_exception(error)
        else:
            result.set(found)

    def _await_recognition(self, utterance: int, recognition: "AsyncResult[Recognition]") -> None:
        try:
            found = recognition.get()
        except Exception as error:
            self._log_failure("recognition", error)
            self._happens(Unrecognized(utterance))
            return
        self._confidence = found.confidence
        self._happens(Recognized(utterance, found.text.strip()))

    def _answer(self, answer: int, turn: Turn) -> None:
        assert self._conversation is not None and self._keeper is not None
        answering = Answering(self._conversation, turn)
        try:
            for sentence in answering.spoken():
                self._happens(Sentence(answer, sentence))
        except Exception as error:
            self._log_failure("answer", error)
            turn.error = str(error)[:500]
            self._happens(Unanswered(answer))
        else:
            self._happens(Answered(answer, answering.ending))
        finally:
            self._keeper.keep(turn)

    def _speak(self) -> None:
        """Have sentences spoken in their order, the next one while one is played."""
        for say in self._to_say:
            try:
                speech = self._synthesize(say.text)
            except IrisxError as error:
                self._log_failure("speech", error)
                self._happens(Broken(f"speech: {error.message}"))
                return
            data = {
                "play": say.play,
                "path": str(speech.path),
                "wideband_path": str(speech.wideband_path),
            }
            self._sent[say.play] = data
            self._tap.report("play", data)

    def _synthesize(self, text: str) -> client.SynthesisResult:
        config = self._config
        return client.synthesize(text, config.voice, config.language, timeout=_SPEAK_SECONDS)

    @property
    def _config(self) -> Config:
        assert self._conversation is not None
        return self._conversation.config

    def _stop(self) -> None:
        assert self._keeper is not None
        if self._speaker is not None:
            self._speaker.kill(block=False)
            self._to_say = Queue()
            self._speaker = gevent.spawn(self._speak)
        self._sent.clear()
        self._keeper.interrupted()
        self._tap.report("stop", {})

    # -- its end --------------------------------------------------------------------------------

    def _end(self, ending: Ending) -> None:
        conversation, keeper = self._conversation, self._keeper
        assert conversation is not None and keeper is not None
        summary = whisper = None
        if ending.outcome in _HANDED_OVER and ending.destination is None:
            ending = Ending(ending.outcome, ending.reason, self._config.escalation)
            summary = summarize(conversation)
            whisper = self._spoken(summary) if summary else None
        keeper.finish(ending, summary)
        self._report_end(ending, summary, whisper)
        if self._speaker is not None:
            self._speaker.kill(block=False)

    def _spoken(self, summary: str) -> str | None:
        """The summary as a file, for who takes the caller over on a telephone."""
        try:
            return str(self._synthesize(summary).path)
        except IrisxError as error:
            self._log_failure("speech", error)
            return None

    def _report_end(self, ending: Ending, summary: str | None, whisper: str | None) -> None:
        self._tap.report(
            "end",
            {
                "session": self._conversation.public_id if self._conversation else None,
                "outcome": ending.outcome.value,
                "reason": ending.reason,
                "destination": ending.destination,
                "summary": summary,
                "whisper": whisper,
            },
        )
        self._tap.close()

    def _log_failure(self, what: str, error: Exception) -> None:
        expected = isinstance(error, IrisxError | SQLAlchemyError)
        log.warning(
            "assistant.failed",
            what=what,
            call=str(self.arguments.call_id),
            reason=str(error)[:300],
            exc_info=None if expected else error,
        )
