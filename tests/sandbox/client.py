"""A small Event Socket client of the tests' own, so that no side judges itself."""

import socket
import time
import uuid
from collections.abc import Callable
from types import TracebackType
from typing import Self
from urllib.parse import unquote

Event = dict[str, str]


class Client:
    """One authorised connection; events that arrive are kept in `events` in their order.

    The body of an event is under the key `_body`.
    """

    def __init__(self, port: int, password: str) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=10)
        self.events: list[Event] = []
        self._data = b""
        assert self.frame()[0]["Content-Type"] == "auth/request"
        assert self.command(f"auth {password}")["Reply-Text"] == "+OK accepted"

    def frame(self, timeout: float = 10.0) -> tuple[dict[str, str], bytes]:
        """One frame: its outer headers and its body. Events are also kept."""
        self.socket.settimeout(timeout)
        while b"\n\n" not in self._data:
            self._read()
        head, _, self._data = self._data.partition(b"\n\n")
        headers = dict(line.split(": ", 1) for line in head.decode().split("\n"))
        length = int(headers.get("Content-Length", 0))
        while len(self._data) < length:
            self._read()
        body, self._data = self._data[:length], self._data[length:]
        if headers["Content-Type"] == "text/event-plain":
            self.events.append(parse_event(body))
        return headers, body

    def _read(self) -> None:
        data = self.socket.recv(65536)
        if not data:
            raise ConnectionResetError("the switch closed the connection")
        self._data += data

    def send(self, text: str) -> None:
        self.socket.sendall(text.encode("utf-8", "surrogateescape") + b"\n\n")

    def _answer(self) -> tuple[dict[str, str], bytes]:
        while True:
            headers, body = self.frame()
            if not headers["Content-Type"].startswith("text/event"):
                return headers, body

    def command(self, text: str) -> dict[str, str]:
        """The headers of the reply to a command."""
        self.send(text)
        return self._answer()[0]

    def api(self, text: str) -> str:
        self.send(f"api {text}")
        return self._answer()[1].decode("utf-8", "replace")

    def execute(
        self, leg: str, application: str, argument: str = "", *, lock: bool = True, tag: str = ""
    ) -> str:
        """`sendmsg execute`; returns the Event-UUID that its EXECUTE_COMPLETE will carry."""
        tag = tag or str(uuid.uuid4())
        lines = [
            f"sendmsg {leg}",
            "call-command: execute",
            f"execute-app-name: {application}",
            f"execute-app-arg: {argument}",
            f"Event-UUID: {tag}",
        ]
        if lock:
            lines.append("event-lock: true")
        assert self.command("\n".join(lines))["Reply-Text"] == "+OK"
        return tag

    def until(self, wanted: Callable[[Event], bool], timeout: float = 10.0) -> Event:
        """The first event, already here or to come, that is wanted."""
        seen = 0
        deadline = time.monotonic() + timeout
        while True:
            for event in self.events[seen:]:
                if wanted(event):
                    return event
            seen = len(self.events)
            left = deadline - time.monotonic()
            if left <= 0:
                raise AssertionError(f"it did not come; there were {names(self.events)[-30:]}")
            try:
                self.frame(left)
            except TimeoutError:
                continue

    def wait(self, name: str, leg: str = "", timeout: float = 10.0, **headers: str) -> Event:
        """The first event of a name, about a leg, with headers (`_` for `-` in their names)."""
        expected = {key.replace("_", "-"): value for key, value in headers.items()}
        if leg:
            expected["Unique-ID"] = leg
        return self.until(
            lambda event: (
                event["Event-Name"] == name
                and all(event.get(key) == value for key, value in expected.items())
            ),
            timeout,
        )

    def done(self, tag: str, timeout: float = 10.0) -> Event:
        """The EXECUTE_COMPLETE of an `execute`."""
        return self.wait("CHANNEL_EXECUTE_COMPLETE", timeout=timeout, Application_UUID=tag)

    def dial(
        self,
        number: str,
        variables: str = "ignore_early_media=true",
        application: str = "&park()",
        uuid_: str = "",
    ) -> str:
        """Originate in the background; returns the leg's uuid."""
        leg = uuid_ or str(uuid.uuid4())
        self.command(
            f"bgapi originate {{origination_uuid={leg},{variables}}}"
            f"sofia/gateway/far/{number} {application}\nJob-UUID: {leg}"
        )
        return leg

    def result(self, leg: str, timeout: float = 10.0) -> str:
        """What became of a `dial`."""
        return self.wait("BACKGROUND_JOB", timeout=timeout, Job_UUID=leg)["_body"]

    def parked(self, number: str = "+15555550108", variables: str = "a=b") -> str:
        """A leg that was answered and is parked."""
        leg = self.dial(number, f"ignore_early_media=true,{variables}")
        assert self.result(leg) == f"+OK {leg}\n"
        self.wait("CHANNEL_PARK", leg)
        return leg

    def of(self, leg: str) -> list[Event]:
        return [event for event in self.events if event.get("Unique-ID") == leg]

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.socket.close()


def parse_event(block: bytes) -> Event:
    head, _, body = block.partition(b"\n\n")
    event = {}
    for line in head.decode().split("\n"):
        name, _, value = line.partition(": ")
        event[name] = unquote(value)
    event["_body"] = body.decode("utf-8", "replace")
    return event


def names(events: list[Event]) -> list[str]:
    return [event["Event-Name"] for event in events]
