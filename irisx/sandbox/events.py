"""Events and their wire form, as switch_event.c and mod_event_socket.c write them."""

import json
import re
import socket
import time
import uuid
from collections.abc import Iterable
from typing import Protocol

from irisx.sandbox.clock import Clock

Headers = dict[str, str]

# The names that `event plain …` accepts (switch_event.c, EVENT_NAMES).
NAMES = frozenset(
    """
    CUSTOM CLONE CHANNEL_CREATE CHANNEL_DESTROY CHANNEL_STATE CHANNEL_CALLSTATE CHANNEL_ANSWER
    CHANNEL_HANGUP CHANNEL_HANGUP_COMPLETE CHANNEL_EXECUTE CHANNEL_EXECUTE_COMPLETE CHANNEL_HOLD
    CHANNEL_UNHOLD CHANNEL_BRIDGE CHANNEL_UNBRIDGE CHANNEL_PROGRESS CHANNEL_PROGRESS_MEDIA
    CHANNEL_OUTGOING CHANNEL_PARK CHANNEL_UNPARK CHANNEL_APPLICATION CHANNEL_ORIGINATE
    CHANNEL_UUID API LOG INBOUND_CHAN OUTBOUND_CHAN STARTUP SHUTDOWN PUBLISH UNPUBLISH TALK NOTALK
    SESSION_CRASH MODULE_LOAD MODULE_UNLOAD DTMF MESSAGE PRESENCE_IN NOTIFY_IN PRESENCE_OUT
    PRESENCE_PROBE MESSAGE_WAITING MESSAGE_QUERY ROSTER CODEC BACKGROUND_JOB DETECTED_SPEECH
    DETECTED_TONE PRIVATE_COMMAND HEARTBEAT TRAP ADD_SCHEDULE DEL_SCHEDULE EXE_SCHEDULE
    RE_SCHEDULE RELOADXML NOTIFY PHONE_FEATURE PHONE_FEATURE_SUBSCRIBE SEND_MESSAGE RECV_MESSAGE
    REQUEST_PARAMS CHANNEL_DATA GENERAL COMMAND SESSION_HEARTBEAT CLIENT_DISCONNECTED
    SERVER_DISCONNECTED SEND_INFO RECV_INFO RECV_RTCP_MESSAGE SEND_RTCP_MESSAGE CALL_SECURE NAT
    RECORD_START RECORD_STOP PLAYBACK_START PLAYBACK_STOP CALL_UPDATE FAILURE SOCKET_DATA
    MEDIA_BUG_START MEDIA_BUG_STOP CONFERENCE_DATA_QUERY CONFERENCE_DATA CALL_SETUP_REQ
    CALL_SETUP_RESULT CALL_DETAIL DEVICE_STATE TEXT SHUTDOWN_REQUESTED ALL
    """.split()  # noqa: SIM905 (a list of one word a line would hide the page)
)

# SWITCH_URL_UNSAFE of switch_utils.h, everything outside printable ASCII, and a per cent sign.
# Two upper-case hexadecimal digits after it pass untouched: FreeSWITCH doesn't encode twice.
_UNSAFE = re.compile(rb"""%(?![0-9A-F]{2})|[^!-~]|["#&+:;<=>?@\[\\\]^`{|}]""")


def url_encode(value: str) -> str:
    """Encode a header value as switch_url_encode() does; undecodable bytes survive."""
    raw = value.encode("utf-8", "surrogateescape")
    return _UNSAFE.sub(lambda match: b"%%%02X" % match[0][0], raw).decode("ascii")


class Event:
    """A name, headers in order and perhaps a body."""

    __slots__ = ("body", "headers", "name", "subclass")

    def __init__(self, name: str, headers: Headers, body: str = "", subclass: str = "") -> None:
        self.name = name
        self.headers = headers
        self.body = body
        self.subclass = subclass

    def plain(self) -> bytes:
        """The inner block of `text/event-plain`; an empty value is written `_undef_`."""
        headers = self.headers.items()
        lines = [f"{name}: {url_encode(value) or '_undef_'}" for name, value in headers]
        body = self.body.encode("utf-8", "surrogateescape")
        if body:
            lines.append(f"Content-Length: {len(body)}")
        return "\n".join(lines).encode("ascii", "replace") + b"\n\n" + body

    def json(self) -> bytes:
        fields = dict(self.headers)
        if self.body:
            fields |= {"Content-Length": str(len(self.body)), "_body": self.body}
        return json.dumps(fields, separators=(",", ":")).encode()


class Listener(Protocol):
    """Somebody who takes events: an Event Socket connection."""

    def wants(self, name: str, subclass: str) -> bool: ...

    def deliver(self, event: Event) -> None: ...


class EventBus:
    """Numbers events, stamps them and hands them to the listeners that want them."""

    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        self.core_uuid = str(uuid.uuid4())
        self.hostname = socket.gethostname()
        self.listeners: list[Listener] = []
        self.sequence = 0

    def wanted(self, name: str, subclass: str = "") -> bool:
        """Whether anybody listens; headers of an unwanted event needn't be built."""
        return any(listener.wants(name, subclass) for listener in self.listeners)

    def stamp(self, name: str, subclass: str = "") -> Headers:
        """The headers that every event begins with."""
        self.sequence += 1
        micros = self.clock.micros()
        seconds = micros // 1_000_000
        headers = {"Event-Subclass": subclass} if subclass else {}
        headers |= {
            "Event-Name": name,
            "Core-UUID": self.core_uuid,
            "FreeSWITCH-Hostname": self.hostname,
            "FreeSWITCH-Switchname": self.hostname,
            "FreeSWITCH-IPv4": "127.0.0.1",
            "FreeSWITCH-IPv6": "::1",
            "Event-Date-Local": time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(seconds)),
            "Event-Date-GMT": time.strftime("%a, %d %b %Y %H:%M:%S GMT", time.gmtime(seconds)),
            "Event-Date-Timestamp": str(micros),
            "Event-Calling-File": "sandbox",
            "Event-Calling-Function": "sandbox",
            "Event-Calling-Line-Number": "1",
            "Event-Sequence": str(self.sequence),
        }
        return headers

    def fire(
        self,
        name: str,
        headers: Iterable[tuple[str, str]] = (),
        body: str = "",
        subclass: str = "",
    ) -> None:
        """Stamp an event and hand it to everyone who wants it."""
        takers = [listener for listener in self.listeners if listener.wants(name, subclass)]
        if not takers:
            self.sequence += 1
            return
        event = Event(name, self.stamp(name, subclass) | dict(headers), body, subclass)
        for listener in takers:
            listener.deliver(event)
