"""An SMPP account from bind to receipt, against a message centre that misbehaves."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from sqlalchemy import func, select

from irisx.kernel.db import transaction
from irisx.messaging import accounts
from irisx.messaging.channels.sms.smpp import text as texts
from irisx.messaging.channels.sms.smpp.models import SmsPart
from irisx.messaging.channels.sms.smpp.pdu import Message
from irisx.messaging.channels.sms.smpp.sessions import SESSIONS
from irisx.messaging.models import ProviderAccount
from irisx.messaging.states import MessageStatus
from irisx.tenancy.access import SYSTEM
from irisx.tenancy.models import Tenant
from tests.messaging.channels.sms.smpp.smsc import Smsc, message_centre
from tests.messaging.channels.sms.smpp.test_pdu import RECEIPT
from tests.messaging.pipeline import entry_of, events, load, reload, sent_until, text, work
from tests.waiting import wait_until

S = MessageStatus
pytestmark = pytest.mark.usefixtures("number")


@contextmanager
def carrier(tenant: Tenant, **options: Any) -> Iterator[tuple[Smsc, ProviderAccount]]:
    with message_centre(**options) as smsc:
        row = accounts.create(
            SYSTEM,
            tenant.id,
            channel="sms",
            provider="smpp",
            name="Carrier",
            settings={"host": "127.0.0.1", "port": smsc.port, "system_id": "irisx"},
            credentials={"password": "secret"},
            max_per_second=1000,
        )
        try:
            yield smsc, row
        finally:
            SESSIONS.close_all()


def receipt(reference: str, word: str = "DELIVRD") -> bytes:
    body = RECEIPT.format(reference, word, "000").encode()
    return Message("15555550110", "15550001000", body, esm_class=4).encode()


def test_a_message_and_its_receipt(tenant: Tenant) -> None:
    with carrier(tenant) as (smsc, _):
        message = sent_until(text(tenant.id, body="Grüße, 5 €"), S.SENT)
        sent = Message.decode(smsc.submitted[0])
        assert (sent.source, sent.destination) == ("15550001000", "15555550110")
        assert (sent.source_ton, sent.registered_delivery) == (1, 1)
        assert texts.decode(sent).text == "Grüße, 5 €"
        assert message.reference == "id-1"
        smsc.deliver(receipt("id-1"))
        wait_until(lambda: load(message).status is S.DELIVERED)
        assert wait_until(lambda: smsc.delivered) == [0]
        sent_until(text(tenant.id), S.SENT)
        assert smsc.binds == 1


def test_a_long_message_is_sent_in_parts_and_its_last_part_brings_the_receipt(
    tenant: Tenant,
) -> None:
    with carrier(tenant) as (smsc, _):
        message = sent_until(text(tenant.id, body="ş" * 150), S.SENT)
        parts = [Message.decode(body) for body in smsc.submitted]
        assert [part.registered_delivery for part in parts] == [0, 0, 1]
        assert "".join(texts.decode(part).text for part in parts) == "ş" * 150
        assert message.reference == "id-3"


@pytest.mark.parametrize(
    ("status", "ends", "code"),
    [
        (0x0B, S.FAILED, "SMPP_0000000B"),
        (None, S.UNKNOWN, "NO_ANSWER"),
    ],
)
def test_a_refusal_is_final_and_a_lost_answer_is_a_doubt(
    tenant: Tenant, status: int | None, ends: MessageStatus, code: str
) -> None:
    with carrier(tenant, statuses=[status]) as (smsc, _):
        assert sent_until(text(tenant.id), ends).error_code == code
        assert len(smsc.submitted) == 1


def test_a_refused_second_part_leaves_doubt_since_the_first_is_sent(tenant: Tenant) -> None:
    with carrier(tenant, statuses=[0, 0x58]) as (smsc, _):
        sent_until(text(tenant.id, body="x" * 200), S.UNKNOWN)
        assert len(smsc.submitted) == 2


def test_a_throttling_centre_is_left_alone(tenant: Tenant) -> None:
    with carrier(tenant, statuses=[0x58]) as (_, row):
        message = text(tenant.id)
        work(lambda: reload(row).paused_until)
        assert (load(message).status, load(message).error_code) == (S.QUEUED, "SMPP_00000058")


def test_a_wrong_password_is_the_account_s_fault(tenant: Tenant) -> None:
    with carrier(tenant, password="another") as (smsc, row):
        message = text(tenant.id)
        work(lambda: reload(row).demoted_until)
        assert smsc.submitted == []
        assert (entry := entry_of(message)) is not None
        assert not entry.handed


def test_a_connection_that_went_is_made_again(tenant: Tenant) -> None:
    with carrier(tenant) as (smsc, row):
        sent_until(text(tenant.id), S.SENT)
        smsc.hang_up()
        held = SESSIONS._held[row.id].session
        wait_until(lambda: not held.bound)
        sent_until(text(tenant.id), S.SENT)
        assert smsc.binds == 2


def test_the_job_binds_for_what_arrives_and_lets_go_what_is_switched_off(tenant: Tenant) -> None:
    with carrier(tenant) as (smsc, row):
        SESSIONS.keep()
        assert smsc.binds == 1
        smsc.deliver(Message("15555550122", "15550001000", b"Hi").encode())
        wait_until(lambda: events("sms.received"))
        (received,) = events("sms.received")
        assert (received["from"], received["to"]) == ("+15555550122", "+15550001000")
        accounts.change(SYSTEM, tenant.id, row.id, enabled=False)
        SESSIONS.keep()
        assert SESSIONS._held == {}


def test_parts_arrive_in_any_order_and_twice(tenant: Tenant) -> None:
    body = "Ä long message. " * 20
    coding, parts = texts.encode(body, 7)
    wires = [
        Message("15555550122", "15550001000", p, esm_class=texts.UDH, data_coding=coding).encode()
        for p in parts
    ]
    with carrier(tenant) as (smsc, _):
        SESSIONS.keep()
        for count, number in enumerate((2, 0, 0, 1), 1):
            smsc.deliver(wires[number])
            wait_until(lambda count=count: len(smsc.delivered) == count)  # type: ignore[misc]
        assert [event["body"] for event in events("sms.received")] == [body]
        with transaction() as session:
            assert session.scalar(select(func.count(SmsPart.id))) == 0


def test_what_can_not_be_stored_is_asked_for_again(
    tenant: Tenant, monkeypatch: pytest.MonkeyPatch
) -> None:
    from irisx.messaging import receiving

    def away(*_: object) -> None:
        raise ConnectionError("the database is away")

    with carrier(tenant) as (smsc, _):
        SESSIONS.keep()
        monkeypatch.setattr(receiving, "take", away)
        smsc.deliver(Message("15555550122", "15550001000", b"Hi").encode())
        assert wait_until(lambda: smsc.delivered) == [0x64]


@pytest.mark.parametrize(
    "junk", [b"\0\0\0\x01" + b"x" * 12, b"\xff" * 16, b"GET / HTTP/1.1\r\n\r\n"]
)
def test_junk_ends_the_connection_and_nothing_else(tenant: Tenant, junk: bytes) -> None:
    with carrier(tenant) as (smsc, row):
        SESSIONS.keep()
        session = SESSIONS._held[row.id].session
        smsc.raw(junk)
        wait_until(lambda: not session.bound)
        sent_until(text(tenant.id), S.SENT)
