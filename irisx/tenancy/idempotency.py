"""Answers of POSTs kept 24 h, so that a client may repeat one safely (`Idempotency-Key`)."""

from dataclasses import dataclass
from datetime import timedelta

from sqlalchemy import delete, select, update
from sqlalchemy.dialects.postgresql import insert

from irisx.kernel.clock import now
from irisx.kernel.crypto import decrypt, encrypt
from irisx.kernel.db import transaction
from irisx.kernel.errors import Conflict, ValidationError
from irisx.tenancy.models import IdempotencyKey

KEPT = timedelta(hours=24)
#: A request still under way after this time was of a process that died; longer than any lives.
ABANDONED = timedelta(seconds=60)


@dataclass(frozen=True, slots=True)
class Kept:
    """The first request's answer."""

    status: int
    body: str


def begin(scope: str, key: str, fingerprint: str) -> Kept | None:
    """Claim a key: None, the request is to be carried out; else the answer it had before.

    Raises Conflict while the first request is under way, ValidationError if the key was used
    with another request.
    """
    moment = now()
    mine = (IdempotencyKey.scope == scope, IdempotencyKey.key == key)
    claim = insert(IdempotencyKey).values(
        scope=scope, key=key, fingerprint=fingerprint, created_at=moment
    )
    claimed = claim.on_conflict_do_update(
        index_elements=["scope", "key"],
        set_={"fingerprint": fingerprint, "status": None, "body": None, "created_at": moment},
        where=(IdempotencyKey.created_at < moment - KEPT)
        | (
            IdempotencyKey.status.is_(None)
            & (IdempotencyKey.fingerprint == fingerprint)
            & (IdempotencyKey.created_at < moment - ABANDONED)
        ),
    ).returning(IdempotencyKey.key)
    with transaction() as session:
        if session.execute(claimed).first() is not None:
            return None
        row = session.scalar(select(IdempotencyKey).where(*mine))
    if row is not None and row.fingerprint != fingerprint:
        raise ValidationError(
            "This Idempotency-Key was used with another request.", code="IDEMPOTENCY_KEY_REUSED"
        )
    if row is None or row.status is None:
        raise Conflict(
            "The first request with this Idempotency-Key is still under way.",
            code="IDEMPOTENCY_KEY_IN_USE",
            headers={"Retry-After": "1"},
        )
    return Kept(row.status, decrypt(row.body or ""))


def finish(scope: str, key: str, status: int, body: str) -> None:
    """Keep the answer. Encrypted: it may be the one that shows a new secret."""
    with transaction() as session:
        session.execute(
            update(IdempotencyKey)
            .where(IdempotencyKey.scope == scope, IdempotencyKey.key == key)
            .values(status=status, body=encrypt(body))
        )


def abandon(scope: str, key: str) -> None:
    """Give a key back: its request failed and changed nothing."""
    with transaction() as session:
        session.execute(
            delete(IdempotencyKey).where(IdempotencyKey.scope == scope, IdempotencyKey.key == key)
        )


def forget_old() -> int:
    """Delete answers older than they are kept; the number deleted. For the worker's clock."""
    with transaction() as session:
        old = delete(IdempotencyKey).where(IdempotencyKey.created_at < now() - KEPT)
        return session.connection().execute(old).rowcount
