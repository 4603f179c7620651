"""IVR calls through IRISX against the same in FreeSWITCH's XML dialplan, on one FreeSWITCH.

sipp calls; the switch's own times count, answer to hang-up (CHANNEL_HANGUP_COMPLETE). The two take
turns, medians are compared. Then 50 calls are in a flow when the engine gets SIGKILL, and another
is started: how many go on, and whether any prompt is played twice.
"""

import os
import platform
import shutil
import statistics
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import structlog
from psycogreen.gevent import patch_psycopg

from irisx import migrations
from irisx.kernel import db
from irisx.kernel.embedded import databases
from irisx.kernel.partitions import ensure_partitions
from irisx.settings import get_settings
from irisx.telephony.esl.commands import sessions_per_second
from irisx.telephony.esl.connection import Connection
from irisx.telephony.esl.wire import Event
from irisx.telephony.ivr.audio import Silence
from irisx.telephony.ivr.prompts import file_of
from irisx.tenancy.models import Tenant
from irisx.tenancy.settings import TenantSettings
from tests.contract.rig import DatabaseProvisioner, Line, Machine, running_engine
from tests.contract.test_ivr import node, pause, publish
from tests.contract.test_recovery import EngineProcess
from tests.sipp import Sipp
from tests.switches import ROOT, FreeSwitch
from tests.waiting import wait_until

PROMPTS = 10
GATHERS = 5
CALLS = 50
NUMBERS = {
    "XML dialplan, prompts": "+15550003001",
    "XML dialplan, gathers": "+15550003002",
    "IRISX, prompts": "+15550003003",
    "IRISX, prompts each its own playback": "+15550003004",
    "IRISX, gathers": "+15550003005",
}
KILLED = "+15550003006"


def main() -> None:
    patch_psycopg()
    runs = int(sys.argv[1]) if sys.argv[1:] else 9
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(40))
    load = os.getloadavg()[0]
    with (
        environment() as tenant,
        peers_root(tenant) as root,
        DatabaseProvisioner() as provisioner,
        FreeSwitch(api_url=provisioner.url, root=root) as freeswitch,
    ):
        on = Machine(freeswitch.esl_url, freeswitch)
        with running_engine(on), Line.on(on, tenant, "+15550003000") as line:
            line.observer.api(sessions_per_second(500))
            spent = durations(line, on, runs)
        lost, again, took = killed(on, tenant)
    report(spent, runs, load)
    print(
        f"{CALLS} calls in a flow, engine killed: {CALLS - lost} went on to their end, "
        f"{again} prompts were played twice, {took:.2f} s from SIGKILL to a new engine's control"
    )


@contextmanager
def environment() -> Iterator[Tenant]:
    """Databases and a home of their own, and a tenant."""
    with ExitStack() as stack:
        home = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="irisx-bench-")))
        urls = stack.enter_context(databases(home, durable=False))
        for name in [name for name in os.environ if name.startswith("IRISX_")]:
            del os.environ[name]
        os.environ |= {
            "IRISX_HOME": str(home),
            "IRISX_DATABASE_URL": urls.database,
            "IRISX_REDIS_URL": urls.redis,
            "IRISX_SECRET_KEY": "only for a benchmark: 32 characters",
            "IRISX_XML_TOKEN": "xml-token-of-the-bench",
            "IRISX_TAPS_DIR": str(home / "taps"),
            "IRISX_LOG_LEVEL": "ERROR",
        }
        get_settings.cache_clear()
        with db.engine().begin() as connection:
            migrations.metadata().create_all(connection)
            ensure_partitions(connection)
        with db.transaction() as session:
            settings = TenantSettings(max_concurrent_calls=CALLS * 2).model_dump(mode="json")
            tenant = Tenant(name="Bench", settings=settings)
            session.add(tenant)
        yield tenant


@contextmanager
def peers_root(tenant: Tenant) -> Iterator[Path]:
    """Our FreeSWITCH configuration with two extensions more, which the engine never sees."""
    prompt = file_of(Silence(silence_ms=20), tenant.id, wideband=False)
    asked = f"1 1 1 1000 # {prompt} silence_stream://20 digits [0-9]+ 1000"
    gathers = [("play_and_get_digits", asked)] * GATHERS
    extensions = extension("XML dialplan, prompts", [("playback", prompt)] * PROMPTS)
    extensions += extension("XML dialplan, gathers", gathers)
    with tempfile.TemporaryDirectory(prefix="irisx-bench-") as directory:
        for name in ("freeswitch-conf", "dialplans"):
            shutil.copytree(ROOT / name, Path(directory) / name)
        (Path(directory) / "scripts").mkdir()
        shutil.copy(ROOT / "scripts" / "freeswitch", Path(directory) / "scripts")
        dialplan = Path(directory) / "dialplans" / "irisx.xml"
        context = '<context name="carriers">'
        dialplan.write_text(dialplan.read_text().replace(context, context + extensions))
        yield Path(directory)


def extension(which: str, applications: list[tuple[str, str]]) -> str:
    actions = "".join(  # FreeSWITCH's preprocessor takes short lines only
        f'\n<action application="{name}" data="{data}"/>'
        for name, data in [("answer", ""), *applications, ("hangup", "NORMAL_CLEARING")]
    )
    number = NUMBERS[which].removeprefix("+")
    return (
        f'<extension name="{number}"><condition field="destination_number" '
        f'expression="^\\+?{number}$">{actions}</condition></extension>'
    )


def durations(line: Line, on: Machine, runs: int) -> dict[str, list[float]]:
    """Milliseconds from answer to hang-up of each kind of call."""
    ended: dict[str, list[float]] = {which: [] for which in NUMBERS}
    names = {number: which for which, number in NUMBERS.items()}

    def note(event: Event) -> None:
        which = names.get(event.get("Caller-Destination-Number", ""))
        if which is not None:
            times = (event[f"Caller-Channel-{name}-Time"] for name in ("Answered", "Hangup"))
            answered, hung_up = map(int, times)
            ended[which].append((hung_up - answered) / 1000)

    witness = Connection(on.url, note, events=["CHANNEL_HANGUP_COMPLETE"], subclasses=[])
    witness.start()
    assert witness.wait_up(10)
    for which, nodes in flows().items():
        line.destination(NUMBERS[which], {"type": "flow", "id": publish(line, *nodes)})
    for _ in range(runs + 1):
        for which, number in NUMBERS.items():
            before = len(ended[which])
            line.call_in(number, hold_ms=30_000)
            wait_until(lambda w=which, n=before: len(ended[w]) > n, 60)
    witness.close()
    return {which: times[1:] for which, times in ended.items()}  # the first warms up


def flows() -> dict[str, list[dict[str, Any]]]:
    def prompt(index: int, barge_in: bool) -> dict[str, Any]:
        config = {"prompts": [{"silence_ms": 20}], "barge_in": barge_in}
        return node(f"p{index}", "play", config, next=f"p{index + 1}")

    def ask(index: int) -> dict[str, Any]:
        config = {"prompts": [{"silence_ms": 20}], "num_digits": 1, "timeout": 1}
        return node(f"p{index}", "gather", config, branches={"timeout": f"p{index + 1}"})

    last = [node(f"p{PROMPTS}", "hangup")]
    return {
        "IRISX, prompts": [prompt(index, False) for index in range(PROMPTS)] + last,
        "IRISX, prompts each its own playback": [
            prompt(index, bool(index % 2)) for index in range(PROMPTS)
        ]
        + last,
        "IRISX, gathers": [ask(index) for index in range(GATHERS)]
        + [node(f"p{GATHERS}", "hangup")],
    }


def killed(on: Machine, tenant: Tenant) -> tuple[int, int, float]:
    """Calls that did not come to their flow's end, prompts played twice, seconds to control."""
    played: Counter[tuple[str, str]] = Counter()

    def note(event: Event) -> None:
        file = event.get("Playback-File-Path", "").rpartition("/")[2]
        if file.endswith("00.wav") and event.uuid is not None:
            played[event.uuid, file] += 1

    witness = Connection(on.url, note, events=["PLAYBACK_START"], subclasses=[])
    witness.start()
    assert witness.wait_up(10)
    engine = EngineProcess(on)
    engine.start()
    with Line.on(on, tenant, "+15550003000") as line:
        line.observer.api(sessions_per_second(500))
        ask = {"prompts": [{"silence_ms": 1200}], "timeout": 4, "num_digits": 1}
        flow = publish(
            line,
            pause("a", 4000, "b"),
            node("b", "play", {"prompts": [{"silence_ms": 1500}]}, next="c"),
            pause("c", 1600, "ask"),
            node("ask", "gather", ask, branches={"timeout": "bye"}),
            pause("bye", 1100),
        )
        line.destination(KILLED, {"type": "flow", "id": flow})
        assert on.freeswitch is not None
        target = f"127.0.0.1:{on.freeswitch.sip_port}"
        callers = Sipp(
            "uac", target, service=KILLED, caller="+15550009999", calls=CALLS, rate=25,
            hold_ms=60_000, trace=False, timeout=120,
        )  # fmt: skip
        try:
            wait_until(lambda: sum(f == "4000.wav" for _, f in played) == CALLS, 30)
            began = time.monotonic()
            engine.kill()
            engine.start()
            took = time.monotonic() - began
            wait_until(lambda: not line.switch_channels(), 60)
        finally:
            callers.stop()
            engine.stop()
    witness.close()
    files = Counter(file for _, file in played)
    lost = CALLS - files["1100.wav"]
    return lost, sum(count - 1 for count in played.values()), took


def report(spent: dict[str, list[float]], runs: int, load: float) -> None:
    median = {which: statistics.median(times) for which, times in spent.items()}
    print(
        f"IVR: answer to hang-up by FreeSWITCH's own clock, median of {runs} interleaved runs; "
        f"{os.cpu_count()} CPUs, {platform.machine()}, load {load:.1f} before and "
        f"{os.getloadavg()[0]:.1f} after"
    )
    for which, times in spent.items():
        print(f"  {which:38} {median[which]:8.1f} ms  ({min(times):.1f} to {max(times):.1f})")
    native = median["XML dialplan, prompts"]
    for which in ("IRISX, prompts", "IRISX, prompts each its own playback"):
        print(f"  {which} ÷ XML dialplan: {median[which] / native:.2f}")
    extra = median["IRISX, gathers"] - median["XML dialplan, gathers"]
    print(f"  a decision costs {extra / GATHERS:.1f} ms more than in the XML dialplan")


if __name__ == "__main__":
    main()
