"""What IRISX stands on goes away under live calls and comes back: calls go on, records are whole.

The whole of IRISX on a real FreeSWITCH, used over REST. OUTAGE_SECONDS is how long things are away.
"""

import os
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gevent
import pytest

from irisx.kernel.embedded import postgres, valkey
from tests.installation import Installation, Refused
from tests.proxy import Proxy
from tests.sipp import Sipp, needs_sipp
from tests.switches import FreeSwitch, needs_freeswitch
from tests.waiting import wait_until

pytestmark = [needs_freeswitch, needs_sipp]

AWAY_SECONDS = float(os.environ.get("OUTAGE_SECONDS", "5"))
STAYS, PARTNER, RINGS, CALLED = "+15556660108", "+15555550108", "+15557770103", "+15550002000"


class Database:
    """A PostgreSQL that can be stopped and started."""

    def __init__(self, home: Path) -> None:
        self._home = home
        self._running = ExitStack()
        self.url = ""
        self.start()

    def start(self) -> None:
        self.url = self._running.enter_context(postgres(self._home, durable=False))

    def stop(self) -> None:
        self._running.close()


@dataclass
class Site:
    """An installation whose Event Socket, Redis and PostgreSQL can be taken away."""

    irisx: Installation
    esl: Proxy
    redis: Proxy
    database: Database

    def call(self, sid: str) -> dict[str, Any]:
        found: dict[str, Any] = self.irisx.get(f"/v1/calls/{sid}")
        return found

    def wait_status(self, sid: str, status: str, timeout: float = 20) -> dict[str, Any]:
        def reached() -> bool:
            try:
                return bool(self.call(sid)["status"] == status)
            except Refused:
                return False

        wait_until(reached, timeout, interval=0.2)
        return self.call(sid)

    def place(self, to: str, **fields: Any) -> str:
        return str(self.irisx.post("/v1/calls", {"to": to, **fields})["sid"])

    def timeline(self, sid: str) -> list[str]:
        return [line["type"] for line in self.irisx.get(f"/v1/calls/{sid}/events")["events"]]

    def controlled(self, sid: str) -> None:
        """Wait until a command is carried out."""

        def works() -> bool:
            try:
                self.irisx.post(f"/v1/calls/{sid}/dtmf", {"digits": "1"})
            except Refused:
                return False
            return True

        wait_until(works, 20, interval=0.2)

    def end(self, sid: str) -> None:
        self.irisx.post(f"/v1/calls/{sid}/end")

    def call_in(self, hold_ms: int) -> Sipp:
        switch = f"127.0.0.1:{self.irisx.freeswitch.sip_port}"
        return Sipp("uac", switch, service=CALLED, hold_ms=hold_ms, timeout=120)

    def newest_inbound(self) -> str:
        calls = self.irisx.calls(direction="inbound")
        return str(calls[0]["sid"]) if calls else ""


@pytest.fixture(scope="module")
def site() -> Iterator[Site]:
    with ExitStack() as stack:
        home = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="irisx-outage-")))
        database = Database(home)
        stack.callback(database.stop)
        redis_url = stack.enter_context(valkey(home, durable=False))
        redis_port = redis_url.rpartition(":")[2].partition("/")[0]
        redis = Proxy(int(redis_port))
        freeswitch = FreeSwitch()
        esl = Proxy(freeswitch.esl_port)
        irisx = Installation(
            freeswitch,
            esl_url=f"esl://:{freeswitch.esl_password}@127.0.0.1:{esl.port}",
            environment={
                "IRISX_DATABASE_URL": database.url,
                "IRISX_REDIS_URL": redis_url.replace(f":{redis_port}/", f":{redis.port}/"),
            },
        )
        stack.enter_context(irisx)
        far_ends = (("15557", "uas_ring"), ("15556", "uas_stays"), ("15555", "uas_stays"))
        for prefix, scenario in far_ends:
            phone = Sipp(scenario, hold_ms=50, calls=1000, trace=False, timeout=3000)
            stack.callback(phone.stop)
            irisx.carrier(prefix, phone.port)
        irisx.phone_number(CALLED, {"type": "number", "to": STAYS})
        yield Site(irisx, esl, redis, database)


def test_calls_outlive_a_cut_connection_to_the_switch(site: Site) -> None:
    parked, ringing, over = site.place(STAYS), site.place(RINGS, timeout=300), site.place(STAYS)
    bridged = site.place(STAYS, on_answer={"type": "number", "to": PARTNER})
    for sid in (parked, over, bridged):
        site.wait_status(sid, "in-progress")
    site.wait_status(ringing, "ringing")
    wait_until(lambda: "call.bridged" in site.timeline(bridged))
    site.esl.cut()
    site.irisx.freeswitch.api(f"uuid_kill {uuid_of(over)} NORMAL_CLEARING")
    gevent.sleep(AWAY_SECONDS)
    assert site.call(over)["status"] == "in-progress"
    site.esl.mend()
    site.controlled(parked)
    ended = site.wait_status(over, "completed")
    assert ended["reason"] == "NORMAL_CLEARING"
    assert ended["duration"] < AWAY_SECONDS
    for sid, status in ((parked, "completed"), (ringing, "canceled"), (bridged, "completed")):
        site.end(sid)
        site.wait_status(sid, status)
        assert site.timeline(sid).count("call.attempted") == 1
    wait_until(lambda: not site.irisx.freeswitch.channels())


def test_without_redis_calls_go_on_and_are_recorded(site: Site) -> None:
    parked = site.place(STAYS)
    site.wait_status(parked, "in-progress")
    site.redis.cut()
    with site.call_in(hold_ms=1000) as caller:
        pass
    assert caller.result.successful == 1
    placed = site.place(STAYS)
    site.wait_status(placed, "in-progress")
    gevent.sleep(AWAY_SECONDS)
    site.redis.mend()
    site.controlled(parked)
    came = site.wait_status(site.newest_inbound(), "completed")
    assert came["duration"] == 1
    for sid in (parked, placed):
        site.end(sid)
        site.wait_status(sid, "completed")


def test_without_the_database_calls_go_on_and_their_records_arrive(site: Site) -> None:
    with site.call_in(hold_ms=100):  # whose number it is is known from now on
        pass
    parked, ringing, over = site.place(STAYS), site.place(RINGS, timeout=300), site.place(STAYS)
    for sid in (parked, over):
        site.wait_status(sid, "in-progress")
    site.wait_status(ringing, "ringing")
    before = site.newest_inbound()
    site.database.stop()
    with site.call_in(hold_ms=1000) as caller:
        pass
    assert caller.result.successful == 1
    site.irisx.freeswitch.api(f"uuid_kill {uuid_of(over)} NORMAL_CLEARING")
    gevent.sleep(AWAY_SECONDS)
    with pytest.raises(Refused) as refused:
        site.call(parked)
    assert refused.value.status == 503
    site.database.start()
    site.controlled(parked)
    ended = site.wait_status(over, "completed")
    assert ended["reason"] == "NORMAL_CLEARING"
    assert ended["duration"] < AWAY_SECONDS
    wait_until(lambda: site.newest_inbound() != before)
    came = site.wait_status(site.newest_inbound(), "completed")
    assert came["duration"] == 1
    lines = site.timeline(came["sid"])
    assert [lines.count(f"call.{type}") for type in ("initiated", "answered", "completed")] == [
        1
    ] * 3
    for sid, status in ((parked, "completed"), (ringing, "canceled")):
        site.end(sid)
        site.wait_status(sid, status)


def test_a_restart_of_the_switch_ends_its_calls_and_the_next_ones_work(site: Site) -> None:
    parked, ringing = site.place(STAYS), site.place(RINGS, timeout=300)
    site.wait_status(parked, "in-progress")
    site.wait_status(ringing, "ringing")
    os.kill(site.irisx.freeswitch.pid, 9)
    site.irisx.freeswitch.stop()
    site.irisx.freeswitch.start()
    ended = site.wait_status(parked, "completed")
    assert ended["reason"] == "NODE_RESTARTED"
    assert site.wait_status(ringing, "failed")["reason"] == "NODE_RESTARTED"

    def works() -> str:
        sid = site.place(STAYS)
        try:
            site.wait_status(sid, "in-progress", timeout=3)
        except AssertionError:
            return ""
        return sid

    site.end(wait_until(works, 20))


def uuid_of(sid: str) -> str:
    digits = sid.removeprefix("CA")
    return "-".join((digits[:8], digits[8:12], digits[12:16], digits[16:20], digits[20:]))
