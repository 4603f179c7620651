"""The Event Socket wire format (mod_event_socket.c, switch_event.c `switch_event_serialize`).

A frame is a block of `Name: value` lines, an empty line, and `Content-Length` bytes of body.
The body of a `text/event-plain` frame is an event: URL-encoded headers, an empty line and, where
the event has one, a body of its own that is never read as headers.
"""

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import TypeVar, overload
from urllib.parse import unquote_to_bytes

from irisx.telephony.esl.errors import WireError

T = TypeVar("T")

MAX_HEAD_BYTES = 64 * 1024
MAX_BODY_BYTES = 16 * 1024 * 1024


class Frame:
    """One message from the switch: `headers` as sent (not URL-encoded), `body` as raw bytes."""

    __slots__ = ("body", "content_type", "headers")

    def __init__(self, headers: dict[str, str], body: bytes) -> None:
        self.headers = headers
        self.content_type = headers.get("Content-Type", "")
        self.body = body

    @property
    def text(self) -> str:
        """The body as UTF-8; bytes that are not become U+FFFD."""
        return self.body.decode("utf-8", "replace")

    def __repr__(self) -> str:
        return f"<Frame {self.content_type} {len(self.body)} bytes>"


class Event(Mapping[str, str]):
    """One event; a mapping from header name to value, the first of equal headers wins.

    A header is looked for in the text and unquoted when it is asked for: an event has some 200 of
    them, a reader wants ten, and a dict of all would cost more than fifty searches.

    FreeSWITCH leaves a "%" before two hexadecimal digits as it is (switch_utils.c
    `switch_url_encode_opt`), so that a value of "%41" arrives as "A": uuid_getvar tells them apart.
    """

    __slots__ = ("_head", "_tail")

    def __init__(self, block: bytes) -> None:
        # Latin-1 maps every byte to one character and back, so nothing is lost before unquoting.
        head, _, self._tail = block.decode("latin-1").partition("\n\n")
        self._head = f"\n{head}\n"

    def _find(self, name: str) -> str | None:
        head = self._head
        start = head.find(f"\n{name}: ")
        if start < 0:
            return None
        start += len(name) + 3
        return head[start : head.index("\n", start)]

    def __getitem__(self, name: str) -> str:
        value = self._find(name)
        if value is None:
            raise KeyError(name)
        return _unquote(value)

    @overload
    def get(self, name: str) -> str | None: ...
    @overload
    def get(self, name: str, default: T) -> str | T: ...
    def get(self, name: str, default: T | None = None) -> str | T | None:
        value = self._find(name)
        return default if value is None else _unquote(value)

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and self._find(name) is not None

    def __iter__(self) -> Iterator[str]:
        lines = self._head.split("\n")
        return iter(dict.fromkeys(line.partition(": ")[0] for line in lines if ": " in line))

    def __len__(self) -> int:
        return sum(1 for _ in self)

    def __repr__(self) -> str:
        return f"<Event {self.name} {self.sequence} {self.uuid or ''}>"

    @property
    def name(self) -> str:
        """The event's name, the subclass in the case of a CUSTOM event ("sofia::register")."""
        name = self.get("Event-Name", "")
        return self.get("Event-Subclass", name) if name == "CUSTOM" else name

    @property
    def uuid(self) -> str | None:
        """The channel that the event is about, if any."""
        return self.get("Unique-ID")

    @property
    def sequence(self) -> int:
        """Number of the event within this run of the switch; 0 where it has none."""
        value = self.get("Event-Sequence", "")
        return int(value) if _is_number(value) else 0

    @property
    def timestamp(self) -> datetime:
        """When the switch fired the event (UTC, microseconds). KeyError where it doesn't say."""
        return datetime.fromtimestamp(int(self["Event-Date-Timestamp"]) / 1_000_000, UTC)

    @property
    def body(self) -> str:
        return self.raw_body.decode("utf-8", "replace")

    @property
    def raw_body(self) -> bytes:
        length = self.get("Content-Length", "")
        return self._tail[: int(length) if _is_number(length) else None].encode("latin-1")

    def variable(self, name: str) -> str | None:
        """A channel variable, which only key events carry (create, answer, park, hangup ...)."""
        return self.get(f"variable_{name}")

    def raw(self, name: str) -> bytes:
        """A header's bytes as they were before the switch encoded them. KeyError if absent."""
        value = self._find(name)
        if value is None:
            raise KeyError(name)
        return unquote_to_bytes(value.encode("latin-1"))


class Decoder:
    """Cuts a stream of bytes, however it arrives, into frames. Not usable after a WireError."""

    def __init__(self) -> None:
        self._chunks: list[bytes] = []
        self._size = 0
        self._wanted = 0  # bytes that must be there before another look is worth it

    @property
    def buffered(self) -> int:
        """Bytes of an unfinished frame."""
        return self._size

    def feed(self, data: bytes) -> list[Frame]:
        """Take bytes; return the frames that they complete.

        Raises WireError on a head over 64 kB and on a Content-Length that is no number or over
        16 MB.
        """
        self._chunks.append(data)
        self._size += len(data)
        if self._size < self._wanted:
            return []
        stream = b"".join(self._chunks)
        frames: list[Frame] = []
        start = 0
        self._wanted = 0
        while True:
            while stream.startswith(b"\n", start):  # an empty line before a head means nothing
                start += 1
            end = stream.find(b"\n\n", start)
            if (len(stream) if end < 0 else end) - start > MAX_HEAD_BYTES:
                raise WireError(f"head of a frame over {MAX_HEAD_BYTES} bytes")
            if end < 0:
                break
            headers = _parse_head(stream[start:end])
            body_start = end + 2
            body_end = body_start + _content_length(headers.get("Content-Length", "0"))
            if body_end > len(stream):
                self._wanted = body_end - start
                break
            frames.append(Frame(headers, stream[body_start:body_end]))
            start = body_end
        rest = stream[start:]
        self._chunks = [rest] if rest else []
        self._size = len(rest)
        return frames


def _parse_head(head: bytes) -> dict[str, str]:
    headers: dict[str, str] = {}
    for line in head.decode("utf-8", "replace").split("\n"):
        name, separator, value = line.partition(": ")
        if separator:
            headers.setdefault(name, value)
    return headers


def _is_number(value: str) -> bool:
    # int() alone would also take "-1", " 7", "1_0", digits of other alphabets, and be slow on long.
    return value.isascii() and value.isdigit() and len(value) < 20


def _content_length(value: str) -> int:
    if not _is_number(value):
        raise WireError("Content-Length is not a number")
    length = int(value)
    if length > MAX_BODY_BYTES:
        raise WireError(f"Content-Length {length} is over {MAX_BODY_BYTES}")
    return length


def _unquote(value: str) -> str:
    if "%" not in value and value.isascii():
        # FreeSWITCH writes an empty value as this word.
        return "" if value == "_undef_" else value
    return unquote_to_bytes(value.encode("latin-1")).decode("utf-8", "replace")
