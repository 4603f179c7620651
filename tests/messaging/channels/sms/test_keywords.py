"""STOP, START, HELP."""

from typing import Any

import pytest
from sqlalchemy import select

from irisx.kernel.db import transaction
from irisx.kernel.errors import Conflict
from irisx.messaging.models import Message
from irisx.messaging.provider import Inbound
from irisx.messaging.receiving import store
from irisx.messaging.states import MessageStatus
from irisx.messaging.suppressions import suppressed
from irisx.tenancy.models import Tenant
from tests.messaging.pipeline import sent_until, text

CUSTOMER, OURS = "+15555550122", "+15550001000"
pytestmark = pytest.mark.usefixtures("number")


def says(tenant: Tenant, body: str, sender: str = CUSTOMER) -> list[Message]:
    """The customer writes; what we answer."""
    with transaction() as session:
        before = set(session.scalars(select(Message.id)))
        inbound = Inbound("r", from_=sender, to=OURS, body=body)
        store(session, tenant.id, "sms", inbound, provider="sandbox", account_id=None, exchange={})
        sent = select(Message).where(Message.direction == "outbound", Message.id.not_in(before))
        return list(session.scalars(sent))


@pytest.mark.parametrize("word", ["STOP", "stop", " Stop. ", "UNSUBSCRIBE", "opt  out"])
def test_stop_is_confirmed_once_and_nothing_follows_it(tenant: Tenant, word: str) -> None:
    (answer,) = says(tenant, word)
    assert "opted out" in answer.body
    assert sent_until(answer, MessageStatus.DELIVERED).to_address == CUSTOMER
    assert says(tenant, word) == []
    with pytest.raises(Conflict):
        text(tenant.id, CUSTOMER)


def test_start_lets_them_come_again(tenant: Tenant) -> None:
    says(tenant, "STOP")
    (answer,) = says(tenant, "START")
    assert "again" in answer.body
    text(tenant.id, CUSTOMER)
    assert says(tenant, "START") == []


def test_start_lifts_no_suppression_but_an_opt_out(tenant: Tenant) -> None:
    from irisx.messaging import suppressions
    from irisx.tenancy.access import SYSTEM

    suppressions.add(SYSTEM, tenant.id, "sms", CUSTOMER)
    assert says(tenant, "START") == []
    with pytest.raises(Conflict):
        text(tenant.id, CUSTOMER)


def test_help_is_answered(tenant: Tenant) -> None:
    assert [m.body for m in says(tenant, "Help!")] == ["Reply STOP to get no more messages."]


@pytest.mark.parametrize("body", ["Please stop calling", "", "stopp", "END OF STORY", "?"])
def test_a_sentence_is_no_keyword(tenant: Tenant, body: str) -> None:
    assert says(tenant, body) == []
    text(tenant.id, CUSTOMER)


def test_a_name_is_not_answered(tenant: Tenant) -> None:
    assert says(tenant, "HELP", sender="ACME") == []


def test_a_tenant_whose_carrier_answers_says_nothing(make_tenant: Any) -> None:
    quiet = make_tenant("Quiet", sms_stop_reply=None)
    assert says(quiet, "STOP") == []
    key = (quiet.id, "sms", CUSTOMER)
    with transaction() as session:
        assert suppressed(session, [key]) == {key: "opt_out"}
