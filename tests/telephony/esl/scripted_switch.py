"""A TCP server that speaks the Event Socket the way a test tells it to."""

import struct
from collections.abc import Callable, Mapping
from typing import Any, BinaryIO, Self
from urllib.parse import quote

import gevent
from gevent import socket
from gevent.event import Event as Flag
from gevent.server import StreamServer

CORE = "11111111-2222-3333-4444-555555555555"
CHANNEL = "aaaaaaaa-0000-4000-8000-000000000001"
OTHER = "aaaaaaaa-0000-4000-8000-000000000002"


def head(**headers: object) -> bytes:
    """Header lines as given, names with _ for -; an empty line ends them."""
    lines = [f"{name.replace('_', '-')}: {value}\n" for name, value in headers.items()]
    return "".join([*lines, "\n"]).encode()


def event(headers: Mapping[str, str], body: bytes = b"") -> bytes:
    """A whole event frame, encoded as FreeSWITCH does (switch_event.c)."""
    lines = [
        f"{name}: {quote(value, safe='/()!*') or '_undef_'}\n" for name, value in headers.items()
    ]
    if body:
        lines.append(f"Content-Length: {len(body)}\n")
    block = "".join([*lines, "\n"]).encode() + body
    return head(Content_Length=len(block), Content_Type="text/event-plain") + block


def reply(text: str) -> bytes:
    return head(Content_Type="command/reply", Reply_Text=text)


def api_response(body: str | bytes) -> bytes:
    data = body.encode() if isinstance(body, str) else body
    return head(Content_Type="api/response", Content_Length=len(data)) + data


class ScriptedSwitch:
    """`answers` maps the start of a command to its reply's bytes, or to None for no reply at all;
    the longest start that fits counts.

    `received` are the commands of all sessions, headers and bodies included. Clear `reading` to
    stop taking bytes.
    """

    def __init__(self, password: str = "ClueCon", port: int = 0) -> None:
        self.received: list[str] = []
        self.sessions = 0
        self.greeting = head(Content_Type="auth/request")
        self.answers: dict[str, bytes | None] = {
            f"auth {password}": reply("+OK accepted"),
            "auth ": reply("-ERR invalid"),
            "api global_getvar core_uuid": api_response(CORE),
            "api ": api_response("+OK\n"),
            "bgapi ": reply("+OK Job-UUID: x"),
            "": reply("+OK"),
        }
        self.reading = Flag()
        self.reading.set()
        self._clients: dict[Any, gevent.Greenlet] = {}
        self._password = password
        self._server = StreamServer(("127.0.0.1", port), self._serve)

    @property
    def port(self) -> int:
        return int(self._server.server_port)

    @property
    def url(self) -> str:
        return f"esl://:{self._password}@127.0.0.1:{self.port}"

    def __enter__(self) -> Self:
        self._server.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.stop(timeout=0)
        self.drop()

    def send(self, data: bytes) -> None:
        """Send bytes as they are to everybody connected."""
        for sock in self._clients:
            sock.sendall(data)

    def drop(self, *, reset: bool = False) -> None:
        """End every connection, with a FIN or a RST."""
        for sock, greenlet in list(self._clients.items()):
            if reset:
                no_linger = struct.pack("ii", 1, 0)
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, no_linger)
            greenlet.kill()

    def commands(self, start: str) -> list[str]:
        return [command for command in self.received if command.startswith(start)]

    def _serve(self, sock: Any, _: object) -> None:
        self.sessions += 1
        self._clients[sock] = gevent.getcurrent()
        try:
            sock.sendall(self.greeting)
            with sock.makefile("rb") as stream:
                self._answer(stream, sock.sendall)
        except OSError:
            pass  # the client went
        finally:
            del self._clients[sock]
            sock.close()

    def _answer(self, stream: BinaryIO, send: Callable[[bytes], None]) -> None:
        while self.reading.wait() and (command := read_command(stream)) is not None:
            self.received.append(command)
            starts = [start for start in self.answers if command.startswith(start)]
            answer = self.answers[max(starts, key=len)] if command else None
            if answer is not None:
                send(answer)


def read_command(stream: BinaryIO) -> str | None:
    """One message of a client, its body included; "" for a bare empty line, None at the end."""
    lines = []
    while line := stream.readline():
        if line == b"\n":
            break
        lines.append(line)
    else:
        return None
    lengths = [line for line in lines if line.startswith(b"content-length: ")]
    body = stream.read(int(lengths[0].split()[1])) if lengths else b""
    return (b"".join(lines) + body).decode().rstrip("\n")
