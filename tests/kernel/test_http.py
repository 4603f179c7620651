"""The guarded client: against real sockets, and against every way to write an address."""

import ipaddress
import socket
import ssl
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path

import gevent
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from gevent.pywsgi import WSGIServer
from gevent.server import StreamServer
from hypothesis import given
from hypothesis import strategies as st

from irisx.kernel import clock, http
from irisx.kernel.errors import ValidationError
from irisx.settings import get_settings
from tests.receiver import Answer, receiving


@pytest.fixture
def allow(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str], None]]:
    def set_hosts(hosts: str) -> None:
        monkeypatch.setenv("IRISX_ALLOWED_PRIVATE_HOSTS", hosts)
        get_settings.cache_clear()

    yield set_hosts
    monkeypatch.undo()
    get_settings.cache_clear()


@contextmanager
def peer(handle: Callable[[socket.socket], None]) -> Iterator[str]:
    """A TCP server that does to each connection what `handle` does."""
    server = StreamServer(("127.0.0.1", 0), lambda sock, _: handle(sock))
    server.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/"
    finally:
        server.stop(timeout=0)


def test_an_allowed_host_is_reached(allow) -> None:
    allow("localhost, 127.0.0.1")
    with receiving(lambda request: Answer(201, {"X-Was": "here"}, b"hello")) as receiver:
        reply = http.request("POST", f"{receiver.url}/a?b=c", body=b"ping", headers={"X-Me": "1"})
    assert (reply.status, reply.body, reply.truncated) == (201, b"hello", False)
    assert reply.headers["x-was"] == "here"
    (request,) = receiver.received
    assert (request.method, request.path, request.body) == ("POST", "/a", b"ping")
    assert request.headers["x-me"] == "1"


@pytest.mark.parametrize(
    "host",
    [
        "127.0.0.1",
        "localhost",
        "127.1",
        "2130706433",
        "0x7f000001",
        "017700000001",
        "0.0.0.0",
        "[::1]",
        "[::]",
        "[::ffff:127.0.0.1]",
        "[::127.0.0.1]",
        "[64:ff9b::7f00:1]",
        "[2002:7f00:1::]",
        "[fe80::1]",
        "[fec0::1]",
        "[fd00:ec2::254]",
        "10.0.0.1",
        "172.16.0.1",
        "192.168.1.1",
        "100.64.0.1",
        "169.254.169.254",
        "192.0.2.1",
        "198.18.0.1",
        "224.0.0.1",
        "255.255.255.255",
        "%31%32%37.0.0.1",
    ],
)
def test_a_private_address_is_refused_however_it_is_written(host: str) -> None:
    with pytest.raises(http.AddressRefused):
        http.request("GET", f"http://{host}:8080/")
    with pytest.raises(ValidationError) as refused:
        http.check_url("url", f"https://{host}/")
    assert refused.value.details[0]["field"] == "url"


@pytest.mark.parametrize(
    "url",
    [
        "ftp://example.com/",
        "file:///etc/passwd",
        "gopher://example.com/",
        "example.com",
        "//example.com",
        "http://",
        "http:///path",
        "http://user@example.com/",
        "http://user:pass@example.com/",
        "http://example.com@127.0.0.1/",
        "http://127.0.0.1\\@example.com/",
        "http://example.com\\.evil.com/",
        "http://exa mple.com/",
        "http://example.com/\r\nX-Injected: 1",
        "http://example.com/\0",
        "http://①②⑦.0.0.1/",
        "http://[::1/",
        "http://a..b/",
        f"http://{'a' * 64}.com/",
        "http://example.com:99999/",
        "http://example.com:25/",
        "http://example.com:22/",
        "https://example.com/" + "a" * 2048,
    ],
)
def test_an_odd_url_is_refused(url: str) -> None:
    with pytest.raises(http.AddressRefused):
        http.request("GET", url)


def test_the_specification_s_example_is_accepted() -> None:
    http.check_url("url", "https://example.com/webhook")


@given(st.ip_addresses())
def test_only_global_unicast_addresses_are_public(address) -> None:
    if http.is_public(address):
        assert address.is_global
        assert not address.is_multicast


@given(st.ip_addresses(v=4))
def test_no_ipv6_form_of_an_ipv4_address_is_public(inner) -> None:
    value = int(inner)
    forms = [value, 0xFFFF << 32 | value, 0x2002 << 112 | value << 80, 0x64FF9B << 96 | value]
    assert not any(http.is_public(ipaddress.IPv6Address(form)) for form in forms)


@given(st.text(max_size=80))
def test_what_is_accepted_has_one_plain_host(text: str) -> None:
    for url in (text, f"http://{text}", f"https://example.com{text}"):
        try:
            parts = http.parse(url)
        except http.AddressRefused:
            continue
        assert parts.auth is None
        assert parts.scheme in ("http", "https")
        assert parts.host
        assert not set(parts.host) & set("@\\/ ?#\r\n")


def resolving(monkeypatch: pytest.MonkeyPatch, *answers: list[str]) -> list[str]:
    """Let each look-up of a name give the next answer; the names that were looked up."""
    asked: list[str] = []

    def getaddrinfo(host, port, **hints):
        asked.append(host)
        addresses = answers[min(len(asked), len(answers)) - 1]
        return [
            (socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port)) for address in addresses
        ]

    monkeypatch.setattr(http.socket, "getaddrinfo", getaddrinfo)
    return asked


def test_one_private_address_among_public_ones_is_refused(monkeypatch) -> None:
    resolving(monkeypatch, ["93.184.215.14", "10.0.0.1"])
    with pytest.raises(http.AddressRefused, match=r"10\.0\.0\.1"):
        http.request("GET", "http://mixed.example/")


def test_a_name_that_turns_private_after_the_check_is_refused(monkeypatch) -> None:
    resolving(monkeypatch, ["93.184.215.14"], ["127.0.0.1"])
    http.check_url("url", "http://rebinding.example/")
    with pytest.raises(http.AddressRefused):
        http.request("GET", "http://rebinding.example/")


def test_it_connects_to_the_address_that_was_checked(monkeypatch, allow) -> None:
    """One look-up a request: a second one could give another address."""
    with receiving() as receiver:
        allow("rebinding.example")
        asked = resolving(monkeypatch, ["127.0.0.1"], ["192.0.2.1"])
        reply = http.request("GET", f"http://rebinding.example:{receiver.port}/")
    assert reply.status == 204
    assert asked == ["rebinding.example"]
    assert receiver.received[0].headers["host"] == f"rebinding.example:{receiver.port}"


def test_an_allowed_address_may_be_reached_by_name(monkeypatch, allow) -> None:
    with receiving() as receiver:
        allow("127.0.0.1")
        resolving(monkeypatch, ["127.0.0.1"])
        assert http.request("GET", f"http://hooks.internal:{receiver.port}/").status == 204


def test_a_redirect_is_not_followed(allow) -> None:
    allow("127.0.0.1")
    with receiving() as secret:
        there = {"Location": f"{secret.url}/latest/meta-data"}
        with receiving(lambda request: Answer(302, there)) as receiver:
            assert http.request("GET", receiver.url).status == 302
    assert secret.received == []


def test_a_proxy_of_the_environment_is_not_used(allow, monkeypatch) -> None:
    allow("127.0.0.1")
    with receiving(lambda request: Answer(500)) as proxy, receiving() as receiver:
        monkeypatch.setenv("http_proxy", proxy.url)
        assert http.request("GET", receiver.url).status == 204
    assert proxy.received == []


def test_a_body_without_end_is_cut(allow) -> None:
    allow("127.0.0.1")

    def flood(sock: socket.socket) -> None:
        sock.recv(65536)
        sock.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
        while True:
            sock.sendall(b"x" * 65536)

    with peer(flood) as url:
        reply = http.request("GET", url, max_bytes=1000, timeout=5)
    assert (len(reply.body), reply.truncated) == (1000, True)


@pytest.mark.parametrize("head", [b"HTTP/1.1 200 OK\r\n\r\n", b"HTTP/1.1 200 OK\r\nX-", b""])
def test_an_answer_that_trickles_in_does_not_outlast_the_limit(allow, head: bytes) -> None:
    allow("127.0.0.1")

    def trickle(sock: socket.socket) -> None:
        sock.recv(65536)
        sock.sendall(head)
        while True:
            gevent.sleep(0.05)
            sock.sendall(b"x" if head else b"")

    began = time.monotonic()
    with peer(trickle) as url, pytest.raises(http.TimedOut):
        http.request("GET", url, timeout=0.5)
    assert time.monotonic() - began < 2


def test_a_thousand_interim_answers_do_not_outlast_the_limit(allow) -> None:
    allow("127.0.0.1")

    def interim(sock: socket.socket) -> None:
        sock.recv(65536)
        while True:
            sock.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")
            gevent.sleep(0.01)

    with peer(interim) as url, pytest.raises(http.HttpFailure):
        http.request("GET", url, timeout=0.5)


_CUT_SHORT = b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc"


@pytest.mark.parametrize("answer", [b"", b"garbage\r\n\r\n", _CUT_SHORT])
def test_a_broken_answer_is_a_failed_connection(allow, answer: bytes) -> None:
    allow("127.0.0.1")

    def hang_up(sock: socket.socket) -> None:
        sock.recv(65536)
        sock.sendall(answer)

    with peer(hang_up) as url, pytest.raises(http.ConnectionFailed):
        http.request("GET", url, timeout=5)


def test_a_closed_port_is_a_failed_connection(allow) -> None:
    allow("127.0.0.1")
    with receiving() as receiver:
        url = receiver.url
    with pytest.raises(http.ConnectionFailed, match=r"127\.0\.0\.1"):
        http.request("GET", url)


@pytest.fixture
def certificate(tmp_path: Path) -> Path:
    """A self-signed certificate, with its key, for `hooks.example`."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "hooks.example")])
    now = clock.now()
    signed = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("hooks.example")]), False)
        .sign(key, hashes.SHA256())
    )
    path = tmp_path / "certificate.pem"
    path.write_bytes(
        key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        + signed.public_bytes(Encoding.PEM)
    )
    return path


@pytest.fixture
def tls_port(certificate: Path) -> Iterator[int]:
    """Where an HTTPS server with that certificate answers 204."""

    def answer(environ, start_response):
        start_response("204 No Content", [])
        return []

    pem = str(certificate)
    server = WSGIServer(("127.0.0.1", 0), answer, log=None, certfile=pem, keyfile=pem)
    server.start()
    yield server.server_port
    server.stop(timeout=0)


def test_a_certificate_is_checked_for_the_name_that_was_asked_for(
    certificate: Path, tls_port: int, monkeypatch, allow
) -> None:
    allow("127.0.0.1")
    resolving(monkeypatch, ["127.0.0.1"])
    with pytest.raises(http.ConnectionFailed, match="CERTIFICATE_VERIFY_FAILED"):
        http.request("GET", f"https://hooks.example:{tls_port}/")

    trusting = ssl.create_default_context(cafile=str(certificate))
    monkeypatch.setattr(http, "_tls", lambda: trusting)
    assert http.request("GET", f"https://hooks.example:{tls_port}/").status == 204
    with pytest.raises(http.ConnectionFailed, match="CERTIFICATE_VERIFY_FAILED"):
        http.request("GET", f"https://other.example:{tls_port}/")


def test_a_peer_that_never_speaks_tls_does_not_outlast_the_limit(allow) -> None:
    allow("127.0.0.1")
    with peer(lambda sock: gevent.sleep(30)) as url, pytest.raises(http.TimedOut):
        http.request("GET", url.replace("http:", "https:"), timeout=0.5)
