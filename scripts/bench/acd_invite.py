"""From an agent's hang-up to the INVITE of the next caller: IRISX beside mod_callcenter.

Both run on one FreeSWITCH in one run, with the same phones (sipp, registered, they answer and hang
up after a second) and the same number of callers who wait. Times are the switch's own: from the
agent leg's CHANNEL_HANGUP to the CHANNEL_CREATE of the next leg to the same phone, which is when
mod_sofia writes the INVITE. Neither has wrap-up time.
"""

# ruff: noqa: E402
from gevent import monkey

monkey.patch_all()

import os
import re
import shutil
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from statistics import quantiles

from irisx.telephony.esl.commands import Api
from irisx.telephony.esl.connection import Connection
from irisx.telephony.esl.wire import Event
from irisx.telephony.provisioning import SIP_DOMAIN
from tests.installation import Installation
from tests.sipp import Sipp
from tests.switches import ROOT, FreeSwitch, free_ports
from tests.waiting import wait_until

OURS, THEIRS = "+15550002000", "+15550007777"
_PHONE = re.compile(r"a[0-9a-f]{16}")
_QUEUE = """<configuration name="callcenter.conf"><settings/><queues><queue name="bench@default">
<param name="strategy" value="longest-idle-agent"/><param name="moh-sound" value="local_stream://moh"/>
<param name="time-base-score" value="system"/><param name="tier-rules-apply" value="false"/>
<param name="max-wait-time" value="0"/><param name="discard-abandoned-after" value="60"/>
</queue></queues><agents/><tiers/></configuration>
"""
_PLAN = """  <context name="carriers">
    <extension name="callcenter">
      <condition field="destination_number" expression="^\\{number}$">
        <action application="answer"/>
        <action application="callcenter" data="bench@default"/>
      </condition>
    </extension>
"""


class Watch:
    """What an agent's phone waits between two calls, by the switch's events."""

    def __init__(self) -> None:
        self._free_at: dict[str, float] = {}
        self.waits_ms: list[float] = []

    def take(self, event: Event) -> None:
        phone = _PHONE.search(event.get("Channel-Name", ""))
        if phone is None:
            return
        at = event.timestamp.timestamp()
        if event.name == "CHANNEL_HANGUP":
            self._free_at[phone[0]] = at
        elif phone[0] in self._free_at:
            self.waits_ms.append((at - self._free_at.pop(phone[0])) * 1000)

    def reset(self) -> None:
        self._free_at.clear()
        self.waits_ms.clear()


def main() -> int:
    callers, agents = (int(each) for each in (sys.argv[1:3] or ("1000", "200")))
    load = os.getloadavg()[0]
    with copied() as root, ExitStack() as ends, Installation(FreeSwitch(root=root)) as irisx:
        watch = Watch()
        events = ["CHANNEL_CREATE", "CHANNEL_HANGUP"]
        observer = Connection(irisx.freeswitch.esl_url, watch.take, events=events, subclasses=[])
        observer.start()
        assert observer.wait_up(10)
        observer.api(Api("fsctl sps 1000"))
        irisx.carrier("15559", 9)  # sipp's address is a carrier's
        phones = registered(irisx, agents, callers, ends)
        show("IRISX", by_irisx(irisx, observer, watch, phones, callers, ends))
        show("mod_callcenter", by_callcenter(irisx, observer, watch, phones, callers, ends))
        observer.close()
    print(f"{callers} callers, {agents} agents   load {load:.1f}, {os.cpu_count()} CPUs")
    return 0


def show(name: str, waits_ms: list[float]) -> None:
    cut = quantiles(waits_ms, n=100)
    print(f"{name:15} p50 {cut[49]:7.1f} ms   p99 {cut[98]:7.1f} ms   ({len(waits_ms)} offers)")


@contextmanager
def copied() -> Iterator[Path]:
    """The repository's configuration, and a queue of mod_callcenter beside it."""
    with tempfile.TemporaryDirectory(prefix="irisx-bench-") as directory:
        root = Path(directory)
        for part in ("freeswitch-conf", "dialplans", "scripts"):
            shutil.copytree(ROOT / part, root / part)
        configs = root / "freeswitch-conf" / "autoload_configs"
        (configs / "callcenter.conf.xml").write_text(_QUEUE)
        modules = configs / "modules.conf.xml"
        loads = '<load module="mod_callcenter"/></modules>'
        modules.write_text(modules.read_text().replace("</modules>", loads))
        plan = root / "dialplans" / "irisx.xml"
        context = '  <context name="carriers">\n'
        plan.write_text(plan.read_text().replace(context, _PLAN.format(number=THEIRS)))
        yield root


def registered(
    irisx: Installation, agents: int, callers: int, ends: ExitStack
) -> list[dict[str, str]]:
    """SIP accounts whose phones are one sipp."""
    port = free_ports(1)[0]
    target = f"127.0.0.1:{irisx.freeswitch.sip_agent_port}"
    accounts = [irisx.post("/v1/sip-accounts", {"name": str(n)}) for n in range(agents)]
    for account in accounts:
        who = {"caller": account["username"], "password": account["password"], "port": port}
        with Sipp("uac_register", target, trace=False, **who):
            pass
    phone = Sipp(
        "uas_answers_and_ends",
        hold_ms=1000,
        calls=4 * callers,
        trace=False,
        timeout=1200,
        port=port,
        arguments=("-rtp_echo",),
    )
    ends.callback(phone.stop)
    return accounts


def call_in(irisx: Installation, number: str, callers: int, ends: ExitStack) -> None:
    target = f"127.0.0.1:{irisx.freeswitch.sip_port}"
    uac = Sipp(
        "uac",
        target,
        service=number,
        calls=callers,
        rate=20,
        hold_ms=900_000,
        trace=False,
        timeout=1200,
    )
    ends.callback(uac.stop)


def by_irisx(
    irisx: Installation,
    observer: Connection,
    watch: Watch,
    phones: list[dict[str, str]],
    callers: int,
    ends: ExitStack,
) -> list[float]:
    agents = []
    for phone in phones:
        contact = {"type": "sip", "sip_account_id": phone["id"]}
        agents.append(irisx.post("/v1/agents", {"name": phone["id"], "contact": contact})["id"])
    body = {"name": "bench", "strategy": "longest-idle", "agents": agents}
    queue = irisx.post("/v1/queues", body)["id"]
    irisx.phone_number(OURS, {"type": "queue", "id": queue})
    call_in(irisx, OURS, callers, ends)

    def waiting() -> int:
        return int(irisx.get(f"/v1/queues/{queue}/status")["waiting"])

    wait_until(lambda: waiting() == callers, 300, interval=0.5)
    watch.reset()
    for agent in agents:
        irisx.put(f"/v1/agents/{agent}/status", {"status": "available"})
    wait_until(lambda: waiting() == 0, 600, interval=0.5)
    found = list(watch.waits_ms)
    for agent in agents:
        irisx.put(f"/v1/agents/{agent}/status", {"status": "offline"})
    wait_until(lambda: not irisx.freeswitch.channels(), 60, interval=0.5)
    return found


def by_callcenter(
    irisx: Installation,
    observer: Connection,
    watch: Watch,
    phones: list[dict[str, str]],
    callers: int,
    ends: ExitStack,
) -> list[float]:
    def ask(words: str) -> str:
        return observer.api(Api(f"callcenter_config {words}"))

    call_in(irisx, THEIRS, callers, ends)

    def waiting() -> int:
        return int(ask("queue count members bench@default").strip())

    wait_until(lambda: waiting() >= callers, 300, interval=0.5)
    watch.reset()
    names = [phone["username"] for phone in phones]
    for name in names:
        ask(f"agent add {name} callback")
        ask(f"agent set contact {name} [originate_timeout=20]sofia/agents/{name}%{SIP_DOMAIN}")
        ask(f"agent set max_no_answer {name} 0")
        ask(f"agent set wrap_up_time {name} 0")
        ask(f"tier add bench@default {name} 1 1")
        ask(f"agent set status {name} Available")
    wait_until(lambda: len(watch.waits_ms) >= callers - 2 * len(names), 600, interval=0.5)
    return list(watch.waits_ms)


if __name__ == "__main__":
    sys.exit(main())
