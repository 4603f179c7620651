"""The codec, beside smpplib's and by properties."""

from contextlib import suppress
from types import SimpleNamespace

import pytest
import smpplib.smpp
from hypothesis import given
from hypothesis import strategies as st

from irisx.messaging.channels.sms.segments import SEPTETS
from irisx.messaging.channels.sms.smpp import text
from irisx.messaging.channels.sms.smpp.pdu import (
    Command,
    Malformed,
    Message,
    Pdu,
    bind_body,
    message_id,
    take,
)
from irisx.messaging.states import MessageStatus

CLIENT = SimpleNamespace(next_sequence=lambda: 0)
octet = st.integers(0, 255)
address = st.text(alphabet="0123456789", max_size=20)
messages = st.builds(
    Message,
    source=address,
    destination=address,
    text=st.binary(max_size=254),
    source_ton=octet,
    source_npi=octet,
    destination_ton=octet,
    destination_npi=octet,
    esm_class=octet,
    validity=st.sampled_from(["", "260701120000000+"]),
    registered_delivery=octet,
    data_coding=octet,
    tlvs=st.dictionaries(st.integers(0, 0xFFFF), st.binary(max_size=300), max_size=3),
)
pdus = st.builds(
    Pdu,
    st.integers(0, 2**32 - 1),
    st.integers(0, 2**32 - 1),
    st.integers(0, 2**32 - 1),
    st.binary(),
)


@given(messages)
def test_a_message_comes_back_as_it_went(message: Message) -> None:
    assert Message.decode(message.encode()) == message


@given(st.lists(pdus, max_size=4), st.integers(0, 200))
def test_pdus_are_found_however_the_stream_is_cut(sent: list[Pdu], cut: int) -> None:
    stream = b"".join(pdu.encode() for pdu in sent)
    found, buffer = [], b""
    for piece in (stream[:cut], stream[cut:]):
        buffer += piece
        pdu, buffer = take(buffer)
        while pdu is not None:
            found.append(pdu)
            pdu, buffer = take(buffer)
    assert found == sent
    assert buffer == b""


@given(st.binary(max_size=200))
def test_any_bytes_are_read_or_refused(data: bytes) -> None:
    with suppress(Malformed):
        take(data)
    with suppress(Malformed):
        message = Message.decode(data)
        text.decode(message)
    with suppress(Malformed):
        text.receipt_of(Message.decode(data))
    with suppress(Malformed):
        message_id(data)


def test_smpplib_reads_what_we_write() -> None:
    message = Message(
        source="15550001000",
        destination="15555550110",
        text=b"Hello",
        esm_class=0x40,
        validity="260701120000000+",
        registered_delivery=1,
        data_coding=8,
    )
    theirs = smpplib.smpp.parse_pdu(
        Pdu(Command.SUBMIT_SM, 0, 7, message.encode()).encode(), client=CLIENT
    )
    assert theirs.command == "submit_sm"
    assert theirs.sequence == 7
    assert theirs.source_addr == b"15550001000"
    assert theirs.destination_addr == b"15555550110"
    assert theirs.short_message == b"Hello"
    assert (theirs.esm_class, theirs.registered_delivery, theirs.data_coding) == (0x40, 1, 8)
    assert theirs.validity_period == b"260701120000000+"
    bound = smpplib.smpp.parse_pdu(
        Pdu(Command.BIND_TRANSCEIVER, 0, 1, bind_body("me", "secret", "")).encode(), client=CLIENT
    )
    assert (bound.system_id, bound.password, bound.interface_version) == (b"me", b"secret", 0x34)


@given(st.text(alphabet=sorted(SEPTETS), max_size=400) | st.text(max_size=200), octet)
def test_a_text_in_parts_is_the_text(body: str, reference: int) -> None:
    coding, parts = text.encode(body, reference)
    assert all(len(part) <= (140 if coding == text.UCS2 else 160) for part in parts)
    many = len(parts) > 1
    decoded = [
        text.decode(Message("1", "2", part, esm_class=text.UDH if many else 0, data_coding=coding))
        for part in parts
    ]
    assert [part.number for part in decoded] == list(range(1, len(parts) + 1))
    assert "".join(part.text for part in decoded) == body.encode("utf-16", "replace").decode(
        "utf-16"
    )


RECEIPT = (
    "id:{} sub:001 dlvrd:001 submit date:2607011200 done date:2607011201 stat:{} err:{} text:Hi"
)


@pytest.mark.parametrize(
    ("body", "tlvs", "expected"),
    [
        (RECEIPT.format("a-1", "DELIVRD", "000"), {}, ("a-1", MessageStatus.DELIVERED, None)),
        (RECEIPT.format("a-1", "UNDELIV", "034"), {}, ("a-1", MessageStatus.UNDELIVERED, "034")),
        (RECEIPT.format("a-1", "ENROUTE", "000"), {}, ("a-1", None, None)),
        (RECEIPT.format("A", "expired", "1"), {}, ("A", MessageStatus.UNDELIVERED, "1")),
        ("", {0x1E: b"t-1\0", 0x427: b"\x02"}, ("t-1", MessageStatus.DELIVERED, None)),
        ("", {0x1E: b"t-1\0", 0x427: b"\x08"}, ("t-1", MessageStatus.UNDELIVERED, None)),
    ],
)
def test_receipts(body: str, tlvs: dict[int, bytes], expected: object) -> None:
    found = text.receipt_of(Message("1", "2", body.encode(), esm_class=4, tlvs=tlvs))
    assert found is not None
    assert (found.message_id, found.status, found.error) == expected


def test_a_message_is_no_receipt() -> None:
    body = RECEIPT.format("1", "DELIVRD", "000").encode()
    assert text.receipt_of(Message("1", "2", body)) is None
    with pytest.raises(Malformed):
        text.receipt_of(Message("1", "2", b"stat:DELIVRD", esm_class=4))


def test_a_sixteen_bit_reference_and_another_header_before_it() -> None:
    header = b"\x05\x01\x00" + b"\x08\x04\x01\x02\x02\x01"
    data = bytes((len(header),)) + header + b"Hi"
    part = text.decode(Message("1", "2", data, esm_class=text.UDH))
    assert part == text.Part("Hi", 0x0102, 1, 2)
