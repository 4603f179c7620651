"""Messages that calls ask for."""

from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import select

from irisx.kernel import clock
from irisx.kernel.db import transaction
from irisx.kernel.events import publish
from irisx.messaging.channels.sms.reactions import send_what_calls_ask_for
from irisx.messaging.models import Message
from irisx.tenancy.models import PhoneNumber, Tenant

CALLER, OURS = "+15555550110", "+15550001000"


def happened(
    tenant: Tenant, key: str, type: str, age: timedelta = timedelta(), **data: Any
) -> None:
    with transaction() as session:
        publish(
            session,
            key=key,
            tenant_id=tenant.id,
            type=type,
            data=data,
            occurred_at=clock.now() - age,
        )


def messages() -> list[tuple[str, str, str, str]]:
    send_what_calls_ask_for()
    with transaction() as session:
        rows = session.scalars(select(Message).order_by(Message.created_at)).all()
        return [(m.from_address, m.to_address, m.body, m.origin) for m in rows]


def call(tenant: Tenant, key: str, type: str, **more: Any) -> None:
    data = {"sid": f"CA{key}", "direction": "inbound", "from": CALLER, "to": OURS}
    happened(tenant, key, type, **data | more)


def test_the_ivr_node_s_event_is_taken_up_once(tenant: Tenant, number: PhoneNumber) -> None:
    asked = {"to": CALLER, "from": None, "text": "Your code", "call_sid": "CA1"}
    happened(tenant, "1", "ivr.send_sms", **asked)
    assert messages() == [(OURS, CALLER, "Your code", "ivr")]
    assert len(messages()) == 1
    happened(tenant, "2", "ivr.send_sms", timedelta(hours=2), **asked)
    assert len(messages()) == 1


def test_what_can_not_be_sent_holds_up_nothing(tenant: Tenant, number: PhoneNumber) -> None:
    for key, data in enumerate(
        ({"to": "+4930123456", "text": "x", "call_sid": "CA1"}, {}, {"to": 1})
    ):
        happened(tenant, str(key), "ivr.send_sms", **data)
    happened(tenant, "9", "ivr.send_sms", to=CALLER, text="Hi", call_sid="CA1")
    assert messages() == [(OURS, CALLER, "Hi", "ivr")]


def test_missed_and_ended_calls_are_followed_by_rule(make_tenant: Any) -> None:
    tenant = make_tenant(
        "Rules",
        missed_call_message={"text": "Sorry, {caller}! {number} calls back."},
        post_call_message={"text": "Thank you", "from": "+15550002000"},
    )
    with transaction() as session:
        session.add_all(PhoneNumber(number=n, tenant_id=tenant.id) for n in (OURS, "+15550002000"))
    call(tenant, "1", "call.failed", status="no-answer")
    call(tenant, "2", "call.failed", status="no-answer")
    call(tenant, "3", "call.completed", **{"from": "+15555550111"})
    call(tenant, "4", "call.failed", direction="outbound", **{"from": "+15555550112"})
    call(tenant, "5", "call.failed", **{"from": "anonymous"})
    assert messages() == [
        (OURS, CALLER, f"Sorry, {CALLER}! {OURS} calls back.", "rule"),
        ("+15550002000", "+15555550111", "Thank you", "rule"),
    ]


def test_without_a_rule_nothing_follows(tenant: Tenant, number: PhoneNumber) -> None:
    call(tenant, "1", "call.failed")
    call(tenant, "2", "call.completed")
    assert messages() == []


@pytest.mark.parametrize("sandbox", [True, False])
def test_a_simulated_call_s_message_is_simulated(
    tenant: Tenant, number: PhoneNumber, sandbox: bool
) -> None:
    from tests.messaging.scripted import account, scripted

    with scripted(lambda *_: pytest.fail("not sent here")):
        account(tenant.id)
        happened(tenant, "1", "ivr.send_sms", to=CALLER, text="x", call_sid="CA1", sandbox=sandbox)
        messages()
        with transaction() as session:
            assert session.scalars(select(Message.sandbox)).one() is sandbox
