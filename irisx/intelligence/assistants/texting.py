"""Talking with an assistant by text, without a call: the same answers, tools and limits."""

from dataclasses import dataclass
from datetime import timedelta

from irisx.intelligence.assistants import sessions
from irisx.intelligence.assistants.answering import Answering
from irisx.intelligence.assistants.dialogue import Ending
from irisx.intelligence.assistants.models import Outcome
from irisx.intelligence.assistants.sessions import Conversation, Turn
from irisx.intelligence.assistants.summary import summarize
from irisx.intelligence.engine import Details
from irisx.kernel.clock import now
from irisx.kernel.errors import Conflict, IrisxError

#: No request of the API lasts longer.
_LONGEST = timedelta(minutes=1)


@dataclass(frozen=True, slots=True)
class Said:
    """The turn that a text made. `details`: which model answered, None: none was asked."""

    conversation: Conversation
    turn: Turn
    details: Details | None = None


def open_session(tenant_id: int, assistant_id: int) -> Said:
    """A new conversation: the greeting."""
    conversation = sessions.begin_text(tenant_id, assistant_id)
    turn = Turn(0, answer=conversation.config.greeting, ended_at=now())
    sessions.keep_turn(conversation, turn)
    conversation.turns.append(turn)
    return Said(conversation, turn)


def say(
    tenant_id: int, assistant_id: int, session_id: int, text: str, *, test: bool = False
) -> Said:
    """Say something to it.

    Raises Conflict SESSION_ENDED, or SESSION_BUSY while it answers; ProviderError or LimitReached
    when no model answers: the conversation goes on with the next text.
    """
    conversation = sessions.load_text(tenant_id, assistant_id, session_id)
    if conversation.ending is not None:
        raise Conflict("This conversation has ended; begin another.", code="SESSION_ENDED")
    turn = Turn(len(conversation.turns), heard=text, recognized_at=now())
    if _is_busy(conversation) or not sessions.reserve(conversation, turn):
        raise Conflict("The assistant is answering; wait for it.", code="SESSION_BUSY")
    answering = Answering(conversation, turn, test=test)
    try:
        turn.answer = " ".join(answering.spoken())
    except IrisxError as error:
        turn.error = error.message
        raise
    finally:
        turn.ended_at = now()
        conversation.turns.append(turn)
        sessions.keep_turn(conversation, turn)
    ending = answering.ending
    if ending is None and turn.number >= conversation.config.limits.max_turns:
        ending = Ending(Outcome.LIMIT, "turns")
    if ending is not None:
        escalates = ending.outcome is Outcome.ESCALATED
        summary = summarize(conversation, test=test) if escalates else None
        sessions.finish(conversation, ending, summary)
    return Said(conversation, turn, answering.details)


def _is_busy(conversation: Conversation) -> bool:
    """Whether its last turn is under way; one whose process was killed is not, after a while."""
    last = conversation.turns[-1] if conversation.turns else None
    return (
        last is not None
        and last.ended_at is None
        and last.recognized_at is not None
        and now() - last.recognized_at < _LONGEST
    )
