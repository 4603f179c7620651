"""An SMTP server on loopback that misbehaves as a test says, and keeps what it took."""

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import BinaryIO

from gevent.server import StreamServer
from gevent.socket import socket


@dataclass(frozen=True)
class Taken:
    sender: str
    recipient: str
    mail: bytes


@dataclass
class SmtpServer:
    """`replies`: to a command (`RCPT`, `DATA`, `END` for the end of the data) in place of the
    usual one; `hangs_up_at`: it closes the connection there without a reply."""

    replies: Mapping[str, str] = field(default_factory=dict)
    hangs_up_at: str | None = None
    password: str | None = None
    extensions: tuple[str, ...] = ("8BITMIME", "DSN")
    port: int = 0
    connections: int = 0
    taken: list[Taken] = field(default_factory=list)
    said: list[str] = field(default_factory=list)

    def __call__(self, peer: socket, _address: object) -> None:
        self.connections += 1
        lines = peer.makefile("rb")
        sender = recipient = ""
        peer.sendall(b"220 test.example ESMTP\r\n")
        while line := lines.readline().decode():
            self.said.append(line.strip())
            verb = line[:4].upper()
            if self.hangs_up_at == verb:
                break
            match verb:
                case "EHLO":
                    login = ("AUTH PLAIN LOGIN",) if self.password else ()
                    options = ["test.example", *self.extensions, *login]
                    reply = "".join(f"250-{each}\r\n" for each in options[:-1])
                    peer.sendall(f"{reply}250 {options[-1]}\r\n".encode())
                    continue
                case "AUTH":
                    usual = "235 2.7.0 Welcome" if self.password else "503 5.5.1 No"
                case "MAIL":
                    sender, usual = line, "250 2.1.0 Ok"
                case "RCPT":
                    recipient, usual = line, "250 2.1.5 Ok"
                case "DATA":
                    usual = "354 Go ahead"
                case "QUIT":
                    peer.sendall(b"221 2.0.0 Bye\r\n")
                    break
                case _:
                    usual = "250 2.0.0 Ok"
            reply = self.replies.get(verb, usual)
            peer.sendall(f"{reply}\r\n".encode())
            if verb == "DATA" and reply.startswith("354"):
                mail = _data(lines)
                if self.hangs_up_at == "END":
                    break
                reply = self.replies.get("END", "250 2.0.0 Queued as 4711")
                if reply.startswith("250"):
                    self.taken.append(Taken(_address_in(sender), _address_in(recipient), mail))
                peer.sendall(f"{reply}\r\n".encode())
        peer.close()


@contextmanager
def smtp_server(**options: object) -> Iterator[SmtpServer]:
    server = SmtpServer(**options)  # type: ignore[arg-type]
    listener = StreamServer(("127.0.0.1", 0), server)
    listener.start()
    server.port = listener.server_port
    try:
        yield server
    finally:
        listener.stop(timeout=1)


def _data(lines: BinaryIO) -> bytes:
    """Up to the line that is a dot, without the dots that were doubled (RFC 5321 §4.5.2)."""
    mail = b""
    while (part := lines.readline()) not in (b".\r\n", b""):
        mail += part.removeprefix(b".") if part.startswith(b"..") else part
    return mail


def _address_in(command: str) -> str:
    found = re.search(r"<([^>]*)>", command)
    return found[1] if found else ""
