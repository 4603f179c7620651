"""One connection to a message centre: bound, kept alive, and its requests answered in any order."""

import socket
import ssl
from collections.abc import Callable
from contextlib import suppress

import gevent
from gevent.event import AsyncResult
from gevent.lock import RLock

from irisx.kernel import http
from irisx.kernel.logging import get_logger
from irisx.messaging.channels.sms.smpp.pdu import (
    RESPONSE,
    Command,
    Malformed,
    Message,
    Pdu,
    Status,
    bind_body,
    take,
)

log = get_logger(__name__)

CONNECT_SECONDS = 10.0
ANSWER_SECONDS = 20.0
KEEP_ALIVE_SECONDS = 30.0
_MAX_SEQUENCE = 0x7FFFFFFF
_READ = 65_536


class NotConnected(Exception):
    """There is no bound connection: nothing was sent."""


class BindRefused(NotConnected):
    """The message centre said no; `status` is its command status."""

    def __init__(self, status: int) -> None:
        super().__init__(f"the bind was refused with status 0x{status:08X}")
        self.status = status


class ConnectionLost(Exception):
    """The connection went, or no answer came: what was asked may have been done."""


class Session:
    """A bound transceiver. `deliver` is called for each deliver_sm, and its return is the answer;
    an exception of it asks the message centre to deliver again later."""

    def __init__(self, deliver: Callable[[Message], Status]) -> None:
        self._deliver = deliver
        self._socket: socket.socket | None = None
        self._sequence = 0
        self._pending: dict[int, AsyncResult] = {}
        self._writing = RLock()
        self._greenlets: list[gevent.Greenlet] = []

    @property
    def bound(self) -> bool:
        return self._socket is not None

    def open(
        self, host: str, port: int, system_id: str, password: str, system_type: str, *, tls: bool
    ) -> None:
        """Connect and bind. Raises NotConnected; `host` must be a public address."""
        try:
            with gevent.Timeout(CONNECT_SECONDS, TimeoutError("no answer")):
                self._socket = _connect(host, port, tls=tls)
        except (OSError, http.HttpFailure) as error:
            raise NotConnected(f"{host}:{port}: {error}") from error
        self._greenlets = [gevent.spawn(self._read)]
        try:
            body = bind_body(system_id, password, system_type)
            answer = self.request(Command.BIND_TRANSCEIVER, body)
        except ConnectionLost as error:
            self.close()
            raise NotConnected(str(error)) from error
        if answer.status != Status.OK:
            self.close()
            raise BindRefused(answer.status)
        self._greenlets.append(gevent.spawn(self._keep_alive))

    def request(self, command: Command, body: bytes) -> Pdu:
        """Send a request and wait for its answer. Raises NotConnected before it is sent,
        ConnectionLost after."""
        if self._socket is None:
            raise NotConnected("the connection is closed")
        self._sequence = self._sequence % _MAX_SEQUENCE + 1
        sequence = self._sequence
        answer: AsyncResult = AsyncResult()
        self._pending[sequence] = answer
        try:
            self._write(Pdu(command, Status.OK, sequence, body))
            found: Pdu = answer.get(timeout=ANSWER_SECONDS)
            return found
        except gevent.Timeout as late:
            raise ConnectionLost(f"no answer within {ANSWER_SECONDS:g} s") from late
        finally:
            self._pending.pop(sequence, None)

    def close(self) -> None:
        """Close the connection; whoever waits for an answer is told."""
        sock, self._socket = self._socket, None
        if sock is not None:
            sock.close()
        for answer in list(self._pending.values()):
            answer.set_exception(ConnectionLost("the connection was closed"))
        current = gevent.getcurrent()
        for greenlet in self._greenlets:
            if greenlet is not current:
                greenlet.kill(block=False)

    def unbind(self) -> None:
        """Say goodbye, if there is anybody, and close."""
        if self.bound:
            with suppress(ConnectionLost):
                self._write(Pdu(Command.UNBIND, Status.OK, self._sequence % _MAX_SEQUENCE + 1))
        self.close()

    def _write(self, pdu: Pdu) -> None:
        sock = self._socket
        if sock is None:
            raise ConnectionLost("the connection was closed")
        try:
            with self._writing:
                sock.sendall(pdu.encode())
        except OSError as error:
            self.close()
            raise ConnectionLost(str(error)) from error

    def _read(self) -> None:
        buffer = b""
        sock = self._socket
        try:
            while sock is not None and (data := sock.recv(_READ)):
                buffer += data
                pdu, buffer = take(buffer)
                while pdu is not None:
                    self._received(pdu)
                    pdu, buffer = take(buffer)
        except (OSError, Malformed, ConnectionLost) as error:
            log.info("smpp.lost", reason=str(error))
        finally:
            self.close()

    def _received(self, pdu: Pdu) -> None:
        if pdu.command & RESPONSE:
            answer = self._pending.get(pdu.sequence)
            if answer is not None and not answer.ready():
                answer.set(pdu)
        elif pdu.command == Command.DELIVER_SM:
            # Beside the reader: storing takes a while, and answers must be read meanwhile.
            self._greenlets.append(gevent.spawn(self._delivered, pdu))
            self._greenlets = [greenlet for greenlet in self._greenlets if not greenlet.dead]
        elif pdu.command in (Command.ENQUIRE_LINK, Command.UNBIND):
            self._write(Pdu(pdu.command | RESPONSE, Status.OK, pdu.sequence))
            if pdu.command == Command.UNBIND:
                self.close()
        else:
            self._write(Pdu(Command.GENERIC_NACK, Status.INVALID_COMMAND_ID, pdu.sequence))

    def _delivered(self, pdu: Pdu) -> None:
        try:
            status = self._deliver(Message.decode(pdu.body))
        except Malformed as error:
            log.warning("smpp.unreadable", reason=str(error))
            status = Status.OK  # again it would be no more readable
        except Exception:
            log.exception("smpp.not_stored")
            status = Status.TRY_AGAIN
        try:
            # deliver_sm_resp: an empty message_id.
            self._write(Pdu(Command.DELIVER_SM | RESPONSE, status, pdu.sequence, b"\0"))
        except ConnectionLost as error:
            log.info("smpp.not_answered", reason=str(error))

    def _keep_alive(self) -> None:
        while self.bound:
            gevent.sleep(KEEP_ALIVE_SECONDS)
            try:
                self.request(Command.ENQUIRE_LINK, b"")
            except (ConnectionLost, NotConnected) as error:
                log.info("smpp.silent", reason=str(error))
                self.close()


def _connect(host: str, port: int, *, tls: bool) -> socket.socket:
    """Connects to an address that was checked to be public (or allowed)."""
    failure: OSError = OSError("no address")
    for family, address in http.resolve(host, port):
        sock = socket.socket(family, socket.SOCK_STREAM)
        try:
            sock.connect(address)
            if tls:
                return ssl.create_default_context().wrap_socket(sock, server_hostname=host)
            return sock
        except OSError as error:
            sock.close()
            failure = error
    raise failure
