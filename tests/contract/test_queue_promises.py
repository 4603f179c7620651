"""What queues promise callers and agents beside being connected: what is said, when it is closed,
whom a caller knows; and the race in which both sides hang up at once."""

from collections.abc import Iterator
from contextlib import suppress
from datetime import timedelta
from uuid import UUID

import gevent
import pytest

from irisx.kernel.clock import now
from irisx.kernel.redis import redis
from irisx.media import client
from irisx.media.process import Media
from irisx.telephony.acd import sound
from irisx.telephony.acd.estimate import spoken_position, spoken_wait
from irisx.telephony.esl import commands
from irisx.telephony.esl.errors import CommandRefused
from irisx.telephony.ivr import prompts
from irisx.tenancy import agents
from irisx.tenancy.access import SYSTEM
from irisx.tenancy.agent_models import AgentStatus
from tests.contract import acd
from tests.contract.rig import ALSO_STAYS, STAYS, Line, Rig
from tests.contract.test_engagements import pieces_of_work
from tests.contract.test_queues import LONG_MS, end_all, tune
from tests.waiting import wait_until


@pytest.fixture
def media() -> Iterator[None]:
    """The media process, which speaks."""
    media = Media()
    greenlet = gevent.spawn(media.run)
    wait_until(lambda: redis().exists(client.ALIVE))
    yield
    media.stop()
    greenlet.get(timeout=5)


def plays(line: Line, channel: object, file: str) -> None:
    """Wait until this file is played on a channel."""
    wait_until(lambda: file in line.told(f"uuid_dump {channel}"), 20)


def test_callers_are_told_their_position_and_the_expected_wait(line: Rig, media: None) -> None:
    ann = acd.agent(line, line.far_end(STAYS), status=AgentStatus.AWAY)
    options = {"announce_position": True, "announce_wait": True}
    queue = acd.queue(line, ann, options=options)
    for index in (1, 2):
        line.call_in(acd.NUMBER, caller=f"+1555000900{index}", hold_ms=3 * LONG_MS)
        acd.wait_record(queue, "waiting", count=index)
    room = line.engine.center._rooms[line.tenant.id]
    room.queues[queue].estimator.handled(130.0)  # two callers before one agent: 260 s
    second = acd.records(queue)[1]
    # As the alarm does every `announce_every_seconds`, which are 15 at least.
    queued = wait_until(lambda: room.calls.get(str(second.id)))
    assert queued is not None
    room._announce(queued)
    texts = [spoken_position(2), spoken_wait(260.0)]
    assert texts == [
        "You are number 2 in line.",
        "Your expected waiting time is less than 5 minutes.",
    ]
    for file in sound.spoken(texts, "en", line.tenant.id, False):
        plays(line, second.call_id, file)
    plays(line, second.call_id, "//moh")  # and music again
    end_all(line)


def test_an_agent_is_told_something_before_the_caller_is_there(line: Rig) -> None:
    announced = prompts.upload(SYSTEM, line.tenant.id, "sales", tune(seconds=1.5))
    ann = acd.agent(line, line.far_end(STAYS))
    prompt = {"prompts": [{"prompt": announced.public_id}]}
    queue = acd.queue(line, ann, options={"agent_announcement": prompt})
    line.call_in(acd.NUMBER, hold_ms=LONG_MS)
    (offer,) = wait_until(lambda: acd.offers(queue)) or []
    path = prompts.uploaded_path(line.tenant.id, announced.id, prompts.NARROWBAND_HZ)
    plays(line, offer.id, str(path))
    assert acd.records(queue)[0].status.value == "waiting"  # the caller hears music until then
    assert acd.wait_record(queue, "talking").agent_id == ann.id
    end_all(line)


def test_outside_its_hours_a_queue_sends_callers_elsewhere(line: Rig) -> None:
    far_end = line.far_end(STAYS)
    ann = acd.agent(line, line.far_end(ALSO_STAYS))
    another_day = f"{now() + timedelta(days=3):%a}".lower()
    hours = {"time_zone": "UTC", "weekly": {another_day: ["09:00-17:00"]}}
    elsewhere = {"closed": {"type": "number", "to": far_end}}
    queue = acd.queue(line, ann, options={"hours": hours, "overflow": elsewhere})
    line.call_in(acd.NUMBER, hold_ms=LONG_MS)
    gone = acd.wait_record(queue, "overflowed")
    assert (gone.reason, gone.to) == ("closed", far_end)
    line.wait_line(gone.call_id, "call.bridged")
    assert acd.offers(queue) == []
    end_all(line)

    shut = acd.queue(line, ann, number="+15550003001", options={"hours": hours})
    line.call_in("+15550003001", hold_ms=LONG_MS)
    refused = acd.wait_record(shut, "overflowed")
    assert line.row(refused.call_id).answered_at is None  # not even let in


def test_a_caller_gets_the_agent_of_the_last_talk(line: Rig) -> None:
    ann = acd.agent(line, line.far_end(STAYS, calls=2))
    bob = acd.agent(line, line.far_end(ALSO_STAYS), status=None)
    queue = acd.queue(line, ann, bob, options={"sticky_seconds": 30})
    line.call_in(acd.NUMBER, caller="+15550009001", hold_ms=LONG_MS)
    first = acd.wait_record(queue, "talking")
    assert first.agent_id == ann.id
    agents.set_status(SYSTEM, line.tenant.id, bob.id, AgentStatus.AVAILABLE, None)
    line.call_in(acd.NUMBER, caller="+15550009001", hold_ms=LONG_MS)
    waits = acd.wait_record(queue, "waiting")
    assert len(acd.offers(queue)) == 1  # although bob is free
    line.command(first.call_id, "end")
    assert acd.wait_record(queue, "talking").id == waits.id
    assert acd.records(queue)[1].agent_id == ann.id
    end_all(line)


def kill_together(line: Line, *channels: object) -> None:
    """End channels in one write: the switch does it within a millisecond or two."""
    kills = [commands.uuid_kill(str(channel)).foreground for channel in channels]
    with suppress(CommandRefused):  # its partner's end has ended it
        line.observer.pipeline(kills)


@pytest.mark.parametrize("agent_first", [False, True])
def test_both_hang_up_within_20_ms(line: Rig, agent_first: bool) -> None:
    ann = acd.agent(line, line.far_end(STAYS))
    queue = acd.queue(line, ann)
    line.call_in(acd.NUMBER, hold_ms=LONG_MS)
    call_id = acd.wait_record(queue, "talking").call_id
    (offer,) = acd.wait_offers(queue, "answered")
    both = [call_id, offer.id]
    kill_together(line, *(reversed(both) if agent_first else both))
    acd.wait_record(queue, "completed")
    settled(line, queue, ann.id, call_id)
    assert line.domain_events(call_id).count("queue.completed") == 1
    acd.wait_status(line, ann, "available")
    wait_until(lambda: pieces_of_work(ann) == 0)


@pytest.mark.parametrize("after_ms", [0, 40, 80])
def test_a_caller_hangs_up_about_when_the_agent_answers(line: Rig, after_ms: int) -> None:
    """The phone is answered within some 60 ms: before it, at it or after it."""
    ann = acd.agent(line, line.far_end(STAYS))
    queue = acd.queue(line, ann)
    line.call_in(acd.NUMBER, hold_ms=LONG_MS)
    wait_until(lambda: acd.offers(queue), interval=0.002)
    call_id = acd.records(queue)[0].call_id
    gevent.sleep(after_ms / 1000)
    kill_together(line, call_id)
    acd.wait_record(queue, "completed", "abandoned")
    settled(line, queue, ann.id, call_id)
    acd.wait_status(line, ann, "available")
    wait_until(lambda: [offer for offer in acd.offers(queue) if offer.outcome is not None])
    assert len(acd.offers(queue)) == 1


def settled(line: Rig, queue: int, agent: int, call_id: UUID) -> None:
    """No channel, no reservation and no caller is left."""
    line.wait_status(call_id, "completed", "canceled")
    wait_until(lambda: not line.switch_channels(), 10)
    room = line.engine.center._rooms[line.tenant.id]
    seat = room.matcher.seat(agent)
    assert seat is not None
    wait_until(lambda: seat.offer is None)
    assert (room.matcher.length(queue), room.calls, room.talks) == (0, {}, {})
    assert (line.switch.calls, line.switch.legs) == ({}, {})
