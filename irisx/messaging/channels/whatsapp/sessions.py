"""Sessions of WAHA accounts: started, shown as a QR code, kept working, stopped.

What was started is wanted: the worker looks at each such session and starts it again when it has
failed or stopped. Only a person can scan a QR code or end a session for good.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from irisx.kernel import clock, events, http
from irisx.kernel.crypto import BadToken
from irisx.kernel.db import transaction
from irisx.kernel.errors import Conflict, NotFound, Unavailable
from irisx.kernel.http import Reply
from irisx.kernel.logging import get_logger
from irisx.messaging import accounts
from irisx.messaging.accepting import wake_senders
from irisx.messaging.channels.whatsapp import waha
from irisx.messaging.channels.whatsapp.models import SessionStatus, WahaSession
from irisx.messaging.models import ProviderAccount, QueueEntry
from irisx.messaging.provider import Account, Notice
from irisx.tenancy import audit
from irisx.tenancy.access import Actor

log = get_logger(__name__)

_SECONDS = 10.0
_MAX_BYTES = 1024 * 1024
_PNG = b"\x89PNG\r\n\x1a\n"
_LEASE = timedelta(minutes=1)
#: How often a session is looked at that works or waits for a person.
_EVERY = timedelta(minutes=1)
#: Pause after the n-th start in a row that did not help.
_PAUSES = tuple(timedelta(seconds=s) for s in (5, 15, 60, 300, 900))
#: WAHA repeats a webhook that was not answered for three hours.
_RETRIES = {"policy": "exponential", "delaySeconds": 2, "attempts": 12}
_S = SessionStatus
_ENDED = frozenset({_S.FAILED, _S.STOPPED})


@dataclass(frozen=True, slots=True)
class SessionView:
    """`phone` and `name`: whose WhatsApp it is, once the code was scanned."""

    account_id: int
    session: str
    status: SessionStatus
    wanted: bool
    phone: str | None
    name: str | None


class WahaUnreachable(Exception):
    """The server does not answer, or not as WAHA does. The text may be shown."""


def show(tenant_id: int, account_id: int) -> SessionView:
    """The session as WAHA has it now. Raises NotFound, Unavailable PROVIDER_UNAVAILABLE."""
    row, account = _account(tenant_id, account_id)
    state = _asked(account, "GET", _path(account))
    return _view(row, account, state)


def start(by: Actor, tenant_id: int, account_id: int) -> SessionView:
    """Create the session at WAHA, or give it our webhook again, and start it."""
    row, account = _account(tenant_id, account_id)
    _configure(account)
    _want(by, row, wanted=True, action="started")
    return _view(row, account, _asked(account, "GET", _path(account)))


def stop(by: Actor, tenant_id: int, account_id: int, *, log_out: bool) -> SessionView:
    """End the session; `log_out`: for good, so that the next one needs a new QR code."""
    row, account = _account(tenant_id, account_id)
    _want(by, row, wanted=False, action="logged_out" if log_out else "stopped")
    if log_out:
        _asked(account, "POST", f"{_path(account)}/logout")
    _asked(account, "POST", f"{_path(account)}/stop")
    return _view(row, account, _asked(account, "GET", _path(account)))


def restart(by: Actor, tenant_id: int, account_id: int) -> SessionView:
    """Connect anew."""
    row, account = _account(tenant_id, account_id)
    _asked(account, "POST", f"{_path(account)}/restart")
    _want(by, row, wanted=True, action="restarted")
    return _view(row, account, _asked(account, "GET", _path(account)))


def qr_code(tenant_id: int, account_id: int) -> str:
    """What the QR code says. Raises Conflict NO_QR_CODE unless the session waits for a scan."""
    value = json.loads(_qr(tenant_id, account_id, "raw").body).get("value")
    if not isinstance(value, str):
        raise _unavailable("WAHA's answer has no QR code.")
    return value


def qr_png(tenant_id: int, account_id: int) -> bytes:
    """The QR code as a PNG picture, as WAHA draws it."""
    body = _qr(tenant_id, account_id, "image").body
    if not body.startswith(_PNG):
        raise _unavailable("WAHA's answer is no PNG.")
    return body


def noticed(session: Session, row: ProviderAccount, notice: Notice) -> None:
    """WAHA tells that the session has another status."""
    now = clock.now()
    _status_is(session, row, _status(notice.data["status"]), now)
    soon = update(WahaSession).where(WahaSession.account_id == row.id).values(due_at=now)
    session.execute(soon)


def keep_working() -> bool:
    """The job that looks at one wanted session, and starts it again if it has ended; True: there
    may be more."""
    now = clock.now()
    due = (
        select(WahaSession)
        .where(WahaSession.wanted, WahaSession.due_at <= now)
        .order_by(WahaSession.due_at)
        .limit(1)
        .with_for_update(skip_locked=True)
    )
    with transaction() as session:
        known = session.scalars(due).one_or_none()
        if known is None:
            return False
        known.due_at = now + _LEASE
        row = session.get_one(ProviderAccount, known.account_id)
    status = _looked_at(row) if row.enabled else known.status
    with transaction() as session:
        row = session.get_one(ProviderAccount, known.account_id)
        _status_is(session, row, status, clock.now())
        found = session.get_one(WahaSession, known.account_id, with_for_update=True)
        ended = status in (*_ENDED, _S.UNREACHABLE)
        found.failures = found.failures + 1 if ended else 0
        pause = _PAUSES[min(found.failures, len(_PAUSES)) - 1] if ended else _EVERY
        found.due_at = clock.now() + pause
    return True


def _looked_at(row: ProviderAccount) -> SessionStatus:
    """The session's status; one that has ended is started."""
    try:
        account = accounts.opened(row)
        state = _json(_ask(account, "GET", _path(account)))
        if state is None:
            _configure(account)  # the server was made anew
            return _S.STARTING
        status = _status(state.get("status"))
        if status in _ENDED:
            _ask(account, "POST", f"{_path(account)}/restart")
        return status
    except (WahaUnreachable, Unavailable, Conflict, BadToken, ValueError) as error:
        log.warning("a WAHA server is not there", account=row.id, reason=str(error))
        return _S.UNREACHABLE


def _status_is(session: Session, row: ProviderAccount, status: SessionStatus, at: datetime) -> None:
    """Keep the status, and tell of it if it is another one. What waits is sent at once when the
    session works again."""
    known = session.get(WahaSession, row.id, with_for_update=True)
    if known is None or known.status is status:
        return
    known.status, known.status_at = status, at
    if status is _S.WORKING:
        waiting = update(QueueEntry).where(
            QueueEntry.account_id == row.id, QueueEntry.due_at > at, QueueEntry.attempts > 0,
            QueueEntry.handed.is_(False),
        )  # fmt: skip
        session.execute(waiting.values(due_at=at))
        row.demoted_until = None
        wake_senders()
    events.publish(
        session,
        key=f"whatsapp-session:{row.id}:{at.isoformat()}:{status}",
        tenant_id=row.tenant_id,
        type="whatsapp.session",
        data={"account_id": row.public_id, "status": status},
        occurred_at=at,
    )


def _want(by: Actor, row: ProviderAccount, *, wanted: bool, action: str) -> None:
    now = clock.now()
    values = {"wanted": wanted, "due_at": now, "failures": 0}
    first = values | {
        "account_id": row.id, "tenant_id": row.tenant_id, "status": _S.STARTING, "status_at": now,
    }  # fmt: skip
    with transaction() as session:
        fresh = insert(WahaSession).values(first)
        session.execute(fresh.on_conflict_do_update(index_elements=["account_id"], set_=values))
        what = f"whatsapp_session.{action}"
        audit.record(session, by, what, row.public_id, tenant_id=row.tenant_id)


# --- at the server --------------------------------------------------------------------------------


def _account(tenant_id: int, account_id: int) -> tuple[ProviderAccount, Account]:
    row = accounts.get(tenant_id, account_id)
    if row.provider != waha.NAME:
        raise NotFound(f"The account {row.public_id} is of {row.provider}, which has no sessions.")
    return row, accounts.opened(row)


def _configure(account: Account) -> None:
    """Give the session our webhook, and start it."""
    settings = account.settings
    webhook = {
        "url": account.receiver_url,
        "events": list(waha.EVENTS),
        "hmac": {"key": account.credentials.hmac_key},
        "retries": _RETRIES,
    }
    config = {"config": {"webhooks": [webhook]}}
    if _ask(account, "GET", _path(account)).status == 404:
        _asked(account, "POST", "sessions", {"name": settings.session, "start": True, **config})
        return
    _asked(account, "PUT", _path(account), config)
    _asked(account, "POST", f"{_path(account)}/start")


def _path(account: Account) -> str:
    return f"sessions/{account.settings.session}"


def _qr(tenant_id: int, account_id: int, form: str) -> Reply:
    _, account = _account(tenant_id, account_id)
    path = f"{account.settings.session}/auth/qr?format={form}"
    try:
        reply = _ask(account, "GET", path, accept="image/png" if form == "image" else None)
    except WahaUnreachable as error:
        raise _unavailable(str(error)) from error
    if reply.status == 404 or reply.status == 422:
        raise Conflict(
            "The session waits for no scan: start it, and ask again when its status is "
            "scan_qr_code.",
            code="NO_QR_CODE",
        )
    _check(reply)
    return reply


def _asked(
    account: Account, method: str, path: str, body: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    """A request that a person waits for: what goes wrong is an answer's error."""
    try:
        reply = _ask(account, method, path, body)
    except WahaUnreachable as error:
        raise _unavailable(str(error)) from error
    _check(reply)
    return _json(reply) or {}


def _check(reply: Reply) -> None:
    if reply.status in (401, 403):
        raise Conflict("WAHA refuses the account's api_key.", code="ACCOUNT_REFUSED")
    if reply.status == 404:
        raise Conflict("WAHA has no such session yet: start it.", code="NO_SESSION")
    if not 200 <= reply.status < 300:
        raise _unavailable(f"WAHA answered {reply.status}.")


def _ask(
    account: Account,
    method: str,
    path: str,
    body: Mapping[str, Any] | None = None,
    *,
    accept: str | None = None,
) -> Reply:
    """Raises WahaUnreachable."""
    headers = {"Content-Type": "application/json", **waha.key_of(account)}
    if accept is not None:
        headers["Accept"] = accept
    try:
        return http.request(
            method,
            f"{account.settings.base_url}/api/{path}",
            headers=headers,
            body=json.dumps(body).encode() if body is not None else None,
            timeout=_SECONDS,
            max_bytes=_MAX_BYTES,
        )
    except http.HttpFailure as failure:
        raise WahaUnreachable(f"The WAHA server can't be reached: {failure}") from failure


def _json(reply: Reply) -> dict[str, Any] | None:
    """An answer's object; None for 404."""
    if reply.status == 404:
        return None
    if not 200 <= reply.status < 300:
        raise WahaUnreachable(f"WAHA answered {reply.status}.")
    try:
        answer = json.loads(reply.body or b"{}")
    except (ValueError, RecursionError):
        answer = None
    return answer if isinstance(answer, dict) else {}


def _view(row: ProviderAccount, account: Account, state: Mapping[str, Any]) -> SessionView:
    me = state.get("me") or {}
    with transaction() as session:
        status = _status(state.get("status"))
        _status_is(session, session.get_one(ProviderAccount, row.id), status, clock.now())
        known = session.get(WahaSession, row.id)
        wanted = known is not None and known.wanted
    digits = str(me.get("id", "")).partition("@")[0].partition(":")[0]
    return SessionView(
        account_id=row.id,
        session=account.settings.session,
        status=status,
        wanted=wanted,
        phone=f"+{digits}" if digits.isdigit() else None,
        name=str(me["pushName"])[:200] if me.get("pushName") else None,
    )


def _status(text: Any) -> SessionStatus:
    word = str(text).lower()
    return _S(word) if word in _S.__members__.values() else _S.FAILED


def _unavailable(message: str) -> Unavailable:
    return Unavailable(message, code="PROVIDER_UNAVAILABLE")
