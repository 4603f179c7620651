"""Agents who are reached by the phone that they register, over UDP or a secure web socket, take
callers of a queue. On FreeSWITCH only: the sandbox has no registrar."""

from collections.abc import Iterator

import pytest

from irisx.tenancy import agents, sip_accounts
from irisx.tenancy.access import SYSTEM
from irisx.tenancy.agent_models import Agent, AgentStatus
from irisx.tenancy.models import PhoneNumber, Tenant
from tests.contract import acd
from tests.contract.rig import STAYS, DatabaseProvisioner, Machine, Rig, rig
from tests.contract.test_agents import register
from tests.contract.test_queues import LONG_MS, end_all
from tests.sipp import Sipp, needs_sipp
from tests.switches import FreeSwitch, free_ports, needs_freeswitch
from tests.wss_phone import WssPhone

pytestmark = [needs_freeswitch, needs_sipp]


@pytest.fixture(scope="module")
def wss_port() -> int:
    return free_ports(1)[0]


@pytest.fixture(scope="module")
def freeswitch(wss_port: int) -> Iterator[Machine]:
    environment = {"IRISX_WSS_PORT": str(wss_port)}
    with (
        DatabaseProvisioner() as provisioner,
        FreeSwitch(api_url=provisioner.url, environment=environment) as started,
    ):
        yield Machine(started.esl_url, started)


@pytest.fixture
def line(freeswitch: Machine, tenant: Tenant, number: PhoneNumber) -> Iterator[Rig]:
    with rig(freeswitch, tenant, number.number) as made:
        yield made


@pytest.fixture
def account(tenant: Tenant) -> sip_accounts.Issued:
    return sip_accounts.create(SYSTEM, tenant.id, name="Ann's phone")


def agent_at(line: Rig, account: sip_accounts.Issued, kind: str) -> Agent:
    contact = {"type": kind, "sip_account_id": account.row.id}
    ann = agents.create(SYSTEM, line.tenant.id, name="Ann", contact=contact)
    agents.set_status(SYSTEM, line.tenant.id, ann.id, AgentStatus.AVAILABLE, None)
    return ann


def test_a_registered_phone_takes_a_caller_of_the_queue(
    line: Rig, account: sip_accounts.Issued
) -> None:
    ann = agent_at(line, account, "sip")
    queue = acd.queue(line, ann)
    with Sipp("uas_notified") as phone:  # it is told of its mailbox as soon as it registers
        register(line, account, phone)
    line.far_ends.append(Sipp("uas_stays", hold_ms=50, port=phone.port))
    line.call_in(acd.NUMBER, hold_ms=LONG_MS)
    assert acd.wait_record(queue, "talking").agent_id == ann.id
    acd.wait_status(line, ann, "busy")
    end_all(line)
    acd.wait_status(line, ann, "available")


def test_a_phone_that_is_not_registered_sends_the_caller_to_the_next_agent(
    line: Rig, account: sip_accounts.Issued
) -> None:
    ann, bob = agent_at(line, account, "sip"), acd.agent(line, line.far_end(STAYS))
    queue = acd.queue(line, ann, bob)
    line.call_in(acd.NUMBER, hold_ms=LONG_MS)
    assert acd.wait_record(queue, "talking").agent_id == bob.id
    missed, _ = acd.wait_offers(queue, "unreachable", "answered")
    assert missed.agent_id == ann.id
    end_all(line)


def test_a_browser_registers_and_is_rung_for_the_queue(
    line: Rig, account: sip_accounts.Issued, wss_port: int
) -> None:
    ann = agent_at(line, account, "webrtc")
    queue = acd.queue(line, ann)
    with WssPhone("127.0.0.1", wss_port, account.row.username, account.password) as phone:
        assert phone.register() == 200
        line.call_in(acd.NUMBER, hold_ms=LONG_MS)
        offer = phone.wait_invite()
    assert "a=fingerprint:" in offer and "RTP/SAVPF" in offer  # DTLS-SRTP, as browsers want it
    assert acd.wait_offers(queue, "rejected")[0].agent_id == ann.id
    end_all(line)


def test_a_browser_with_a_wrong_password_is_not_let_in(
    line: Rig, account: sip_accounts.Issued, wss_port: int
) -> None:
    with WssPhone("127.0.0.1", wss_port, account.row.username, "wrong") as phone:
        assert phone.register() == 403
