"""Every contract scenario runs on every switch that is on the machine."""

from collections.abc import Iterator

import pytest

from irisx.tenancy.models import PhoneNumber, Tenant
from tests.contract.rig import Machine, Rig, machine, rig
from tests.sipp import needs_sipp
from tests.switches import needs_freeswitch

SWITCHES = [
    pytest.param("freeswitch", marks=[needs_freeswitch, needs_sipp]),
    pytest.param("sandbox"),
]


@pytest.fixture(scope="session", params=SWITCHES)
def running_switch(request: pytest.FixtureRequest) -> Iterator[Machine]:
    with machine(request.param) as started:
        yield started


@pytest.fixture
def line(running_switch: Machine, tenant: Tenant, number: PhoneNumber) -> Iterator[Rig]:
    """An engine on a switch, with far ends to call."""
    with rig(running_switch, tenant, number.number) as made:
        yield made
