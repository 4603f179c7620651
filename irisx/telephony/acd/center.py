"""All queues of an engine: callers come in, agents' rows change, engines come and go.

One engine matches a tenant's queues (a lease, as for nodes); agents are shared by a tenant's
queues, so the tenant is the unit.
"""

import time
from collections.abc import Callable
from typing import Any
from uuid import uuid4
from zoneinfo import ZoneInfo

import gevent
import structlog
from sqlalchemy.exc import SQLAlchemyError

from irisx.kernel import jobs
from irisx.kernel.clock import now
from irisx.kernel.ids import row_key
from irisx.telephony.acd import kept, queues, roster, settling, voicemail
from irisx.telephony.acd.agent_first import AgentFirst
from irisx.telephony.acd.alarm import Alarm
from irisx.telephony.acd.engagements import Engagement
from irisx.telephony.acd.entering import Entering
from irisx.telephony.acd.ledger import Ledger
from irisx.telephony.acd.models import Queue
from irisx.telephony.acd.options import VoicemailTarget
from irisx.telephony.acd.queued import QueuedCall
from irisx.telephony.acd.records import QueueRecord
from irisx.telephony.acd.room import Room
from irisx.telephony.acd.roster import Earlier, QueueFacts
from irisx.telephony.calls import connect
from irisx.telephony.calls.forward import forward
from irisx.telephony.calls.live import LiveCall
from irisx.telephony.esl.wire import Event
from irisx.telephony.ivr import runner
from irisx.telephony.lease import RENEW_SECONDS, Leases
from irisx.telephony.switch import Switch
from irisx.tenancy import agents

log = structlog.get_logger()

#: A call that can't be taken up holds the others' agents back no longer (s).
_TAKE_UP_SECONDS = 3.0
_SETTLE_SECONDS = 2.0
_FAILED = "NORMAL_TEMPORARY_FAILURE"


class Center:
    """The queues of the tenants whose calls this engine has."""

    def __init__(self, leases: Leases) -> None:
        self.alarm = Alarm()
        self.ledger = Ledger()
        self._leases = leases
        self._rooms: dict[int, Room] = {}
        self._taking_up = 0
        self._loops: list[gevent.Greenlet] = []

    def start(self) -> None:
        topics = {agents.TOPIC, queues.TOPIC}
        self._loops = [
            gevent.spawn(jobs.listen, topics, self._heard, self._connected),
            gevent.spawn(self._keep_leases),
            gevent.spawn(self._keep_settled),
        ]

    def stop(self) -> None:
        """Write what waits, and let another engine have the queues."""
        gevent.killall(self._loops)
        self.alarm.stop()
        self.ledger.flush(timeout=1)
        for tenant_id in self._rooms:
            self._leases.release_queues(tenant_id)

    # -- rooms ------------------------------------------------------------------------------------

    def _room(self, tenant_id: int) -> Room | None:
        """The tenant's room, if this engine has its queues. Raises SQLAlchemyError."""
        room = self._rooms.get(tenant_id)
        if room is not None:
            return room
        if not self._leases.hold_queues(tenant_id):
            return None
        found = roster.load(tenant_id)
        room = self._rooms.get(tenant_id)  # another caller's greenlet may have been faster
        if room is None:
            room = self._rooms[tenant_id] = Room(self, tenant_id, found)
            if not self._taking_up:
                self._unlock(room)
        return room

    def _unlock(self, room: Room) -> None:
        self._settle(room)
        room.unlock()

    def _settle(self, room: Room) -> None:
        """End what an engine that is gone has left of calls that have ended."""
        live = {queued.call.id for queued in (*room.calls.values(), *room.talks.values())}
        if not self.ledger.flush(timeout=1):
            return  # what ended before now would be taken for somebody else's
        try:
            if settling.settle(room.tenant_id, live) or not room.open:
                room.refresh(roster.load(room.tenant_id))
        except SQLAlchemyError as error:
            log.warning("acd.not_settled", tenant=room.tenant_id, error=str(error)[:200])

    def _keep_leases(self) -> None:
        while True:
            gevent.sleep(RENEW_SECONDS)
            for tenant_id in list(self._rooms):
                if not self._leases.hold_queues(tenant_id):
                    log.error("acd.lease_lost", tenant=tenant_id)

    def _keep_settled(self) -> None:
        """Calls that ended while no engine was there are written as ended after they were taken up,
        by a journal that may have to wait for the database: hence look again and again."""
        while True:
            gevent.sleep(_SETTLE_SECONDS)
            for room in list(self._rooms.values()):
                if room.open:
                    self._settle(room)

    def _heard(self, topic: str, detail: str) -> None:
        tenant, _, agent = detail.partition(":")
        room = self._rooms.get(int(tenant))
        if room is not None:
            gevent.spawn(self._reload, room, int(agent) if topic == agents.TOPIC else None)

    def _connected(self, connected: bool) -> None:
        for room in self._rooms.values() if connected else ():  # something may have been missed
            gevent.spawn(self._reload, room, None)

    def _reload(self, room: Room, agent_id: int | None) -> None:
        """What the API has changed. Our own changes come first, or theirs would look undone."""
        self.ledger.flush(timeout=10)
        try:
            if agent_id is None:
                room.refresh(roster.load(room.tenant_id))
            else:
                room.agent_changed(agent_id, roster.load_agent(room.tenant_id, agent_id))
        except SQLAlchemyError as error:
            log.warning("acd.not_reloaded", tenant=room.tenant_id, error=str(error)[:200])

    # -- calls ------------------------------------------------------------------------------------

    def enter(
        self,
        switch: Switch,
        call: LiveCall,
        queue_id: str,
        entering: Entering,
        rate: str | None = None,
    ) -> None:
        """Let a call wait in a queue (`queue_3`). One that can't goes where the queue says, or
        back to its flow with the outcome that says why."""
        room, queue = self._find(call, queue_id)
        if room is None or queue is None:
            self._refuse(switch, call, entering)
            return
        before = self._earlier(queue, call, entering)
        # Without a channel the row alone tells of the wait: again, if an engine is lost.
        once = entering.dial is not None
        entered = call.initiated_at if once else now()
        record = QueueRecord(
            id=call.id if once else uuid4(),
            entered_at=entered,
            tenant_id=call.tenant_id,
            queue_id=queue.row.id,
            call_id=call.id,
            number=call.customer_number,
            priority=entering.priority,
            place_at=entering.place_at or before.place_at or entered,
        )
        wideband = runner.is_wideband(rate)
        waits = (room, switch, call, queue, record, entering, wideband)
        queued = AgentFirst(*waits, dialled=entering.dialled) if once else QueuedCall(*waits)
        call.queued = queued
        self._admit(room, queued, before.agent_id)

    def _admit(self, room: Room, queued: QueuedCall, sticky: int | None) -> None:
        queue, record = queued.queue, queued.record
        position = room.matcher.length(queue.row.id) + 1
        wait_s = room.expected_wait_s(queue, position)
        record.estimated_ms = None if wait_s is None else round(wait_s * 1000)
        record.write(queued.call, record.entered_at, position=position)
        refused = _refused(room, queue, position)
        if refused is not None:
            queued.overflow(refused)
        else:
            queued.begin()
            room.enter(queued, sticky)

    def _find(self, call: LiveCall, queue_id: str) -> tuple[Room | None, QueueFacts | None]:
        key = row_key(Queue.PREFIX, queue_id)
        try:
            room = self._room(call.tenant_id)
            if room is not None and key not in room.queues:  # so new that we were not told yet
                room.refresh(roster.load(call.tenant_id))
        except SQLAlchemyError as error:
            log.error("acd.queues_unknown", sid=call.sid, error=str(error)[:200])
            return None, None
        queue = None if room is None else room.queues.get(key)
        if queue is None:
            log.error("acd.no_queue", sid=call.sid, queue=queue_id, room=room is not None)
        return room, queue

    def _earlier(self, queue: QueueFacts, call: LiveCall, entering: Entering) -> Earlier:
        if entering.place_at is not None and not queue.options.sticky_seconds:
            return Earlier()
        try:
            return roster.earlier(queue, call.customer_number)
        except SQLAlchemyError as error:
            log.warning("acd.caller_unknown", sid=call.sid, error=str(error)[:200])
            return Earlier()

    def _refuse(self, switch: Switch, call: LiveCall, entering: Entering) -> None:
        if entering.back is not None:
            entering.back("failed")
        else:
            connect.hang_up(switch, call, _FAILED)

    def send_on(self, switch: Switch, call: LiveCall, target: Any, wideband: bool) -> None:
        """Where a caller goes after a queue."""
        if isinstance(target, VoicemailTarget):
            gevent.spawn(voicemail.take_message, switch, call, target, wideband)
        else:
            forward(switch, call, connect.text_of(target.model_dump()), None)

    # -- agents in other calls --------------------------------------------------------------------

    def engaged(self, call: LiveCall, agent_id: int, leg: str, *, talks: bool) -> None:
        """A leg to an agent's phone that no queue rings is there, or (`talks`) answered."""
        try:
            room = self._room(call.tenant_id)
        except SQLAlchemyError as error:
            log.warning("acd.agent_unknown", sid=call.sid, error=str(error)[:200])
            return
        if room is not None:
            room.engaged(agent_id, leg, Engagement(call.id, talks))

    def released(self, call: LiveCall, agent_id: int, leg: str) -> None:
        """Such a leg is gone."""
        room = self._rooms.get(call.tenant_id)
        if room is not None:
            room.released(agent_id, leg)

    # -- after an engine was lost -----------------------------------------------------------------

    def take_up(self, keys: int) -> Callable[[], None]:
        """So many calls are being taken up; call the answer once for each. Until then nobody is
        rung, since an agent may be rung already for a caller who is not known yet."""
        self._taking_up += 1
        left, done = keys, False

        def finish() -> None:
            nonlocal done
            if not done:
                done = True
                self._taking_up -= 1
                self._taken_up()

        def one_is() -> None:
            nonlocal left
            left -= 1
            if left <= 0:
                finish()

        gevent.spawn_later(_TAKE_UP_SECONDS, finish)
        if keys == 0:
            finish()
        return one_is

    def _taken_up(self) -> None:
        if self._taking_up:
            return
        for room in self._rooms.values():
            if not room.open:
                self._unlock(room)
        try:
            for tenant_id in settling.tenants_with_work():
                self._room(tenant_id)
        except SQLAlchemyError as error:
            log.warning("acd.work_unknown", error=str(error)[:200])

    def resume(self, switch: Switch, call: LiveCall, dump: Event) -> None:
        """A call that is in a queue by its channel."""
        if call.queued is not None:
            return
        try:
            found = kept.Kept(dump.variable(kept.VARIABLE) or "", call)
        except (ValueError, KeyError, TypeError) as error:
            log.error("acd.place_unreadable", sid=call.sid, error=str(error))
            return
        room, queue = self._find(call, found.queue_id)
        # A lease of an engine that was lost with its machine lasts longer than its node's.
        deadline = time.monotonic() + _TAKE_UP_SECONDS
        while room is None and time.monotonic() < deadline:
            gevent.sleep(RENEW_SECONDS)
            room, queue = self._find(call, found.queue_id)
        if room is None or queue is None:
            connect.hang_up(switch, call, _FAILED)
            return
        wideband = runner.is_wideband(dump.get("Channel-Read-Codec-Rate"))
        queued = QueuedCall(room, switch, call, queue, found.record, found.entering, wideband)
        call.queued = queued
        if found.talks is not None:
            agent_id, since = found.talks
            queued.talked_before(agent_id, since)
            room.talk_begins(queued, agent_id)
        else:
            room.enter(queued, None)
            if dump.variable("current_application") in (None, "park"):
                queued.play_again()


def _refused(room: Room, queue: QueueFacts, position: int) -> str | None:
    """Why a caller can't even begin to wait."""
    options = queue.options
    if not _is_open(queue):
        return "closed"
    if options.max_length is not None and position > options.max_length:
        return "full"
    if options.no_agents_seconds == 0 and not room.matcher.staffed(queue.row.id):
        return "no-agents"
    return None


def _is_open(queue: QueueFacts) -> bool:
    hours = queue.options.hours
    return hours is None or hours.is_open(now().astimezone(ZoneInfo(hours.time_zone)))
