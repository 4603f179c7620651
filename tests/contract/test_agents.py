"""People's phones: they register, are rung, and call out. On FreeSWITCH only: the sandbox has no
registrar."""

import re
from collections.abc import Iterator
from uuid import uuid4

import pytest

from irisx.kernel.db import transaction
from irisx.telephony.calls.models import Recording, RecordingStatus
from irisx.telephony.ivr import messages
from irisx.telephony.ivr.visit_models import Message
from irisx.tenancy import agents as tenancy_agents
from irisx.tenancy import sip_accounts
from irisx.tenancy.access import SYSTEM
from irisx.tenancy.agent_models import AgentStatus
from irisx.tenancy.models import PhoneNumber, Tenant
from tests.contract import acd
from tests.contract.rig import STAYS, Machine, Rig, machine, rig
from tests.sipp import Sipp, needs_sipp
from tests.switches import needs_freeswitch
from tests.waiting import wait_until

pytestmark = [needs_freeswitch, needs_sipp]


@pytest.fixture(scope="module")
def freeswitch() -> Iterator[Machine]:
    with machine("freeswitch") as started:
        yield started


@pytest.fixture
def line(freeswitch: Machine, tenant: Tenant, number: PhoneNumber) -> Iterator[Rig]:
    with rig(freeswitch, tenant, number.number) as made:
        yield made


@pytest.fixture
def account(tenant: Tenant) -> sip_accounts.Issued:
    return sip_accounts.create(SYSTEM, tenant.id, name="Ann's phone")


def agents(line: Rig) -> str:
    assert line.freeswitch is not None
    return f"127.0.0.1:{line.freeswitch.sip_agent_port}"


def register(line: Rig, account: sip_accounts.Issued, phone: Sipp) -> None:
    who = {"caller": account.row.username, "password": account.password, "contact": phone.port}
    with Sipp("uac_register", agents(line), **who):
        pass


def test_a_registered_phone_is_rung_for_its_agent(line: Rig, account: sip_accounts.Issued) -> None:
    with Sipp("uas_notified") as phone:  # it is told of its mailbox as soon as it registers
        register(line, account, phone)
    port = phone.port
    called = line.destination("+15550002000", {"type": "agent", "id": account.row.public_id})
    line.far_ends.append(Sipp("uas_stays", hold_ms=50, port=port))
    line.call_in(called, hold_ms=1200)
    row = wait_until(lambda: next(iter(line.rows()), None))
    call = line.wait_status(row.id, "completed", timeout=20)
    assert call.duration_ms is not None and call.duration_ms > 800
    assert "call.bridged" in line.timeline(call.id)


@pytest.mark.parametrize("mailbox", [None, "sales"])
def test_a_phone_is_told_of_the_messages_in_its_mailbox(
    line: Rig, tenant: Tenant, mailbox: str | None
) -> None:
    account = sip_accounts.create(SYSTEM, tenant.id, name="Bo's phone", mailbox=mailbox)
    phone = Sipp("uas_notified", calls=20)
    line.far_ends.append(phone)

    def told(*summaries: str) -> None:
        """That these came, in this order, and nothing else."""

        def bodies() -> list[str]:
            found = (re.search(r"Voice-Message: (\d/\d) ", each) for each in phone.messages())
            return [match[1] for match in found if match]

        wait_until(lambda: bodies() == list(summaries), 15)

    register(line, account, phone)
    told("0/0")

    message = voicemail(tenant, mailbox or account.row.public_id)
    voicemail(tenant, "somebody-elses")
    messages.announce()
    told("0/0", "1/0")
    assert "Messages-Waiting: yes" in phone.messages()[-2]
    messages.mark(SYSTEM, tenant.id, message, heard=True)
    told("0/0", "1/0", "0/1")
    register(line, account, phone)
    told("0/0", "1/0", "0/1", "0/1")
    messages.delete(SYSTEM, tenant.id, message)
    told("0/0", "1/0", "0/1", "0/1", "0/0")


def voicemail(tenant: Tenant, mailbox: str) -> int:
    """A message that is whole, and not told of yet; its key."""
    path = f"{uuid4()}-flow1.wav"
    call = {"tenant_id": tenant.id, "call_id": uuid4(), "path": path}
    with transaction() as session:
        session.add(
            Recording(**call, status=RecordingStatus.COMPLETED, duration_ms=3000, size_bytes=1)
        )
        message = Message(**call, mailbox=mailbox, min_ms=1000, from_number="+15550001111")
        session.add(message)
    return message.id


def test_an_agent_calls_out_with_the_tenants_number(
    line: Rig, account: sip_accounts.Issued
) -> None:
    far_end = line.far_end(STAYS)
    contact = {"type": "sip", "sip_account_id": account.row.id}
    ann = tenancy_agents.create(SYSTEM, line.tenant.id, name="Ann", contact=contact)
    tenancy_agents.set_status(SYSTEM, line.tenant.id, ann.id, AgentStatus.AVAILABLE, None)
    phone = Sipp(
        "uac_auth",
        agents(line),
        caller=account.row.username,
        password=account.password,
        service=far_end,
        hold_ms=2000,
    )
    row = wait_until(lambda: next(iter(line.rows()), None))
    assert acd.wait_status(line, ann, "busy").activity_call == row.id  # for the queues too
    call = line.wait_status(row.id, "completed", timeout=20)
    acd.wait_status(line, ann, "available")
    assert (call.direction.value, call.from_number, call.to_number) == (
        "outbound",
        line.number,
        far_end,
    )
    assert phone.result.successful == 1


def test_an_agent_may_not_call_where_the_tenant_may_not(
    line: Rig, account: sip_accounts.Issued
) -> None:
    Sipp(
        "uac_auth",
        agents(line),
        caller=account.row.username,
        password=account.password,
        service="+882991234567",
    )
    row = wait_until(lambda: next(iter(line.rows()), None))
    assert line.wait_status(row.id, "failed").reason == "CALL_REJECTED"


def test_an_unregistered_agent_ends_the_call(line: Rig, account: sip_accounts.Issued) -> None:
    called = line.destination("+15550002000", {"type": "agent", "id": account.row.public_id})
    caller = line.call_in(called)
    row = wait_until(lambda: next(iter(line.rows()), None))
    assert line.wait_status(row.id, "failed").reason == "USER_NOT_REGISTERED"
    assert caller.responses[-1] >= 400
