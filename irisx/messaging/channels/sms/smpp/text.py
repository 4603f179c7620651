"""Texts as SMPP carries them: alphabets, concatenation headers, delivery receipts."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from irisx.messaging.channels.sms.segments import ESCAPE, SEPTETS, Encoding, split
from irisx.messaging.channels.sms.smpp.pdu import Malformed, Message, Tag
from irisx.messaging.states import MessageStatus

#: data_coding (§5.2.19).
DEFAULT, LATIN1, UCS2 = 0x00, 0x03, 0x08
#: esm_class (§5.2.12): a user data header stands before the text; it is a delivery receipt.
UDH, RECEIPT = 0x40, 0x04
_CHARS = {septets: char for char, septets in SEPTETS.items()}

_FIELD = re.compile(r"\b(id|stat|err):\s*([^\s:]{1,65})", re.IGNORECASE)
_WORDS = {
    "DELIVRD": MessageStatus.DELIVERED,
    "ACCEPTD": MessageStatus.SENT,
    "EXPIRED": MessageStatus.UNDELIVERED,
    "DELETED": MessageStatus.UNDELIVERED,
    "UNDELIV": MessageStatus.UNDELIVERED,
    "REJECTD": MessageStatus.UNDELIVERED,
}
#: message_state (§5.2.28).
_STATES = {2: "DELIVRD", 3: "EXPIRED", 4: "DELETED", 5: "UNDELIV", 6: "ACCEPTD", 8: "REJECTD"}


@dataclass(frozen=True, slots=True)
class Part:
    """A part of a long message: the `number`-th of `total`, told apart by `reference`."""

    text: str
    reference: int = 0
    number: int = 1
    total: int = 1


@dataclass(frozen=True, slots=True)
class DeliveryReceipt:
    """`status` None: nothing new (ENROUTE, UNKNOWN)."""

    message_id: str
    word: str
    status: MessageStatus | None
    error: str | None


def encode(text: str, reference: int) -> tuple[int, list[bytes]]:
    """The text's data_coding, and the user data of each part; several parts begin with the
    header of TS 23.040 §9.2.3.24.1 (`reference`: 0 to 255)."""
    segments = split(text)
    gsm = segments.encoding is Encoding.GSM7
    parts = [
        bytes(septet for char in part for septet in SEPTETS[char])
        if gsm
        else part.encode("utf-16-be", "replace")
        for part in segments.parts
    ]
    total = len(parts)
    if total > 1:
        parts = [
            bytes((5, 0, 3, reference, total, number)) + part
            for number, part in enumerate(parts, 1)
        ]
    return (DEFAULT if gsm else UCS2), parts


def decode(message: Message) -> Part:
    """What a deliver_sm says. Raises Malformed for a broken header."""
    data = message.payload
    reference, number, total = 0, 1, 1
    if message.esm_class & UDH:
        if not data or len(data) < data[0] + 1:
            raise Malformed("the user data header is longer than the message")
        header, data = data[1 : data[0] + 1], data[data[0] + 1 :]
        reference, total, number = _concatenation(header)
    return Part(_text(data, message.data_coding), reference, number, total)


def receipt_of(message: Message) -> DeliveryReceipt | None:
    """What a delivery receipt says (appendix B, or the TLVs); None if it is none."""
    if not message.esm_class & RECEIPT:
        return None
    text = message.payload.decode("latin-1")
    fields = {name.lower(): value for name, value in _FIELD.findall(text)}
    named = message.tlvs.get(Tag.RECEIPTED_MESSAGE_ID, b"").rstrip(b"\0").decode("latin-1")
    state = message.tlvs.get(Tag.MESSAGE_STATE, b"")
    word = _STATES.get(state[0], "") if len(state) == 1 else fields.get("stat", "").upper()
    message_id = named or fields.get("id", "")
    if not message_id:
        raise Malformed("a delivery receipt names no message")
    error = fields.get("err")
    return DeliveryReceipt(
        message_id, word, _WORDS.get(word), None if error in (None, "000", "0") else error
    )


def _concatenation(header: bytes) -> tuple[int, int, int]:
    """Reference, total and number of information elements 00 (8 bit) and 08 (16 bit)."""
    at = 0
    while at + 2 <= len(header):
        kind, length = header[at], header[at + 1]
        value = header[at + 2 : at + 2 + length]
        if (kind, len(value)) in ((0x00, 3), (0x08, 4)):
            *reference, total, number = value
            if 1 <= number <= total:
                return int.from_bytes(bytes(reference)), total, number
        at += 2 + length
    return 0, 1, 1


def _text(data: bytes, coding: int) -> str:
    if coding == UCS2:
        return data.decode("utf-16-be", "replace")
    if coding == LATIN1:
        return data.decode("latin-1")
    return _gsm(data)


def _gsm(septets: Sequence[int]) -> str:
    """The default alphabet, a septet an octet; what it has not is a question mark."""
    text = ""
    escaped = False
    for septet in septets:
        if septet == ESCAPE and not escaped:
            escaped = True
            continue
        text += _CHARS.get((ESCAPE, septet) if escaped else (septet,), "?")
        escaped = False
    return text
