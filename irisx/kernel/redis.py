"""The Redis connection: what may be lost (command bus, presence, rate limits, fan-out)."""

from functools import lru_cache

from redis import Redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from irisx.settings import SettingMissing, get_settings

#: A Redis that does not answer in this time counts as away; callers degrade.
TIMEOUT_SECONDS = 2.0


@lru_cache
def redis() -> "Redis[bytes]":
    """This process's Redis client. Its calls raise `redis.RedisError` when Redis is away."""
    url = get_settings().redis_url
    if url is None:
        raise SettingMissing("IRISX_REDIS_URL is not set; `irisx up` sets it for its parts")
    return Redis.from_url(
        url,
        socket_timeout=TIMEOUT_SECONDS,
        socket_connect_timeout=TIMEOUT_SECONDS,
        # redis-py's own retries take seconds when Redis is away, and push twice what was pushed.
        retry=Retry(NoBackoff(), 0),
    )
