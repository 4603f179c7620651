"""The log of a message: what was said about it between us and providers."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.orm import Session

from irisx.kernel.db import transaction
from irisx.kernel.errors import NotFound
from irisx.messaging.accepting import find
from irisx.messaging.attempts import FAULTS, Outcome
from irisx.messaging.effects import collecting
from irisx.messaging.models import Message, MessageExchange
from irisx.messaging.provider import Exchange

ATTEMPT = "attempt"
RECEIPT = "receipt"
INBOUND = "inbound"
CHECK = "check"
MAX_SHOWN = 500


def note_attempt(session: Session, message: Message, outcome: Outcome) -> None:
    """Everything that was said in an attempt; an attempt in which nothing was said, too."""
    failure = outcome.failure
    fault = failure is not None and failure.kind in FAULTS
    claim = outcome.claim
    common = {
        "tenant_id": message.tenant_id,
        "message_id": message.id,
        "account_id": claim.account.id if claim.account else None,
        "provider": claim.provider.name,
        "kind": ATTEMPT,
        "number": claim.number,
    }
    reason = f"{failure.code}: {failure.message}" if failure else None
    silent = Exchange(outcome.began_at, {}, None, None, None)
    spoken = outcome.exchanges or [silent]
    with collecting(session) as effects:
        for exchange in spoken:
            last = exchange is spoken[-1]
            effects.exchanges.append(
                common
                | {
                    "created_at": exchange.at,
                    "request": exchange.request,
                    "response": exchange.response,
                    "error": exchange.error or (reason if last else None),
                    "fault": fault and last,
                    "duration_ms": exchange.duration_ms,
                }
            )


def note_check(session: Session, message: Message, code: str, at: datetime) -> None:
    """Why a message was not sent, or not again."""
    _note(session, message, CHECK, at, {}, error=code)


def note_received(
    session: Session, message: Message, kind: str, at: datetime, request: Mapping[str, Any]
) -> None:
    """A provider's request about a message, or the one that brought it."""
    _note(session, message, kind, at, request)


def _note(
    session: Session,
    message: Message,
    kind: str,
    at: datetime,
    request: Mapping[str, Any],
    error: str | None = None,
) -> None:
    with collecting(session) as effects:
        effects.exchanges.append(
            {
                "created_at": at,
                "tenant_id": message.tenant_id,
                "message_id": message.id,
                "account_id": message.account_id,
                "provider": message.provider,
                "kind": kind,
                "number": None,
                "request": dict(request),
                "response": None,
                "error": error,
                "fault": False,
                "duration_ms": None,
            }
        )


def log_of(tenant_id: int, message_id: UUID) -> tuple[Message, Sequence[MessageExchange]]:
    """A message and its exchanges, oldest first."""
    with transaction() as session:
        message = find(session, tenant_id, message_id)
        if message is None:
            raise NotFound("There is no message with this id.")
        query = (
            select(MessageExchange)
            .where(MessageExchange.message_id == message_id)
            .order_by(MessageExchange.id)
            .limit(MAX_SHOWN)
        )
        return message, session.scalars(query).all()
