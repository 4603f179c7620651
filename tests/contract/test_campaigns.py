"""Campaigns on every switch: whom they reach, and that nobody is called twice or forgotten."""

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from irisx.telephony.carriers import SCRIPTED
from irisx.telephony.dialer import preview
from irisx.telephony.dialer.settling import settle
from irisx.telephony.dialer.states import CampaignStatus
from irisx.telephony.dialer.statistics import statistics
from irisx.telephony.esl.connection import Connection
from irisx.telephony.esl.wire import Event
from irisx.tenancy.access import SYSTEM
from irisx.tenancy.models import PhoneNumber, Tenant
from tests.contract import acd
from tests.contract.rig import ALSO_STAYS, BUSY, RINGS, STAYS, Line, Machine, Rig
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


def test_who_answers_is_connected_with_an_agent(line: Rig) -> None:
    ann = acd.agent(line, line.far_end(STAYS))
    campaign = Campaigning(
        line.tenant, mode="progressive", fields={"agents": [ann.id]}, connect_within_ms=20_000
    )
    (customer,) = people(line, 1)
    campaign.add(customer)
    campaign.start()
    campaign.dial()
    acd.wait_status(line, ann, "busy")
    (call,) = campaign.calls()
    assert campaign.dial() == [customer]
    floor = statistics(line.tenant.id, campaign.id).floor
    assert floor is not None and (floor.free, len(floor.talking), floor.waiting) == (0, 1, 0)
    line.command(call.id, "end")
    line.wait_status(call.id, "completed")
    wait_until(lambda: completed(campaign), 20, 0.1)
    (attempt,) = campaign.attempts()
    assert (attempt.result, attempt.agent_id, attempt.person) == ("connected", ann.id, True)
    assert attempt.wait_ms is not None and attempt.talk_ms is not None


def test_who_answers_and_gets_no_agent_in_time_is_told_so_and_counted_as_dropped(
    line: Rig,
) -> None:
    ann = acd.agent(line, line.far_end(RINGS))
    campaign = Campaigning(
        line.tenant,
        mode="progressive",
        fields={"agents": [ann.id]},
        connect_within_ms=1000,
        safe_harbour={"silence_ms": 300},
        max_attempts=1,
    )
    (customer,) = people(line, 1)
    campaign.add(customer)
    campaign.start()
    campaign.dial()
    wait_until(lambda: completed(campaign), 30, 0.1)
    (attempt,) = campaign.attempts()
    assert (attempt.result, attempt.agent_id) == ("dropped", None)
    assert "campaign.dropped" in line.timeline(attempt.id)
    assert statistics(line.tenant.id, campaign.id).drops.drops == 1
    acd.wait_status(line, ann, "available")
    wait_until(lambda: not line.switch_channels(), 10)


def test_a_previewed_contact_gets_the_agent_who_looked_at_it(line: Rig) -> None:
    ann = acd.agent(line, line.far_end(STAYS))
    bob = acd.agent(line, line.far_end(ALSO_STAYS))
    campaign = Campaigning(
        line.tenant,
        mode="preview",
        fields={"agents": [ann.id, bob.id]},
        connect_within_ms=20_000,
    )
    (customer,) = people(line, 1)
    campaign.add(customer)
    campaign.start()
    contact = preview.next_contact(line.tenant.id, campaign.id, bob.id)
    assert contact is not None and campaign.dial() == []
    placed = preview.accept(SYSTEM, line.tenant.id, campaign.id, contact.id, bob.id)
    acd.wait_status(line, bob, "busy")
    assert acd.now_(line, ann).status == "available"
    line.command(placed.id, "end")
    wait_until(lambda: completed(campaign), 20, 0.1)
    assert [attempt.agent_id for attempt in campaign.attempts()] == [bob.id]


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


def test_an_engine_killed_while_somebody_waits_for_an_agent_still_tells_them(
    plain: Line, running_switch: Machine
) -> None:
    with engine_process(running_switch) as engine:
        ann = acd.agent(plain, plain.far_end(RINGS, 2))
        customers = people(plain, 1)
        campaign = Campaigning(
            plain.tenant,
            sandbox=plain.sandbox,
            mode="progressive",
            fields={"agents": [ann.id]},
            connect_within_ms=3000,
            safe_harbour={"silence_ms": 300},
            max_attempts=1,
        )
        campaign.add(*customers)
        campaign.start()
        campaign.dial()
        (call,) = campaign.calls()
        plain.wait_line(call.id, "campaign.waiting", 30)
        engine.kill()
        engine.start()
        wait_until(lambda: completed(campaign), 40, 0.1)
    (attempt,) = campaign.attempts()
    # On a slow machine they have hung up before the engine is back.
    by_them = plain.row(call.id).hangup_by == "remote"
    assert attempt.result == ("abandoned" if by_them else "dropped")
