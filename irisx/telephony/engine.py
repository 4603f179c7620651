"""The engine: the daemon that holds the nodes' Event Sockets and runs the calls."""

import json
import random
import signal
import time

import gevent
import structlog
from gevent.event import Event as Signal
from redis import RedisError
from sqlalchemy.exc import OperationalError, SQLAlchemyError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from irisx.kernel.errors import Unavailable
from irisx.kernel.health import announce_ready
from irisx.kernel.jobs import listen
from irisx.kernel.kept import follow
from irisx.kernel.redis import redis
from irisx.media.amd.live import CONSUMER
from irisx.settings import get_settings
from irisx.telephony import bus, carriers, taps, text_messages
from irisx.telephony.acd.center import Center
from irisx.telephony.amd import live as amd
from irisx.telephony.assistants import talk
from irisx.telephony.bus import Command
from irisx.telephony.calls import control, handling, outbound, recovery
from irisx.telephony.calls.journal import Journal
from irisx.telephony.calls.live import LiveCall
from irisx.telephony.esl.errors import EslError
from irisx.telephony.esl.wire import Event
from irisx.telephony.ivr import message_waiting, visits
from irisx.telephony.lease import RENEW_SECONDS, Leases
from irisx.telephony.switch import Switch
from irisx.tenancy import sip_messages

log = structlog.get_logger()

#: Seconds after which a node that stays away has lost its calls.
NODE_LOST_AFTER = 300
_REPORT_SECONDS = 1.0
_GIVE_UP_EVERY_SECONDS = 5.0
_RECOVER_AGAIN_SECONDS = 1.0
_CARRIERS_TICK_SECONDS = 0.5
_TAKE_UP_SECONDS = 2.0
_LOOK_SECONDS = 0.02
_TEXTS_EVERY_SECONDS = 1.0
#: A notice may be lost and a carrier's name may get other addresses.
_CARRIERS_EVERY_SECONDS = 30.0


#: Who takes the reports of taps, by the name of their consumer.
_LISTENERS: dict[str, taps.Listener] = {
    CONSUMER: amd.heard,
    talk.CONSUMER: talk.reported,
}


class Engine:
    """One engine over several nodes. `run` blocks until `stop` is set."""

    def __init__(self) -> None:
        settings = get_settings()
        self.stop = Signal()
        self.journal = Journal(settings.home / "spool" / "calls.jsonl")
        self.leases = Leases()
        self.center = Center(self.leases)
        self.held: set[str] = set()
        self.taken_up: set[str] = set()
        self._away_since: dict[str, float] = {}
        self._carriers_due: dict[str, float] = {}
        self._texts_due = Signal()
        nodes = [(url, False) for url in (settings.esl_url or "").split(",") if url]
        if settings.sandbox_esl_url:
            nodes.append((settings.sandbox_esl_url, True))
        self.switches = [
            Switch(
                url,
                sandbox=sandbox,
                journal=self.journal,
                on_event=self._on_event,
                on_up=self._on_up,
                on_down=self._on_down,
            )
            for url, sandbox in nodes
        ]

        for switch in self.switches:
            switch.center = self.center

    def run(self) -> None:
        self.journal.start()
        self.center.start()
        for switch in self.switches:
            self._away_since[switch.name] = time.monotonic()
            switch.connection.start()
            gevent.spawn(self._hold, switch)
        loops = [
            gevent.spawn(bus.serve, self.leases.engine_id, self._carry_out, self.stop),
            gevent.spawn(self._dial),
            gevent.spawn(taps.serve, self._ready, _LISTENERS, self.stop),
            gevent.spawn(self._report),
            gevent.spawn(self._follow_carriers),
        ]
        loops.append(gevent.spawn(self._send_texts))
        followers = [
            gevent.spawn(self._follow_mailboxes),
            gevent.spawn(self._follow_texts),
            gevent.spawn(follow),
        ]
        announce_ready("engine")
        self.stop.wait()
        gevent.killall(followers)
        gevent.joinall(loops, timeout=1)
        self.center.stop()
        self.journal.flush(timeout=1)
        visits.flush(timeout=1)
        for switch in self.switches:
            self.leases.release(switch)
            switch.connection.close()

    # -- nodes ------------------------------------------------------------------------------------

    def _on_event(self, switch: Switch, event: Event) -> None:
        if switch.name not in self.held:
            return
        if event.name == "MESSAGE_QUERY":
            message_waiting.answer(switch, event)
        else:
            handling.handle(switch, event)

    def _on_up(self, switch: Switch) -> None:
        self._away_since.pop(switch.name, None)

    def _on_down(self, switch: Switch, reason: str) -> None:
        self.held.discard(switch.name)
        self.taken_up.discard(switch.name)
        self._away_since[switch.name] = time.monotonic()

    def _hold(self, switch: Switch) -> None:
        """Keep the node's lease; whoever gets it takes the node's calls up."""
        while not self.stop.is_set():
            if switch.connection.wait_up(RENEW_SECONDS):
                try:
                    holds = self.leases.hold(switch)
                    if holds and switch.name not in self.held:
                        self._take_over(switch)
                    elif not holds:
                        self.held.discard(switch.name)
                        self.taken_up.discard(switch.name)
                except EslError as error:
                    log.info("engine.node_lost_meanwhile", switch=switch.name, reason=str(error))
                self.stop.wait(RENEW_SECONDS)
            self._give_up(switch)

    def _take_over(self, switch: Switch) -> None:
        started = time.monotonic()
        # A caller who comes in now is taken by the event or by the recovery, not by both.
        with switch.dispatcher.holding():
            gevent.sleep(0)  # earlier events end here, unheld: the recovery finds what they tell
            self.held.add(switch.name)
            switch.inspect()
            self._carriers_due.pop(switch.name, None)
            calls = self._recover(switch)
        self.taken_up.add(switch.name)
        took_ms = round((time.monotonic() - started) * 1000)
        log.info("engine.node_taken", switch=switch.name, calls=calls, took_ms=took_ms)

    def _recover(self, switch: Switch) -> int:
        try:
            return recovery.recover(switch)
        except (OperationalError, PoolTimeout) as error:
            log.warning("engine.recovery_incomplete", switch=switch.name, error=str(error)[:200])
            gevent.spawn_later(_RECOVER_AGAIN_SECONDS, self._recover_again, switch)
            return len(switch.calls)

    def _recover_again(self, switch: Switch) -> None:
        if switch.name in self.held:
            try:
                self._recover(switch)
            except EslError as error:
                log.info("engine.recovery_interrupted", switch=switch.name, reason=str(error))

    def _give_up(self, switch: Switch) -> None:
        since = self._away_since.get(switch.name)
        if since is not None and time.monotonic() - since > NODE_LOST_AFTER and switch.calls:
            recovery.give_up_node(switch)

    # -- calls ------------------------------------------------------------------------------------

    def _dial(self) -> None:
        """Take calls that wait for an engine: when told of one, and at least each second."""
        given_up_at = 0.0
        while not self.stop.is_set():
            try:
                nodes = [switch for switch in self.switches if switch.name in self.held]
                taken = outbound.claim(nodes)
                for row, switch in taken:
                    call = outbound.take_row(row, self.journal)
                    gevent.spawn(outbound.place, switch, call)
                if time.monotonic() - given_up_at > _GIVE_UP_EVERY_SECONDS:
                    outbound.give_up_waiting(self.journal)
                    given_up_at = time.monotonic()
                if len(taken) < outbound.CLAIM:
                    bus.wait_for_new_calls(self.stop)
            except SQLAlchemyError as error:
                log.warning("engine.database_away", error=str(error)[:200])
                self.stop.wait(1)

    def _carry_out(self, command: Command) -> dict[str, object]:
        switch, call = self._find(str(command.call_id))
        return control.carry_out(switch, call, command)

    def _find(self, channel: str) -> tuple[Switch, LiveCall]:
        """A live call and its node; one that is being taken up just now is waited for."""
        deadline = time.monotonic() + _TAKE_UP_SECONDS
        while True:
            for switch in self.switches:
                call = switch.calls.get(channel)
                if call is not None and channel not in switch.taking_up:
                    return switch, call
            if time.monotonic() > deadline:
                raise Unavailable("The engine does not have this call.", code="ENGINE_UNAVAILABLE")
            gevent.sleep(_LOOK_SECONDS)

    def _ready(self) -> dict[str, Switch]:
        """Nodes whose calls are known, so that what is told of a call reaches it."""
        return {switch.name: switch for switch in self.switches if switch.name in self.taken_up}

    # -- what others see and want -----------------------------------------------------------------

    def _report(self) -> None:
        """Tell the API how the nodes are, and learn which of them are to be drained."""
        while not self.stop.wait(_REPORT_SECONDS):
            try:
                draining = {name.decode() for name in redis().smembers("irisx:draining")}
                for switch in self.switches:
                    switch.draining = switch.name in draining
                    if switch.name in self.held or not switch.connection.up:
                        redis().hset("irisx:nodes", switch.name, json.dumps(self._state(switch)))
            except RedisError as error:
                log.info("engine.not_reported", reason=str(error))

    def _state(self, switch: Switch) -> dict[str, object]:
        return {
            "host": str(switch.connection.address),
            "up": switch.connection.up,
            "error": str(switch.connection.last_error or ""),
            "sandbox": switch.sandbox,
            "core_uuid": switch.connection.core_uuid,
            "version": switch.version,
            "api_expansion": switch.api_expansion,
            "calls": len(switch.calls),
            "max_calls": switch.capacity,
            "draining": switch.draining,
            "engine": self.leases.engine_id,
            "journal_backlog": self.journal.backlog,
            "seen_at": time.time(),
        }

    def _follow_carriers(self) -> None:
        """Have the nodes take up carriers as soon as they change; look by ourselves at times."""
        while not self.stop.is_set():
            try:
                with redis().pubsub(ignore_subscribe_messages=True) as changes:
                    changes.subscribe("irisx:carriers")
                    while not self.stop.is_set():
                        told = changes.get_message(timeout=_CARRIERS_TICK_SECONDS) is not None
                        self._refresh_carriers(told)
            except RedisError as error:
                log.info("engine.carriers_not_followed", reason=str(error))
                self.stop.wait(_CARRIERS_TICK_SECONDS)
                self._refresh_carriers(told=False)

    def _follow_mailboxes(self) -> None:
        """Tell phones of new messages, as soon as there are any. What Redis loses, a phone asks."""

        def heard(topic: str, mailbox: str) -> None:
            held = [each for each in self.switches if each.name in self.held and not each.sandbox]
            message_waiting.tell(held, mailbox)

        listen([message_waiting.TOPIC], heard, lambda connected: None)

    def _follow_texts(self) -> None:
        """Messages that messaging asks for are looked for as soon as there are any."""
        listen(
            [sip_messages.TOPIC],
            lambda topic, detail: self._texts_due.set(),
            lambda connected: self._texts_due.set(),
        )

    def _send_texts(self) -> None:
        while not self.stop.is_set():
            self._texts_due.wait(_TEXTS_EVERY_SECONDS)
            self._texts_due.clear()
            nodes = [s for s in self.switches if s.name in self.taken_up and not s.sandbox]
            if not nodes:
                continue
            try:
                for row in sip_messages.take(text_messages.BATCH):
                    gevent.spawn(text_messages.deliver, random.choice(nodes), row)
            except SQLAlchemyError as error:
                log.warning("engine.texts_not_taken", error=str(error)[:200])
                self.stop.wait(1)

    def _refresh_carriers(self, told: bool) -> None:
        for switch in self.switches:
            due = time.monotonic() >= self._carriers_due.get(switch.name, 0.0)
            if switch.name not in self.held or not (told or due):
                continue
            try:
                if switch.sandbox:
                    carriers.point_sandbox(switch)
                    done = True
                else:
                    done = carriers.refresh(switch)
            except (EslError, SQLAlchemyError) as error:
                done = False
                log.warning("engine.carriers_stale", switch=switch.name, error=str(error)[:200])
            wait = _CARRIERS_EVERY_SECONDS if done else _CARRIERS_TICK_SECONDS
            self._carriers_due[switch.name] = time.monotonic() + wait


def main() -> None:
    """The process `irisx engine`."""
    engine = Engine()
    for number in (signal.SIGTERM, signal.SIGINT):
        gevent.signal_handler(number, engine.stop.set)
    engine.run()
