"""Whom a call over TLS goes to: a carrier that proves its host name, and nobody else."""

import ssl
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

import gevent
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from gevent import socket

from tests.switches import FreeSwitch, free_ports, needs_freeswitch

pytestmark = needs_freeswitch

HOST = "127.0.0.1"
Certificate = tuple[x509.Certificate, ec.EllipticCurvePrivateKey]


def certificate(name: str, signer: Certificate | None = None) -> Certificate:
    """A certificate for a host, or an authority's where nobody signs it."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
    now = datetime.now(UTC)
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(signer[0].subject if signer else subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.BasicConstraints(ca=signer is None, path_length=None), critical=True)
    )
    if name == HOST:
        names = x509.SubjectAlternativeName([x509.IPAddress(ip_address(HOST))])
        builder = builder.add_extension(names, critical=False)
    return builder.sign(signer[1] if signer else key, hashes.SHA256()), key


class Carrier:
    """A TLS server that notes the first line of what it is sent."""

    def __init__(self, directory: Path, signed: Certificate) -> None:
        pem = directory / "carrier.pem"
        key = signed[1].private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        pem.write_bytes(signed[0].public_bytes(Encoding.PEM) + key)
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._context.load_cert_chain(pem)
        self._listener = socket.create_server((HOST, 0))
        self.port = self._listener.getsockname()[1]
        self.connections = 0
        self.received: list[bytes] = []
        self._greenlet = gevent.spawn(self._serve)

    def _serve(self) -> None:
        while True:
            connection, _ = self._listener.accept()
            self.connections += 1
            gevent.spawn(self._take, connection)

    def _take(self, connection: socket.socket) -> None:
        try:
            with self._context.wrap_socket(connection, server_side=True) as secured:
                self.received.append(secured.recv(4096).partition(b" ")[0])
        except (ssl.SSLError, OSError):
            connection.close()

    def stop(self) -> None:
        self._greenlet.kill()
        self._listener.close()


@pytest.fixture(scope="module")
def authority() -> Certificate:
    return certificate("an authority that is trusted")


@pytest.fixture(scope="module")
def switch(
    authority: Certificate, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[FreeSwitch]:
    directory = tmp_path_factory.mktemp("certs")
    (directory / "cafile.pem").write_bytes(authority[0].public_bytes(Encoding.PEM))
    environment = {
        "IRISX_SIP_TLS_PORT": str(free_ports(1)[0]),
        "IRISX_CERT_DIR": str(directory),
    }
    with FreeSwitch(environment=environment) as started:
        yield started


def call(switch: FreeSwitch, tmp_path: Path, shown: Certificate) -> Carrier:
    """A call to a carrier that shows this certificate; what it got."""
    carrier = Carrier(tmp_path, shown)
    try:
        target = f"sofia/carriers/+15550100@{HOST}:{carrier.port};transport=tls"
        switch.api(f"originate {{originate_timeout=4}}{target} &park()")
    finally:
        carrier.stop()
    assert carrier.connections
    return carrier


def test_a_carrier_that_proves_its_name_is_called(
    switch: FreeSwitch, authority: Certificate, tmp_path: Path
) -> None:
    assert call(switch, tmp_path, certificate(HOST, authority)).received[0] == b"INVITE"


@pytest.mark.parametrize("fault", ["unknown authority", "signed by itself", "another's name"])
def test_nothing_is_sent_to_one_that_does_not(
    switch: FreeSwitch, authority: Certificate, tmp_path: Path, fault: str
) -> None:
    shown = {
        "unknown authority": certificate(HOST, certificate("some authority")),
        "signed by itself": certificate(HOST),
        "another's name": certificate("sip.example.com", authority),
    }[fault]
    assert b"INVITE" not in call(switch, tmp_path, shown).received
