"""The engine dies, the connection is cut, the switch restarts: no call is lost or dialled twice.

The engine runs as a process of its own here, so that it can be killed in earnest.
"""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from uuid import UUID

import pytest

from irisx.kernel import health
from irisx.kernel.errors import Conflict
from irisx.kernel.redis import redis
from irisx.settings import get_settings
from irisx.tenancy.models import PhoneNumber, Tenant
from tests.contract.rig import ALSO_STAYS, ANSWERS, BUSY, RINGS, STAYS, STAYS_TOO, Line, Machine
from tests.waiting import wait_until


class EngineProcess:
    """`irisx engine` as a process; `kill` is SIGKILL."""

    def __init__(self, machine: Machine) -> None:
        settings = get_settings()
        sandbox = machine.freeswitch is None
        self._environment = {
            **os.environ,
            "IRISX_ESL_URL": "" if sandbox else machine.url,
            "IRISX_SANDBOX_ESL_URL": machine.url if sandbox else "",
            "IRISX_HOME": str(settings.home),
        }
        self.process: subprocess.Popen[bytes] | None = None

    def launch(self) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "irisx", "engine"], env=self._environment
        )

    def start(self) -> None:
        self.launch()
        wait_until(self.in_control, 30)

    def is_ready(self) -> bool:
        """Whether this very process runs, in control or waiting for it."""
        assert self.process is not None
        said = health.readiness("engine")
        return said is not None and said.pid == self.process.pid

    def in_control(self) -> bool:
        """Whether this very process holds the node."""
        assert self.process is not None
        held = [redis().get(key) for key in redis().keys("irisx:node:*")]
        return any(value and f'"pid": {self.process.pid}' in value.decode() for value in held)

    def kill(self) -> None:
        assert self.process is not None
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()

    def stop(self) -> None:
        if self.process is not None and self.process.poll() is None:
            self.process.terminate()
            self.process.send_signal(signal.SIGCONT)
            self.process.wait(timeout=10)


@contextmanager
def engine_process(machine: Machine) -> Iterator[EngineProcess]:
    engine = EngineProcess(machine)
    engine.start()
    try:
        yield engine
    finally:
        engine.stop()


@pytest.fixture
def line(running_switch: Machine, tenant: Tenant, number: PhoneNumber) -> Iterator[Line]:
    with Line.on(running_switch, tenant, number.number) as made:
        yield made


@pytest.fixture
def engine(running_switch: Machine, line: Line) -> Iterator[EngineProcess]:
    with engine_process(running_switch) as started:
        yield started


def restart(engine: EngineProcess) -> None:
    engine.kill()
    engine.start()


def once(line: Line, call_id: UUID, type: str) -> None:
    wait_until(lambda: line.timeline(call_id).count(type) == 1)


def test_a_talking_call_goes_on_and_ends_right(line: Line, engine: EngineProcess) -> None:
    call_id = line.place(line.far_end(STAYS))
    before = line.wait_status(call_id, "in-progress")
    restart(engine)
    line.command(call_id, "end")
    after = line.wait_status(call_id, "completed")
    assert after.answered_at == before.answered_at
    assert line.timeline(call_id).count("call.answered") == 1
    assert line.domain_events(call_id).count("call.answered") == 1


def test_a_ringing_call_can_be_ended_afterwards(line: Line, engine: EngineProcess) -> None:
    call_id = line.place(line.far_end(RINGS))
    line.wait_status(call_id, "ringing")
    restart(engine)
    line.command(call_id, "end")
    assert line.wait_status(call_id, "canceled").answered_at is None


def test_what_ended_meanwhile_has_the_switchs_own_times(line: Line, engine: EngineProcess) -> None:
    call_id = line.place(line.far_end(ANSWERS))
    line.wait_status(call_id, "in-progress")
    engine.kill()
    wait_until(lambda: not line.switch_channels(), 10)
    engine.start()
    call = line.wait_status(call_id, "completed")
    assert call.reason == "NORMAL_CLEARING"
    assert call.duration_ms is not None and 800 < call.duration_ms < 6500
    wait_until(lambda: not line.kept_ends())


def test_a_call_stored_while_no_engine_was_there_is_dialled_once(
    line: Line, engine: EngineProcess
) -> None:
    far_end = line.far_end(ANSWERS)
    engine.kill()
    call_id = line.place(far_end)
    engine.start()
    line.wait_status(call_id, "completed", timeout=20)
    assert line.timeline(call_id).count("call.attempted") == 1


def test_a_conversation_goes_on_and_can_be_transferred(line: Line, engine: EngineProcess) -> None:
    partner = {"type": "number", "to": line.far_end(ALSO_STAYS)}
    call_id = line.place(line.far_end(STAYS), options={"on_answer": partner})
    line.wait_line(call_id, "call.bridged")
    restart(engine)
    assert len(line.switch_channels()) == 2
    other = line.far_end(ANSWERS)
    line.command(call_id, "transfer", to={"type": "number", "to": other})
    line.wait_status(call_id, "completed", timeout=20)


def test_a_call_that_comes_in_without_an_engine_is_recorded_as_missed(
    line: Line, engine: EngineProcess
) -> None:
    called = line.destination("+15550002000", {"type": "number", "to": line.far_end(STAYS)})
    engine.kill()
    caller = line.call_in(called, hold_ms=200)
    wait_until(lambda: line.switch_channels())
    wait_until(lambda: not line.switch_channels(), 30)
    engine.start()
    row = wait_until(lambda: next(iter(line.rows()), None))
    call = line.wait_status(row.id, "no-answer")
    assert (call.reason, call.to_number) == ("NO_ENGINE", called)
    assert caller is not None


def test_a_caller_who_waits_is_taken_by_the_engine_that_comes_back(
    line: Line, engine: EngineProcess, running_switch: Machine
) -> None:
    called = line.destination("+15550002000", {"type": "number", "to": line.far_end(STAYS)})
    second = EngineProcess(running_switch)
    second.launch()  # what starts as late as this machine lets it would find the caller gone
    try:
        wait_until(second.is_ready, 30)
        assert second.process is not None
        second.process.send_signal(signal.SIGSTOP)
        engine.kill()
        line.call_in(called, hold_ms=1500)
        wait_until(line.switch_channels)
        second.process.send_signal(signal.SIGCONT)
        row = wait_until(lambda: next(iter(line.rows()), None), 10)
        line.wait_status(row.id, "completed", timeout=20)
        line.wait_line(row.id, "call.bridged")
    finally:
        second.stop()


def test_two_engines_never_hold_one_node(
    line: Line, engine: EngineProcess, running_switch: Machine
) -> None:
    second = EngineProcess(running_switch)
    second.launch()
    try:
        call_id = line.place(line.far_end(ANSWERS))
        line.wait_status(call_id, "completed", timeout=20)
        assert engine.in_control() and not second.in_control()
        engine.kill()
        wait_until(second.in_control, 10)
    finally:
        second.stop()


def _conversation(line: Line) -> tuple[UUID, str]:
    """A customer who talks to somebody: the call, and the partner's channel."""
    partner = {"type": "number", "to": line.far_end(ALSO_STAYS)}
    call_id = line.place(line.far_end(STAYS), options={"on_answer": partner, "ring_timeout_s": 30})
    line.wait_line(call_id, "call.bridged")
    wait_until(lambda: len(line.switch_channels()) == 2)  # FreeSWITCH's list is late
    (other,) = set(line.switch_channels()) - {str(call_id)}
    return call_id, other


def test_a_customer_on_hold_is_still_on_hold(line: Line, engine: EngineProcess) -> None:
    call_id, partner = _conversation(line)
    line.command(call_id, "hold")
    restart(engine)
    line.command(call_id, "unhold")
    wait_until(lambda: line.timeline(call_id).count("call.bridged") == 2, 10)
    line.told(f"uuid_kill {partner}")
    line.wait_status(call_id, "completed")


@pytest.mark.parametrize("third", [STAYS_TOO, RINGS])
def test_a_consultation_goes_on(line: Line, engine: EngineProcess, third: str) -> None:
    call_id, partner = _conversation(line)
    line.command(call_id, "consult", to={"type": "number", "to": line.far_end(third)})
    wait_until(lambda: len(line.switch_channels()) == 3, 10)
    if third == STAYS_TOO:
        line.wait_line(call_id, "consult.connected")
    restart(engine)
    with pytest.raises(Conflict, match="under way"):
        line.command(call_id, "consult", to={"type": "number", "to": line.far_end(BUSY)})
    line.command(call_id, "consult_cancel")
    wait_until(lambda: line.timeline(call_id).count("call.bridged") == 2, 10)
    wait_until(lambda: set(line.switch_channels()) == {str(call_id), partner}, 10)
    line.command(call_id, "end")
    line.wait_status(call_id, "completed")
    wait_until(lambda: not line.switch_channels(), 10)
