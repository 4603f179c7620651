"""Receipts that overtake the answer: a provider's id of a message that we do not know yet.

Who writes a reference into a message and who looks for it both hold the reference's lock, so that
a receipt finds either the message, or nothing before the message's worker looks for receipts.
"""

from collections.abc import Iterable, Mapping
from dataclasses import asdict
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import delete, select, text, tuple_
from sqlalchemy.orm import Session

from irisx.kernel import clock
from irisx.kernel.clock import isoformat
from irisx.kernel.db import transaction
from irisx.messaging.exchanges import RECEIPT, note_received
from irisx.messaging.models import EarlyReceipt, Message, ReceivedKey, UnreadPart
from irisx.messaging.provider import Receipt
from irisx.messaging.states import OF_RECEIPTS, MessageStatus
from irisx.messaging.statuses import move
from irisx.messaging.suppressions import suppress

#: How long an unknown reference waits for its message, and a key is known.
KEPT = timedelta(days=35)
_FORGET_BATCH = 5000
_LOCK = text("""
    SELECT pg_advisory_xact_lock(hashtextextended(name, 0))
    FROM unnest(CAST(:names AS text[])) WITH ORDINALITY AS each(name, place) ORDER BY place
""")


def lock(session: Session, found: Iterable[tuple[int, str]]) -> None:
    """Lock (account, reference) pairs until the end of the transaction, in one order for all."""
    if names := sorted({f"{account_id} {reference}" for account_id, reference in found}):
        session.execute(_LOCK, {"names": names})


def apply(session: Session, message: Message, receipt: Receipt, exchange: dict[str, Any]) -> None:
    """Move a (locked) message by a receipt, and keep what was said."""
    now = clock.now()
    if receipt.status not in OF_RECEIPTS:
        raise ValueError(f"no receipt says {receipt.status}")
    note_received(session, message, RECEIPT, now, exchange)
    if receipt.reference is not None and message.reference is None:
        message.reference = receipt.reference
    move(
        session,
        message,
        receipt.status,
        receipt.at or now,
        error_code=receipt.error_code,
        error_message=receipt.error_message,
    )
    reason = "opt_out" if receipt.opted_out else receipt.suppress
    if reason is not None:
        suppress(
            session,
            message.tenant_id,
            message.channel,
            message.to_address,
            reason=reason,
            source=message.provider,
        )


def keep_early(
    session: Session, account_id: int, receipt: Receipt, exchange: dict[str, Any]
) -> None:
    """The message of this receipt is not known yet."""
    values = asdict(receipt) | {"at": isoformat(receipt.at) if receipt.at else None}
    session.add(
        EarlyReceipt(
            account_id=account_id,
            reference=receipt.reference,
            receipt=values,
            exchange=exchange,
        )
    )


def apply_early(session: Session, messages: Mapping[tuple[int, str], Message]) -> None:
    """Take up the receipts that came before the references of these messages were known."""
    if not messages:
        return
    pair = tuple_(EarlyReceipt.account_id, EarlyReceipt.reference)
    waiting = delete(EarlyReceipt).where(pair.in_(list(messages))).returning(EarlyReceipt)
    for early in sorted(session.scalars(waiting).all(), key=lambda row: row.id):
        values, at = early.receipt, early.receipt["at"]
        receipt = Receipt(
            **values
            | {
                "status": MessageStatus(values["status"]),
                "at": datetime.fromisoformat(at) if at else None,
            }
        )
        apply(session, messages[early.account_id, early.reference], receipt, early.exchange)


def forget_old() -> bool:
    """Delete a batch of old keys, of receipts whose message never came and of what was not
    understood; True: perhaps more."""
    oldest = clock.now() - KEPT
    key = tuple_(ReceivedKey.account_id, ReceivedKey.key)
    old = (
        select(ReceivedKey.account_id, ReceivedKey.key)
        .where(ReceivedKey.created_at < oldest)
        .limit(_FORGET_BATCH)
    )
    with transaction() as session:
        for kind in (EarlyReceipt, UnreadPart):
            session.execute(delete(kind).where(kind.created_at < oldest))
        forgotten = delete(ReceivedKey).where(key.in_(old)).returning(ReceivedKey.key)
        return len(session.execute(forgotten).all()) == _FORGET_BATCH
