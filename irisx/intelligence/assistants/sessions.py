"""Conversations as they are kept: begun, each turn as it happens, taken up again, ended."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from irisx.intelligence import config
from irisx.intelligence.assistants.config import Config, config_of
from irisx.intelligence.assistants.dialogue import Ending
from irisx.intelligence.assistants.models import AssistantSession, AssistantTurn, Medium, Outcome
from irisx.intelligence.assistants.redacting import redacted
from irisx.kernel import events
from irisx.kernel.clock import now
from irisx.kernel.db import transaction
from irisx.kernel.errors import NotFound
from irisx.kernel.ids import call_sid
from irisx.tenancy import rows
from irisx.tenancy.assistant_models import VoiceAssistant


@dataclass(slots=True)
class Turn:
    """One exchange, as AssistantTurn has it."""

    number: int
    heard: str | None = None
    confidence: float | None = None
    answer: str = ""
    interrupted: bool = False
    sources: list[dict[str, Any]] = field(default_factory=list)
    actions: list[dict[str, Any]] = field(default_factory=list)
    error: str | None = None
    speech_began_at: datetime | None = None
    speech_ended_at: datetime | None = None
    recognized_at: datetime | None = None
    first_words_at: datetime | None = None
    first_audio_at: datetime | None = None
    ended_at: datetime | None = None


@dataclass(slots=True)
class Conversation:
    """A session with its turns, as who runs it holds it. `caller`: the number, if it is known.

    `redact`: kinds of numbers that are not kept of it (`transcripts/redaction.py`).
    """

    id: int
    public_id: str
    tenant_id: int
    config: Config
    began_at: datetime
    call_id: UUID | None = None
    caller: str | None = None
    context: str | None = None
    collected: dict[str, str] = field(default_factory=dict)
    turns: list[Turn] = field(default_factory=list)
    ending: Ending | None = None
    summary: str | None = None
    redact: Sequence[str] = ()

    @property
    def call_sid(self) -> str | None:
        return call_sid(self.call_id) if self.call_id is not None else None


def begin_text(tenant_id: int, assistant_id: int) -> Conversation:
    """A conversation without a call. Raises NotFound."""
    with transaction() as session:
        assistant = rows.fetch(session, VoiceAssistant, assistant_id, tenant_id=tenant_id)
        row = AssistantSession(
            tenant_id=tenant_id,
            assistant_id=assistant_id,
            medium=Medium.TEXT,
            config=config_of(assistant).model_dump(mode="json"),
            collected={},
        )
        session.add(row)
    return _conversation(row, ())


def begin_call(
    tenant_id: int,
    assistant_id: int,
    *,
    talk: str,
    call_id: UUID,
    caller: str | None,
    context: str | None,
    max_seconds: int | None,
) -> Conversation:
    """A conversation on a call; the one that `talk` names, if it was begun already.

    `max_seconds`: what a flow allows, where that is less than the assistant's own limit.
    Raises NotFound.
    """
    with transaction() as session:
        known = session.scalar(select(AssistantSession).where(AssistantSession.talk == talk))
        if known is not None:
            turns = _turns(session, known.id)
    if known is not None:
        return _conversation(known, turns)
    with transaction() as session:
        assistant = rows.fetch(session, VoiceAssistant, assistant_id, tenant_id=tenant_id)
        told = config_of(assistant)
        if max_seconds is not None and max_seconds < told.limits.max_seconds:
            limits = told.limits.model_copy(update={"max_seconds": max_seconds})
            told = told.model_copy(update={"limits": limits})
        row = AssistantSession(
            tenant_id=tenant_id,
            assistant_id=assistant_id,
            medium=Medium.CALL,
            talk=talk,
            call_id=call_id,
            caller=caller,
            context=context,
            config=told.model_dump(mode="json"),
            collected={},
        )
        session.add(row)
    return _conversation(row, ())


def load_text(tenant_id: int, assistant_id: int, session_id: int) -> Conversation:
    """A conversation by text. Raises NotFound."""
    with transaction() as session:
        row = _fetch(session, tenant_id, assistant_id, session_id)
        turns = _turns(session, row.id)
    return _conversation(row, turns)


def get(
    tenant_id: int, assistant_id: int, session_id: int
) -> tuple[AssistantSession, Sequence[AssistantTurn]]:
    """A session and its turns. Raises NotFound."""
    with transaction() as session:
        row = _fetch(session, tenant_id, assistant_id, session_id)
        return row, _turns(session, row.id)


def list_page(
    tenant_id: int, assistant_id: int, *, limit: int, before: int | None
) -> Sequence[AssistantSession]:
    """An assistant's sessions, newest first. `before`: the id of the last one that was shown."""
    query = (
        select(AssistantSession)
        .where(
            AssistantSession.tenant_id == tenant_id,
            AssistantSession.assistant_id == assistant_id,
        )
        .order_by(AssistantSession.id.desc())
        .limit(limit)
    )
    if before is not None:
        query = query.where(AssistantSession.id < before)
    with transaction() as session:
        return session.scalars(query).all()


def keep_turn(conversation: Conversation, turn: Turn) -> None:
    """Store a turn as it is by now; told again, it replaces what was stored."""
    values = _kept(conversation, turn)
    statement = insert(AssistantTurn).values(session_id=conversation.id, **values)
    statement = statement.on_conflict_do_update(
        index_elements=["session_id", "number"], set_=values
    )
    with transaction() as session:
        session.execute(statement)


def reserve(conversation: Conversation, turn: Turn) -> bool:
    """Store a turn that begins; False: another one has its number."""
    values = _kept(conversation, turn)
    statement = insert(AssistantTurn).values(session_id=conversation.id, **values)
    with transaction() as session:
        taken = session.execute(
            statement.on_conflict_do_nothing().returning(AssistantTurn.id)
        ).one_or_none()
    return taken is not None


def _kept(conversation: Conversation, turn: Turn) -> dict[str, Any]:
    values: dict[str, Any] = redacted(asdict(turn), conversation.redact)
    return values


def keep_collected(conversation: Conversation) -> None:
    with transaction() as session:
        session.execute(
            update(AssistantSession)
            .where(AssistantSession.id == conversation.id)
            .values(collected=redacted(conversation.collected, conversation.redact))
        )


def publish(conversation: Conversation, type: str, *, key: str, data: dict[str, Any]) -> None:
    """A domain event about the conversation; `key` makes telling it twice harmless."""
    with transaction() as session:
        _publish(session, conversation, type, key, data)


def finish(conversation: Conversation, ending: Ending, summary: str | None = None) -> None:
    """The conversation is over, and its tenant is told; a second end changes nothing."""
    at = now()
    summary = redacted(summary, conversation.redact)
    data: dict[str, Any] = {
        "outcome": ending.outcome.value,
        "reason": ending.reason,
        "collected": redacted(conversation.collected, conversation.redact),
        "summary": summary,
        "turns": len(conversation.turns),
    }
    with transaction() as session:
        ended = session.execute(
            update(AssistantSession)
            .where(AssistantSession.id == conversation.id, AssistantSession.outcome.is_(None))
            .values(
                outcome=ending.outcome,
                reason=ending.reason or None,
                destination=ending.destination,
                summary=summary,
                ended_at=at,
            )
            .returning(AssistantSession.id)
        ).one_or_none()
        if ended is None:
            return
        _publish(session, conversation, "assistant.ended", "ended", data)
        if ending.outcome is Outcome.ESCALATED:
            _publish(session, conversation, "assistant.escalated", "escalated", data)
    conversation.ending, conversation.summary = ending, summary


def _publish(
    session: Session, conversation: Conversation, type: str, key: str, data: dict[str, Any]
) -> None:
    events.publish(
        session,
        key=f"{conversation.public_id}:{key}",
        tenant_id=conversation.tenant_id,
        type=type,
        data={"session_id": conversation.public_id, "call_sid": conversation.call_sid, **data},
        occurred_at=now(),
    )


def _fetch(
    session: Session, tenant_id: int, assistant_id: int, session_id: int
) -> AssistantSession:
    rows.fetch(session, VoiceAssistant, assistant_id, tenant_id=tenant_id)
    row = rows.fetch(session, AssistantSession, session_id, tenant_id=tenant_id)
    if row.assistant_id != assistant_id:
        raise NotFound(f"There is no {AssistantSession.PREFIX} with this id.")
    return row


def _turns(session: Session, session_id: int) -> Sequence[AssistantTurn]:
    mine = select(AssistantTurn).where(AssistantTurn.session_id == session_id)
    return session.scalars(mine.order_by(AssistantTurn.number)).all()


def _conversation(row: AssistantSession, turns: Sequence[AssistantTurn]) -> Conversation:
    ending = None
    if row.outcome is not None:
        ending = Ending(row.outcome, row.reason or "", row.destination)
    names = Turn.__dataclass_fields__
    return Conversation(
        id=row.id,
        public_id=row.public_id,
        tenant_id=row.tenant_id,
        config=Config.model_validate(row.config),
        began_at=row.created_at,
        call_id=row.call_id,
        caller=row.caller,
        context=row.context,
        collected=dict(row.collected),
        turns=[Turn(**{name: getattr(turn, name) for name in names}) for turn in turns],
        ending=ending,
        summary=row.summary,
        redact=config.of(row.tenant_id).redact,
    )
