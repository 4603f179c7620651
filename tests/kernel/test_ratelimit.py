"""Counting requests, and not counting them when Redis is away."""

import time

from limits.storage import RedisStorage

from irisx.kernel.ratelimit import RateLimiter, failures, limiter


def test_a_limit_is_exceeded_by_the_request_after_it() -> None:
    usages = [limiter().hit("a", 3) for _ in range(4)]
    assert [usage.exceeded for usage in usages] == [False, False, False, True]
    assert [usage.remaining for usage in usages] == [2, 1, 0, 0]


def test_keys_are_counted_apart() -> None:
    limiter().hit("a", 1)
    assert not limiter().hit("b", 1).exceeded


def test_the_reset_is_within_the_minute_in_epoch_milliseconds() -> None:
    before = time.time() * 1000
    usage = limiter().hit("a", 1)
    assert before < usage.reset_ms <= before + 60_000 + 1000
    assert 1 <= usage.retry_after_seconds <= 60


def test_without_redis_everything_is_let_through_and_counted_as_failure() -> None:
    away = RateLimiter(RedisStorage("redis://127.0.0.1:1", wrap_exceptions=False))
    failed = failures._value.get()
    assert not any(away.hit("a", 1).exceeded for _ in range(3))
    assert failures._value.get() == failed + 3
