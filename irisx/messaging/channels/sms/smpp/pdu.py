"""PDUs of SMPP 3.4 (SMPP Protocol Specification v3.4, issue 1.2): bytes to values and back.

Only what a client of a message centre needs; optional parameters (TLVs) are kept as bytes by tag.
"""

import struct
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import IntEnum

HEADER = struct.Struct("!IIII")
#: Longer PDUs are of nobody who speaks SMPP.
MAX_LENGTH = 70_000
RESPONSE = 0x80000000


class Command(IntEnum):
    """Command ids (§5.1.2.1); a response has RESPONSE added."""

    GENERIC_NACK = 0x80000000
    SUBMIT_SM = 0x4
    DELIVER_SM = 0x5
    UNBIND = 0x6
    BIND_TRANSCEIVER = 0x9
    ENQUIRE_LINK = 0x15


class Status(IntEnum):
    """Command statuses (§5.1.3) that we tell apart."""

    OK = 0x00
    INVALID_COMMAND_ID = 0x03
    SYSTEM_ERROR = 0x08
    BIND_FAILED = 0x0D
    INVALID_PASSWORD = 0x0E
    INVALID_SYSTEM_ID = 0x0F
    QUEUE_FULL = 0x14
    THROTTLED = 0x58
    TRY_AGAIN = 0x64  # ESME_RX_T_APPN


class Tag(IntEnum):
    """Optional parameters (§5.3.2)."""

    RECEIPTED_MESSAGE_ID = 0x001E
    MESSAGE_PAYLOAD = 0x0424
    MESSAGE_STATE = 0x0427


class Malformed(ValueError):
    """Bytes that are no PDU; the text says why."""


@dataclass(frozen=True, slots=True)
class Pdu:
    """One PDU. `body`: what follows the header."""

    command: int
    status: int
    sequence: int
    body: bytes = b""

    def encode(self) -> bytes:
        length = HEADER.size + len(self.body)
        return HEADER.pack(length, self.command, self.status, self.sequence) + self.body


@dataclass(frozen=True, slots=True)
class Message:
    """The body of submit_sm and deliver_sm (§4.4.1, §4.6.1). Types of number and numbering plans
    are those of §5.2.5 and §5.2.6."""

    source: str
    destination: str
    text: bytes = b""
    source_ton: int = 1
    source_npi: int = 1
    destination_ton: int = 1
    destination_npi: int = 1
    esm_class: int = 0
    validity: str = ""
    registered_delivery: int = 0
    data_coding: int = 0
    tlvs: Mapping[int, bytes] = field(default_factory=dict)

    def encode(self) -> bytes:
        if len(self.text) > 254:
            raise Malformed("a short message has at most 254 octets")
        return b"".join(
            (
                b"\0",  # service type
                bytes((self.source_ton, self.source_npi)),
                _c_string(self.source, 20),
                bytes((self.destination_ton, self.destination_npi)),
                _c_string(self.destination, 20),
                bytes((self.esm_class, 0, 0)),  # protocol id, priority
                b"\0",  # schedule: at once
                _c_string(self.validity, 16),
                bytes((self.registered_delivery, 0, self.data_coding, 0, len(self.text))),
                self.text,
                *(struct.pack("!HH", tag, len(value)) + value for tag, value in self.tlvs.items()),
            )
        )

    @classmethod
    def decode(cls, body: bytes) -> "Message":
        """Raises Malformed."""
        reader = Reader(body)
        reader.c_string()
        source_ton, source_npi = reader.octets(2)
        source = reader.c_string()
        destination_ton, destination_npi = reader.octets(2)
        destination = reader.c_string()
        esm_class = reader.octets(3)[0]
        reader.c_string()
        validity = reader.c_string()
        registered_delivery, _, data_coding, _, length = reader.octets(5)
        text = reader.octets(length)
        return cls(
            source=source,
            destination=destination,
            text=text,
            source_ton=source_ton,
            source_npi=source_npi,
            destination_ton=destination_ton,
            destination_npi=destination_npi,
            esm_class=esm_class,
            validity=validity,
            registered_delivery=registered_delivery,
            data_coding=data_coding,
            tlvs=reader.tlvs(),
        )

    @property
    def payload(self) -> bytes:
        """The text, wherever it is."""
        return self.text or self.tlvs.get(Tag.MESSAGE_PAYLOAD, b"")


class Reader:
    """Takes values off a body, in order. Raises Malformed where it ends too soon."""

    def __init__(self, body: bytes) -> None:
        self._body = body
        self._at = 0

    def octets(self, count: int) -> bytes:
        taken = self._body[self._at : self._at + count]
        if len(taken) < count:
            raise Malformed("the PDU ends too soon")
        self._at += count
        return taken

    def c_string(self) -> str:
        end = self._body.find(b"\0", self._at)
        if end < 0:
            raise Malformed("a text has no end")
        text = self._body[self._at : end]
        self._at = end + 1
        return text.decode("ascii", errors="replace")

    def tlvs(self) -> dict[int, bytes]:
        found: dict[int, bytes] = {}
        while self._at < len(self._body):
            tag, length = struct.unpack("!HH", self.octets(4))
            found[tag] = self.octets(length)
        return found


def bind_body(system_id: str, password: str, system_type: str) -> bytes:
    """The body of bind_transceiver (§4.1.5), interface version 3.4."""
    return b"".join(
        (
            _c_string(system_id, 15),
            _c_string(password, 8),
            _c_string(system_type, 12),
            b"\x34\0\0\0",
        )
    )


def message_id(body: bytes) -> str:
    """The id in a submit_sm_resp (§4.4.2); empty where there is none."""
    return Reader(body).c_string() if body else ""


def take(buffer: bytes) -> tuple[Pdu | None, bytes]:
    """The first whole PDU of a stream, and what follows it. Raises Malformed: nothing after it
    can be found again, the connection has to go."""
    if len(buffer) < HEADER.size:
        return None, buffer
    length, command, status, sequence = HEADER.unpack_from(buffer)
    if not HEADER.size <= length <= MAX_LENGTH:
        raise Malformed(f"a PDU of {length} octets")
    if len(buffer) < length:
        return None, buffer
    return Pdu(command, status, sequence, buffer[HEADER.size : length]), buffer[length:]


def _c_string(text: str, longest: int) -> bytes:
    encoded = text.encode("ascii", errors="strict")
    if len(encoded) > longest or b"\0" in encoded:
        raise Malformed(f"{text!r} is longer than {longest} octets")
    return encoded + b"\0"
