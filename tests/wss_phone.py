"""A browser's phone as far as SIP goes: REGISTER and INVITE over a secure web socket (RFC 7118).

with WssPhone(host, port, username, password) as phone:
    assert phone.register() == 200
    invite = phone.wait_invite()

Frames by RFC 6455, digest by RFC 2617. It has no media: whoever rings it is declined.
"""

import base64
import hashlib
import os
import re
import socket
import ssl
import struct
from types import TracebackType
from typing import Self

_GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
_TEXT, _PONG = 1, 10
_LONG, _LONGER = 126, 127
_INSTANCE = "00000000-0000-1000-8000-000a95a0e128"


class WssPhone:
    """One connection, one account. `domain`: the realm in which it registers."""

    def __init__(
        self, host: str, port: int, username: str, password: str, domain: str = "irisx.test"
    ) -> None:
        self.username, self._password, self._domain = username, password, domain
        trust_all = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        trust_all.check_hostname, trust_all.verify_mode = False, ssl.CERT_NONE
        raw = socket.create_connection((host, port), timeout=20)
        self._socket = trust_all.wrap_socket(raw)
        self._stream = self._socket.makefile("rb")
        self._tag, self._call_id, self._sequence = os.urandom(6).hex(), os.urandom(8).hex(), 0
        self._shake_hands(host, port)

    def _shake_hands(self, host: str, port: int) -> None:
        key = base64.b64encode(os.urandom(16))
        self._socket.sendall(
            f"GET / HTTP/1.1\r\nHost: {host}:{port}\r\nUpgrade: websocket\r\n"
            f"Connection: Upgrade\r\nSec-WebSocket-Key: {key.decode()}\r\n"
            "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Protocol: sip\r\n\r\n".encode()
        )
        status = self._stream.readline()
        assert b"101" in status, status
        headers = b"".join(iter(self._stream.readline, b"\r\n")).lower()
        accepted = base64.b64encode(hashlib.sha1(key + _GUID).digest()).lower()
        assert accepted in headers, headers
        assert b"sec-websocket-protocol: sip" in headers, headers

    # -- SIP --------------------------------------------------------------------------------------

    def register(self) -> int:
        """Register with the challenge that comes; the last status code."""
        answer = self._ask(self._register(""))
        if answer.startswith("SIP/2.0 401"):
            answer = self._ask(self._register(self._digest(answer)))
        return int(answer.split(" ")[1])

    def wait_invite(self) -> str:
        """The next INVITE, which is declined."""
        while True:
            message = self._read()
            method = message.partition(" ")[0]
            if method == "INVITE":
                self._reply(message, "603 Decline")
                return message
            if method in ("OPTIONS", "NOTIFY"):
                self._reply(message, "200 OK")

    def _register(self, authorization: str) -> str:
        self._sequence += 1
        address = f"sip:{self.username}@{self._domain}"
        return (
            f"REGISTER sip:{self._domain} SIP/2.0\r\n"
            f"Via: SIP/2.0/WSS phone.invalid;branch=z9hG4bK{os.urandom(6).hex()}\r\n"
            f"From: <{address}>;tag={self._tag}\r\nTo: <{address}>\r\n"
            f"Call-ID: {self._call_id}\r\nCSeq: {self._sequence} REGISTER\r\n"
            f"Contact: <sip:{self.username}@phone.invalid;transport=ws>"
            f';reg-id=1;+sip.instance="<urn:uuid:{_INSTANCE}>"\r\n'
            f"{authorization}Expires: 300\r\nMax-Forwards: 70\r\nContent-Length: 0\r\n\r\n"
        )

    def _digest(self, challenge: str) -> str:
        fields = dict(re.findall(r'(realm|nonce|qop)="([^"]*)"', challenge))
        uri, count, own = f"sip:{self._domain}", "00000001", os.urandom(8).hex()
        secret = _md5(f"{self.username}:{fields['realm']}:{self._password}")
        proof = _md5(f"{secret}:{fields['nonce']}:{count}:{own}:auth:{_md5(f'REGISTER:{uri}')}")
        return (
            f'Authorization: Digest username="{self.username}", realm="{fields["realm"]}", '
            f'nonce="{fields["nonce"]}", uri="{uri}", response="{proof}", algorithm=MD5, '
            f'cnonce="{own}", qop=auth, nc={count}\r\n'
        )

    def _ask(self, request: str) -> str:
        self._write(_TEXT, request.encode())
        while True:
            message = self._read()
            if message.startswith("SIP/2.0 ") and not message.startswith("SIP/2.0 1"):
                return message

    def _reply(self, request: str, status: str) -> None:
        kept = re.findall(r"^(?:Via|From|To|Call-ID|CSeq): .*$", request, re.MULTILINE)
        lines = [
            line.rstrip() + (f";tag={self._tag}" if line.startswith("To:") else "") for line in kept
        ]
        text = "\r\n".join([f"SIP/2.0 {status}", *lines, "Content-Length: 0", "", ""])
        self._write(_TEXT, text.encode())

    # -- frames -----------------------------------------------------------------------------------

    def _write(self, opcode: int, payload: bytes) -> None:
        mask = os.urandom(4)
        size = bytes([0x80 | (len(payload) & 0x7F)])
        if len(payload) >= _LONG:
            size = struct.pack(">BH", 0x80 | _LONG, len(payload))
        masked = bytes(byte ^ mask[index % 4] for index, byte in enumerate(payload))
        self._socket.sendall(bytes([0x80 | opcode]) + size + mask + masked)

    def _read(self) -> str:
        while True:
            first, second = self._stream.read(2)
            length = second & 0x7F
            if length == _LONG:
                (length,) = struct.unpack(">H", self._stream.read(2))
            elif length == _LONGER:
                (length,) = struct.unpack(">Q", self._stream.read(8))
            payload = self._stream.read(length)
            match first & 0x0F:
                case 1 | 2:  # text, binary
                    return payload.decode()
                case 9:  # ping
                    self._write(_PONG, payload)
                case 8:  # close
                    raise ConnectionResetError("the web socket was closed")

    def close(self) -> None:
        self._stream.close()
        self._socket.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


def _md5(text: str) -> str:
    return hashlib.md5(text.encode()).hexdigest()
