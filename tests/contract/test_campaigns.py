"""Campaigns on every switch: whom they reach, and that nobody is called twice or forgotten."""

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from irisx.telephony.carriers import SCRIPTED
from irisx.telephony.dialer.settling import settle
from irisx.telephony.dialer.states import CampaignStatus
from irisx.telephony.esl.connection import Connection
from irisx.telephony.esl.wire import Event
from irisx.tenancy.models import PhoneNumber, Tenant
from tests.contract.rig import BUSY, Line, Machine, Rig
from tests.contract.test_recovery import engine_process
from tests.sipp import Sipp
from tests.telephony.dialer.campaigning import Campaigning
from tests.waiting import wait_until

#: People who answer and stay, on a carrier of their own.
PREFIX = "+1555556"


def people(line: Line, count: int) -> list[str]:
    """Numbers of people who answer."""
    if line.freeswitch is None:
        line.carrier(PREFIX, 5060, host=SCRIPTED)
    else:
        phone = Sipp("uas_stays", hold_ms=50, calls=count, trace=False, timeout=120)
        line.far_ends.append(phone)
        line.carrier(PREFIX, phone.port)
    return [f"{PREFIX}{n:04}" for n in range(1000, 1000 + count)]


@contextmanager
def dials(url: str) -> Iterator["Counter[str]"]:
    """How often the switch dialled each number."""
    counted: Counter[str] = Counter()

    def seen(event: Event) -> None:
        if event.name == "CHANNEL_CREATE" and event.get("Call-Direction") == "outbound":
            counted[event.get("Caller-Destination-Number", "")] += 1

    watcher = Connection(url, seen, events=["CHANNEL_CREATE"], subclasses=[])
    watcher.start()
    assert watcher.wait_up(10)
    try:
        yield counted
    finally:
        watcher.close()


def completed(campaign: Campaigning) -> bool:
    campaign.dialler.run()
    settle()
    return campaign.row().status is CampaignStatus.COMPLETED


def test_a_broadcast_reaches_everybody_once(line: Rig, running_switch: Machine) -> None:
    numbers = [*people(line, 3), line.far_end(BUSY)]
    campaign = Campaigning(line.tenant, retries=[])
    campaign.add(*numbers)
    with dials(running_switch.url) as dialled:
        campaign.start()
        wait_until(lambda: completed(campaign), 30, 0.1)
        results = {attempt.number: attempt.result for attempt in campaign.attempts()}
        assert results == {number: "connected" for number in numbers[:3]} | {numbers[3]: "busy"}
        assert dialled == Counter(numbers)
    for attempt in campaign.attempts():
        assert (attempt.answered_at is not None) is (attempt.result == "connected")
        assert attempt.ring_ms is not None


@pytest.fixture
def plain(running_switch: Machine, tenant: Tenant, number: PhoneNumber) -> Iterator[Line]:
    """A line without an engine."""
    with Line.on(running_switch, tenant, number.number) as made:
        yield made


def test_an_engine_killed_while_it_dials_loses_nobody_and_dials_nobody_twice(
    plain: Line, running_switch: Machine
) -> None:
    with engine_process(running_switch) as engine, dials(running_switch.url) as dialled:
        numbers = people(plain, 12)
        campaign = Campaigning(
            plain.tenant,
            sandbox=plain.sandbox,
            fields={"message": {"silence_ms": 2000}},
            max_concurrent=6,
            retries=[],
        )
        campaign.add(*numbers)
        campaign.start()

        def dialling(count: int) -> bool:
            campaign.dialler.run()
            settle()
            return dialled.total() >= count

        for count in (2, 8):  # in the middle of its work, twice
            wait_until(lambda count=count: dialling(count), 30, 0.05)
            engine.kill()
            campaign.dialler.run()  # what is claimed while there is no engine is dialled later
            engine.start()

        def over() -> bool:
            campaign.later(121)  # what no switch took in time is tried again
            return completed(campaign)

        wait_until(over, 60, 0.1)
        assert dialled == Counter(numbers)
    results = Counter(str(attempt.result) for attempt in campaign.attempts() if attempt.counted)
    # On a slow machine people hang up before the engine is back.
    assert results.total() == len(numbers) and results.keys() <= {"connected", "abandoned"}
