"""The highest rate of calls with less than 0.1 % failed: through IRISX ÷ by the XML dialplan.

Both are the same FreeSWITCH on the same configuration, and sipp calls both alike: a call comes in,
is answered, hears a prompt of 200 ms and is hung up. In IRISX that is a number that leads to a
published flow, and every call is a row with its timeline, its events and its passage through the
flow in the database as well; it counts as failed when it is not `completed` there. The two take
turns, and the medians are compared, since the machine may be busy.
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

import soundfile

from tests.installation import Installation
from tests.sipp import Sipp
from tests.switches import ROOT, FreeSwitch

SECONDS = 6
PROMPT_MS = 200
MOST_FAILED = 0.001
FIRST_RATE = 40
#: Rates go up by this factor, and the last step by half of it: overload is never far.
STEP = 1.25
CALLED = "+15550002000"

_NATIVE = """<include>
  <context name="carriers">
    <extension name="bench">
      <condition field="destination_number" expression="^\\{called}$">
        <action application="answer"/>
        <action application="playback" data="{prompt}"/>
        <action application="hangup" data="NORMAL_CLEARING"/>
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
    completed: Callable[[], int] | None

    def stands(self, rate: float) -> bool:
        """Whether it serves so many calls a second for SECONDS."""
        calls = round(rate * SECONDS)
        before = self.completed() if self.completed else 0
        started = time.monotonic()
        caller = Sipp(
            "uac_stays",
            f"127.0.0.1:{self.sip_port}",
            service=CALLED,
            calls=calls,
            rate=round(rate),
            trace=False,
            timeout=SECONDS + 20,
            arguments=("-l", str(calls), "-recv_timeout", "8000"),
        )
        failed = calls - caller.result.successful
        took = time.monotonic() - started
        if self.completed:
            failed = max(failed, calls - self._recorded(before, calls))
        good = failed <= calls * MOST_FAILED
        load = os.getloadavg()[0]
        print(
            f"  {self.name:6} {rate:6.1f}/s  {failed:4} of {calls} failed, "
            f"{took:4.1f} s, load {load:.1f}",
            flush=True,
        )
        return good

    def _recorded(self, before: int, calls: int) -> int:
        assert self.completed is not None
        deadline = time.monotonic() + 10
        while (found := self.completed() - before) < calls and time.monotonic() < deadline:
            time.sleep(0.2)
        return found

    def highest(self, first: float) -> float:
        """The highest rate that it stands, from `first` up, or down from there if need be."""
        rate = first
        while not self.stands(rate):
            rate /= STEP
        while self.stands(rate * STEP):
            rate *= STEP
        between = rate * (1 + (STEP - 1) / 2)
        return between if self.stands(between) else rate


@contextmanager
def native() -> Iterator[Contender]:
    with tempfile.TemporaryDirectory(prefix="irisx-bench-") as directory:
        root = Path(directory)
        for part in ("scripts", "freeswitch-conf", "dialplans"):
            shutil.copytree(ROOT / part, root / part)
        prompt = root / "prompt.wav"
        soundfile.write(prompt, [0.0] * (8 * PROMPT_MS), 8000, subtype="PCM_16")
        plan = _NATIVE.format(called=CALLED, prompt=prompt)
        (root / "dialplans" / "irisx.xml").write_text(plan)
        acl = root / "freeswitch-conf" / "autoload_configs" / "acl.conf.xml"
        acl.write_text(acl.read_text().replace('<list name="carriers" default="deny"/>', _ALLOWED))
        with FreeSwitch(root=root) as switch:
            yield Contender("xml", switch.sip_port, None)


@contextmanager
def through_irisx() -> Iterator[Contender]:
    with Installation() as irisx:
        irisx.carrier("1555", 9)  # sipp's address is a carrier's
        config = {"prompts": [{"silence_ms": PROMPT_MS}], "barge_in": False}
        nodes = [
            {"id": "play", "type": "play", "config": config, "next": "end"},
            {"id": "end", "type": "hangup", "config": {}},
        ]
        flow = {"name": "bench", "entry_point": "play", "nodes": nodes, "publish": True}
        flow_id = irisx.post("/v1/ivr/flows", flow)["id"]
        irisx.phone_number(CALLED, {"type": "flow", "id": flow_id})

        def completed() -> int:
            page = irisx.get("/v1/calls?status=completed&limit=1")["data"]
            return int(page["pagination"]["total"])

        yield Contender("irisx", irisx.freeswitch.sip_port, completed)


def main() -> int:
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 3
    rates: dict[str, list[float]] = {"xml": [], "irisx": []}
    with native() as xml, through_irisx() as irisx:
        for _ in range(rounds):
            for contender in (xml, irisx):
                found = rates[contender.name]
                found.append(contender.highest(found[-1] if found else FIRST_RATE))
    medians = {name: statistics.median(found) for name, found in rates.items()}
    for name, found in rates.items():
        print(f"{name}: {', '.join(f'{rate:.0f}' for rate in found)}; median {medians[name]:.0f}/s")
    print(f"load {os.getloadavg()[0]:.1f}, {os.cpu_count()} CPUs")
    print(f"ratio {medians['irisx'] / medians['xml']:.2f}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
