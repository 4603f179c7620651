"""One TCP session with a switch, from connect to the end of the socket."""

import time
from collections import deque
from collections.abc import Callable, Sequence

import gevent
import structlog
from gevent.event import AsyncResult
from gevent.event import Event as Flag
from gevent.lock import BoundedSemaphore
from greenswitch.esl import InboundESL, NotConnectedError

from irisx.telephony.esl.commands import Command, auth
from irisx.telephony.esl.errors import (
    AuthenticationFailed,
    CommandTimeout,
    Disconnected,
    EslError,
    WireError,
)
from irisx.telephony.esl.wire import Decoder, Event, Frame

RECEIVE_BYTES = 256 * 1024

log = structlog.get_logger(__name__)


class Session(InboundESL):  # type: ignore[misc]  # greenswitch is untyped
    """greenswitch's connect and handshake, with a reader and a sender of our own.

    `on_event` runs in the reader: it must not block. When the socket ends, for whatever reason,
    every command that waits fails with Disconnected and `ended` is set.
    """

    def __init__(
        self, host: str, port: int, password: str, on_event: Callable[[Event], None], timeout: float
    ) -> None:
        super().__init__(host, port, password, timeout)
        self.ended = Flag()
        self.reason = ""
        self.heard_at = time.monotonic()
        self._on_event = on_event
        self._commands_sent: deque[AsyncResult[Frame]] = deque()
        self._write_lock = BoundedSemaphore(1)
        self._rejected = False

    def connect(self) -> None:
        """Raises Disconnected or AuthenticationFailed; the session is closed then."""
        try:
            with gevent.Timeout(self.timeout, Disconnected("no greeting in time")):
                super().connect()
        except BaseException as error:
            self.close(str(error))
            if self._rejected:
                raise AuthenticationFailed("the switch's ACL refuses this host") from error
            if isinstance(error, OSError | NotConnectedError):
                raise Disconnected(str(error)) from error
            raise

    def authenticate(self) -> None:
        reply = self.exchange([auth(self.password)], self.timeout)[0].headers.get("Reply-Text", "")
        if not reply.startswith("+OK"):
            raise AuthenticationFailed(reply)

    def exchange(self, commands: Sequence[Command], timeout: float) -> list[Frame]:
        """Write the commands in one piece; return their replies in order.

        Raises Disconnected, or CommandTimeout after `timeout` seconds; late replies are dropped.
        """
        if gevent.getcurrent() is self._receive_events_greenlet:
            raise RuntimeError("the reader of a session can't wait for what it has to read")
        data = b"".join(command.encode() for command in commands)
        replies: list[AsyncResult[Frame]] = [AsyncResult() for _ in commands]
        with gevent.Timeout(timeout, CommandTimeout(f"no reply within {timeout:g} s")):
            with self._write_lock:
                if not self.connected:
                    raise Disconnected(self.reason or "not connected")
                self._commands_sent.extend(replies)
                self._write(data)
            return [reply.get() for reply in replies]

    def poke(self) -> None:
        """Send an empty line, which the switch skips: it makes it look for events at once."""
        with self._write_lock:
            if self.connected:
                self._write(b"\n")

    def close(self, reason: str) -> None:
        """End the session; the first reason given stays."""
        self.reason = self.reason or reason
        self.connected = False
        if hasattr(self, "sock"):
            self.sock.close()
        if hasattr(self, "sock_file"):
            self.sock_file.close()
        while self._commands_sent:
            self._commands_sent.popleft().set_exception(Disconnected(self.reason))
        self._auth_request_event.set()
        self.ended.set()

    def stop(self) -> None:
        self.close("stopped")

    def start_event_handlers(self) -> None:
        self._receive_events_greenlet = gevent.spawn(self.receive_events)

    def receive_events(self) -> None:
        decoder = Decoder()
        try:
            while data := self.sock.recv(RECEIVE_BYTES):
                self.heard_at = time.monotonic()
                for frame in decoder.feed(data):
                    self.handle_event(frame)
                gevent.sleep(0)  # recv doesn't yield while there is data: let the calls run
            self.close("the switch closed the connection")
        except (OSError, EslError) as error:
            self.close(str(error))
        finally:
            self.close("the reader failed")  # says nothing after the closes above

    def handle_event(self, frame: Frame) -> None:
        match frame.content_type:
            case "text/event-plain":
                self._deliver(Event(frame.body))
            case "command/reply" | "api/response":
                if not self._commands_sent:
                    raise WireError("a reply without a command")
                self._commands_sent.popleft().set(frame)
            case "auth/request":
                self._auth_request_event.set()
            case "text/rude-rejection":
                self._rejected = True
                raise WireError("rejected")
            case "text/disconnect-notice":
                raise Disconnected("the switch ended the session")
            case other:
                log.debug("esl.frame_ignored", content_type=other)

    def _deliver(self, event: Event) -> None:
        try:
            self._on_event(event)
        except Exception:
            log.exception("esl.event_failed", event_name=event.name, channel=event.uuid)

    def _write(self, data: bytes) -> None:
        try:
            self.sock.sendall(data)
        except BaseException as error:
            # Part of a command may be on the wire: nothing that follows would be understood.
            self.close(f"write failed: {error}")
            if isinstance(error, OSError):
                raise Disconnected(self.reason) from error
            raise
