"""The highest rate of calls with less than 0.1 % failed: through IRISX ÷ by the XML dialplan.

Both are the same FreeSWITCH on the same configuration, and sipp calls both alike: a call comes in,
is connected with a far end by a carrier, talks and ends. In IRISX every call is a row with its
timeline and its events in the database as well, and counts as failed when it is not `completed`
there. The two take turns, and the medians are compared, since the machine may be busy.
"""

# ruff: noqa: E402
from gevent import monkey

monkey.patch_all()

import os
import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.installation import Installation
from tests.sipp import Sipp
from tests.switches import ROOT, FreeSwitch, free_ports

SECONDS = 6
TALK_MS = 300
MOST_FAILED = 0.001
FIRST_RATE, LAST_RATE = 8, 512
#: The search ends when the next rate would differ by less.
STEP = 0.08
CALLED, PARTNER = "+15550002000", "+15556660100"

_NATIVE = """<include>
  <context name="carriers">
    <extension name="bench">
      <condition field="destination_number" expression="^\\{called}$">
        <action application="set" data="hangup_after_bridge=true"/>
        <action application="bridge" data="sofia/carriers/{partner}@127.0.0.1:{port}"/>
      </condition>
    </extension>
  </context>
</include>
"""
_ALLOWED = '<list name="carriers" default="deny"><node type="allow" cidr="127.0.0.1/32"/></list>'


@dataclass
class Contender:
    """`completed` tells how many calls it has on record so far; None: it keeps no record."""

    name: str
    sip_port: int
    partner_port: int
    completed: Callable[[], int] | None

    def stands(self, rate: int) -> bool:
        """Whether it serves so many calls a second for SECONDS."""
        calls = rate * SECONDS
        before = self.completed() if self.completed else 0
        far_end = Sipp(
            "uas_stays", hold_ms=0, calls=calls, port=self.partner_port, trace=False, timeout=60
        )
        caller = Sipp(
            "uac",
            f"127.0.0.1:{self.sip_port}",
            service=CALLED,
            hold_ms=TALK_MS,
            calls=calls,
            rate=rate,
            trace=False,
            timeout=SECONDS + 20,
            arguments=("-l", str(calls), "-recv_timeout", "8000"),
        )
        try:
            failed = calls - caller.result.successful
        finally:
            far_end.stop()
        if self.completed:
            failed = max(failed, calls - self._recorded(before, calls))
        good = failed <= calls * MOST_FAILED
        load = os.getloadavg()[0]
        print(f"  {self.name:6} {rate:4}/s  {failed:4} of {calls} failed  load {load:.1f}")
        return good

    def _recorded(self, before: int, calls: int) -> int:
        assert self.completed is not None
        deadline = time.monotonic() + 10
        while (found := self.completed() - before) < calls and time.monotonic() < deadline:
            time.sleep(0.2)
        return found

    def highest(self) -> int:
        """The highest rate that it stands; by doubling, then by halving the interval."""
        good, bad = 0, LAST_RATE
        rate = FIRST_RATE
        while bad - good > max(1, good * STEP):
            if self.stands(rate):
                good = rate
            else:
                bad = rate
            rate = good * 2 if bad == LAST_RATE else (good + bad) // 2
            if rate == LAST_RATE:
                break
        return good


@contextmanager
def native() -> Iterator[Contender]:
    [partner_port] = free_ports(1)
    root = Path(tempfile.mkdtemp(prefix="irisx-bench-"))
    for part in ("scripts", "freeswitch-conf", "dialplans"):
        shutil.copytree(ROOT / part, root / part)
    plan = _NATIVE.format(called=CALLED, partner=PARTNER, port=partner_port)
    (root / "dialplans" / "irisx.xml").write_text(plan)
    acl = root / "freeswitch-conf" / "autoload_configs" / "acl.conf.xml"
    acl.write_text(acl.read_text().replace('<list name="carriers" default="deny"/>', _ALLOWED))
    try:
        with FreeSwitch(root=root) as switch:
            yield Contender("xml", switch.sip_port, partner_port, None)
    finally:
        shutil.rmtree(root)


@contextmanager
def through_irisx() -> Iterator[Contender]:
    [partner_port] = free_ports(1)
    with Installation() as irisx:
        irisx.carrier("15556", partner_port)
        irisx.phone_number(CALLED, {"type": "number", "to": PARTNER})

        def completed() -> int:
            page = irisx.get("/v1/calls?status=completed&limit=1")["data"]
            return int(page["pagination"]["total"])

        yield Contender("irisx", irisx.freeswitch.sip_port, partner_port, completed)


def main() -> int:
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 3
    rates: dict[str, list[int]] = {"xml": [], "irisx": []}
    with native() as xml, through_irisx() as irisx:
        for _ in range(rounds):
            for contender in (xml, irisx):
                rates[contender.name].append(contender.highest())
    medians = {name: statistics.median(found) for name, found in rates.items()}
    print(
        f"highest rates {rates}, medians {medians}, load {os.getloadavg()}, {os.cpu_count()} CPUs"
    )
    print(f"ratio {medians['irisx'] / max(1, medians['xml']):.2f}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
