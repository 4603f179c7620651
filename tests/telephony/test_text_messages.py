"""SIP MESSAGE on a real FreeSWITCH, to a peer that answers as a test says."""

import re
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any
from uuid import uuid4

import gevent
import pytest

from irisx.kernel.db import transaction
from irisx.telephony import text_messages
from irisx.telephony.esl import commands
from irisx.telephony.esl.connection import Connection
from irisx.telephony.esl.errors import UnsafeValue
from irisx.tenancy import sip_messages
from irisx.tenancy.models import Carrier, Tenant
from irisx.tenancy.sip_message_models import SipMessage, SipMessageStatus
from tests.switches import FreeSwitch, needs_freeswitch

FROM, TO = "+15550001000", "+15555550110"
S = SipMessageStatus


@dataclass
class Peer:
    """A SIP element that answers every request with `status`; None: never."""

    port: int
    status: str | None = "200 OK"
    received: list[bytes] = field(default_factory=list)


@contextmanager
def peer() -> Iterator[Peer]:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server:
        server.bind(("127.0.0.1", 0))
        found = Peer(server.getsockname()[1])

        def serve() -> None:
            while True:
                data, address = server.recvfrom(65_535)
                found.received.append(data)
                head = data.partition(b"\r\n\r\n")[0].decode()
                kept = re.findall(r"(?im)^(?:via|from|to|call-id|cseq):.*$", head)
                lines = [f"SIP/2.0 {found.status}", *map(str.strip, kept), "Content-Length: 0"]
                if found.status is not None:
                    server.sendto(("\r\n".join(lines) + "\r\n\r\n").encode(), address)

        greenlet = gevent.spawn(serve)
        try:
            yield found
        finally:
            greenlet.kill()


@pytest.fixture(scope="module")
def switch() -> Iterator[Any]:
    with FreeSwitch() as real:
        connection = Connection(real.esl_url, lambda event: None)
        connection.start()
        assert connection.wait_up(30)
        yield SimpleNamespace(connection=connection)
        connection.close()


def carrier(name: str, port: int, **fields: Any) -> None:
    row = Carrier(
        name=name, host="127.0.0.1", port=port, transport="udp", prefixes=["1"], cost=0, **fields
    )
    with transaction() as session:
        session.add(row)


def sent(switch: Any, tenant: Tenant, text: str) -> tuple[SipMessageStatus, str | None]:
    """Ask for a message, have it delivered as an engine does, and read the outcome."""
    row = SipMessage(
        message_id=uuid4(),
        attempt=1,
        tenant_id=tenant.id,
        from_number=FROM,
        to_number=TO,
        body=text,
        status=S.ASKED,
    )
    sip_messages.ask(row)
    (taken,) = sip_messages.take(10)
    assert sip_messages.take(10) == []
    text_messages.deliver(switch, taken)
    found = sip_messages.outcome(taken.message_id, 1)
    assert found is not None
    assert sip_messages.outcome(taken.message_id, 1) is None
    return found.status, found.detail


HOSTILE = [
    "Hello",
    "a|b|c 'q' \"d\" \\ back \\n literal",
    "two\nlines\nContent-Length: 0\n\nBYE sip:x@y SIP/2.0",
    "'|text/html\n\nINVITE sip:a@b SIP/2.0",
    "\\'|sip|",
    "\\",
    "''",
    "  kept  ",
    "${system(touch /tmp/x)} $(ls) $${domain} $'{x}",
    "Grüße 👍 \u2028 ",
    "tab\there",
    "'" * 7 + "\\" * 5 + "|" * 3,
]


@needs_freeswitch
def test_whatever_the_text_is_it_arrives_as_it_stands(switch: Any, tenant: Tenant) -> None:
    with peer() as found:
        carrier("A", found.port)
        for text in HOSTILE:
            assert sent(switch, tenant, text) == (S.ACCEPTED, "A")
        bodies = [data.partition(b"\r\n\r\n")[2].decode() for data in found.received]
        assert bodies == HOSTILE
        for data in found.received:
            head, _, body = data.partition(b"\r\n\r\n")
            lines = head.decode().split("\r\n")
            assert lines[0] == f"MESSAGE sip:{TO}@127.0.0.1:{found.port} SIP/2.0"
            names = [line.partition(":")[0].lower() for line in lines[1:]]
            assert (names.count("content-length"), names.count("content-type")) == (1, 1)
            assert f"Content-Length: {len(body)}" in lines
            assert any(line.startswith(f'From: "{FROM}" <sip:{FROM}@') for line in lines)


@needs_freeswitch
def test_the_next_carrier_is_asked_when_one_refuses(switch: Any, tenant: Tenant) -> None:
    with peer() as first, peer() as second:
        first.status = second.status = "503 Service Unavailable"
        carrier("A", first.port, priority=1)
        carrier("B", second.port, priority=2)
        carrier("C", second.port, priority=3, username="needs", password_encrypted="a digest")
        assert sent(switch, tenant, "Hi") == (S.REFUSED, "Not accepted by A, B.")
        second.status = "202 Accepted"
        assert sent(switch, tenant, "Hi") == (S.ACCEPTED, "B")


@needs_freeswitch
def test_without_a_carrier_there_is_no_route(switch: Any, tenant: Tenant) -> None:
    assert sent(switch, tenant, "Hi")[0] is S.UNROUTABLE


@needs_freeswitch
def test_a_text_that_no_command_may_hold(switch: Any, tenant: Tenant) -> None:
    with peer() as found:
        carrier("A", found.port)
        assert sent(switch, tenant, "bell \a")[0] is S.UNROUTABLE
        assert found.received == []


@pytest.mark.parametrize("text", HOSTILE)
def test_no_command_carries_what_the_switch_would_run(text: str) -> None:
    made = commands.chat("carriers", f"{FROM}@a.example", f"{TO}@a.example:5060", text).text
    assert made.isprintable() or "\u2028" in made
    assert "${" not in made
    assert "$(" not in made


@pytest.mark.parametrize(
    ("sender", "to", "text"),
    [
        (f"{FROM}|x@a", f"{TO}@a", "x"),
        (f"{FROM}@a", f"{TO}@a|x", "x"),
        (f"{FROM}@a\n", f"{TO}@a", "x"),
        (f"{FROM}@a", f"{TO}@a", "nul \0"),
        (f"{FROM}@a", f"{TO}@a", "surrogate \ud800"),
    ],
)
def test_addresses_and_texts_that_are_none_are_refused(sender: str, to: str, text: str) -> None:
    with pytest.raises(UnsafeValue):
        commands.chat("carriers", sender, to, text)
