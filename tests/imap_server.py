"""An IMAP server on loopback with one mailbox, as far as reading goes (RFC 9051)."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from gevent.server import StreamServer
from gevent.socket import socket


@dataclass
class ImapServer:
    """`mails`: by UID. `password`: of anybody. `sizes`: said in place of the true ones. `hangs_up`:
    at this command. `says`: in place of the greeting."""

    mails: dict[int, bytes] = field(default_factory=dict)
    uid_validity: int = 1
    password: str = "secret"
    sizes: dict[int, int] = field(default_factory=dict)
    hangs_up: str | None = None
    says: bytes = b"* OK ready\r\n"
    tells_next: bool = True
    port: int = 0
    said: list[str] = field(default_factory=list)

    def put(self, mail: bytes) -> int:
        """A message arrives; its UID."""
        uid = max(self.mails, default=0) + 1
        self.mails[uid] = mail
        return uid

    def __call__(self, peer: socket, _address: object) -> None:
        peer.sendall(self.says)
        lines = peer.makefile("rb")
        while line := lines.readline().decode():
            self.said.append(line.strip())
            tag, command, rest = [*line.strip().split(" ", 2), ""][:3]
            words = command.upper()
            if self.hangs_up is not None and self.hangs_up in line:
                break
            answer, end = self._answer(words, rest)
            peer.sendall(answer + f"{tag} {end}\r\n".encode())
            if words == "LOGOUT":
                break
        peer.close()

    def _answer(self, command: str, rest: str) -> tuple[bytes, str]:
        match command:
            case "CAPABILITY":
                return b"* CAPABILITY IMAP4rev1\r\n", "OK done"
            case "LOGIN":
                good = rest.endswith(f'"{self.password}"')
                return b"", "OK in" if good else "NO [AUTHENTICATIONFAILED] wrong"
            case "EXAMINE":
                if "INBOX" not in rest:
                    return b"", "NO no such mailbox"
                following = max(self.mails, default=0) + 1
                lines = f"* {len(self.mails)} EXISTS\r\n* OK [UIDVALIDITY {self.uid_validity}] \r\n"
                if self.tells_next:
                    lines += f"* OK [UIDNEXT {following}] \r\n"
                return lines.encode(), "OK [READ-ONLY] open"
            case "UID":
                return self._uid(rest)
            case "LOGOUT":
                return b"* BYE\r\n", "OK bye"
        return b"", "BAD unknown"

    def _uid(self, rest: str) -> tuple[bytes, str]:
        verb, _, rest = rest.partition(" ")
        if verb == "SEARCH":
            found = sorted(self.mails)
            if asked := re.match(r"UID (\d+):\*", rest):
                at_least = min(int(asked[1]), max(found, default=0))
                found = [uid for uid in found if uid >= at_least]
            return f"* SEARCH {' '.join(map(str, found))}\r\n".encode(), "OK done"
        uid = int(rest.split()[0])
        mail = self.mails.get(uid)
        if mail is None:
            return b"", "OK done"
        size = self.sizes.get(uid, len(mail))
        if "SIZE" in rest:
            return f"* 1 FETCH (UID {uid} RFC822.SIZE {size})\r\n".encode(), "OK done"
        return f"* 1 FETCH (UID {uid} BODY[] {{{size}}}\r\n".encode() + mail + b")\r\n", "OK done"


@contextmanager
def imap_server(**options: object) -> Iterator[ImapServer]:
    server = ImapServer(**options)  # type: ignore[arg-type]
    listener = StreamServer(("127.0.0.1", 0), server)
    listener.start()
    server.port = listener.server_port
    try:
        yield server
    finally:
        listener.stop(timeout=1)
