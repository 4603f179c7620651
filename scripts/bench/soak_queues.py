"""Traffic through two queues on the sandbox switch at a multiple of real time, and what it leaves.

Callers of every kind (talk, give up, leave by a key, ask for a callback, call an agent directly)
and agents of every kind (answer and stay, hang up, reject, are busy, ring on, log out at any
moment). Afterwards there must be no channel on the switch, no live call, wait or offer in the
database, no
agent in a call, nothing in the engine's memory, and as many greenlets and file descriptors as
before. The engine runs in this process, so that its greenlets can be counted. Ends with 1 where
something is left. The switch's clock and media run `speed` times faster, the engine's timers don't.
"""

# ruff: noqa: E402
from gevent import monkey

monkey.patch_all()

from psycogreen.gevent import patch_psycopg

patch_psycopg()

import gc
import logging
import os
import random
import sys
import tempfile
import time
from collections import Counter
from contextlib import ExitStack
from pathlib import Path

import gevent
import psutil
import structlog
from greenlet import greenlet
from sqlalchemy import func, select

from irisx import migrations
from irisx.kernel import db
from irisx.kernel.db import transaction
from irisx.kernel.embedded import databases
from irisx.kernel.redis import redis
from irisx.settings import get_settings
from irisx.telephony.acd.models import QueueCall, QueueCallStatus, QueueOffer, Strategy
from irisx.telephony.calls.models import Call
from irisx.telephony.calls.states import ENDED
from irisx.telephony.carriers import SCRIPTED
from irisx.telephony.engine import Engine
from irisx.telephony.esl.commands import Api
from irisx.tenancy import agents
from irisx.tenancy.access import SYSTEM
from irisx.tenancy.agent_models import Agent, AgentStatus, AgentWork
from irisx.tenancy.models import PhoneNumber, Tenant
from irisx.tenancy.settings import TenantSettings
from tests.contract import acd
from tests.contract.rig import Line, Machine, running_engine
from tests.contract.sandbox import sandbox_switch
from tests.waiting import wait_until

#: Far ends of agents (irisx/sandbox/farends.py), and how many have each.
AGENTS = {"0106": 12, "0100": 8, "0104": 2, "0102": 2, "0103": 2}
SALES, HELP, DIRECT = "+15550003000", "+15550003001", "+15550003002"
OPTIONS = {
    "ring_seconds": 5,
    "reject_delay_seconds": 1,
    "busy_delay_seconds": 1,
    "no_answer_delay_seconds": 1,
    "exit_key": "9",
    "callback_key": "1",
    "return_window_seconds": 1,
    "wrap_up_seconds": 1,
}
#: What callers do, and how often.
KINDS = {"talks": 70, "gives up": 10, "exit": 5, "callback": 5, "direct": 10}
SEED = 5
_WARM_UP_SECONDS = 20


def main() -> int:
    given = [float(each) for each in sys.argv[1:4]]
    minutes, speed, rate = given + [20.0, 20.0, 4.0][len(given) :]
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR))
    load = os.getloadavg()[0]
    with ExitStack() as parts:
        floor = Floor(parts, speed)
        before = floor.footprint()
        placed = floor.traffic(minutes * 60, rate)
        faults = floor.drained()
        after = floor.footprint()
        ended = floor.outcomes()
    hours = minutes / 60 * speed
    print(f"{sum(placed.values())} calls in {minutes:g} min = {hours:.1f} h of the switch's time")
    print(f"{dict(placed)}   in queues: {ended}")
    print(f"load {load:.1f}, {os.cpu_count()} CPUs")
    for name, value in after.items():
        print(f"{name:24} before {before[name]:8}   after {value:8}")
        if name != "RSS MB" and value > before[name]:
            faults.append(f"{value - before[name]} more {name}")
    for fault in faults:
        print(f"FAULT {fault}")
    return 1 if faults else 0


class Floor:
    """A sandbox switch, an engine, a tenant with two queues, and agents."""

    def __init__(self, parts: ExitStack, speed: float) -> None:
        self.random = random.Random(SEED)
        home = Path(parts.enter_context(tempfile.TemporaryDirectory(prefix="irisx-soak-")))
        urls = parts.enter_context(databases(home, durable=False))
        os.environ |= {
            "IRISX_HOME": str(home),
            "IRISX_DATABASE_URL": urls.database,
            "IRISX_REDIS_URL": urls.redis,
            "IRISX_SECRET_KEY": "only for a bench: 32 characters or more",
            "IRISX_TAPS_DIR": str(home / "taps"),
        }
        get_settings.cache_clear()
        migrations.upgrade(db.engine())
        url = parts.enter_context(sandbox_switch("--speed", str(speed)))
        machine = Machine(url, None)
        self.engine: Engine = parts.enter_context(running_engine(machine))
        settings = TenantSettings(max_concurrent_calls=10_000, max_cps=1000)
        with transaction() as session:
            tenant = Tenant(name="Soak", settings=settings.model_dump(mode="json"))
            session.add(tenant)
            session.flush()
            number = PhoneNumber(number="+15550001000", tenant_id=tenant.id)
            session.add(number)
        self.line = parts.enter_context(Line.on(machine, tenant, number.number))
        self.line.carrier("+1", 5060, host=SCRIPTED)
        self.agents = [
            acd.agent(self.line, f"+1555555{script}")
            for script, count in AGENTS.items()
            for _ in range(count)
        ]
        acd.queue(self.line, *self.agents, number=SALES, options=OPTIONS)
        ring_all = {"strategy": Strategy.RING_ALL, "options": OPTIONS | {"wrap_up_seconds": 0}}
        acd.queue(self.line, *self.agents[::3], number=HELP, **ring_all)
        self.line.destination(DIRECT, {"type": "agent", "id": self.agents[0].public_id})
        self.traffic(_WARM_UP_SECONDS, 10)  # until pools of connections have grown
        wait_until(self._quiet, 120, interval=0.5)

    # -- traffic ----------------------------------------------------------------------------------

    def traffic(self, seconds: float, rate: float) -> Counter[str]:
        """Calls at random moments, `rate` a second; how many of each kind."""
        placed: Counter[str] = Counter()
        began = time.monotonic()
        told = began
        while time.monotonic() - began < seconds:
            gevent.sleep(self.random.expovariate(rate))
            (kind,) = self.random.choices(list(KINDS), list(KINDS.values()))
            self._call(kind)
            placed[kind] += 1
            if self.random.random() < 0.2:
                self._move()
            if time.monotonic() - told > 60:
                told = time.monotonic()
                print(f"  {(told - began) / 60:4.0f} min  {self.footprint()}", flush=True)
        return placed

    def _call(self, kind: str) -> None:
        called = DIRECT if kind == "direct" else self.random.choice([SALES, SALES, HELP])
        stays = self.random.uniform(1, 6) if kind == "gives up" else self.random.uniform(20, 120)
        keys = {"exit": "9", "callback": "1"}.get(kind, "")
        digits = f" digits={keys} digits_at=2" if keys else ""
        caller = f"+1555{self.random.randrange(10**7):07}"
        self.line.observer.api(
            Api(f"sandbox_call {caller} {called} hangup_after={stays:.2f}{digits}")
        )

    def _move(self) -> None:
        """An agent goes away, logs out, or comes back: most of them are there."""
        agent = self.random.choice(self.agents)
        choices = [AgentStatus.AVAILABLE] * 4 + [AgentStatus.AWAY, AgentStatus.OFFLINE]
        status = self.random.choice(choices)
        agents.set_status(SYSTEM, self.line.tenant.id, agent.id, status, None)

    # -- what is left -----------------------------------------------------------------------------

    def _quiet(self) -> bool:
        live = self._counted(Call, Call.status.not_in(ENDED))
        return not live and not self.line.switch_channels()

    def drained(self) -> list[str]:
        """Wait for the last calls; what there is that should not be."""
        faults = []
        try:
            wait_until(self._quiet, 180, interval=0.5)
        except AssertionError:
            faults.append(f"channels {self.line.switch_channels()}")
        try:
            wait_until(lambda: not any(self._rows().values()), 30, interval=0.5)
        except AssertionError:
            faults += [f"{count} {name}" for name, count in self._rows().items() if count]
        faults += [f"{count} {name} in memory" for name, count in self._memory().items() if count]
        return faults

    def _rows(self) -> dict[str, int]:
        live = [QueueCallStatus.WAITING, QueueCallStatus.TALKING]
        return {
            "live calls": self._counted(Call, Call.status.not_in(ENDED)),
            "waits or talks": self._counted(QueueCall, QueueCall.status.in_(live)),
            "offers without an end": self._counted(QueueOffer, QueueOffer.outcome.is_(None)),
            "agents in a call": self._counted(Agent, Agent.activity.is_not(None)),
            "pieces of work": self._counted(AgentWork, True),
        }

    def _memory(self) -> dict[str, int]:
        (room,) = self.engine.center._rooms.values()
        switch = self.engine.switches[0]
        seats = room.matcher._seats.values()
        return {
            "calls": len(switch.calls) + len(room.calls),
            "legs": len(switch.legs) + len(room.elsewhere._legs),
            "greenlets of calls": len(switch.dispatcher._queues),
            "talks and wraps": len(room.talks) + len(room.wraps),
            "callers": len(room.matcher._callers),
            "reserved agents": sum(seat.offer is not None for seat in seats),
        }

    @staticmethod
    def _counted(model: type[db.Base], condition: object) -> int:
        with transaction() as session:
            query = select(func.count()).select_from(model).where(condition)  # type: ignore[arg-type]
            return session.scalar(query) or 0

    def outcomes(self) -> dict[str, int]:
        with transaction() as session:
            query = select(QueueCall.status, func.count()).group_by(QueueCall.status)
            return {str(status): count for status, count in session.execute(query)}

    def footprint(self) -> dict[str, int]:
        gc.collect()
        me = psutil.Process()
        sandbox = next(each for each in me.children() if "irisx.sandbox" in each.cmdline())
        return {
            "greenlets": sum(isinstance(each, greenlet) for each in gc.get_objects()),
            "file descriptors": me.num_fds() - _pooled(),
            "RSS MB": me.memory_info().rss >> 20,
            "sandbox descriptors": sandbox.num_fds(),
        }


def _pooled() -> int:
    """Connections that are kept for whoever needs one: as many as were ever needed at once."""
    pools = [engine.pool for engine in (db.engine(), db._readers())]
    kept = sum(pool.checkedin() + pool.checkedout() for pool in pools)  # type: ignore[attr-defined]
    return kept + len(redis().connection_pool._available_connections)


if __name__ == "__main__":
    sys.exit(main())
