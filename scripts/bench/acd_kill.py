"""The engine killed under queues on a real FreeSWITCH: 30 callers wait, 20 talk, 10 are rung for.

Callers and agents are sipp. What is lost, whether callers are served in their order afterwards,
whether anybody is rung twice, and how long until control (a status over REST leads to an offer).
Ends with 1 where something is wrong.
"""

# ruff: noqa: E402
from gevent import monkey

monkey.patch_all()

import os
import signal
import sys
import time
from contextlib import ExitStack
from typing import Any

import gevent

from scripts.bench.engine_killed import WELL_SECONDS
from tests.installation import Installation
from tests.sipp import Sipp
from tests.waiting import wait_until

WAITING, TALKING, RINGING = 30, 20, 10
CALLED = "+15550002000"
ANSWERS, RINGS = "15556", "15557"


def main() -> int:
    load = os.getloadavg()[0]
    with Installation() as irisx, ExitStack() as phones:
        floor = Floor(irisx, phones)
        gevent.sleep(WELL_SECONDS)
        floor.fill()
        before = set(irisx.freeswitch.channels())
        order = [caller["id"] for caller in floor.waiting()]
        os.kill(irisx.part("engine").pid, signal.SIGKILL)
        took = floor.time_to_control()
        after = set(irisx.freeswitch.channels())
        faults = [f"channel {channel} is gone" for channel in before - after]
        faults += floor.wrong_order(order)
        faults += floor.rung_twice()
    print(f"waiting {WAITING}, talking {TALKING}, ringing {RINGING}: {len(before)} channels")
    print(f"lost {len(before - after)}   faults {len(faults)}   time to control {took:.2f} s")
    print(f"load {load:.1f}, {os.cpu_count()} CPUs")
    for fault in faults[:20]:
        print(f"  {fault}")
    return 1 if faults else 0


class Floor:
    """A queue with agents who answer, agents who ring, and agents who come later."""

    def __init__(self, irisx: Installation, phones: ExitStack) -> None:
        self.irisx, self.phones = irisx, phones
        later = 5
        for prefix, scenario, calls in (
            (ANSWERS, "uas_stays", TALKING + later),
            (RINGS, "uas_ring", RINGING),
        ):
            phone = Sipp(scenario, hold_ms=50, calls=calls, trace=False, timeout=600)
            phones.callback(phone.stop)
            irisx.carrier(prefix, phone.port)
        self.talkers = [self.agent(f"+{ANSWERS}550{index:03}") for index in range(TALKING)]
        self.ringers = [self.agent(f"+{RINGS}550{index:03}") for index in range(RINGING)]
        self.later = [self.agent(f"+{ANSWERS}551{index:03}") for index in range(later)]
        body = {
            "name": "Sales",
            "strategy": "longest-idle",
            "agents": [*self.talkers, *self.ringers, *self.later],
            "options": {"ring_seconds": 120},
        }
        self.queue = irisx.post("/v1/queues", body)["id"]
        irisx.phone_number(CALLED, {"type": "queue", "id": self.queue})

    def agent(self, number: str) -> str:
        contact = {"type": "number", "phone_number": number}
        return str(self.irisx.post("/v1/agents", {"name": number, "contact": contact})["id"])

    def available(self, agents: list[str]) -> None:
        for agent in agents:
            self.irisx.put(f"/v1/agents/{agent}/status", {"status": "available"})

    def callers(self, count: int) -> None:
        switch = f"127.0.0.1:{self.irisx.freeswitch.sip_port}"
        callers = Sipp(
            "uac",
            switch,
            service=CALLED,
            calls=count,
            rate=5,
            hold_ms=600_000,
            trace=False,
            timeout=600,
        )
        self.phones.callback(callers.stop)

    def status(self) -> dict[str, Any]:
        return dict(self.irisx.get(f"/v1/queues/{self.queue}/status"))

    def waiting(self) -> list[dict[str, Any]]:
        callers = self.irisx.get(f"/v1/queues/{self.queue}/callers?limit=1000")["data"]["callers"]
        return list(callers)

    def fill(self) -> None:
        self.available(self.talkers)
        self.callers(TALKING)
        wait_until(lambda: self.status()["talking"] == TALKING, 90, interval=0.5)
        self.available(self.ringers)
        self.callers(RINGING)
        wait_until(lambda: sum(c["offers"] for c in self.waiting()) >= 0, 30, interval=0.5)
        wait_until(lambda: self.status()["waiting"] == RINGING, 60, interval=0.5)
        self.callers(WAITING)
        wait_until(lambda: self.status()["waiting"] == RINGING + WAITING, 90, interval=0.5)
        gevent.sleep(1)

    def time_to_control(self) -> float:
        """Seconds from the kill until an agent who becomes available talks to a caller."""
        killed = time.monotonic()
        self.available(self.later[:1])
        wait_until(lambda: self.status()["talking"] == TALKING + 1, 60, interval=0.05)
        return time.monotonic() - killed

    def wrong_order(self, order: list[str]) -> list[str]:
        """The first for whom nobody was rung is served first, and the others after."""
        self.available(self.later[1:])
        count = len(self.later)
        wait_until(lambda: self.status()["talking"] == TALKING + count, 60, interval=0.5)
        served = set(order) - {caller["id"] for caller in self.waiting()}
        expected = set(order[RINGING : RINGING + count])
        return [] if served == expected else [f"served {served}, not {expected}"]

    def rung_twice(self) -> list[str]:
        faults = []
        for agent in self.ringers:
            offers = self.irisx.get(f"/v1/agents/{agent}/performance")["offers"]
            if offers:
                faults.append(f"{agent}: its ringing ended: {offers}")
        return faults


if __name__ == "__main__":
    sys.exit(main())
