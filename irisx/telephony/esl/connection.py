"""The lasting connection to one FreeSWITCH node: reconnects, resubscribes, and speaks in verbs."""

import random
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from itertools import count
from secrets import token_hex
from urllib.parse import unquote, urlsplit
from uuid import UUID, uuid4
from weakref import WeakValueDictionary

import gevent
import structlog
from gevent.event import AsyncResult
from gevent.event import Event as Flag

from irisx.telephony.esl import commands
from irisx.telephony.esl.commands import Api, Command
from irisx.telephony.esl.errors import (
    ChannelGone,
    CommandRefused,
    CommandTimeout,
    Disconnected,
    EslError,
)
from irisx.telephony.esl.session import Session
from irisx.telephony.esl.wire import Event, Frame

CORE_UUID = commands.global_getvar("core_uuid").foreground

EVENTS = (
    "BACKGROUND_JOB",
    "CHANNEL_ORIGINATE",
    "CHANNEL_PROGRESS",
    "CHANNEL_PROGRESS_MEDIA",
    "CHANNEL_ANSWER",
    "CHANNEL_PARK",
    "CHANNEL_BRIDGE",
    "CHANNEL_UNBRIDGE",
    "CHANNEL_EXECUTE_COMPLETE",
    "CHANNEL_HANGUP_COMPLETE",
    "DTMF",
    "RECORD_START",
    "RECORD_STOP",
    "CHANNEL_HOLD",
    "CHANNEL_UNHOLD",
    "MESSAGE_QUERY",
    "HEARTBEAT",
)
SUBCLASSES = ("sofia::gateway_state", "sofia::register")
"""What an engine needs. Never ALL: a trivial call would be 37 events and 130 kB. CHANNEL_ORIGINATE
is CHANNEL_CREATE of the channels that are dialled; one that comes in is first heard of parked."""

UNHEARD = frozenset({"answer", "multiset", "hash", "sched_transfer", "park", "hangup"})
"""Applications whose CHANNEL_EXECUTE_COMPLETE is not sent: nobody may wait for their end.
Each would be 5 kB to write, send and read, for every call."""

_REFUSED = ("-ERR", "-USAGE")
FIRST_DELAY_S = 0.1
LONGEST_DELAY_S = 1.0
POKE_EVERY_S = 0.002

log = structlog.get_logger(__name__)


@dataclass(frozen=True)
class Address:
    host: str
    port: int
    password: str

    @classmethod
    def parse(cls, url: str) -> "Address":
        """`esl://:password@host[:port]`, the password percent-encoded. Raises ValueError."""
        parts = urlsplit(url)
        if parts.scheme != "esl" or not parts.hostname or not parts.password:
            raise ValueError("not esl://:password@host:port")
        return cls(parts.hostname, parts.port or 8021, unquote(parts.password))

    def __str__(self) -> str:
        return f"{self.host}:{self.port}"


class Job:
    """A command that runs in the background of the switch."""

    def __init__(self, command: Api) -> None:
        self.uuid = str(uuid4())
        self._command = command
        self._result: AsyncResult[Event] = AsyncResult()

    def wait(self, timeout: float) -> str:
        """The command's answer. Raises CommandRefused, CommandTimeout (s) or Disconnected."""
        with gevent.Timeout(timeout, CommandTimeout(f"job not done within {timeout:g} s")):
            event = self._result.get()
        return _accepted(self._command.text, event.body)


_RUN = token_hex(3)
_numbers = count(1)


class Execution:
    """An application queued on a channel."""

    def __init__(self, channel: str, waits: "_Waits") -> None:
        self.channel = channel
        # Not another engine's, and short, since each byte of a head costs the switch two calls.
        self.event_uuid = f"{_RUN}{next(_numbers)}"
        self._result: AsyncResult[Event] = AsyncResult()
        self._waits = waits  # kept alive for as long as somebody may wait

    def wait(self, timeout: float) -> Event:
        """Its CHANNEL_EXECUTE_COMPLETE. Raises ChannelGone, CommandTimeout (s) or Disconnected."""
        with gevent.Timeout(timeout, CommandTimeout(f"not done within {timeout:g} s")):
            event: Event = self._result.get()
        return event


class _Waits(WeakValueDictionary[str, Execution]):
    """The executions of one channel that somebody still holds, by Event-UUID."""


class Connection:
    """One node's Event Socket.

    `on_event(event)` runs in the reader and must not block (hand it `Dispatcher.dispatch`);
    `on_up()` runs whenever the node is there and subscribed, `on_down(reason)` when it went; both
    may use the connection. Nothing survives a drop but the intent to reconnect: commands, jobs and
    executions that were waiting fail with Disconnected. `core_uuid` changes when the
    switch restarts.
    """

    def __init__(
        self,
        url: str,
        on_event: Callable[[Event], None],
        on_up: Callable[[], None] = lambda: None,
        on_down: Callable[[str], None] = lambda reason: None,
        *,
        events: Sequence[str] = EVENTS,
        subclasses: Sequence[str] = SUBCLASSES,
        timeout: float = 5.0,
        keep_alive: float = 5.0,
    ) -> None:
        """`timeout` is for connecting and for each command, `keep_alive` how long silence is
        believed before the switch is asked (s)."""
        self.address = Address.parse(url)
        self.core_uuid: str | None = None
        self.last_error: Exception | None = None
        self._on_event = on_event
        self._on_up = on_up
        self._on_down = on_down
        self._subscription = commands.subscribe(events, subclasses)
        # Filters are alternatives, so one lets everything pass before the others forbid.
        self._filters = [
            commands.event_filter("Event-Name", "/./"),
            *(commands.event_filter("Application", f"-{name}") for name in sorted(UNHEARD)),
        ]
        self._timeout = timeout
        self._keep_alive_s = keep_alive
        self._session: Session | None = None
        self._up = Flag()
        self._closing = Flag()
        self._supervisor: gevent.Greenlet | None = None
        self._jobs: WeakValueDictionary[str, Job] = WeakValueDictionary()
        self._waits: WeakValueDictionary[str, _Waits] = WeakValueDictionary()
        self._hurries = 0
        self._hurrier: gevent.Greenlet | None = None

    # -- life -----------------------------------------------------------------------------------

    def start(self) -> None:
        """Connect, and stay connected until `close`. Returns at once."""
        self._supervisor = gevent.spawn(self._supervise)

    def close(self) -> None:
        """End it for good, after a last `on_down` where it was up."""
        self._closing.set()
        if self._session:
            self._session.close("closed by the engine")
        if self._supervisor and self._supervisor is not gevent.getcurrent():
            self._supervisor.join()

    @property
    def up(self) -> bool:
        return bool(self._up.is_set())

    def wait_up(self, timeout: float) -> bool:
        """Wait until the node is there and subscribed (s); False if it isn't by then."""
        self._up.wait(timeout)
        return self.up

    def _supervise(self) -> None:
        failures = 0
        while not self._closing.is_set():
            address = self.address
            session = Session(
                address.host, address.port, address.password, self._take, self._timeout
            )
            self._session = session
            try:
                self._open(session)
            except Exception as error:
                self.last_error = error
                session.close(str(error))
                unforeseen = not isinstance(error, EslError)
                log.warning(
                    "esl.connect_failed", switch=str(address), error=str(error), exc_info=unforeseen
                )
            else:
                started = time.monotonic()
                self._stay(session)
                failures = failures if time.monotonic() - started < LONGEST_DELAY_S else 0
            delay = min(LONGEST_DELAY_S, FIRST_DELAY_S * 2**failures)
            failures += 1
            self._closing.wait(delay * random.uniform(0.5, 1.0))

    def _open(self, session: Session) -> None:
        session.connect()
        wanted = [CORE_UUID, *self._filters, self._subscription]
        answers = map(_answer, wanted, session.exchange(wanted, self._timeout))
        self.core_uuid, *_ = answers

    def _stay(self, session: Session) -> None:
        self.last_error = None
        self._up.set()
        # Linked, not waited for: on_up may itself be waiting for what the drop made impossible.
        session.ended.rawlink(lambda _: self._forsake(session.reason))
        keeper = gevent.spawn(self._keep_alive, session)
        log.info("esl.up", switch=str(self.address), core=self.core_uuid)
        _guarded(self._on_up)
        keeper.join()
        log.warning("esl.down", switch=str(self.address), reason=session.reason)
        _guarded(self._on_down, session.reason)

    def _keep_alive(self, session: Session) -> None:
        while not session.ended.wait(self._keep_alive_s):
            if time.monotonic() - session.heard_at < self._keep_alive_s:
                continue
            asked_at = time.monotonic()
            try:
                session.exchange([CORE_UUID], self._timeout)
            except CommandTimeout:
                if session.heard_at < asked_at:
                    session.close(f"silent for {time.monotonic() - session.heard_at:.1f} s")
            except Disconnected as gone:
                session.close(str(gone))

    def _forsake(self, reason: str) -> None:
        self._up.clear()
        gone = Disconnected(reason)
        for job in list(self._jobs.values()):
            job._result.set_exception(gone)
        for waits in list(self._waits.values()):
            for execution in list(waits.values()):
                execution._result.set_exception(gone)
        self._jobs.clear()
        self._waits.clear()

    # -- verbs ----------------------------------------------------------------------------------

    def send(self, command: Command, timeout: float | None = None) -> str:
        """The reply's text. Raises CommandRefused, CommandTimeout or Disconnected."""
        return self.pipeline([command], timeout)[0]

    def pipeline(self, batch: Sequence[Command], timeout: float | None = None) -> list[str]:
        """Many commands in one write; their replies in order, the first refusal raised at the end.

        All are written whatever is refused: batch only what may go on after a failure.
        """
        if not self._session or not self.up:
            raise Disconnected("the switch is not connected")
        frames = self._session.exchange(batch, timeout or self._timeout)
        return [_answer(command, frame) for command, frame in zip(batch, frames, strict=True)]

    def answers(self, batch: Sequence[Api], timeout: float | None = None) -> list[str | None]:
        """Many API commands in one write; the answers in order, None for each that is refused."""
        if not self._session or not self.up:
            raise Disconnected("the switch is not connected")
        frames = self._session.exchange(
            [command.foreground for command in batch], timeout or self._timeout
        )
        texts = [frame.text.removesuffix("\n") for frame in frames]
        return [None if text.startswith(_REFUSED) else text for text in texts]

    def api(self, command: Api, timeout: float | None = None) -> str:
        """Run a quick API command; its answer without the last line end."""
        return self.send(command.foreground, timeout)

    def bgapi(self, command: Api, timeout: float | None = None) -> Job:
        """Start an API command that may take long."""
        job = Job(command)
        self._jobs[job.uuid] = job
        self.send(command.background(job.uuid), timeout)
        return job

    def execute(
        self,
        channel: str | UUID,
        application: str,
        argument: str = "",
        *,
        event_lock: bool = True,
        timeout: float | None = None,
    ) -> Execution:
        """Queue an application on a channel; wait for its end with `Execution.wait`."""
        steps = [(application, argument)]
        return self.execute_all(channel, steps, event_lock=event_lock, timeout=timeout)[0]

    def execute_all(
        self,
        channel: str | UUID,
        steps: Sequence[tuple[str, str]],
        *,
        first: Sequence[Api] = (),
        event_lock: bool = True,
        timeout: float | None = None,
    ) -> list[Execution]:
        """Queue a run of (application, argument) in one write. They run one after the other.

        `first`: quick commands before them in the same write.
        """
        channel = commands.channel_id(channel)
        waits = self._waits.setdefault(channel, _Waits())
        executions = [Execution(channel, waits) for _ in steps]
        batch = [command.foreground for command in first]
        for (name, argument), execution in zip(steps, executions, strict=True):
            heard = name not in UNHEARD
            if heard:
                waits[execution.event_uuid] = execution
            event_uuid = execution.event_uuid if heard else None
            batch.append(
                commands.execute(
                    channel, name, argument, event_uuid=event_uuid, event_lock=event_lock
                )
            )
        self.pipeline(batch, timeout)
        return executions

    @contextmanager
    def low_latency(self) -> Iterator[None]:
        """While inside, events come within some 2 ms instead of up to 20.

        mod_event_socket polls an idle connection each 20 ms, and at once after an empty line.
        Costs 500 small writes a second, however many are inside. Measured on two processors with
        a load of 16, from the event to the engine: 12 ms instead of 22 (median), 25 instead of 43
        (p99), for 3 % of a processor here and 0.5 % in the switch.
        """
        self._hurries += 1
        self._hurrier = self._hurrier or gevent.spawn(self._hurry)  # false once it has ended
        try:
            yield
        finally:
            self._hurries -= 1

    def _hurry(self) -> None:
        while self._hurries:
            if self._session and self.up:
                with suppress(Disconnected):  # the supervisor sees it too, and says so
                    self._session.poke()
            gevent.sleep(POKE_EVERY_S)

    # -- events ---------------------------------------------------------------------------------

    def _take(self, event: Event) -> None:
        match event.get("Event-Name"):
            case "BACKGROUND_JOB":
                if job := self._jobs.pop(event.get("Job-UUID", ""), None):
                    job._result.set(event)
            case "CHANNEL_EXECUTE_COMPLETE":
                waits = self._waits.get(event.uuid or "")
                if waits and (execution := waits.pop(event.get("Application-UUID", ""), None)):
                    execution._result.set(event)
            case "CHANNEL_HANGUP_COMPLETE":
                channel = event.uuid or ""
                if waits := self._waits.pop(channel, None):
                    gone = ChannelGone(channel, event.get("Hangup-Cause", ""))
                    for execution in list(waits.values()):
                        execution._result.set_exception(gone)
        self._on_event(event)


def _guarded(callback: Callable[..., None], *arguments: str) -> None:
    try:
        callback(*arguments)
    except Exception:
        log.exception("esl.callback_failed")


def _answer(command: Command, frame: Frame) -> str:
    is_api = frame.content_type == "api/response"
    return _accepted(command.line, frame.text if is_api else frame.headers.get("Reply-Text", ""))


def _accepted(command: str, text: str) -> str:
    text = text.removesuffix("\n")
    if text.startswith(_REFUSED):
        # The first words name the command; the rest may be private.
        raise CommandRefused(" ".join(command.split(" ")[:2]), text)
    return text
