"""A message centre for the tests: it speaks SMPP 3.4 over TCP, and misbehaves on demand."""

import struct
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

import gevent
from gevent.server import StreamServer

BIND, SUBMIT, DELIVER, ENQUIRE, UNBIND = 0x9, 0x4, 0x5, 0x15, 0x6
_RESPONSE = 0x80000000


@dataclass
class Smsc:
    """`submitted`: bodies of submit_sm. `statuses`: of the next submits, None: hang up instead of
    an answer; then OK. `delivered`: statuses with which our deliver_sm were answered."""

    password: str = "secret"
    submitted: list[bytes] = field(default_factory=list)
    pdus: list[bytes] = field(default_factory=list)
    statuses: list[int | None] = field(default_factory=list)
    delivered: list[int] = field(default_factory=list)
    binds: int = 0
    port: int = 0
    _socket: Any = None
    _sequence: int = 0

    def handle(self, sock: Any, _address: Any) -> None:
        self._socket = sock
        with suppress(OSError), sock:
            while head := self._exactly(sock, 16):
                length, command, status, sequence = struct.unpack("!IIII", head)
                body = self._exactly(sock, length - 16) if length > 16 else b""
                self.pdus.append(head + body)
                if not self._answer(sock, command, status, sequence, body):
                    return

    def _answer(self, sock: Any, command: int, status: int, sequence: int, body: bytes) -> bool:
        if command == BIND:
            _system_id, password = body.split(b"\0")[:2]
            self.binds += 1
            right = password == self.password.encode()
            self._send(sock, BIND | _RESPONSE, 0 if right else 0x0E, sequence, b"smsc\0")
        elif command == SUBMIT:
            self.submitted.append(body)
            answer = self.statuses.pop(0) if self.statuses else 0
            if answer is None:
                return False
            named = b"" if answer else f"id-{len(self.submitted)}".encode() + b"\0"
            self._send(sock, SUBMIT | _RESPONSE, answer, sequence, named)
        elif command in (ENQUIRE, UNBIND):
            self._send(sock, command | _RESPONSE, 0, sequence, b"")
        elif command == DELIVER | _RESPONSE:
            self.delivered.append(status)
        return True

    def deliver(self, body: bytes) -> None:
        self._sequence += 1
        self._send(self._socket, DELIVER, 0, self._sequence, body)

    def raw(self, data: bytes) -> None:
        self._socket.sendall(data)

    def hang_up(self) -> None:
        with suppress(OSError):
            self._socket.shutdown(2)
        self._socket.close()

    @staticmethod
    def _send(sock: Any, command: int, status: int, sequence: int, body: bytes) -> None:
        sock.sendall(struct.pack("!IIII", 16 + len(body), command, status, sequence) + body)

    @staticmethod
    def _exactly(sock: Any, count: int) -> bytes:
        data = b""
        while len(data) < count and (part := sock.recv(count - len(data))):
            data += part
        return data


@contextmanager
def message_centre(**options: Any) -> Iterator[Smsc]:
    smsc = Smsc(**options)
    server = StreamServer(("127.0.0.1", 0), smsc.handle)
    server.start()
    smsc.port = server.server_port
    try:
        yield smsc
    finally:
        server.stop(timeout=0)
        gevent.sleep(0)
