"""Record the golden traces from a real FreeSWITCH.

    python -m tests.sandbox.record_golden [scenario …]

FreeSWITCH is found by FREESWITCH_BIN or on the PATH. Writes golden/<scenario>.json and, when all
are recorded, golden/headers.json.
"""

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from tests.sandbox.client import Client, Event
from tests.sandbox.scenarios import SCENARIOS, Stage, header_names
from tests.switches import FREESWITCH, ROOT, RTP_PORTS, free_ports, free_rtp_range
from tests.waiting import wait_until

GOLDEN = Path(__file__).parent / "golden"
PASSWORD = "golden"


class FreeSwitchStage(Stage):
    """A call from outside is one that FreeSWITCH places to itself."""

    def inbound(self, name: str) -> str:
        self.client.command(
            "bgapi originate {origination_caller_id_number=+4930111,ignore_early_media=true,"
            "execute_on_answer='sched_broadcast +1 send_dtmf::42'}"
            "sofia/gateway/carriers/+15550009999 &park()"
        )
        event = self.client.until(
            lambda event: (
                event["Event-Name"] == "CHANNEL_CREATE"
                and event["Call-Direction"] == "inbound"
                and event.get("Caller-Destination-Number") == "+15550009999"
                and event["Unique-ID"] not in self.legs.values()
            )
        )
        self.legs[name] = event["Unique-ID"]
        return self.legs[name]


@contextmanager
def freeswitch() -> Iterator[int]:
    """FreeSWITCH on golden/freeswitch.xml; gives the Event Socket's port."""
    assert FREESWITCH is not None, "no FreeSWITCH: set FREESWITCH_BIN or put it on the PATH"
    home = Path(tempfile.mkdtemp(prefix="irisx-golden-"))
    esl_port, sip_port, carrier_port = free_ports(3)
    rtp = free_rtp_range()
    text = (GOLDEN / "freeswitch.xml").read_text()
    for name, value in {
        "RTP_START": rtp,
        "RTP_END": rtp + RTP_PORTS - 2,
        "ESL_PORT": esl_port,
        "ESL_PASSWORD": PASSWORD,
        "SIP_PORT": sip_port,
        "CARRIER_PORT": carrier_port,
        "DIALPLANS": ROOT / "dialplans",
    }.items():
        text = text.replace(name, str(value))
    for name in ("conf", "log", "run", "db", "scripts", "storage"):
        (home / name).mkdir()
    (home / "conf" / "freeswitch.xml").write_text(text)
    command = [FREESWITCH, "-nonat", "-nf", "-nc"]
    for name in ("conf", "log", "run", "db", "scripts", "storage"):
        command += [f"-{name}", str(home / name)]
    with (home / "output").open("wb") as output:
        process = subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT)
    try:
        wait_until(lambda: _is_up(esl_port), 60)
        yield esl_port
    finally:
        process.terminate()
        process.wait(20)
        shutil.rmtree(home, ignore_errors=True)


def _is_up(port: int) -> bool:
    try:
        with Client(port, PASSWORD) as client:
            return "RUNNING" in client.api("sofia status")
    except OSError:
        return False


def record(wanted: list[str]) -> None:
    """Play the scenarios and write what FreeSWITCH did."""
    seen: list[Event] = []
    with freeswitch() as port, tempfile.TemporaryDirectory() as directory:
        for name in wanted or SCENARIOS:
            with Client(port, PASSWORD) as client:
                stage = FreeSwitchStage(client, Path(directory))
                SCENARIOS[name](stage)
                stage.hear(0.3)
                client.api("hupall")
                _write(name, stage.trace())
                legs = set(stage.legs.values())
                seen += [event for event in client.events if event.get("Unique-ID") in legs]
            sys.stdout.write(f"{name}\n")
    if not wanted:
        _write("headers", header_names(seen))


def _write(name: str, content: Mapping[str, Sequence[object]]) -> None:
    """One line for each event keeps the differences of two recordings readable."""
    parts = []
    for key, items in content.items():
        lines = ",\n  ".join(json.dumps(item, ensure_ascii=False) for item in items)
        parts.append(f"{json.dumps(key)}: [\n  {lines}\n ]" if items else f"{json.dumps(key)}: []")
    (GOLDEN / f"{name}.json").write_text("{\n " + ",\n ".join(parts) + "\n}\n")


if __name__ == "__main__":
    os.environ.setdefault("LANG", "C.UTF-8")
    record(sys.argv[1:])
