"""A mailbox over IMAP (RFC 9051, RFC 3501): opened for reading only, so that it stays as it is."""

import imaplib
import re
import socket
import ssl
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import date

from irisx.kernel import http
from irisx.messaging.channels.email.compose import ImapSettings, Security

TIMEOUT_SECONDS = 20.0
#: Of one message; what is larger is not read.
MAX_BYTES = 25 * 1024 * 1024
_SIZE = re.compile(rb"RFC822\.SIZE (\d+)")
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")


class ImapFailed(Exception):
    """The mailbox can't be read now. The text may be shown to the tenant."""


class _Pinned(imaplib.IMAP4):
    """Connects to the address that was checked (kernel/http), and reads no more than it may."""

    def _create_socket(self, timeout: float | None) -> socket.socket:
        return http.connect(self.host, self.port, timeout)

    def read(self, size: int) -> bytes:
        if size > MAX_BYTES:
            raise self.abort(f"the server sends {size} bytes at once")
        return super().read(size)


class _PinnedTls(_Pinned, imaplib.IMAP4_SSL):
    def _create_socket(self, timeout: float | None) -> socket.socket:
        plain = http.connect(self.host, self.port, timeout)
        context: ssl.SSLContext = self.ssl_context
        return context.wrap_socket(plain, server_hostname=self.host)


class Mailbox:
    """An open mailbox. UIDs are those of RFC 9051 §2.3.1.1."""

    def __init__(self, client: imaplib.IMAP4, uid_validity: int, uid_next: int | None) -> None:
        self._client = client
        self.uid_validity = uid_validity
        self._uid_next = uid_next

    def last_uid(self) -> int:
        """The highest UID that was given away before the mailbox was opened."""
        if self._uid_next is not None:
            return self._uid_next - 1
        return max(self._search("ALL"), default=0)

    def after(self, uid: int) -> list[int]:
        """UIDs higher than that one, lowest first."""
        # `n:*` is the last message, too, where that is lower (RFC 9051 §9, seq-range).
        return [found for found in self._search(f"UID {uid + 1}:*") if found > uid]

    def since(self, day: date) -> list[int]:
        """UIDs of messages that came on that day or later."""
        return self._search(f"SINCE {day.day}-{_MONTHS[day.month - 1]}-{day.year}")

    def size(self, uid: int) -> int | None:
        """Bytes of a message; None if it is not there any more."""
        lines = self._asked("FETCH", str(uid), "(RFC822.SIZE)")
        for line in lines:
            text = line[0] if isinstance(line, tuple) else line
            if isinstance(text, bytes) and (found := _SIZE.search(text)):
                return int(found[1])
        return None

    def fetch(self, uid: int) -> bytes | None:
        """A message, not marked as read; None if it is not there any more."""
        for line in self._asked("FETCH", str(uid), "(BODY.PEEK[])"):
            if isinstance(line, tuple) and isinstance(line[1], bytes):
                return line[1]
        return None

    def _search(self, criteria: str) -> list[int]:
        lines = self._asked("SEARCH", criteria)
        found = b" ".join(line for line in lines if isinstance(line, bytes)).split()
        if not all(each.isdigit() for each in found):
            raise ImapFailed("the server's answer to SEARCH can't be understood")
        return sorted(int(each) for each in found)

    def _asked(self, command: str, *arguments: str) -> list[object]:
        status, lines = self._client.uid(command, *arguments)
        if status != "OK":
            raise ImapFailed(f"{command} is answered {status}: {_said(lines)}")
        return list(lines)


@contextmanager
def opened(settings: ImapSettings, username: str, password: str) -> Iterator[Mailbox]:
    """A mailbox, open for reading only. Raises ImapFailed, also in the block."""
    try:
        client = _connected(settings)
        try:
            if settings.security is Security.STARTTLS:
                client.starttls(ssl.create_default_context())
            client.login(f'"{username}"', password)
            status, lines = client.select(f'"{settings.folder}"', readonly=True)
            if status != "OK":
                raise ImapFailed(f"the folder {settings.folder} can't be opened: {_said(lines)}")
            validity = _number(client, "UIDVALIDITY")
            if validity is None:
                raise ImapFailed("the server tells no UIDVALIDITY")
            yield Mailbox(client, validity, _number(client, "UIDNEXT"))
        finally:
            with suppress(imaplib.IMAP4.error, OSError):  # it may be what failed
                client.logout()
    except http.HttpFailure as error:
        raise ImapFailed(str(error)) from error
    except (imaplib.IMAP4.error, OSError) as error:
        raise ImapFailed(str(error)[:300] or type(error).__name__) from error


def _connected(settings: ImapSettings) -> imaplib.IMAP4:
    if settings.security is Security.TLS:
        context = ssl.create_default_context()
        return _PinnedTls(
            settings.host, settings.port, ssl_context=context, timeout=TIMEOUT_SECONDS
        )
    return _Pinned(settings.host, settings.port, timeout=TIMEOUT_SECONDS)


def _number(client: imaplib.IMAP4, name: str) -> int | None:
    _, values = client.response(name)
    value = values[-1] if values else None
    return int(value) if isinstance(value, bytes) and value.isdigit() else None


def _said(lines: object) -> str:
    first = lines[0] if isinstance(lines, list) and lines else b""
    return first.decode(errors="replace")[:200] if isinstance(first, bytes) else ""
