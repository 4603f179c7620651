"""SIGKILL to the engine with live calls in every state: what is lost, and how long until control.

A quarter of the calls each: ringing, talking to nobody (parked), bridged, and callers who wait for
their destination to answer. The supervisor of `irisx up` starts the engine again. Control is back
with the first command over REST that is carried out. Ends with 1 where a call was lost, was dialled
twice, or stays in progress for ever.
"""

# ruff: noqa: E402
from gevent import monkey

monkey.patch_all()

import os
import signal
import sys
import time
from collections import Counter
from contextlib import ExitStack
from typing import Any

import gevent

from tests.installation import Installation, Refused
from tests.sipp import Sipp
from tests.waiting import wait_until

#: The supervisor starts a part at once that had lived for so long (cli/supervisor.py).
WELL_SECONDS = 11
RINGS, STAYS, PARTNER, CALLED = "+15557770103", "+15556660108", "+15555550108", "+15550002000"


def main() -> int:
    calls = int(sys.argv[1]) if len(sys.argv) > 1 else 100
    quarter = calls // 4
    load = os.getloadavg()[0]
    with Installation() as irisx, ExitStack() as phones:
        add_far_ends(irisx, quarter, phones)
        gevent.sleep(WELL_SECONDS)
        states = place(irisx, quarter, phones)
        before = set(irisx.freeswitch.channels())
        took = kill_engine(irisx, states["parked"])
        after = set(irisx.freeswitch.channels())
        faults = [f"channel {channel} is gone" for channel in before - after]
        faults += [f"channel {channel} was dialled anew" for channel in after - before]
        faults += uncontrolled(irisx, states)
        faults += unended(irisx, 4 * quarter)
    print(f"live calls {4 * quarter} ({len(before)} channels): { ({s: quarter for s in states}) }")
    print(f"lost or dialled anew or not controlled: {len(faults)}")
    print(f"time to control {took:.2f} s   load {load:.1f}, {os.cpu_count()} CPUs")
    for fault in faults[:20]:
        print(f"  {fault}")
    return 1 if faults else 0


def add_far_ends(irisx: Installation, quarter: int, phones: ExitStack) -> None:
    ends = (("15557", "uas_ring", 2), ("15556", "uas_stays", 2), ("15555", "uas_stays", 1))
    for prefix, scenario, times in ends:
        phone = Sipp(scenario, hold_ms=50, calls=times * quarter, trace=False, timeout=300)
        phones.callback(phone.stop)
        irisx.carrier(prefix, phone.port)
    irisx.phone_number(CALLED, {"type": "number", "to": RINGS})


def place(irisx: Installation, quarter: int, phones: ExitStack) -> dict[str, list[str]]:
    """Calls in each state, by sid, when all of them have reached it."""
    bridged = {"to": STAYS, "on_answer": {"type": "number", "to": PARTNER}}
    bodies: dict[str, dict[str, Any]] = {
        "ringing": {"to": RINGS, "timeout": 300},
        "parked": {"to": STAYS},
        "bridged": bridged,
    }
    states: dict[str, list[str]] = {}
    for state, body in bodies.items():
        states[state] = [irisx.post("/v1/calls", body)["sid"] for _ in range(quarter)]
    switch = f"127.0.0.1:{irisx.freeswitch.sip_port}"
    callers = Sipp("uac", switch, service=CALLED, calls=quarter, trace=False, timeout=300)
    phones.callback(callers.stop)

    def reached() -> bool:
        statuses = Counter(call["status"] for call in irisx.calls())
        channels = len(irisx.freeswitch.channels())
        return statuses == {"ringing": 2 * quarter, "in-progress": 2 * quarter} and (
            channels == 6 * quarter  # the bridged have two channels, the callers too
        )

    wait_until(reached, 60, interval=0.5)
    states["waiting"] = [call["sid"] for call in irisx.calls(direction="inbound")]
    return states


def kill_engine(irisx: Installation, parked: list[str]) -> float:
    """Seconds from SIGKILL to the first command that was carried out."""
    os.kill(irisx.part("engine").pid, signal.SIGKILL)
    killed = time.monotonic()
    done: list[float] = []

    def command(sid: str) -> None:
        try:
            irisx.post(f"/v1/calls/{sid}/dtmf", {"digits": "1"})
        except Refused:
            return
        done.append(time.monotonic() - killed)

    for attempt in range(300):
        gevent.spawn(command, parked[attempt % len(parked)])
        gevent.sleep(0.1)
        if done:
            return done[0]
    raise AssertionError("no command was carried out within 30 s")


def uncontrolled(irisx: Installation, states: dict[str, list[str]]) -> list[str]:
    """Calls that the new engine does not have: each is ended over REST."""
    faults = []
    for state, sids in states.items():
        for sid in sids:
            try:
                irisx.post(f"/v1/calls/{sid}/end")
            except Refused as refused:
                faults.append(f"{state} {sid}: {refused.body}")
    return faults


def unended(irisx: Installation, calls: int) -> list[str]:
    """Calls whose record is not the end that they had."""

    def all_over() -> bool:
        return all(call["ended_at"] for call in irisx.calls())

    try:
        wait_until(all_over, 15, interval=0.5)
        wait_until(lambda: not irisx.freeswitch.channels(), 5)
    except AssertionError as error:
        return [str(error), *(f"{c['sid']} {c['status']}" for c in irisx.calls())]
    found = irisx.calls()
    statuses = Counter(call["status"] for call in found)
    print(f"ended as {dict(statuses)}")
    wrong = [] if statuses == {"canceled": calls // 2, "completed": calls // 2} else [str(statuses)]
    for call in found:
        lines = [line["type"] for line in irisx.get(f"/v1/calls/{call['sid']}/events")["events"]]
        if lines.count("call.attempted") > 1 or lines.count("call.answered") > 1:
            wrong.append(f"{call['sid']}: {lines}")
    return wrong


if __name__ == "__main__":
    sys.exit(main())
