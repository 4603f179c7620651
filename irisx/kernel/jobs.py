"""Background jobs: small functions that the worker runs again and again.

What is to be done stands in PostgreSQL; a job takes a batch of it with FOR UPDATE SKIP LOCKED, so
any number of workers run side by side. Redis only shortens the wait: `wake(topic)` makes every
worker look at once. Without Redis a job runs by its interval.
"""

import random
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

import gevent
from gevent.event import Event
from prometheus_client import Counter
from redis import RedisError

from irisx.kernel.logging import get_logger
from irisx.kernel.redis import redis

log = get_logger(__name__)

#: Redis channel of a topic; the message is a detail, such as the tenant's id.
CHANNEL = "irisx:wake:"
_MAX_BACKOFF_SECONDS = 30.0
_LISTEN_SECONDS = 1.0

_failures = Counter("irisx_job_failures", "Batches that ended with an exception.", ["job"])


@dataclass
class Job:
    """One kind of work.

    `run` handles a batch in transactions of its own; True: there may be more to do at once.
    `interval`: seconds between runs when nothing wakes it. `topic`: what wakes it (default: its
    name). `finish`: called once at a stop; ends what `run` left under way.
    """

    name: str
    run: Callable[[], bool]
    interval: float
    topic: str = ""
    finish: Callable[[], None] | None = None
    due: Event = field(default_factory=Event, repr=False)

    def __post_init__(self) -> None:
        self.topic = self.topic or self.name


class Runner:
    """Runs jobs side by side, a greenlet each, until `stop`."""

    def __init__(self, jobs: Sequence[Job]) -> None:
        self._jobs = jobs
        self._stopping = Event()

    def run(self) -> None:
        """Work until `stop` is called and every batch under way has ended."""
        topics = {job.topic for job in self._jobs}
        listener = gevent.spawn(listen, topics, self._heard, self._connected)
        gevent.joinall([gevent.spawn(self._loop, job) for job in self._jobs])
        listener.kill()

    def stop(self) -> None:
        """Begin no more batches."""
        self._stopping.set()
        self._wake_all()

    def _loop(self, job: Job) -> None:
        failures = 0
        while not self._stopping.is_set():
            job.due.clear()
            try:
                more = job.run()
            except Exception:
                failures += 1
                _failures.labels(job.name).inc()
                log.exception("job_failed", job=job.name, failures=failures)
                # Not woken before: a database that is away gains nothing from being asked faster.
                self._stopping.wait(backoff_seconds(failures))
                continue
            failures = 0
            if more:
                gevent.sleep(0)
            elif not self._stopping.is_set():
                job.due.wait(job.interval)
        if job.finish is not None:
            try:
                job.finish()
            except Exception:
                log.exception("job_finish_failed", job=job.name)

    def _heard(self, topic: str, detail: str) -> None:
        for job in self._jobs:
            if job.topic == topic:
                job.due.set()

    def _connected(self, connected: bool) -> None:
        self._wake_all()  # something may have been missed

    def _wake_all(self) -> None:
        for job in self._jobs:
            job.due.set()


def backoff_seconds(failures: int) -> float:
    """Pause after the n-th failure in a row: 1, 2, 4 … 30 s, spread by a fifth."""
    return float(min(_MAX_BACKOFF_SECONDS, 2.0 ** (failures - 1)) * random.uniform(0.8, 1.2))


def listen(
    topics: Iterable[str],
    heard: Callable[[str, str], None],
    connected: Callable[[bool], None],
) -> None:
    """Call `heard(topic, detail)` for every wake, for ever; run it in a greenlet.

    `connected(True)`: from now on nothing is missed; `connected(False)`: Redis is away.
    """
    channels = {CHANNEL + topic for topic in topics}
    failures = 0
    while True:
        try:
            with redis().pubsub() as channel:
                channel.subscribe(*channels)
                while True:
                    message = channel.get_message(timeout=_LISTEN_SECONDS)
                    failures = 0
                    if message is None:
                        continue
                    if message["type"] == "subscribe" and message["data"] == len(channels):
                        connected(True)
                    elif message["type"] == "message":
                        topic = message["channel"].decode().removeprefix(CHANNEL)
                        heard(topic, message["data"].decode())
        except RedisError as error:
            failures += 1
            connected(False)
            log.warning("redis is away; nothing is woken", reason=str(error), failures=failures)
            gevent.sleep(backoff_seconds(failures))


_pending: set[tuple[str, str]] = set()
_sender: gevent.Greenlet | None = None


def wake(topic: str, detail: str = "") -> None:
    """Tell every process that waits for the topic. Never blocks, never fails.

    A wake that is lost (Redis away, process killed) costs an interval, nothing else.
    """
    global _sender
    _pending.add((topic, detail))
    if _sender is None or _sender.dead:
        _sender = gevent.spawn(_send)


def _send() -> None:
    while _pending:
        batch = list(_pending)
        _pending.clear()
        try:
            with redis().pipeline(transaction=False) as pipeline:
                for topic, detail in batch:
                    pipeline.publish(CHANNEL + topic, detail)
                pipeline.execute()
        except RedisError as error:
            log.debug("wake_lost", topics=sorted({topic for topic, _ in batch}), reason=str(error))
