"""Mailboxes of accounts are read over IMAP, and what is in them goes the way of all inbound mail.

How far one is read is a row: the UID of the last message under the mailbox's UIDVALIDITY, written
after each message. A worker that is killed leaves a message to be taken again, which its
Message-ID keeps from counting twice. Mail that was there before is left alone.
"""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import gevent
from gevent.pool import Pool
from pydantic import ValidationError as PydanticError
from sqlalchemy import literal, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.exc import InterfaceError, OperationalError

from irisx.kernel import clock
from irisx.kernel.crypto import BadToken
from irisx.kernel.db import transaction
from irisx.kernel.errors import IrisxError, Unavailable
from irisx.kernel.logging import get_logger
from irisx.messaging import accounts, receiving
from irisx.messaging.channels.email import imap, raw
from irisx.messaging.channels.email.imap import ImapFailed, Mailbox
from irisx.messaging.channels.email.models import EmailInbox
from irisx.messaging.models import ProviderAccount
from irisx.messaging.provider import Inbound, Reading, Unread

log = get_logger(__name__)

EVERY = timedelta(seconds=30)
_LONGEST = timedelta(hours=1)
#: One mailbox's turn; it goes on in the next.
TURN_SECONDS = 120.0
LEASE = timedelta(seconds=TURN_SECONDS + 60)
BATCH = 50
#: Mailboxes that this worker reads now.
TURNS = Pool(10)
_SHOWN = 2000


def poll() -> bool:
    """The job: mailboxes that are due are begun to be read, for as many as there is room."""
    room = TURNS.free_count()
    if not room:
        return False
    now = clock.now()
    with transaction() as session:
        has_mailbox = select(ProviderAccount.id, ProviderAccount.tenant_id, literal(now)).where(
            ProviderAccount.channel == "email",
            ProviderAccount.enabled,
            ProviderAccount.settings["imap"].astext.is_not(None),
        )
        names = ["account_id", "tenant_id", "next_at"]
        fresh = insert(EmailInbox).from_select(names, has_mailbox, include_defaults=True)
        session.execute(fresh.on_conflict_do_nothing())
        due = (
            select(EmailInbox, ProviderAccount)
            .join(ProviderAccount, ProviderAccount.id == EmailInbox.account_id)
            .where(
                EmailInbox.next_at <= now,
                ProviderAccount.enabled,
                ProviderAccount.settings["imap"].astext.is_not(None),
            )
            .order_by(EmailInbox.next_at)
            .limit(room)
            .with_for_update(of=EmailInbox, skip_locked=True)
        )
        found = [(inbox, row) for inbox, row in session.execute(due)]
        for inbox, _ in found:
            inbox.next_at = now + LEASE
    for inbox, row in found:
        TURNS.spawn(_turn, inbox, row)
    return False


def stop() -> None:
    """At the worker's end: a mailbox that is being read is read on by another one after its
    lease."""
    TURNS.kill(timeout=1.0)


def list_all(tenant_id: int) -> Sequence[EmailInbox]:
    """The tenant's mailboxes, as they were read last."""
    mine = select(EmailInbox).filter_by(tenant_id=tenant_id).order_by(EmailInbox.account_id)
    with transaction() as session:
        return session.scalars(mine).all()


def _turn(inbox: EmailInbox, row: ProviderAccount) -> None:
    """Read one mailbox, and say when it is read next."""
    began = clock.now()
    try:
        with gevent.Timeout(TURN_SECONDS, ImapFailed(f"not done within {TURN_SECONDS:g} s")):
            more = _read(inbox, row, began)
    except (ImapFailed, Unavailable) as failure:
        reason = str(failure)
    except (BadToken, PydanticError):
        reason = "the account's credentials can't be read; enter them again"
    except (OperationalError, InterfaceError):
        raise
    except Exception:
        log.exception("imap_failed", account=row.public_id)
        reason = "internal error; it is in IRISX's log"
    else:
        pause = timedelta() if more else EVERY
        _save(inbox, checked_at=began, failures=0, error=None, next_at=clock.now() + pause)
        return
    failures = inbox.failures + 1
    log.warning("a mailbox can't be read", account=row.public_id, reason=reason, failures=failures)
    pause = min(EVERY * 2 ** min(failures, 10), _LONGEST)
    _save(inbox, failures=failures, error=reason[:300], next_at=clock.now() + pause)


def _read(inbox: EmailInbox, row: ProviderAccount, now: datetime) -> bool:
    """Take what is new; True: there is more."""
    account = accounts.opened(row)
    settings, secrets = account.settings.imap, account.credentials
    username, password = secrets.imap_username, secrets.imap_password
    if username is None or password is None:
        raise ImapFailed("credentials.imap_username and credentials.imap_password are missing")
    name = f"{username} {settings.host} {settings.folder}"
    with imap.opened(settings, username, password) as mailbox:
        if inbox.mailbox != name or inbox.uid_validity is None:
            _begin(inbox, mailbox, name)
            return False
        if mailbox.uid_validity != inbox.uid_validity:
            # All UIDs are new ones. What came since the last look is taken, whole or not at all.
            last = (inbox.checked_at or now) - timedelta(days=1)
            for uid in mailbox.since(last.date()):
                _take(row, mailbox, uid)
            _begin(inbox, mailbox, name)
            return False
        uids = mailbox.after(inbox.last_uid)
        for uid in uids[:BATCH]:
            _take(row, mailbox, uid)
            _save(inbox, last_uid=uid)
        return len(uids) > BATCH


def _begin(inbox: EmailInbox, mailbox: Mailbox, name: str) -> None:
    """From here on what comes is new."""
    validity, last = mailbox.uid_validity, mailbox.last_uid()
    _save(inbox, mailbox=name, uid_validity=validity, last_uid=last)


def _save(inbox: EmailInbox, **values: Any) -> None:
    for name, value in values.items():
        setattr(inbox, name, value)
    with transaction() as session:
        mine = update(EmailInbox).where(EmailInbox.account_id == inbox.account_id)
        session.execute(mine.values(values))


def _take(row: ProviderAccount, mailbox: Mailbox, uid: int) -> None:
    """One message. What can't be understood is kept as such, and stands in nobody's way."""
    size = mailbox.size(uid)
    if size is None:
        return
    about = {"protocol": "imap", "uid": uid, "uid_validity": mailbox.uid_validity, "bytes": size}
    if size > imap.MAX_BYTES:
        _keep_unread(row, f"larger than {imap.MAX_BYTES // 1024 // 1024} MiB", about)
        return
    body = mailbox.fetch(uid)
    if body is None:
        return
    head = receiving.storable(body[:_SHOWN].decode(errors="replace"))
    try:
        reading = raw.read(body)
        ours = [_addressed(row, each) for each in reading.messages if not raw.is_ours(each)]
        receiving.take(row, replace(reading, messages=ours), about | {"body": head})
    except (Unavailable, OperationalError, InterfaceError):
        raise
    except (ValueError, IrisxError) as error:
        _keep_unread(row, f"{type(error).__name__}: {error}"[:200], about | {"head": head})


def _keep_unread(row: ProviderAccount, reason: str, about: dict[str, Any]) -> None:
    receiving.take(row, Reading(unread=[Unread(reason, about)]), about)


def _addressed(row: ProviderAccount, inbound: Inbound) -> Inbound:
    """A mailbox also gets mail for aliases and lists, which nobody may answer from."""
    if not row.senders or inbound.to.lower() in row.senders:
        return inbound
    return replace(inbound, to=row.senders[0])
