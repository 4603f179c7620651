"""Jobs run by their interval, by a wake, and in spite of each other's failures."""

import time

import gevent
import pytest
from redis import Redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from irisx.kernel import jobs
from irisx.kernel.jobs import Job, Runner, wake
from tests.waiting import wait_until


@pytest.fixture
def start():
    """`start(job, …)`: a runner of these jobs that is stopped after the test."""
    running = []

    def start(*given: Job) -> Runner:
        runner = Runner(given)
        running.append((runner, gevent.spawn(runner.run)))
        return runner

    yield start
    for runner, greenlet in running:
        runner.stop()
        greenlet.get(timeout=5)


def counting(name: str, interval: float, more_until: int = 0, **options: object):
    runs: list[float] = []

    def run() -> bool:
        runs.append(time.monotonic())
        return len(runs) < more_until

    return Job(name, run, interval, **options), runs


def test_a_job_runs_at_once_and_by_its_interval(start) -> None:
    job, runs = counting("tick", 0.1)
    start(job)
    wait_until(lambda: len(runs) >= 4)
    assert 0.05 < runs[-1] - runs[-2] < 0.3


def test_more_to_do_is_done_without_a_pause(start) -> None:
    job, runs = counting("backlog", 60, more_until=50)
    start(job)
    wait_until(lambda: len(runs) >= 50, timeout=1)


def woken(topic: str, runs: list[float]) -> None:
    """Wake a topic, and wait until its job ran since: the first time also for the runner's ears."""
    before = len(runs)

    def ran() -> bool:
        wake(topic)
        return len(runs) > before

    wait_until(ran)


def test_a_wake_reaches_the_jobs_of_its_topic(start) -> None:
    job, runs = counting("woken", 60, topic="things")
    other, other_runs = counting("other", 60)
    start(job, other)
    woken("things", runs)
    before = len(other_runs)
    for _ in range(3):
        woken("things", runs)
    assert len(other_runs) == before


def test_a_failing_job_is_retried_with_growing_pauses_beside_the_others(start, monkeypatch) -> None:
    pauses: list[int] = []
    monkeypatch.setattr(jobs, "backoff_seconds", lambda failures: pauses.append(failures) or 0.01)
    failed: list[int] = []

    def fail() -> bool:
        failed.append(1)
        if len(failed) in (1, 2, 3, 5):
            raise RuntimeError("the database is away")
        return len(failed) < 6

    steady, runs = counting("steady", 0.01)
    start(Job("failing", fail, 60), steady)
    wait_until(lambda: len(failed) >= 6)
    assert pauses == [1, 2, 3, 1]
    wait_until(lambda: len(runs) > 10)


def test_a_failing_job_is_not_woken_before_its_pause_is_over(start, monkeypatch) -> None:
    monkeypatch.setattr(jobs, "backoff_seconds", lambda failures: 60.0)
    failed: list[int] = []

    def fail() -> bool:
        failed.append(1)
        raise RuntimeError

    steady, runs = counting("steady", 60, topic="failing")
    start(Job("failing", fail, 60), steady)
    for _ in range(3):
        woken("failing", runs)
    assert len(failed) == 1


def test_pauses_are_bounded() -> None:
    assert all(0.8 <= jobs.backoff_seconds(1) <= 1.2 for _ in range(100))
    assert all(jobs.backoff_seconds(1000) <= 36 for _ in range(100))


def test_without_redis_jobs_run_by_their_interval(start, monkeypatch) -> None:
    monkeypatch.setattr(jobs, "redis", lambda: Redis(port=1, retry=Retry(NoBackoff(), 0)))
    job, runs = counting("tick", 0.1)
    start(job)
    wake("tick")  # neither fails nor blocks
    wait_until(lambda: len(runs) >= 4)


def test_stop_lets_a_batch_end_and_finishes_once(start) -> None:
    ended: list[str] = []

    def run() -> bool:
        gevent.sleep(0.1)
        ended.append("batch")
        return True

    runner = Runner([Job("long", run, 60, finish=lambda: ended.append("finish"))])
    greenlet = gevent.spawn(runner.run)
    gevent.sleep(0.05)
    runner.stop()
    greenlet.get(timeout=2)
    assert ended == ["batch", "finish"]
