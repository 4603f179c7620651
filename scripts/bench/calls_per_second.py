"""The highest rate of calls with less than 0.1 % failed: through IRISX ÷ by the XML dialplan.

Both are the same FreeSWITCH on the same configuration, and sipp calls both alike: a call comes in,
is answered, hears a prompt of 200 ms and is hung up. In IRISX that is a number that leads to a
published flow, and every call is a row with its timeline, its events and its passage through the
flow in the database as well; it counts as failed when it is not `completed` there.

A rate that is not kept up with is not served: a backlog would grow until it ends in failures. So
of all calls 99 % must be answered within ANSWER_MS, and all be over, and on record, BEHIND_SECONDS
after the last one could have been. The two take turns, and the medians are compared, since the
machine may be busy. With each rate goes the processor time that a call took, by process.
"""

# ruff: noqa: E402
from gevent import monkey

monkey.patch_all()

import math
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

import psutil
import soundfile

from scripts.bench import processor_time
from tests.installation import Installation
from tests.sipp import Sipp
from tests.switches import ROOT, FreeSwitch

SECONDS = 8
PROMPT_MS = 200
MOST_FAILED = 0.001
#: The longest that the slowest but 1 % may wait for the answer.
ANSWER_MS = 500
#: How much later than the last call could end the run may: sipp's start and end are in it.
BEHIND_SECONDS = 1.0
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
    """`completed` tells how many calls it has on record so far; None: it keeps no record.

    `processes`: who spends processor time for its calls.
    """

    name: str
    sip_port: int
    completed: Callable[[], int] | None
    processes: processor_time.Group

    def stands(self, rate: float) -> bool:
        """Whether it serves so many calls a second for SECONDS, and keeps up."""
        calls = round(rate * SECONDS)
        before = self.completed() if self.completed else 0
        spent = processor_time.spent(self.processes)
        started = time.monotonic()
        caller = Sipp(
            "uac_stays",
            f"127.0.0.1:{self.sip_port}",
            service=CALLED,
            calls=calls,
            rate=round(rate),
            trace=False,
            timeout=SECONDS + 20,
            arguments=("-l", str(calls), "-recv_timeout", "8000", "-trace_rtt", "-rtt_freq", "1"),
        )
        failed = calls - caller.result.successful
        if self.completed:
            failed = max(failed, calls - self._recorded(before, calls))
        took = time.monotonic() - started
        answers = sorted(caller.result.answers_ms)
        slow = answers[len(answers) * 99 // 100] if answers else math.inf
        behind = took - calls / round(rate) - PROMPT_MS / 1000
        good = failed <= calls * MOST_FAILED and slow <= ANSWER_MS and behind <= BEHIND_SECONDS
        cpu = processor_time.per_call(spent, processor_time.spent(self.processes), calls)
        print(
            f"  {self.name:6} {rate:6.1f}/s  {'held' if good else 'NOT  '}  "
            f"{failed:4} of {calls} failed, answered within {slow:4.0f} ms (p99), "
            f"{behind:4.1f} s behind, load {os.getloadavg()[0]:.1f}; CPU ms a call: {cpu}",
            flush=True,
        )
        return good

    def _recorded(self, before: int, calls: int) -> int:
        assert self.completed is not None
        deadline = time.monotonic() + 10
        while (found := self.completed() - before) < calls and time.monotonic() < deadline:
            time.sleep(0.1)
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
            yield Contender("xml", switch.sip_port, None, {"FreeSWITCH": [process_of(switch)]})


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

        postmaster = (irisx.home / "postgres" / "postmaster.pid").read_text().split()[0]
        processes = {
            "FreeSWITCH": [process_of(irisx.freeswitch)],
            **{part: [irisx.part(part)] for part in ("engine", "worker", "api")},
            "PostgreSQL": [psutil.Process(int(postmaster))],
        }
        yield Contender("irisx", irisx.freeswitch.sip_port, completed, processes)


def process_of(switch: FreeSwitch) -> psutil.Process:
    return psutil.Process(switch.pid)


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
