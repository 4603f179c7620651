"""The sandbox over real SIP and RTP: a first-run installation with a softphone and a trunk."""

from collections.abc import Iterator

import pytest

from irisx.telephony.carriers import SCRIPTED
from irisx.tenancy.models import PhoneNumber, Tenant
from tests.contract.rig import Machine, Rig, rig
from tests.contract.sandbox import sandbox_switch
from tests.sipp import Sipp, needs_sipp
from tests.switches import free_ports
from tests.waiting import wait_until

pytest.importorskip("baresip", reason="no baresip-python for this platform")
pytestmark = needs_sipp


@pytest.fixture
def sip_port() -> int:
    return free_ports(1)[0]


@pytest.fixture
def line(sip_port: int, tenant: Tenant, number: PhoneNumber) -> Iterator[Rig]:
    with (
        sandbox_switch("--sip", f"127.0.0.1:{sip_port}") as url,
        rig(Machine(url, None), tenant, number.number) as made,
    ):
        yield made


def test_a_sandbox_carrier_leads_to_a_real_sip_address(line: Rig) -> None:
    phone = Sipp("uas_stays", hold_ms=50, arguments=("-rtp_echo",))
    line.far_ends.append(phone)
    carrier = line.carrier("+15550003000", phone.port)
    wait_until(lambda: f"{phone.port}" in line.told(f"sofia status gateway {carrier.gateway}"))
    call_id = line.place("+15550003000")
    line.wait_status(call_id, "in-progress")
    assert phone.wait_for("INVITE sip:+15550003000@")
    line.command(call_id, "end")
    line.wait_status(call_id, "completed")


def test_a_sip_caller_reaches_a_number(line: Rig, sip_port: int) -> None:
    called = line.destination("+15550002000", {"type": "number", "to": "+15555550108"})
    line.carrier("+15555550108", 5060, host=SCRIPTED)
    with Sipp("uac_softphone", f"127.0.0.1:{sip_port}", service=called, hold_ms=1200) as caller:
        row = wait_until(lambda: next(iter(line.rows()), None), 10)
        call = line.wait_status(row.id, "completed", timeout=20)
    assert caller.result.successful == 1
    assert call.duration_ms is not None and call.duration_ms > 1000
