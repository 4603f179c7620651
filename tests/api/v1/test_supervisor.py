"""Supervisors over REST: what is under way, who may be where, and what the engine is told."""

from collections.abc import Callable
from typing import Any
from uuid import uuid4

import pytest
from sqlalchemy import select

from irisx.kernel.clock import now
from irisx.kernel.db import transaction
from irisx.kernel.errors import Conflict
from irisx.kernel.ids import call_sid
from irisx.telephony.bus import Command
from irisx.telephony.calls.models import Call
from irisx.telephony.calls.states import CallStatus, Direction
from irisx.telephony.supervision.models import SupervisionRecord
from irisx.telephony.supervision.state import Mode, Status
from irisx.tenancy import agents, sip_accounts
from irisx.tenancy.access import SYSTEM
from irisx.tenancy.models import AuditEntry, Tenant
from tests.api.client import ApiClient
from tests.telephony.bus_engine import serving


def stored(tenant: Tenant, status: CallStatus = CallStatus.IN_PROGRESS) -> Call:
    with transaction() as session:
        call = Call(
            id=uuid4(),
            initiated_at=now(),
            tenant_id=tenant.id,
            direction=Direction.INBOUND,
            status=status,
            from_number="+15550009999",
            to_number="+15550001000",
            answered_at=now() if status is CallStatus.IN_PROGRESS else None,
            node="fs1",
        )
        session.add(call)
    return call


def ask(client: ApiClient, call: Call, act: str, body: Any, status: int = 200) -> Any:
    path = f"/v1/supervisor/calls/{call_sid(call.id)}/{act}"
    return client.post(path, body, status=status)


def test_an_empty_system_has_no_calls(client: ApiClient) -> None:
    answer = client.get("/v1/supervisor/calls")
    assert answer["data"] == {"calls": [], "pagination": {"limit": 50, "offset": 0, "total": 0}}


def test_live_calls_are_listed_with_their_supervisors(client: ApiClient, tenant: Tenant) -> None:
    stored(tenant, CallStatus.COMPLETED)
    ringing, talking = stored(tenant, CallStatus.RINGING), stored(tenant)
    with transaction() as session:
        for who, status in (("+15550002000", Status.ACTIVE), ("sip_9", Status.ENDED)):
            session.add(
                SupervisionRecord(
                    id=uuid4(),
                    tenant_id=tenant.id,
                    call_id=talking.id,
                    node="fs1",
                    supervisor=who,
                    mode=Mode.WHISPER,
                    status=status,
                    started_at=now(),
                )
            )
    first, second = client.get("/v1/supervisor/calls")["data"]["calls"]
    assert (first["sid"], first["duration"]) == (call_sid(ringing.id), None)
    assert second["duration"] in (0, 1)
    assert [(each["supervisor"], each["mode"]) for each in second["supervisors"]] == [
        ("+15550002000", "whisper")
    ]


@pytest.mark.parametrize("act", ["listen", "whisper", "barge", "takeover"])
def test_the_engine_is_told_and_the_act_audited(
    client: ApiClient, tenant: Tenant, act: str
) -> None:
    call = stored(tenant)

    def answer(command: Command) -> dict[str, Any]:
        return {"leg": str(uuid4()), "mode": command.args["mode"], "status": "ringing"}

    with serving() as engine:
        engine.answer = answer
        told = ask(client, call, act, {"to": "+15550002000"})
    assert told == {"sid": call_sid(call.id), "mode": act, "status": "ringing"}
    assert engine.received[0].verb == "supervise"
    assert engine.received[0].args == {"mode": act, "supervisor": "+15550002000"}
    with transaction() as session:
        entry = session.scalars(select(AuditEntry).where(AuditEntry.action == f"call.{act}")).one()
    assert (entry.target, entry.after) == (call_sid(call.id), {"supervisor": "+15550002000"})


def test_an_agent_is_rung_by_id(client: ApiClient, tenant: Tenant) -> None:
    account = sip_accounts.create(SYSTEM, tenant.id, name="Desk").row
    agent = agents.create(
        SYSTEM, tenant.id, name="Ann", contact={"type": "sip", "sip_account_id": account.id}
    )
    with serving() as engine:
        engine.answer = lambda command: {"leg": "", "mode": "listen", "status": "active"}
        ask(client, stored(tenant), "listen", {"supervisor_id": agent.public_id})
        ask(client, stored(tenant), "stop", {"supervisor_id": account.public_id})
    assert [command.args["supervisor"] for command in engine.received] == [
        agent.public_id,
        account.public_id,
    ]


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "body"),
        ({"to": "+15550002000", "supervisor_id": "sip_1"}, "body"),
        ({"to": "911"}, "to"),
        ({"to": "flow_1"}, "to"),
        ({"to": "queue_1"}, "to"),
        ({"to": "sip:a@127.0.0.1"}, "to"),
        ({"to": "${system(id)}"}, "to"),
        ({"supervisor_id": "agent_1"}, "supervisor_id"),
        ({"supervisor_id": "usr_1"}, "supervisor_id"),
        ({"to": 5}, "to"),
    ],
)
def test_nobody_who_can_supervise(
    client: ApiClient, tenant: Tenant, body: dict[str, Any], field: str
) -> None:
    answer = ask(client, stored(tenant), "listen", body, status=400)
    assert answer["code"] == "VALIDATION_ERROR"
    assert [fault["field"] for fault in answer["details"]] == [field]


def test_a_foreign_agent_is_nobody(
    client: ApiClient, tenant: Tenant, make_tenant: Callable[..., Tenant]
) -> None:
    theirs = sip_accounts.create(SYSTEM, make_tenant("Other").id, name="Desk").row
    answer = ask(client, stored(tenant), "listen", {"supervisor_id": theirs.public_id}, status=400)
    assert answer["details"][0]["field"] == "supervisor_id"


def test_a_call_that_is_not_talking_can_t_be_supervised(client: ApiClient, tenant: Tenant) -> None:
    for status in (CallStatus.RINGING, CallStatus.COMPLETED):
        body = {"to": "+15550002000"}
        assert ask(client, stored(tenant, status), "barge", body, status=409)["code"] == (
            "CALL_NOT_ACTIVE"
        )


def test_what_the_engine_refuses_is_passed_on(client: ApiClient, tenant: Tenant) -> None:
    def refuse(command: Command) -> dict[str, Any]:
        raise Conflict("This supervisor is not on the call.", code="NOT_SUPERVISING")

    with serving() as engine:
        engine.answer = refuse
        answer = ask(client, stored(tenant), "stop", {"to": "+15550002000"}, status=409)
    assert answer["code"] == "NOT_SUPERVISING"
