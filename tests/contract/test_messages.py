"""What calls and messages have of each other: a flow knows its caller, and texts them."""

from sqlalchemy import select

from irisx.kernel.db import transaction
from irisx.messaging.contacts import service
from irisx.messaging.contacts.reactions import note_calls
from irisx.messaging.models import Message
from irisx.messaging.rules.reactions import send_what_calls_ask_for
from irisx.tenancy.access import SYSTEM
from tests.contract.rig import Rig
from tests.contract.test_ivr import call_in, ended, node
from tests.waiting import wait_until


def test_a_flow_knows_its_caller_and_sends_them_a_message(line: Rig) -> None:
    caller = "+15550009999"  # as `Rig.call_in` calls
    contact = service.create(
        SYSTEM,
        line.tenant.id,
        name="Ann",
        attributes={"tier": "gold"},
        identities=[("phone", caller)],
    )
    gold = {"value": "contact.tier", "is": "equal", "to": "gold"}
    vip = {"cases": [{"branch": "vip", "when": gold}]}
    call_id = call_in(
        line,
        node("tier", "condition", vip, branches={"vip": "text", "default": "bye"}),
        node("text", "send_sms", {"text": "Hello {{ contact.name }}"}, next="bye"),
        node("bye", "hangup"),
    )
    assert ended(line, call_id) == [("tier", "vip"), ("text", "next"), ("bye", "end")]

    def sent() -> Message | None:
        send_what_calls_ask_for()
        with transaction() as session:
            return session.scalar(select(Message))

    message = wait_until(sent, 10)
    assert (message.to_address, message.body, message.origin) == (caller, "Hello Ann", "ivr")
    assert message.contact_id == contact.row.id

    def noted() -> bool:
        note_calls()
        return service.activities(line.tenant.id, contact.row.id, limit=9, offset=0)[1] == 1

    wait_until(noted, 15)
