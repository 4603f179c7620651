"""Several FreeSWITCH nodes under one engine."""

import os
import signal
from collections.abc import Iterator
from contextlib import ExitStack

import gevent
import pytest

from irisx.kernel.redis import redis
from irisx.settings import get_settings
from irisx.telephony.engine import Engine
from irisx.tenancy.models import PhoneNumber, Tenant
from tests.contract.rig import STAYS, DatabaseProvisioner, Line, Machine
from tests.sipp import needs_sipp
from tests.switches import FreeSwitch, needs_freeswitch
from tests.waiting import wait_until

pytestmark = [needs_freeswitch, needs_sipp]


@pytest.fixture
def nodes() -> Iterator[list[FreeSwitch]]:
    with ExitStack() as stack:
        provisioner = stack.enter_context(DatabaseProvisioner())
        yield [stack.enter_context(FreeSwitch(api_url=provisioner.url)) for _ in range(2)]


@pytest.fixture
def engine(nodes: list[FreeSwitch]) -> Iterator[Engine]:
    settings = get_settings()
    settings.esl_url = ",".join(node.esl_url for node in nodes)
    settings.sandbox_esl_url = None
    engine = Engine()
    greenlet = gevent.spawn(engine.run)
    wait_until(lambda: len(engine.held) == 2, 15)
    yield engine
    engine.stop.set()
    greenlet.join(timeout=5)


def test_calls_are_spread_a_node_is_drained_and_one_that_dies_takes_only_its_own(
    nodes: list[FreeSwitch], engine: Engine, tenant: Tenant, number: PhoneNumber
) -> None:
    first, second = engine.switches
    machine = Machine(nodes[0].esl_url, nodes[0])
    with Line.on(machine, tenant, number.number) as line:
        far_end = line.far_end(STAYS, calls=12)
        wait_until(lambda: "carrier_" in nodes[1].api("global_getvar irisx_gateways"), 10)

        calls = [line.place(far_end) for _ in range(6)]
        for call_id in calls:
            line.wait_status(call_id, "in-progress")
        assert len(first.calls) == len(second.calls) == 3

        redis().sadd("irisx:draining", second.name)
        wait_until(lambda: second.draining)
        later = [line.place(far_end) for _ in range(3)]
        for call_id in later:
            line.wait_status(call_id, "in-progress")
        assert (len(first.calls), len(second.calls)) == (6, 3)

        doomed = {call.id for call in second.calls.values()}
        os.kill(nodes[1].pid, signal.SIGKILL)
        wait_until(lambda: not second.connection.up, 10)
        nodes[1].stop()
        nodes[1].start()
        for call_id in doomed:
            assert line.wait_status(call_id, "completed", timeout=30).reason == "NODE_RESTARTED"
        for call_id in {*calls, *later} - doomed:
            assert line.row(call_id).status.value == "in-progress"
            line.command(call_id, "end")
            line.wait_status(call_id, "completed")
