"""The one client for URLs that a tenant gave: webhooks, flow requests, anything of a stranger's.

It connects only to public addresses, and to the very address that it checked, so that a name which
resolves differently a moment later (DNS rebinding) reaches nothing. It follows no redirect, uses no
proxy of the environment, and bounds the whole exchange in time and the answer in size.

The time limit is gevent's, which covers name resolution, TLS and an answer that trickles in byte
by byte; callers live in gevent processes.
"""

import ipaddress
import socket
import ssl
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from email.utils import parsedate_to_datetime
from functools import lru_cache
from typing import Any

import certifi
import gevent
import urllib3
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.exceptions import HTTPError, LocationParseError
from urllib3.response import BaseHTTPResponse
from urllib3.util import Url, parse_url

from irisx.kernel import clock
from irisx.kernel.errors import invalid
from irisx.settings import get_settings

IpAddress = ipaddress.IPv4Address | ipaddress.IPv6Address

MAX_URL_LENGTH = 2048
_CONNECT_SECONDS = 5.0
_RESOLVE_SECONDS = 2.0
_USER_AGENT = "IRISX/2.0"


class HttpFailure(Exception):
    """No answer came. The text names the reason and may be shown to the tenant."""


class AddressRefused(HttpFailure):
    """The URL is not one that a tenant may have us call, or it leads to a private address."""


class ConnectionFailed(HttpFailure):
    """The name does not resolve, nobody listens, TLS fails, or the peer broke off."""


class Unreachable(ConnectionFailed):
    """Nobody was reached, so nothing was sent."""


class TimedOut(HttpFailure):
    """The exchange did not end within its time."""


@dataclass(frozen=True)
class Reply:
    """An answer, whatever its status. `body` holds at most `max_bytes`; see `truncated`."""

    status: int
    headers: Mapping[str, str]
    body: bytes
    truncated: bool
    elapsed_ms: int


def allowed_hosts() -> frozenset[str]:
    """Hosts and addresses that may be reached although they are private."""
    names = get_settings().allowed_private_hosts.split(",")
    return frozenset(name.strip(" []").rstrip(".").lower() for name in names if name.strip())


def is_public(address: IpAddress) -> bool:
    """Whether an address is one of the public internet (RFC 6890 and its successors).

    IPv6 forms that carry an IPv4 address (mapped, 6to4, NAT64, Teredo, IPv4-compatible) count as
    private: no host of the public internet needs to be written so.
    """
    if address.is_multicast or address.is_reserved or not address.is_global:
        return False
    if isinstance(address, ipaddress.IPv6Address):
        return not (address.is_site_local or address.sixtofour or address.teredo)
    return True


def resolve(host: str, port: int) -> list[tuple[socket.AddressFamily, tuple[Any, ...]]]:
    """The socket addresses of a host; all of them must be public, or the host allowed.

    Raises AddressRefused, or Unreachable when the name does not resolve.
    """
    host = host.strip("[]")
    allowed = allowed_hosts()
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        raise Unreachable(f"{host} does not resolve: {error}") from error
    for _, _, _, _, sockaddr in found:
        address = ipaddress.ip_address(str(sockaddr[0]).partition("%")[0])
        if host.rstrip(".").lower() in allowed or str(address) in allowed or is_public(address):
            continue
        raise AddressRefused(f"{host} is at {address}, which is not a public address")
    return [(family, sockaddr) for family, _, _, _, sockaddr in found]


def connect(host: str, port: int, timeout: float | None) -> socket.socket:
    """A TCP connection to the first of a host's checked addresses that answers; `timeout` (s) then
    holds for each read and write. Raises AddressRefused or Unreachable."""
    failure: OSError | None = None
    for family, sockaddr in resolve(host, port):
        sock = socket.socket(family, socket.SOCK_STREAM)
        try:
            sock.settimeout(_CONNECT_SECONDS)
            sock.connect(sockaddr)
            sock.settimeout(timeout)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        except OSError as error:
            sock.close()
            failure = error
        except BaseException:
            sock.close()
            raise
        else:
            return sock
    raise Unreachable(f"{host} can't be reached: {failure}") from failure


def parse(url: str) -> Url:
    """A URL in its parts; AddressRefused if it is not a plain http(s) URL.

    Refused are the forms in which two parsers may see two hosts: userinfo, backslashes, blanks
    and characters outside ASCII (international names are written in their `xn--` form).
    """
    if len(url) > MAX_URL_LENGTH:
        raise AddressRefused(f"The URL is longer than {MAX_URL_LENGTH} characters")
    if not url.isascii() or not url.isprintable() or any(c in url for c in ' \\"<>^`{|}'):
        raise AddressRefused("The URL contains a character that must be percent-encoded")
    try:
        parts = parse_url(url)
    except LocationParseError:
        raise AddressRefused("This is not a URL") from None
    if parts.scheme not in ("http", "https"):
        raise AddressRefused("The URL must begin with http:// or https://")
    labels = (parts.host or "").removesuffix(".").split(".")
    if not parts.host or not (parts.host[0] == "[" or all(0 < len(x) < 64 for x in labels)):
        raise AddressRefused("The URL names no host")
    if parts.auth is not None:
        raise AddressRefused("The URL must not contain a user name or password")
    # Mail servers, databases and the like would read an HTTP request as commands of theirs.
    if parts.port is not None and parts.port not in (80, 443) and parts.port < 1024:
        raise AddressRefused("The port must be 80, 443 or at least 1024")
    return parts


def check_url(field: str, url: str) -> None:
    """Refuse a URL when it is given, before the first request: ValidationError about `field`.

    A name that does not resolve now is accepted, since it may later; `request` checks again.
    """
    try:
        parts = parse(url)
        with gevent.Timeout(_RESOLVE_SECONDS, False):
            resolve(*_authority(parts))
    except AddressRefused as refused:
        raise invalid(field, str(refused)) from refused
    except ConnectionFailed:
        return


def request(
    method: str,
    url: str,
    *,
    headers: Mapping[str, str] | None = None,
    body: bytes | None = None,
    timeout: float = 15.0,
    max_bytes: int = 65_536,
    trusted: bool = False,
) -> Reply:
    """One exchange, `timeout` seconds at most from the first look-up to the last byte.

    Redirects are returned, not followed. `trusted`: the URL is of this installation's settings,
    not a tenant's, and may be a private one. Raises HttpFailure when there is no answer.
    """
    began = time.monotonic()
    with streamed(
        method,
        url,
        headers=headers,
        body=body,
        timeout=timeout,
        max_bytes=max_bytes,
        trusted=trusted,
    ) as stream:
        content = b"".join(stream.parts())
    return Reply(
        status=stream.status,
        headers=stream.headers,
        body=content,
        truncated=stream.truncated,
        elapsed_ms=round((time.monotonic() - began) * 1000),
    )


class Stream:
    """An answer whose body is read as it comes, until its time or its size is up."""

    def __init__(self, response: BaseHTTPResponse, deadline: float, max_bytes: int) -> None:
        self.status = response.status
        self.headers: Mapping[str, str] = response.headers
        self.truncated = False
        self._response = response
        self._deadline = deadline
        self._room = max_bytes

    def parts(self) -> Iterator[bytes]:
        """The body as it arrives, `max_bytes` at most; `truncated` tells whether there was more.

        Raises HttpFailure when it breaks off or takes too long.
        """
        # Until it is empty, which is where a body that was cut short is noticed.
        while part := self._read():
            if len(part) > self._room:
                self.truncated = True
                part = part[: self._room]
            self._room -= len(part)
            if part:
                yield part
            if self.truncated:
                return

    def lines(self) -> Iterator[str]:
        """The body's lines as they arrive, without their ends."""
        rest = b""
        for part in self.parts():
            *whole, rest = (rest + part).split(b"\n")
            for line in whole:
                yield line.removesuffix(b"\r").decode(errors="replace")
        if rest:
            yield rest.decode(errors="replace")

    def _read(self) -> bytes:
        with _within(self._deadline - time.monotonic()):
            return bytes(self._response.read1(self._room + 1, decode_content=False))


@contextmanager
def streamed(
    method: str,
    url: str,
    *,
    headers: Mapping[str, str] | None = None,
    body: bytes | None = None,
    timeout: float = 60.0,
    max_bytes: int = 4_194_304,
    trusted: bool = False,
) -> Iterator[Stream]:
    """As `request`, but the answer is read while it arrives. Closed at the end of the block."""
    parts = parse(url)
    deadline = time.monotonic() + timeout
    # No connection is kept: one that the peer closed at that moment fails a POST which it never
    # saw, and a POST can't be repeated blindly.
    sent = {"User-Agent": _USER_AGENT, "Accept-Encoding": "identity", "Connection": "close"}
    with _within(timeout):
        response = _pool(parts, trusted=trusted).urlopen(
            method,
            parts.request_uri,
            body=body,
            headers=sent | dict(headers or {}),
            retries=False,
            redirect=False,
            assert_same_host=False,
            timeout=timeout,
            preload_content=False,
        )
    try:
        yield Stream(response, deadline, max_bytes)
    finally:
        response.close()


@contextmanager
def _within(seconds: float) -> Iterator[None]:
    """Whatever goes wrong in the block is an HttpFailure; so is its lasting longer."""
    late = TimedOut("No complete answer within the time limit")
    try:
        with gevent.Timeout(max(seconds, 0.001), late):
            yield
    except urllib3.exceptions.TimeoutError as error:
        raise late from error
    except (HTTPError, OSError, ValueError) as error:
        certificate = any(isinstance(arg, ssl.SSLCertVerificationError) for arg in error.args)
        kind = Unreachable if certificate else ConnectionFailed
        raise kind(str(error)[:300]) from error


def retry_after(reply: Reply, longest: timedelta = timedelta(hours=24)) -> timedelta:
    """The answer's `Retry-After` (RFC 9110 §10.2.3: seconds or a date), `longest` at most; zero
    if there is none that can be understood."""
    value = reply.headers.get("Retry-After", "").strip()
    try:
        if value.isascii() and value.isdigit():
            pause = timedelta(seconds=int(value[:9]))
        else:
            pause = parsedate_to_datetime(value) - clock.now()
    except (ValueError, TypeError):
        return timedelta()
    return min(max(pause, timedelta()), longest)


class _Pinned:
    """Connects to the addresses that were checked; the name still goes to TLS and `Host`."""

    host: str
    port: int
    timeout: float | None

    def _new_conn(self) -> socket.socket:
        return connect(self.host, self.port, self.timeout)


class _HttpConnection(_Pinned, HTTPConnection):
    pass


class _HttpsConnection(_Pinned, HTTPSConnection):
    pass


class _HttpPool(HTTPConnectionPool):
    ConnectionCls = _HttpConnection


class _HttpsPool(HTTPSConnectionPool):
    ConnectionCls = _HttpsConnection


@lru_cache
def _tls() -> ssl.SSLContext:
    return ssl.create_default_context(cafile=certifi.where())


def _pool(parts: Url, *, trusted: bool) -> HTTPConnectionPool:
    if parts.scheme == "https":
        https = HTTPSConnectionPool if trusted else _HttpsPool
        return https(*_authority(parts), ssl_context=_tls())
    return (HTTPConnectionPool if trusted else _HttpPool)(*_authority(parts))


def _authority(parts: Url) -> tuple[str, int]:
    return parts.host or "", parts.port or (443 if parts.scheme == "https" else 80)
