"""Which messages a worker takes next, and the checks that each one passes before it is sent."""

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import delete, exists, select
from sqlalchemy.orm import Session

from irisx.kernel import clock
from irisx.kernel.errors import Unavailable
from irisx.messaging import accounts, rates
from irisx.messaging.accepting import KEYWORD, lane_of
from irisx.messaging.attempts import ATTEMPT_SECONDS, Claim
from irisx.messaging.effects import batched
from irisx.messaging.exchanges import note_check
from irisx.messaging.models import Message, ProviderAccount, QueueEntry
from irisx.messaging.quiet_hours import wait_until
from irisx.messaging.states import WAITING, Category, MessageStatus
from irisx.messaging.statuses import move
from irisx.messaging.suppressions import Key, suppressed
from irisx.tenancy.models import Tenant, TenantStatus
from irisx.tenancy.settings import TenantSettings

#: After this a message that nobody settled counts as lost with its worker.
LEASE = timedelta(seconds=ATTEMPT_SECONDS + 15)
BATCH = 200
#: Attempts of one lane at one time in one worker: a slow provider holds up nobody else.
MAX_PER_LANE = 100


@dataclass(frozen=True)
class _Known:
    """What the checks of a batch look at, fetched at once. `tenants`: the active ones."""

    now: datetime
    tenants: Mapping[int, TenantSettings]
    accounts: Mapping[int, ProviderAccount]
    suppressed: Mapping[Key, str]


@dataclass(frozen=True)
class Taken:
    """`claims` are to be sent now. `throttled`: lanes whose rate is used up for this second.
    `more`: the batch was full."""

    claims: Sequence[Claim]
    throttled: Collection[int]
    more: bool


def take(session: Session, room: int, held: Mapping[int, int], closed: Collection[int]) -> Taken:
    """Take at most `room` messages that are due. `held`: this worker's attempts under way by
    lane; `closed`: lanes from which nothing may be taken now."""
    now = clock.now()
    full = {lane for lane, count in held.items() if count >= MAX_PER_LANE} | set(closed)
    entries = _due(session, full)
    messages = _locked_messages(session, entries)
    # A message that somebody else has locked (a receipt is being read) is looked at again.
    pairs = [
        (entry, messages[entry.message_id]) for entry in entries if entry.message_id in messages
    ]
    known = _known(session, [message for _, message in pairs], now)
    with batched(session):
        ready = [pair for pair in pairs if _passes(session, pair, known)]
    fit, throttled = _within_rates(ready, room, held, known)
    return Taken([_claim(pair, known) for pair in fit], throttled, len(entries) == BATCH)


def _due(session: Session, full: Collection[int]) -> Sequence[QueueEntry]:
    paused = exists().where(
        ProviderAccount.id == QueueEntry.account_id, ProviderAccount.paused_until > clock.now()
    )
    query = (
        select(QueueEntry)
        .where(QueueEntry.due_at <= clock.now(), QueueEntry.lane.not_in(full), ~paused)
        .order_by(QueueEntry.due_at, QueueEntry.message_id)
        .limit(BATCH)
        .with_for_update(of=QueueEntry, skip_locked=True)
    )
    return session.scalars(query).all()


def _locked_messages(session: Session, entries: Sequence[QueueEntry]) -> Mapping[object, Message]:
    # Everyone else locks the message first and its entry then; skipping avoids the deadlock.
    if not entries:
        return {}
    created = [entry.message_created_at for entry in entries]
    query = (
        select(Message)
        .where(
            Message.id.in_([entry.message_id for entry in entries]),
            Message.created_at.between(min(created), max(created)),
        )
        .with_for_update(skip_locked=True)
    )
    return {message.id: message for message in session.scalars(query)}


def _known(session: Session, messages: Sequence[Message], now: datetime) -> _Known:
    keys = [(m.tenant_id, m.channel, m.to_address) for m in messages]
    tenants = select(Tenant).where(
        Tenant.id.in_({m.tenant_id for m in messages}), Tenant.status == TenantStatus.ACTIVE
    )
    used = select(ProviderAccount).where(
        ProviderAccount.id.in_({m.account_id for m in messages if m.account_id is not None})
    )
    return _Known(
        now,
        {row.id: TenantSettings.model_validate(row.settings) for row in session.scalars(tenants)}
        if messages
        else {},
        {row.id: row for row in session.scalars(used)} if messages else {},
        suppressed(session, keys),
    )


def _passes(session: Session, pair: tuple[QueueEntry, Message], known: _Known) -> bool:
    """Whether the message may go now; else it was ended, or its entry moved to when it may."""
    entry, message = pair
    if message.status not in WAITING:
        session.execute(delete(QueueEntry).where(QueueEntry.message_id == message.id))
        return False
    account = known.accounts.get(message.account_id) if message.account_id is not None else None
    if entry.handed and not _may_repeat(entry, account):
        _end(
            session,
            message,
            MessageStatus.UNKNOWN,
            known,
            "WORKER_LOST",
            "The worker ended while it handed the message over; the provider may have it.",
        )
        return False
    if entry.handed:
        entry.pinned = True
    return _may_go(session, entry, message, known) and _has_account(session, entry, message, known)


def _may_repeat(entry: QueueEntry, account: ProviderAccount | None) -> bool:
    return account is not None and accounts.provider_of(account).idempotent


def _may_go(session: Session, entry: QueueEntry, message: Message, known: _Known) -> bool:
    """Validity, the tenant, opt-outs, quiet hours."""
    settings = known.tenants.get(message.tenant_id)
    if message.expires_at is not None and message.expires_at <= known.now:
        _end(session, message, MessageStatus.EXPIRED, known, "EXPIRED", "Its validity has ended.")
        return False
    if settings is None:
        _fail(session, message, known, "TENANT_INACTIVE", "The tenant is not active.")
        return False
    reason = known.suppressed.get((message.tenant_id, message.channel, message.to_address))
    if reason is not None and message.origin != KEYWORD:
        code = "RECIPIENT_OPTED_OUT" if reason == "opt_out" else "RECIPIENT_SUPPRESSED"
        _fail(session, message, known, code, f"The recipient is suppressed: {reason}.")
        return False
    if settings.quiet_hours is not None and message.category is Category.MARKETING:
        until = wait_until(settings.quiet_hours, message.to_address, settings.timezone, known.now)
        if until is not None:
            entry.due_at = until
            return False
    return True


def _has_account(session: Session, entry: QueueEntry, message: Message, known: _Known) -> bool:
    """Whether the account it waits for can still be used; else it changes to another one's lane.

    One whose outcome is in doubt stays with its account, whatever became of that.
    """
    if message.account_id is None:
        return True
    account = known.accounts.get(message.account_id)
    demoted = account is not None and (account.demoted_until or known.now) > known.now
    if account is not None and (entry.pinned or (account.enabled and not demoted)):
        return True
    try:
        other = accounts.choose(
            session, message.tenant_id, message.channel, message.from_address, entry.tried
        )
    except Unavailable as error:
        if account is not None and account.enabled:
            return True  # demoted, and there is no other
        _fail(session, message, known, error.code, error.message)
        return False
    if other is None:
        _fail(session, message, known, "NO_PROVIDER_ACCOUNT", "Its account has been deleted.")
        return False
    if other.id == message.account_id:
        return True
    reroute(entry, message, other)
    return False


def reroute(entry: QueueEntry, message: Message, account: ProviderAccount) -> None:
    """The message waits for another account from now on."""
    entry.account_id = message.account_id = account.id
    entry.lane = lane_of(message.tenant_id, account.id)
    message.provider = account.provider


def _within_rates(
    ready: Sequence[tuple[QueueEntry, Message]],
    room: int,
    held: Mapping[int, int],
    known: _Known,
) -> tuple[Sequence[tuple[QueueEntry, Message]], Collection[int]]:
    """Of what is ready that for which there is room, in the worker, its lane and its rate."""
    in_lane = Counter(held)
    fit: list[tuple[QueueEntry, Message]] = []
    for entry, message in ready:
        if len(fit) < room and in_lane[entry.lane] < MAX_PER_LANE:
            in_lane[entry.lane] += 1
            fit.append((entry, message))
    wanted = Counter(entry.lane for entry, _ in fit)
    granted = {lane: _granted(lane, count, known) for lane, count in wanted.items()}
    throttled = {lane for lane, count in granted.items() if count < wanted[lane]}
    within: list[tuple[QueueEntry, Message]] = []
    for entry, message in fit:
        granted[entry.lane] -= 1
        if granted[entry.lane] >= 0:
            within.append((entry, message))
    return within, throttled


def _granted(lane: int, wanted: int, known: _Known) -> int:
    account = known.accounts.get(lane)
    if account is None:
        return wanted
    limit = account.max_per_second or accounts.provider_of(account).max_per_second
    return wanted if limit is None else rates.take(lane, limit, wanted)


def _claim(pair: tuple[QueueEntry, Message], known: _Known) -> Claim:
    entry, message = pair
    entry.attempts += 1
    entry.handed = True
    entry.due_at = known.now + LEASE
    message.status = MessageStatus.SENDING
    account = known.accounts.get(message.account_id) if message.account_id is not None else None
    return Claim(message, account, entry.attempts)


def _fail(session: Session, message: Message, known: _Known, code: str, why: str) -> None:
    _end(session, message, MessageStatus.FAILED, known, code, why)


def _end(
    session: Session, message: Message, status: MessageStatus, known: _Known, code: str, why: str
) -> None:
    note_check(session, message, code, known.now)
    move(session, message, status, known.now, error_code=code, error_message=why)
