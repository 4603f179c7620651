"""The bound connections of this worker, one an account, and what arrives over them."""

import hashlib
import json
from dataclasses import dataclass
from functools import partial

import gevent
from gevent.lock import RLock
from sqlalchemy import select

from irisx.kernel.crypto import BadToken
from irisx.kernel.db import transaction
from irisx.kernel.jobs import Job
from irisx.kernel.logging import get_logger
from irisx.messaging import accounts, receiving
from irisx.messaging.channels.sms.smpp import text
from irisx.messaging.channels.sms.smpp.parts import Whole, collect, forget
from irisx.messaging.channels.sms.smpp.pdu import Message, Status
from irisx.messaging.channels.sms.smpp.session import NotConnected, Session
from irisx.messaging.models import ProviderAccount
from irisx.messaging.provider import Account, Inbound, Reading, Receipt

log = get_logger(__name__)

NAME = "smpp"


@dataclass
class _Held:
    session: Session
    fingerprint: str


class Sessions:
    """Connections by account; bound when first needed, and again when they went."""

    def __init__(self) -> None:
        self._held: dict[int, _Held] = {}
        self._locks: dict[int, RLock] = {}

    def of(self, account: Account) -> Session:
        """The account's bound connection. Raises NotConnected."""
        lock = self._locks.setdefault(account.id, RLock())
        with lock:
            held = self._held.get(account.id)
            fingerprint = _fingerprint(account)
            if held is not None and held.session.bound and held.fingerprint == fingerprint:
                return held.session
            self.close(account.id)
            session = Session(partial(deliver, account.id))
            settings = account.settings
            session.open(
                settings.host,
                settings.port,
                settings.system_id,
                account.credentials.password,
                settings.system_type,
                tls=settings.tls,
            )
            self._held[account.id] = _Held(session, fingerprint)
            return session

    def close(self, account_id: int) -> None:
        held = self._held.pop(account_id, None)
        if held is not None:
            held.session.unbind()

    def keep(self) -> bool:
        """The job: a connection for every account that is enabled, so that messages arrive; none
        for the others."""
        wanted = select(ProviderAccount).filter_by(provider=NAME, enabled=True)
        with transaction() as session:
            rows = session.scalars(wanted).all()
        for account_id in set(self._held) - {row.id for row in rows}:
            self.close(account_id)
        # Side by side: one that does not answer keeps no other waiting.
        gevent.joinall([gevent.spawn(self._bind, row) for row in rows])
        return False

    def close_all(self) -> None:
        for account_id in list(self._held):
            self.close(account_id)

    def _bind(self, row: ProviderAccount) -> None:
        try:
            self.of(accounts.opened(row))
        except (NotConnected, BadToken) as error:
            log.warning("smpp.not_bound", account=row.public_id, reason=str(error))


SESSIONS = Sessions()


def job() -> Job:
    return Job("smpp.sessions", SESSIONS.keep, 10.0, finish=SESSIONS.close_all)


def deliver(account_id: int, message: Message) -> Status:
    """Store what a message centre delivers; only then is it answered."""
    with transaction() as session:
        row = session.get(ProviderAccount, account_id)
    if row is None:
        return Status.TRY_AGAIN
    shown = {
        "protocol": "smpp",
        "command": "deliver_sm",
        "source_addr": message.source,
        "destination_addr": message.destination,
        "esm_class": message.esm_class,
        "data_coding": message.data_coding,
        "short_message": message.payload.hex(),
    }
    found = text.receipt_of(message)
    if found is not None:
        receiving.take(row, _receipts(found), shown)
        return Status.OK
    whole = collect(account_id, message.source, message.destination, text.decode(message))
    if whole is not None:
        receiving.take(row, Reading(messages=[_inbound(message, whole)]), shown)
        forget(whole)
    return Status.OK


def _receipts(found: text.DeliveryReceipt) -> Reading:
    if found.status is None:
        return Reading()
    receipt = Receipt(
        key=f"{found.message_id} {found.word}",
        status=found.status,
        reference=found.message_id,
        error_code=f"SMPP_ERR_{found.error}" if found.error else None,
    )
    return Reading([receipt])


def _inbound(message: Message, whole: Whole) -> Inbound:
    return Inbound(
        whole.reference,
        from_=_address(message.source, message.source_ton),
        to=_address(message.destination, message.destination_ton),
        body=whole.text,
    )


def _address(digits: str, ton: int) -> str:
    """International numbers have their plus; many carriers say so only by the length."""
    international = ton == 1 or (ton == 0 and len(digits) > 8)
    return f"+{digits}" if international and digits.isdigit() else digits


def _fingerprint(account: Account) -> str:
    """Another one where settings or credentials changed."""
    dumped = json.dumps([account.settings.model_dump(), account.credentials.model_dump()])
    return hashlib.sha256(dumped.encode()).hexdigest()
