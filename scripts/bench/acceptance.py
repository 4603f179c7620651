"""Calls out and in through all of IRISX on a real FreeSWITCH, as a customer places them.

A carrier, a number and a webhook are added over REST; sipp is everybody else. Each call must have
the right status, the duration that sipp held it, its bill seconds, and one signed webhook of each
kind. Ends with 1 where anything is missing.
"""

# ruff: noqa: E402
from gevent import monkey

monkey.patch_all()

import json
import math
import os
import statistics
import sys
import time
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from itertools import count
from typing import Any

import gevent
from standardwebhooks import Webhook

from tests.installation import Installation
from tests.receiver import Receiver, receiving
from tests.sipp import Sipp
from tests.waiting import wait_until

HOLD_MS = 2000
#: How far a call's duration may be from what sipp held, in ms: it pauses by its own clock.
TOLERANCE_MS = 300
KINDS = ("call.initiated", "call.ringing", "call.answered", "call.completed")
CALLED, PARTNER, FAR_END = "+15550002000", "+15556660100", "+15557770100"


@dataclass
class Verdict:
    """What one direction showed; `faults` is empty where all was right."""

    direction: str
    wanted: int
    statuses: Counter[str] = field(default_factory=Counter)
    durations_ms: list[float] = field(default_factory=list)
    webhooks: Counter[str] = field(default_factory=Counter)
    webhook_delays_ms: list[float] = field(default_factory=list)
    rate: float = 0.0
    faults: list[str] = field(default_factory=list)


def main() -> int:
    calls = int(sys.argv[1]) if len(sys.argv) > 1 else 100
    rate = int(sys.argv[2]) if len(sys.argv) > 2 else 20
    before = os.getloadavg()
    with Installation() as irisx, receiving() as receiver:
        hook = irisx.post("/v1/webhooks", {"url": f"{receiver.url}/hook", "events": ["*"]})
        verdicts = [outbound(irisx, calls, rate), inbound(irisx, calls, rate)]
        check_webhooks(irisx, receiver, Webhook(hook["secret"]), verdicts)
        check_nothing_left(irisx, verdicts)
    for verdict in verdicts:
        show(verdict)
    print(f"load before {before[0]:.1f}, after {os.getloadavg()[0]:.1f}, {os.cpu_count()} CPUs")
    return 1 if any(verdict.faults for verdict in verdicts) else 0


def outbound(irisx: Installation, calls: int, rate: int) -> Verdict:
    verdict = Verdict("outbound", calls)
    with Sipp("uas_answers_and_ends", hold_ms=HOLD_MS, calls=calls, trace=False) as far_end:
        irisx.carrier("15557", far_end.port)
        started = time.monotonic()
        requests = []
        for index in range(calls):
            gevent.sleep(max(0.0, started + index / rate - time.monotonic()))
            body = {"to": FAR_END, "metadata": {"index": index}}
            requests.append(gevent.spawn(irisx.post, "/v1/calls", body))
        gevent.joinall(requests, raise_error=True)
        check_calls(irisx, verdict)
    if far_end.result.successful != calls:
        verdict.faults.append(f"sipp: {far_end.result}")
    return verdict


def inbound(irisx: Installation, calls: int, rate: int) -> Verdict:
    verdict = Verdict("inbound", calls)
    with Sipp("uas_stays", hold_ms=100, calls=calls, trace=False) as partner:
        irisx.carrier("15556", partner.port)
        irisx.phone_number(CALLED, {"type": "number", "to": PARTNER})
        switch = f"127.0.0.1:{irisx.freeswitch.sip_port}"
        options: dict[str, Any] = {"hold_ms": HOLD_MS, "calls": calls, "rate": rate}
        result = Sipp("uac", switch, service=CALLED, trace=False, **options).result
        if result.successful != calls:
            verdict.faults.append(f"sipp: {result}")
        check_calls(irisx, verdict)
    return verdict


def check_calls(irisx: Installation, verdict: Verdict) -> None:
    deadline = time.monotonic() + 30
    while True:
        found = irisx.calls(direction=verdict.direction)
        over = sum(1 for call in found if call["ended_at"])
        if over >= verdict.wanted or time.monotonic() > deadline:
            break
        gevent.sleep(0.5)
    came = sorted(call["initiated_at"] for call in found)
    if len(came) > 1:
        verdict.rate = (len(came) - 1) * 1000 / milliseconds(came[0], came[-1])
    for call in found:
        verdict.statuses[call["status"]] += 1
        verdict.faults += [f"{call['sid']}: {fault}" for fault in faults_of(call)]
        if call["answered_at"] and call["ended_at"]:
            verdict.durations_ms.append(milliseconds(call["answered_at"], call["ended_at"]))
    if len(found) != verdict.wanted:
        verdict.faults.append(f"{len(found)} calls in place of {verdict.wanted}")


def faults_of(call: dict[str, Any]) -> Iterator[str]:
    if call["status"] != "completed" or call["reason"] != "NORMAL_CLEARING":
        yield f"{call['status']} ({call['reason']})"
        return
    held = milliseconds(call["answered_at"], call["ended_at"])
    if abs(held - HOLD_MS) > TOLERANCE_MS:
        yield f"lasted {held:.0f} ms, sipp held {HOLD_MS}"
    if call["duration"] != round(held / 1000) or call["bill_seconds"] != math.ceil(held / 1000):
        yield f"{held:.0f} ms are shown as {call['duration']} s, billed {call['bill_seconds']} s"
    if call["hangup_by"] != "remote":
        yield f"hung up by {call['hangup_by']}"
    if not call["initiated_at"] <= call["ringing_at"] <= call["answered_at"] <= call["ended_at"]:
        yield "its times are not in order"


def check_webhooks(
    irisx: Installation, receiver: Receiver, key: Webhook, verdicts: list[Verdict]
) -> None:
    wanted = sum(verdict.wanted for verdict in verdicts) * len(KINDS)
    deadline = time.monotonic() + 60
    while len(receiver.received) < wanted and time.monotonic() < deadline:
        gevent.sleep(0.1)
    by_call: dict[str, Counter[str]] = defaultdict(Counter)
    direction_of = {}
    by_direction = {verdict.direction: verdict for verdict in verdicts}
    for request in receiver.received:
        key.verify(request.body, request.headers)  # raises where the signature is wrong
        event = json.loads(request.body)
        sid, verdict = event["data"]["sid"], by_direction[event["data"]["direction"]]
        by_call[sid][event["type"]] += 1
        direction_of[sid] = verdict
        verdict.webhooks[event["type"]] += 1
    for call in irisx.calls():
        once = Counter(KINDS)
        if by_call[call["sid"]] != once:
            verdict = by_direction[call["direction"]]
            verdict.faults.append(f"{call['sid']}: webhooks {dict(by_call[call['sid']])}")


def check_nothing_left(irisx: Installation, verdicts: list[Verdict]) -> None:
    """No channel, and no note of an end: everything is in the database."""

    def kept() -> str:
        return irisx.freeswitch.api("hash_dump db irisx_ended").strip()

    try:
        wait_until(lambda: not irisx.freeswitch.channels(), 5)
        wait_until(lambda: "irisx_ended" not in kept(), 5)
    except AssertionError as error:
        verdicts[-1].faults.append(str(error))


def milliseconds(start: str, end: str) -> float:
    return (datetime.fromisoformat(end) - datetime.fromisoformat(start)).total_seconds() * 1000


def show(verdict: Verdict) -> None:
    print(f"{verdict.direction}: {verdict.wanted} calls at {verdict.rate:.1f} a second")
    print(f"  statuses   {dict(verdict.statuses)}")
    if verdict.durations_ms:
        low, high = min(verdict.durations_ms), max(verdict.durations_ms)
        middle = statistics.median(verdict.durations_ms)
        print(f"  duration   {low:.0f} / {middle:.0f} / {high:.0f} ms (sipp held {HOLD_MS})")
    print(f"  webhooks   {dict(verdict.webhooks)}, all signatures valid")
    print(f"  faults     {len(verdict.faults)}")
    for number, fault in zip(count(1), verdict.faults[:20], strict=False):
        print(f"    {number}. {fault}")


if __name__ == "__main__":
    sys.exit(main())
