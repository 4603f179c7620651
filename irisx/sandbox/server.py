"""The Event Socket: framing, commands and delivery as mod_event_socket.c does them."""

import asyncio
import hmac
import logging
import re
import uuid as uuids
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from irisx.sandbox import api
from irisx.sandbox.events import NAMES, Event
from irisx.sandbox.leg import Command

if TYPE_CHECKING:
    from irisx.sandbox.switch import Switch

log = logging.getLogger(__name__)

MAX_HEADERS = 10 * 1024 * 1024
MAX_BODY = 10 * 1024 * 1024
MAX_BACKLOG = 64 * 1024 * 1024
GOODBYE = b"Disconnected, goodbye.\nSee you at ClueCon! http://www.cluecon.com/\n"


def parse_block(block: bytes) -> tuple[str, dict[str, str]]:
    """The command line and the headers (names lowered, the first of a name wins)."""
    text = block.decode("utf-8", "surrogateescape").replace("\r", "\n").replace("\0", "")
    lines = [line for line in text.split("\n") if line]
    headers: dict[str, str] = {}
    for line in lines[1:]:
        name, colon, value = line.partition(":")
        if colon:
            headers.setdefault(name.strip().lower(), value.lstrip(" "))
    return (lines[0] if lines else ""), headers


@dataclass(frozen=True)
class Message:
    """One command of a client. Names of headers are in lower case."""

    line: str
    headers: dict[str, str]
    body: str

    def rest(self, command: str) -> str:
        """What follows the command on its line."""
        return self.line[len(command) :].strip()


class Connection:
    """One client. Events are sent between commands, never in the middle of one."""

    def __init__(
        self, switch: "Switch", reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        self.switch = switch
        self.reader = reader
        self.writer = writer
        self.authorised = False
        self.closing = False
        self.format = "plain"
        self.enabled = False
        self.names: set[str] = set()
        self.subclasses: set[str] = set()
        self.filters: list[tuple[str, str]] = []
        self._busy = False
        self._held: list[Event] = []

    async def serve(self) -> None:
        """Talk until either side ends it."""
        self._send(b"Content-Type: auth/request\n\n")
        self.switch.bus.listeners.append(self)
        try:
            while not self.closing:
                message = await self._receive()
                if message is None:
                    break
                self._busy = True
                await self._obey(*message)
                self._busy = False
                self._flush()
                await self.writer.drain()
            if self.closing:
                head = f"Content-Type: text/disconnect-notice\nContent-Length: {len(GOODBYE)}\n\n"
                self._send(head.encode() + GOODBYE)
                await self.writer.drain()
        except (ConnectionError, asyncio.IncompleteReadError):
            log.debug("a client went away")
        finally:
            self.switch.bus.listeners.remove(self)
            self.writer.close()

    # Reading

    async def _receive(self) -> tuple[str, dict[str, str], str] | None:
        """One message; None when it is malformed beyond use. Empty lines before it are ignored."""
        block = b""
        while not block.endswith(b"\n\n"):
            line = await self.reader.readline()
            if not line:
                return None
            line = line.rstrip(b"\r\n") + b"\n"
            if not block and line == b"\n":
                continue
            block += line
            if len(block) > MAX_HEADERS:
                return None
        command, headers = parse_block(block)
        length = headers.get("content-length", "0").strip()
        if not re.fullmatch(r"\d{1,9}", length):
            return command, headers, ""
        if int(length) > MAX_BODY:
            return None
        body = await self.reader.readexactly(int(length)) if int(length) else b""
        return command, headers, body.decode("utf-8", "surrogateescape")

    # Writing

    def _send(self, data: bytes) -> None:
        if not self.writer.is_closing():
            self.writer.write(data)

    def _reply(self, text: str, extra: str = "") -> None:
        block = f"Content-Type: command/reply\nReply-Text: {text}\n{extra}\n"
        self._send(block.encode("utf-8", "surrogateescape"))

    # Events

    def wants(self, name: str, subclass: str) -> bool:
        if not self.enabled:
            return False
        if "ALL" in self.names:
            return True
        if name == "CUSTOM":
            return "CUSTOM" in self.names and (not subclass or subclass in self.subclasses)
        return name in self.names

    def deliver(self, event: Event) -> None:
        if self.filters and not self._passes(event):
            return
        if self._busy:
            self._held.append(event)
            return
        body = event.json() if self.format == "json" else event.plain()
        head = f"Content-Length: {len(body)}\nContent-Type: text/event-{self.format}\n\n"
        self._send(head.encode() + body)
        if self.writer.transport.get_write_buffer_size() > MAX_BACKLOG:
            log.warning("a client doesn't read its events: disconnected")
            self.writer.transport.abort()

    def _flush(self) -> None:
        held, self._held = self._held, []
        for event in held:
            if self.wants(event.name, event.subclass):
                self.deliver(event)

    def _passes(self, event: Event) -> bool:
        """Filters are alternatives; one that begins with `-` forbids."""
        headers = {name.lower(): value for name, value in event.headers.items()}
        passes = False
        for name, wanted in self.filters:
            value = headers.get(name.lower())
            if value is None:
                continue
            pattern = wanted.lstrip("+- ")
            if not _matches(pattern, value):
                continue
            if wanted.startswith("-"):
                return False
            passes = True
        return passes

    # Commands

    async def _obey(self, line: str, headers: dict[str, str], body: str) -> None:
        """Dispatch by the beginning of the line, as parse_command() does."""
        if line.lower().startswith(("exit", "...")):
            self.closing = True
            self._reply("+OK bye")
        elif not self.authorised:
            self._authorise(line)
        else:
            message = Message(line, headers, body)
            for beginning, handler in HANDLERS.items():
                if line.lower().startswith(beginning):
                    await handler(self, message)
                    return
            self._reply("-ERR command not found")

    def _authorise(self, line: str) -> None:
        """A connection that isn't authorised may do nothing but try once."""
        if not line.lower().startswith("auth "):
            self._reply("-ERR command not found")
            return
        given = line[5:].encode("utf-8", "surrogateescape")
        if hmac.compare_digest(given, self.switch.settings.password.encode()):
            self.authorised = True
            self._reply("+OK accepted")
        else:
            self.closing = True
            self._reply("-ERR invalid")

    async def filter(self, message: Message) -> None:
        name, _, value = message.rest("filter").partition(" ")
        if name.lower() == "delete" and value:
            name, _, value = value.partition(" ")
            self.filters = [
                entry
                for entry in self.filters
                if name.lower() != "all"
                and not (entry[0].lower() == name.lower() and value in ("", entry[1]))
            ]
            self._reply(f"+OK filter deleted. [{name}][{value}]")
            return
        if name.lower() == "add" and value:
            name, _, value = value.partition(" ")
        if not value:
            self._reply("-ERR invalid syntax")
            return
        self.filters.append((name, value))
        self._reply(f"+OK filter added. [{name}]=[{value}]")

    async def send_message(self, message: Message) -> None:
        uuid = message.rest("sendmsg") or message.headers.get("session-id", "")
        channel = self.switch.find(uuid)
        if channel is None:
            self._reply(f"-ERR invalid session id [{uuid}]")
            return
        channel.queue(Command(message.headers, message.body))
        self._reply("+OK")

    async def send_event(self, message: Message) -> None:
        """MESSAGE with `eavesdrop-command` steers a supervisor's leg; others are passed on."""
        name, headers = message.rest("sendevent"), message.headers
        event_uuid = str(uuids.uuid4())
        channel = self.switch.find(headers.get("unique-id", ""))
        if channel is not None:
            channel.eavesdrop_command = headers.get("eavesdrop-command", "")
            channel.notify()
        elif name.upper() in NAMES - {"ALL"}:
            passed = {key: value for key, value in headers.items() if key != "content-length"}
            self.switch.bus.fire(
                name.upper(), passed.items(), message.body, headers.get("event-subclass", "")
            )
        self._reply(f"+OK {event_uuid}")

    async def run_api(self, message: Message) -> None:
        body = (await api.run(self.switch, message.rest("api")) or "-ERR no reply\n").encode(
            "utf-8", "surrogateescape"
        )
        self._send(f"Content-Type: api/response\nContent-Length: {len(body)}\n\n".encode() + body)

    async def run_in_background(self, message: Message) -> None:
        line = message.rest("bgapi")
        job = message.headers.get("job-uuid", "").strip() or str(uuids.uuid4())
        self._reply(f"+OK Job-UUID: {job}", f"Job-UUID: {job}\n")

        async def work() -> None:
            result = await api.run(self.switch, line)
            name, _, argument = line.partition(" ")
            facts = {"Job-UUID": job, "Job-Command": name, "Job-Command-Arg": argument}
            self.switch.bus.fire(
                "BACKGROUND_JOB", ((key, value) for key, value in facts.items() if value), result
            )

        self.switch.spawn(work(), f"bgapi {line[:60]}")

    async def linger(self, message: Message) -> None:
        self._reply("-ERR not controlling a session")

    async def log(self, message: Message) -> None:
        """Accepted and without effect: the sandbox logs to its standard error."""
        self._reply("+OK log level debug [7]")

    async def no_log(self, message: Message) -> None:
        self._reply("+OK no longer logging")

    async def enable(self, message: Message) -> None:
        words = message.line.split()[1:]
        form = "plain"
        if words and words[0].lower() in ("plain", "json", "xml"):
            form = words.pop(0).lower()
        if form == "xml":
            self._reply("-ERR the sandbox doesn't offer xml")
            return
        names, subclasses = _event_words(words)
        if not names:
            self._reply("-ERR no keywords supplied")
            return
        self.format = form
        self.names |= names
        self.subclasses |= subclasses
        self.enabled = True
        self._reply(f"+OK event listener enabled {form}")

    async def disable(self, message: Message) -> None:
        words = message.line.split()[1:]
        names, subclasses = _event_words(words)
        if not names:
            self._reply("-ERR no keywords supplied")
            return
        if "ALL" in names:
            self.names.clear()
        elif "ALL" in self.names:
            self.names = set(NAMES - {"ALL"})
        self.names -= names - {"CUSTOM"}
        self.subclasses -= subclasses
        self._reply("+OK events nixed")

    async def no_events(self, message: Message) -> None:
        if not self.enabled:
            self._reply("-ERR not listening for events")
            return
        self.enabled = False
        self.names.clear()
        self.subclasses.clear()
        self._held.clear()
        self._reply("+OK no longer listening for events")


# In the order in which parse_command() compares, by the beginning of the line.
HANDLERS: dict[str, Callable[[Connection, Message], Awaitable[None]]] = {
    "filter ": Connection.filter,
    "sendmsg": Connection.send_message,
    "sendevent": Connection.send_event,
    "api ": Connection.run_api,
    "bgapi ": Connection.run_in_background,
    "log": Connection.log,
    "linger": Connection.linger,
    "nolog": Connection.no_log,
    "event": Connection.enable,
    "nixevent": Connection.disable,
    "noevents": Connection.no_events,
}


def _matches(pattern: str, value: str) -> bool:
    """`/regex/` or the value itself; a bad pattern matches nothing."""
    if pattern.startswith("/"):
        try:
            return re.search(pattern.strip("/"), value) is not None
        except re.error:
            return False
    return value.lower() == pattern.lower()


def _event_words(words: list[str]) -> tuple[set[str], set[str]]:
    """Event names, and the subclasses that follow CUSTOM."""
    names: set[str] = set()
    for index, word in enumerate(words):
        if word.upper() in NAMES:
            names.add(word.upper())
        if word.upper() == "CUSTOM":
            return names, set(words[index + 1 :])
    return names, set()


async def listen(switch: "Switch") -> asyncio.Server:
    """Open the Event Socket."""

    async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await Connection(switch, reader, writer).serve()

    settings = switch.settings
    return await asyncio.start_server(
        accept, settings.host, settings.port, limit=MAX_HEADERS, backlog=128
    )
