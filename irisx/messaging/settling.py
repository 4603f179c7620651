"""What an attempt brought is written down: the log, the message's next status, its next attempt."""

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import delete, select
from sqlalchemy.orm import Session

from irisx.kernel import clock
from irisx.kernel.errors import Unavailable
from irisx.messaging import accounts, references
from irisx.messaging.attempts import FAULTS, Outcome, pause_after
from irisx.messaging.claiming import reroute
from irisx.messaging.effects import batched, collecting
from irisx.messaging.exchanges import note_attempt
from irisx.messaging.models import Message, ProviderAccount, QueueEntry, SandboxHappening
from irisx.messaging.provider import FailureKind, SendFailed, Sent
from irisx.messaging.states import MessageStatus
from irisx.messaging.statuses import move
from irisx.messaging.suppressions import suppress


def settle(session: Session, outcomes: Sequence[Outcome]) -> None:
    """Write attempts down. A worker that was so late that its message was taken again changes
    nothing, except that a message that was sent is."""
    now = clock.now()
    references.lock(
        session,
        [
            (o.claim.account.id, o.sent.reference)
            for o in outcomes
            if o.sent and o.sent.reference and o.claim.account
        ],
    )
    ids = [outcome.claim.message.id for outcome in outcomes]
    locked = select(Message).where(Message.id.in_(ids)).order_by(Message.id).with_for_update()
    messages = {row.id: row for row in session.scalars(locked)}
    queued = select(QueueEntry).where(QueueEntry.message_id.in_(ids)).with_for_update()
    entries = {row.message_id: row for row in session.scalars(queued)}
    sent: dict[tuple[int, str], Message] = {}
    with batched(session):
        for outcome in outcomes:
            message = messages.get(outcome.claim.message.id)
            if message is None:
                continue  # erased meanwhile
            note_attempt(session, message, outcome)
            entry = entries.get(message.id)
            if entry is not None and entry.attempts != outcome.claim.number:
                entry = None
            if outcome.sent is not None:
                _sent(session, message, outcome.claim.account, outcome.sent, now)
                if message.account_id is not None and message.reference is not None:
                    sent[message.account_id, message.reference] = message
            elif outcome.failure is not None and entry is not None:
                _failed(session, message, entry, outcome, outcome.failure, now)
        references.apply_early(session, sent)


def _sent(
    session: Session, message: Message, account: ProviderAccount | None, sent: Sent, now: datetime
) -> None:
    message.reference = sent.reference
    if account is not None:  # a late worker's: the account that has it is the one that counts
        message.account_id, message.provider = account.id, account.provider
    if not move(session, message, sent.status, now):
        # A receipt was faster; or it was ended meanwhile, and is sent all the same.
        session.execute(delete(QueueEntry).where(QueueEntry.message_id == message.id))
    session.add_all(
        SandboxHappening(
            message_id=message.id,
            message_created_at=message.created_at,
            due_at=now + later.after,
            status=later.status,
            error_code=later.error_code,
            reply=later.reply,
        )
        for later in sent.later
    )


def _failed(
    session: Session,
    message: Message,
    entry: QueueEntry,
    outcome: Outcome,
    failure: SendFailed,
    now: datetime,
) -> None:
    account = _blamed(session, outcome, failure, now)
    match failure.kind:
        case FailureKind.REJECTED:
            if failure.suppress is not None:
                suppress(
                    session,
                    message.tenant_id,
                    message.channel,
                    message.to_address,
                    reason=failure.suppress,
                    source=message.provider,
                )
            _end(session, message, MessageStatus.FAILED, failure, now)
        case FailureKind.IN_DOUBT if not outcome.claim.provider.idempotent:
            _end(session, message, MessageStatus.UNKNOWN, failure, now)
        case FailureKind.IN_DOUBT:
            entry.pinned = True
            _again(session, message, entry, failure, now)
        case _:
            if account is None or entry.pinned or not _by_another(session, message, entry, account):
                _again(session, message, entry, failure, now)
            else:
                _release(message, entry, failure, now)


def _blamed(
    session: Session, outcome: Outcome, failure: SendFailed, now: datetime
) -> ProviderAccount | None:
    """The account, locked, after the failure was counted against it."""
    if outcome.claim.account is None:
        return None
    row = session.get(ProviderAccount, outcome.claim.account.id, with_for_update=True)
    if row is None:
        return None
    if failure.kind is FailureKind.THROTTLED:
        wait = pause_after(1, failure.retry_after)
        row.paused_until = max(row.paused_until or now, now + wait)
    elif failure.kind is FailureKind.ACCOUNT:
        row.demoted_until = now + accounts.DEMOTION
    elif failure.kind in FAULTS:
        with collecting(session) as effects:
            ours = [line["fault"] for line in effects.exchanges if line["account_id"] == row.id]
        accounts.judge(session, row, ours, now)
    return row


def _by_another(
    session: Session, message: Message, entry: QueueEntry, failed: ProviderAccount
) -> bool:
    """Give the message to an account that has not failed it in this round."""
    tried = {*entry.tried, failed.id}
    try:
        other = accounts.choose(
            session, message.tenant_id, message.channel, message.from_address, tried
        )
    except Unavailable:
        entry.tried = []  # the next round begins with the first again
        return False
    if other is None:
        return False
    entry.tried = sorted(tried)
    reroute(entry, message, other)
    return True


def _again(
    session: Session, message: Message, entry: QueueEntry, failure: SendFailed, now: datetime
) -> None:
    """Try later, unless the message's validity ends before."""
    due = now + pause_after(entry.attempts, failure.retry_after)
    if message.expires_at is None or due < message.expires_at:
        _release(message, entry, failure, due)
        return
    doubt = failure.kind is FailureKind.IN_DOUBT
    status = MessageStatus.UNKNOWN if doubt else MessageStatus.FAILED
    _end(session, message, status, failure, now)


def _release(message: Message, entry: QueueEntry, failure: SendFailed, due: datetime) -> None:
    """Back into the queue; the message shows why it is not sent yet."""
    entry.handed = False
    entry.due_at = due
    message.error_code, message.error_message = failure.code, failure.message
    if message.status is MessageStatus.SENDING:
        message.status = MessageStatus.QUEUED


def _end(
    session: Session, message: Message, status: MessageStatus, failure: SendFailed, now: datetime
) -> None:
    move(session, message, status, now, error_code=failure.code, error_message=failure.message)
