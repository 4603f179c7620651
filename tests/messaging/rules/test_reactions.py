"""Messages that calls ask for."""

from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import select

from irisx.kernel import clock
from irisx.kernel.db import transaction
from irisx.kernel.events import publish
from irisx.messaging.models import Message
from irisx.messaging.rules import service
from irisx.messaging.rules.models import CallRule, Trigger
from irisx.messaging.rules.reactions import send_what_calls_ask_for
from irisx.messaging.states import Direction
from irisx.tenancy import contacts
from irisx.tenancy.access import SYSTEM
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


SORRY = {"trigger": Trigger.MISSED, "text": "Sorry, {{ caller }}! {{ number }} calls back."}
THANKS = {"trigger": Trigger.ENDED, "text": "{{ call.duration }} s"}


def rule(tenant: Tenant, **fields: Any) -> CallRule:
    usual = {"name": "Rule", "direction": Direction.INBOUND, "numbers": [], "statuses": []}
    return service.create(SYSTEM, tenant.id, usual | {"channel": "sms"} | fields)


def test_missed_and_ended_calls_are_followed_by_rule(tenant: Tenant, number: PhoneNumber) -> None:
    rule(tenant, **SORRY)
    rule(tenant, **THANKS)
    call(tenant, "1", "call.failed", status="no-answer")
    call(tenant, "2", "call.failed", status="no-answer")  # again within the hour
    call(tenant, "3", "call.completed", duration=7, **{"from": "+15555550111"})
    call(tenant, "4", "call.failed", direction="outbound", **{"from": OURS, "to": "+15555550112"})
    call(tenant, "5", "call.failed", **{"from": "anonymous"})
    call(tenant, "6", "call.failed", **{"from": "+15555550113", "to": "+15559999999"})
    assert messages() == [
        (OURS, CALLER, f"Sorry, {CALLER}! {OURS} calls back.", "rule"),
        (OURS, "+15555550111", "7 s", "rule"),
    ]


def test_a_call_is_followed_once(tenant: Tenant, number: PhoneNumber) -> None:
    rule(tenant, **SORRY, repeat_after_minutes=0)
    rule(tenant, **SORRY | {"text": "Another"}, repeat_after_minutes=0, position=200)
    happening = {"sid": "CA1", "direction": "inbound", "from": CALLER, "to": OURS}
    for key in ("1", "2"):
        happened(tenant, key, "call.failed", **happening)
    call(tenant, "3", "call.failed")
    assert [body[:5] for _, _, body, _ in messages()] == ["Sorry", "Sorry"]


@pytest.mark.parametrize(
    ("conditions", "data", "sent"),
    [
        ({}, {}, True),
        ({"enabled": False}, {}, False),
        ({"numbers": [OURS]}, {}, True),
        ({"numbers": ["+15550002000"]}, {}, False),
        ({"statuses": ["busy", "no-answer"]}, {"status": "busy"}, True),
        ({"statuses": ["busy"]}, {"status": "no-answer"}, False),
        ({"direction": Direction.OUTBOUND}, {}, False),
        ({"direction": None}, {}, True),
        ({"text": '{{ contact.name | default("you") }}'}, {}, True),
    ],
)
def test_conditions(
    tenant: Tenant, number: PhoneNumber, conditions: Any, data: Any, sent: bool
) -> None:
    rule(tenant, **SORRY | conditions)
    call(tenant, "1", "call.failed", **data)
    assert len(messages()) == sent


def test_who_was_not_reached_gets_one_too(tenant: Tenant, number: PhoneNumber) -> None:
    rule(tenant, **SORRY, direction=Direction.OUTBOUND)
    call(tenant, "1", "call.failed", direction="outbound", **{"from": OURS, "to": CALLER})
    assert messages() == [(OURS, CALLER, f"Sorry, {CALLER}! {OURS} calls back.", "rule")]


@pytest.mark.parametrize("template", [True, False])
def test_by_whatsapp(tenant: Tenant, number: PhoneNumber, template: bool) -> None:
    filled = {"name": "sorry", "language": "en", "parameters": ["{{ caller }}"]}
    said = {"text": None, "whatsapp_template": filled} if template else {}
    rule(tenant, **SORRY | {"channel": "whatsapp"} | said)
    call(tenant, "1", "call.failed")
    messages()
    with transaction() as session:
        message = session.scalars(select(Message)).one()
    assert (message.channel, message.to_address, message.origin) == ("whatsapp", CALLER, "rule")
    if template:
        (body,) = message.content["template"]["components"]
        assert body["parameters"] == [{"type": "text", "text": CALLER}]


def test_what_a_caller_is_called_stays_text(tenant: Tenant, number: PhoneNumber) -> None:
    with transaction() as session:
        contact = contacts.find_or_create(session, tenant.id, contacts.PHONE, CALLER, "Ann")
        contact.name = "{{ number }}${x}"
    rule(tenant, **SORRY | {"text": 'Hi {{ contact.name | default("") }}'})
    call(tenant, "1", "call.failed")
    assert messages()[0][2] == "Hi {{ number }}${x}"


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
