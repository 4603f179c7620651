"""Raw mail that comes to us: bounces (RFC 3464), complaints (RFC 5965), and what people write.

A bounce or complaint names its message by the address it went to (VERP) or by the Message-ID of
the original that it returns. One that names none of ours is an ordinary message.

Anybody can send such a mail, but only who had the message knows the sid in it.
"""

import hashlib
import hmac
import re
from collections.abc import Iterator
from datetime import UTC, datetime
from email import message_from_bytes, policy
from email.errors import MessageError
from email.message import EmailMessage, Message
from email.utils import getaddresses, parsedate_to_datetime
from typing import Any

from email_reply_parser import EmailReplyParser
from flufl.bounce import all_failures
from inscriptis import get_text

from irisx.messaging.channels.email.compose import bounced_sid
from irisx.messaging.provider import Inbound, InboundFile, Reading, Receipt, ReceiverRequest
from irisx.messaging.states import MessageStatus

_OURS = re.compile(r"<?(EM[0-9a-f]{32})@[^>\s]+>?")
_CODE = re.compile(r"\b([245]\.\d{1,3}\.\d{1,3})\b")
_MAX_HTML = 1_000_000
_MAX_PARTS = 100


def is_permanent(code: str) -> bool:
    """Whether an enhanced status code (RFC 3463) means that the address is dead.

    Full mailboxes and refusals by policy (5.2.2, 5.7.x) say nothing about the address.
    """
    return code.startswith(("5.1.", "5.2.1", "5.4.4", "550", "551", "553"))


def is_ours(inbound: Inbound) -> bool:
    """Whether it is a copy of a message that we sent, by its Message-ID."""
    return _OURS.fullmatch(inbound.reference) is not None


def verify(secret: str | None, request: ReceiverRequest) -> bool:
    """Whether the poster of raw mail has the account's `inbound_secret` as its bearer token."""
    given = {k.lower(): v for k, v in request.headers.items()}.get("authorization", "")
    return secret is not None and hmac.compare_digest(given.encode(), f"Bearer {secret}".encode())


def read(body: bytes) -> Reading:
    """What a raw message says. Raises ValueError for what is no mail."""
    try:
        mail = message_from_bytes(body, policy=policy.default)
        if not mail.keys():
            raise ValueError("there are no headers")
        sid = _subject_of(mail)
        if sid is not None:
            return Reading(receipts=list(_receipts(mail, sid, body)))
        return Reading(messages=[_inbound(mail, body)])
    except (MessageError, LookupError, AttributeError, RecursionError) as error:
        raise ValueError(f"the mail can't be read: {error}") from error


# -- bounces and complaints -----------------------------------------------------------------------


def _receipts(mail: EmailMessage, sid: str, body: bytes) -> Iterator[Receipt]:
    digest = hashlib.sha256(body).hexdigest()[:32]
    report = mail.get_param("report-type", "", unquote=True) if mail.is_multipart() else ""
    if report == "feedback-report":
        yield Receipt(
            key=f"complaint {digest}", sid=sid, status=MessageStatus.DELIVERED, suppress="complaint"
        )
        return
    found = list(_delivery_status(mail, sid, digest))
    if not found and report != "delivery-status":
        found = list(_heuristic(mail, sid, digest))
    yield from found


def _subject_of(mail: EmailMessage) -> str | None:
    """The sid of our message that a report is about."""
    for name in ("X-Original-To", "Delivered-To", "To"):
        for _, address in getaddresses([str(value) for value in mail.get_all(name, [])]):
            if (sid := bounced_sid(address)) is not None:
                return sid
    for part in _parts(mail):
        if part.get_content_type() in ("message/rfc822", "text/rfc822-headers"):
            head = part.as_bytes()[:20_000].decode(errors="replace")
            line = re.search(r"^Message-ID:\s*(\S+)", head, re.IGNORECASE | re.MULTILINE)
            if line and (ours := _OURS.match(line[1])):
                return ours[1]
    return None


def _delivery_status(mail: EmailMessage, sid: str, digest: str) -> Iterator[Receipt]:
    """The per-recipient fields of a delivery-status part (RFC 3464 §2.3)."""
    for part in _parts(mail):
        if part.get_content_type() != "message/delivery-status":
            continue
        payload = part.get_payload()
        for number, fields in enumerate(payload if isinstance(payload, list) else []):
            action = str(fields.get("Action", "")).strip().lower()
            if action not in ("failed", "delivered", "relayed", "expanded"):
                continue  # `delayed` changes nothing; the first block is about the message
            code = _CODE.search(str(fields.get("Status", "")))
            said = str(fields.get("Diagnostic-Code", "")).strip()
            if action != "failed":
                if action == "delivered":
                    yield Receipt(
                        key=f"dsn {digest} {number}", sid=sid, status=MessageStatus.DELIVERED
                    )
                continue
            yield _bounce(f"dsn {digest} {number}", sid, code[1] if code else "5.0.0", said)


def _heuristic(mail: EmailMessage, sid: str, digest: str) -> Iterator[Receipt]:
    """Servers that do not follow RFC 3464 (flufl.bounce knows many of them)."""
    temporary, permanent = all_failures(mail)
    if permanent:
        yield _bounce(f"bounce {digest}", sid, "5.1.1", "not delivered (no standard report)")
    elif temporary:
        yield _bounce(f"bounce {digest}", sid, "4.0.0", "not delivered for now")


def _bounce(key: str, sid: str, code: str, said: str) -> Receipt:
    return Receipt(
        key=key,
        sid=sid,
        status=MessageStatus.UNDELIVERED,
        error_code=code,
        error_message=said[:500] or None,
        suppress="bounce" if is_permanent(code) else None,
    )


# -- what people write ----------------------------------------------------------------------------


def _inbound(mail: EmailMessage, body: bytes) -> Inbound:
    senders = getaddresses([str(mail.get("From", ""))])
    receivers = getaddresses([str(value) for value in mail.get_all("To", [])])
    name, address = senders[0] if senders else ("", "")
    if not address:
        raise ValueError("it has no From")
    text, html = _texts(mail)
    digest = hashlib.sha256(body).hexdigest()[:32]
    return Inbound(
        reference=str(mail.get("Message-ID", "")).strip() or f"<{digest}@unnamed>",
        from_=address,
        to=receivers[0][1] if receivers else "",
        body=text,
        content={
            "subject": str(mail.get("Subject", "")),
            "reply": EmailReplyParser.parse_reply(text),
            "html": html,
            "in_reply_to": str(mail.get("In-Reply-To", "")) or None,
        },
        files=[
            InboundFile(part.get_filename() or "attachment", part.get_content_type(), _bytes(part))
            for part in _parts(mail)
            if _is_file(part)
        ],
        name=name or None,
        at=_date(mail),
    )


def _texts(mail: EmailMessage) -> tuple[str, str | None]:
    """The plain text, made of the HTML where there is none, and the HTML."""
    plain, html = mail.get_body(("plain",)), mail.get_body(("html",))
    source = _decoded(html)[:_MAX_HTML] if html is not None else None
    if plain is not None:
        return _decoded(plain), source
    return (get_text(source) if source else ""), source


def _decoded(part: Message) -> str:
    """A part's text, whatever its charset claims to be."""
    content = _bytes(part)
    try:
        return content.decode(part.get_content_charset("utf-8"), errors="replace")
    except LookupError:
        return content.decode(errors="replace")


def _bytes(part: Message) -> bytes:
    if part.get_content_type() == "message/rfc822" and part.is_multipart():
        return bytes(part.get_payload(0))  # type: ignore[arg-type]
    payload: Any = part.get_payload(decode=True)
    return payload if isinstance(payload, bytes) else b""


def _parts(mail: EmailMessage) -> Iterator[EmailMessage]:
    """The parts, a bounded number of them."""
    for number, part in enumerate(mail.walk()):
        if number >= _MAX_PARTS:
            return
        yield part


def _is_file(part: EmailMessage) -> bool:
    """An attachment (perhaps a letter itself), or a picture that the HTML shows."""
    shown = part.get_content_maintype() not in ("text", "multipart", "message")
    return part.is_attachment() or shown


def _date(mail: EmailMessage) -> datetime | None:
    try:
        moment = parsedate_to_datetime(str(mail.get("Date", "")))
        return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    except (ValueError, TypeError, OverflowError):
        return None
