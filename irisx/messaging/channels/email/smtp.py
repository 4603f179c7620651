"""SMTP submission (RFC 6409), to any server: a provider's or the tenant's own.

What a reply means follows RFC 5321 §4.2.1 and RFC 3463: 4xx may be tried again, 5xx may not. From
the moment the message's last line is out until the answer, the outcome is in doubt.
"""

import re
import smtplib
import socket
import ssl
from datetime import timedelta
from typing import Any

from pydantic import Field

from irisx.kernel import clock, http
from irisx.messaging.channels.email import raw
from irisx.messaging.channels.email.compose import (
    MailCredentials,
    MailSettings,
    Security,
    compose,
    envelope_sender,
    message_id,
)
from irisx.messaging.channels.email.connections import Connections
from irisx.messaging.provider import (
    Account,
    FailureKind,
    Outgoing,
    Reading,
    ReceiverRequest,
    SendFailed,
    Sent,
    Wire,
)

TIMEOUT_SECONDS = 20.0
_GREYLISTED = timedelta(minutes=5)
_ENHANCED = re.compile(r"\b([245]\.\d{1,3}\.\d{1,3})\b")


class SmtpSettings(MailSettings):
    """The server that mail is submitted to."""

    host: str = Field(min_length=1, max_length=253, pattern=r"^[A-Za-z0-9.:_-]+$")
    port: int = Field(587, ge=1, le=65535)
    security: Security = Field(Security.STARTTLS, strict=False)


class SmtpCredentials(MailCredentials):
    username: str | None = None
    password: str | None = None


class _Pinned(smtplib.SMTP):
    """Connects to the address that was checked (kernel/http)."""

    def _get_socket(self, host: str, port: int, timeout: float) -> socket.socket:
        return http.connect(host, port, timeout)


class _PinnedTls(smtplib.SMTP_SSL, _Pinned):
    pass


class Smtp:
    """The provider. Servers know nothing of our ids, so it is not `idempotent`."""

    name = "smtp"
    idempotent = False
    max_per_second = None
    Settings = SmtpSettings
    Credentials = SmtpCredentials

    def __init__(self) -> None:
        self._connections: Connections[smtplib.SMTP] = Connections(_alive, _close)

    def send(self, account: Account, message: Outgoing, wire: Wire) -> Sent:
        """Submit a message over a kept or a new connection."""
        settings: SmtpSettings = account.settings
        mail = compose(settings, account.credentials, message)
        sender = envelope_sender(settings, message)
        request = {
            "smtp": f"{settings.host}:{settings.port}",
            "mail_from": sender,
            "rcpt_to": message.to,
            "bytes": len(mail),
        }
        began = clock.now()
        try:
            with self._connections.lent(
                _key(account), lambda: _connected(settings, account.credentials)
            ) as smtp:
                reply = _submit(smtp, sender, message.to, mail)
        except SendFailed as failure:
            wire.note(request, None, error=f"{failure.code} {failure.message}", began=began)
            raise
        wire.note(request, {"reply": reply}, began=began)
        return Sent(message_id(message.sid, message.from_))

    def verify(self, account: Account, request: ReceiverRequest) -> bool:
        return raw.verify(account.credentials.inbound_secret, request)

    def read(self, account: Account, request: ReceiverRequest) -> Reading:
        return raw.read(request.body)


def _key(account: Account) -> tuple[Any, ...]:
    """Connections made with other settings or credentials are not used again."""
    return (
        account.id,
        account.settings.model_dump_json(),
        account.credentials.username,
        account.credentials.password,
    )


def _alive(smtp: smtplib.SMTP) -> bool:
    try:
        return smtp.noop()[0] == 250
    except (smtplib.SMTPException, OSError):
        return False


def _close(smtp: smtplib.SMTP) -> None:
    smtp.close()


def _connected(settings: SmtpSettings, credentials: SmtpCredentials) -> smtplib.SMTP:
    context = ssl.create_default_context()
    kind = _PinnedTls if settings.security is Security.TLS else _Pinned
    options: dict[str, Any] = {"context": context} if kind is _PinnedTls else {}
    try:
        smtp = kind(settings.host, settings.port, timeout=TIMEOUT_SECONDS, **options)
    except http.AddressRefused as error:
        raise SendFailed(FailureKind.ACCOUNT, "ADDRESS_REFUSED", str(error)) from error
    except ssl.SSLError as error:
        raise SendFailed(FailureKind.ACCOUNT, "TLS_FAILED", str(error)) from error
    except (smtplib.SMTPException, http.HttpFailure, OSError) as error:
        raise SendFailed(FailureKind.UNAVAILABLE, "PROVIDER_UNREACHABLE", str(error)) from error
    try:
        smtp.ehlo_or_helo_if_needed()
        if settings.security is Security.STARTTLS:
            smtp.starttls(context=context)
        if credentials.username is not None and credentials.password is not None:
            smtp.login(credentials.username, credentials.password)
    except ssl.SSLError as error:
        smtp.close()
        raise SendFailed(FailureKind.ACCOUNT, "TLS_FAILED", str(error)) from error
    except smtplib.SMTPNotSupportedError as error:
        smtp.close()
        raise SendFailed(FailureKind.ACCOUNT, "NOT_SUPPORTED", str(error)) from error
    except smtplib.SMTPResponseException as error:
        smtp.close()
        raise _refused(error.smtp_code, error.smtp_error, of_account=True) from error
    except (smtplib.SMTPException, OSError) as error:
        smtp.close()
        raise SendFailed(FailureKind.UNAVAILABLE, "CONNECTION_LOST", str(error)) from error
    return smtp


def _submit(smtp: smtplib.SMTP, sender: str, recipient: str, mail: bytes) -> str:
    """One transaction (RFC 5321 §3.3); the server's last reply."""
    # Where the server can, it tells of the delivery as well as of the failure (RFC 3461).
    notify = ["NOTIFY=SUCCESS,FAILURE"] if smtp.has_extn("dsn") else []
    try:
        try:
            _expect(smtp.mail(sender), of_account=True)
            _expect(smtp.rcpt(recipient, notify))
            _expect(smtp.docmd("DATA"), want=354)
        except SendFailed:
            smtp.rset()  # or the next message would be a part of this one
            raise
    except (smtplib.SMTPServerDisconnected, OSError) as error:
        raise SendFailed(FailureKind.UNAVAILABLE, "CONNECTION_LOST", str(error)) from error
    try:
        smtp.send(re.sub(rb"(?m)^\.", b"..", mail) + b".\r\n")
        code, text = smtp.getreply()
    except (smtplib.SMTPException, OSError) as error:
        raise SendFailed(FailureKind.IN_DOUBT, "NO_ANSWER", str(error)) from error
    return _expect((code, text))


def _expect(reply: tuple[int, bytes], *, want: int | None = None, of_account: bool = False) -> str:
    code, text = reply
    if code == want or (want is None and 200 <= code < 300):
        return f"{code} {text.decode(errors='replace')}"
    raise _refused(code, text, of_account=of_account)


def _refused(code: int, text: bytes | str, *, of_account: bool = False) -> SendFailed:
    """What a negative reply means. `of_account`: before the recipient was named."""
    said = text.decode(errors="replace") if isinstance(text, bytes) else text
    enhanced = _ENHANCED.search(said)
    name = enhanced[1] if enhanced else str(code)
    if code == 421 or 400 <= code < 500:
        # 4.7.x: greylisting, or too many at once; it is the wait that helps.
        wait = _GREYLISTED if name.startswith("4.7") else timedelta()
        return SendFailed(FailureKind.UNAVAILABLE, name, said[:500], retry_after=wait)
    if of_account or code in (530, 535):
        return SendFailed(FailureKind.ACCOUNT, name, said[:500])
    suppress = "bounce" if raw.is_permanent(name) else None
    return SendFailed(FailureKind.REJECTED, name, said[:500], suppress=suppress)
