"""How long a supervisor's change of mode takes: from `POST` to the tone that a party then hears.

Customer, agent and supervisor each hold a tone. What goes out to a party is recorded on its channel
as it is sent, 20 ms at a time, so a figure is right to 20 ms. Ends with 1 where a mode was not
heard within two seconds.
"""

# ruff: noqa: E402
from gevent import monkey

monkey.patch_all()

import os
import statistics
import sys
import time
from contextlib import ExitStack
from pathlib import Path
from uuid import UUID, uuid4

import numpy as np

from tests.installation import Installation
from tests.sandbox.sound import ulaw_tone
from tests.sipp import Sipp
from tests.waiting import wait_until

CUSTOMER, AGENT, SUPERVISOR = "+15555550111", "+15555550112", "+15555550113"
HERTZ = {CUSTOMER: 500, AGENT: 900, SUPERVISOR: 1300}
#: Before each measured change; after it; whose channel is listened to; whose tone comes.
CHANGES = {
    "listen to whisper": ("listen", "whisper", AGENT, SUPERVISOR),
    "listen to barge": ("listen", "barge", CUSTOMER, SUPERVISOR),
    "listen to takeover": ("listen", "takeover", CUSTOMER, SUPERVISOR),
    "takeover to listen": ("takeover", "listen", CUSTOMER, AGENT),
}
_BYTES_A_FRAME = 320
_MS_A_FRAME = 20
_HEARD = 2000
_SECONDS = 2.0
_SETTLE_SECONDS = 0.6


def main() -> int:
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 20
    load = os.getloadavg()[0]
    took: dict[str, list[int]] = {name: [] for name in CHANGES}
    missed = 0
    with Installation() as irisx, ExitStack() as phones:
        add_phones(irisx, phones)
        sid, legs = conversation(irisx)
        for _ in range(rounds):
            for name, (before, after, leg, tone) in CHANGES.items():
                supervise(irisx, sid, before)
                time.sleep(_SETTLE_SECONDS)
                ms = measured(irisx, sid, after, legs[leg], HERTZ[tone])
                if ms is None:
                    missed += 1
                else:
                    took[name].append(ms)
    for name, values in took.items():
        if values:
            worst = max(values)
            print(f"{name}: p50 {statistics.median(values):.0f} ms, worst of {len(values)} {worst}")
    print(f"not heard within {_SECONDS:.0f} s: {missed}   load {load:.1f}, {os.cpu_count()} CPUs")
    return 1 if missed else 0


def add_phones(irisx: Installation, phones: ExitStack) -> None:
    for number, hertz in HERTZ.items():
        files = {"tone.ulaw": ulaw_tone(hertz)}
        phone = Sipp("uas_hums", hold_ms=50, timeout=900, trace=False, files=files)
        phones.callback(phone.stop)
        irisx.carrier(number.removeprefix("+"), phone.port)


def conversation(irisx: Installation) -> tuple[str, dict[str, str]]:
    """A supervised call: its sid, and the channels of customer and agent."""
    body = {"to": CUSTOMER, "on_answer": {"type": "number", "to": AGENT}}
    sid = str(irisx.post("/v1/calls", body)["sid"])

    def bridged() -> bool:
        lines = irisx.get(f"/v1/calls/{sid}/events")["events"]
        return any(line["type"] == "call.bridged" for line in lines)

    wait_until(bridged, 20, interval=0.2)
    customer = str(UUID(sid.removeprefix("CA")))
    wait_until(lambda: len(irisx.freeswitch.channels()) == 2, 5)
    agent = next(channel for channel in irisx.freeswitch.channels() if channel != customer)
    supervise(irisx, sid, "listen")
    wait_until(lambda: joined(irisx), 20, interval=0.2)
    return sid, {CUSTOMER: customer, AGENT: agent}


def joined(irisx: Installation) -> bool:
    [call] = irisx.get("/v1/supervisor/calls")["data"]["calls"]
    return [each["status"] for each in call["supervisors"]] == ["active"]


def supervise(irisx: Installation, sid: str, mode: str) -> None:
    irisx.post(f"/v1/supervisor/calls/{sid}/{mode}", {"to": SUPERVISOR})


def measured(irisx: Installation, sid: str, mode: str, leg: str, hertz: float) -> int | None:
    """Milliseconds from the request for a mode to the tone on a channel; None: it did not come."""
    file = irisx.home / f"{uuid4()}.r8"
    options = "RECORD_WRITE_ONLY=true,enable_file_write_buffering=false,RECORD_PRE_BUFFER_FRAMES=1"
    irisx.freeswitch.api(f"uuid_record {leg} start {file} 0 {{{options}}}")
    wait_until(lambda: file.exists() and file.stat().st_size >= 5 * _BYTES_A_FRAME)
    begin = file.stat().st_size // _BYTES_A_FRAME
    started = time.monotonic()
    supervise(irisx, sid, mode)
    try:
        while time.monotonic() - started < _SECONDS:
            frame = first_frame(file, begin, hertz)
            if frame is not None:
                return (frame - begin + 1) * _MS_A_FRAME
            time.sleep(0.02)
        return None
    finally:
        irisx.freeswitch.api(f"uuid_record {leg} stop {file}")
        file.unlink(missing_ok=True)


def first_frame(file: Path, begin: int, hertz: float) -> int | None:
    """The first 20 ms frame from `begin` on that holds the tone."""
    samples = np.fromfile(file, dtype="<i2").astype(float)
    wave = np.exp(-2j * np.pi * hertz * np.arange(160) / 8000)
    for frame in range(begin, len(samples) // 160):
        part = samples[frame * 160 : (frame + 1) * 160]
        if 2 * abs((part * wave).sum()) / 160 > _HEARD:
            return frame
    return None


if __name__ == "__main__":
    sys.exit(main())
