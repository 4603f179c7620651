"""Requests a minute, counted in Redis for all processes together.

Windows are aligned to the clock's minutes: one round trip counts, and the time of the reset is
known without asking. Without Redis everything is let through: a limiter that is down must not
take the API with it.
"""

import time
from dataclasses import dataclass
from functools import lru_cache

import structlog
from limits.storage import RedisStorage
from prometheus_client import Counter
from redis import RedisError

from irisx.kernel.redis import redis

log = structlog.get_logger(__name__)

WINDOW_SECONDS = 60
#: After a failure Redis is left alone for so long: its time-out must not slow every request.
_BACKOFF_SECONDS = 5.0

failures = Counter(
    "irisx_ratelimit_failures_total", "Requests let through because Redis could not count them."
)


@dataclass(frozen=True, slots=True)
class Usage:
    """The state of one limit after a request. `reset_ms`: epoch milliseconds."""

    limit: int
    used: int
    reset_ms: int

    @property
    def exceeded(self) -> bool:
        return self.used > self.limit

    @property
    def remaining(self) -> int:
        return max(0, self.limit - self.used)

    @property
    def retry_after_seconds(self) -> int:
        return max(1, -int(-(self.reset_ms / 1000 - time.time()) // 1))


class RateLimiter:
    """Counts requests by key; one per process, since it remembers that Redis is away."""

    def __init__(self, storage: RedisStorage) -> None:
        self._storage = storage
        self._away_until = 0.0

    def hit(self, key: str, limit: int) -> Usage:
        """Count one request against `limit` a minute."""
        window = int(time.time()) // WINDOW_SECONDS
        reset_ms = (window + 1) * WINDOW_SECONDS * 1000
        return Usage(limit, self._count(f"{key}:{window}"), reset_ms)

    def _count(self, key: str) -> int:
        if time.monotonic() >= self._away_until:
            try:
                return int(self._storage.incr(key, WINDOW_SECONDS))
            except RedisError as error:
                self._away_until = time.monotonic() + _BACKOFF_SECONDS
                log.warning("rate limits are not enforced: Redis is away", error=str(error))
        failures.inc()
        return 0


@lru_cache
def limiter() -> RateLimiter:
    """This process's limiter."""
    pool = redis().connection_pool
    return RateLimiter(
        RedisStorage(
            "redis://", connection_pool=pool, key_prefix="irisx:limit", wrap_exceptions=False
        )
    )
