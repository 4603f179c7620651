"""How many messages an account may send this second, counted in Redis for all workers together."""

import time
from collections import defaultdict

from redis import RedisError

from irisx.kernel.logging import get_logger
from irisx.kernel.redis import redis

log = get_logger(__name__)

_KEY = "irisx:messages:rate:"
_KEPT_SECONDS = 5

#: While Redis is away each worker counts for itself: the limit then holds for one worker.
_own: defaultdict[tuple[int, int], int] = defaultdict(int)


def take(lane: int, limit: int, wanted: int) -> int:
    """Of `wanted` sendings so many as fit into the present second's `limit`."""
    second = int(time.time())
    try:
        with redis().pipeline(transaction=False) as pipeline:
            key = f"{_KEY}{lane}:{second}"
            pipeline.incrby(key, wanted)
            pipeline.expire(key, _KEPT_SECONDS)
            used = int(pipeline.execute()[0])
    except RedisError as error:
        log.warning("rates of providers are counted by each worker alone", reason=str(error))
        for old in [key for key in _own if key[1] < second]:
            del _own[old]
        _own[lane, second] += wanted
        used = _own[lane, second]
    return max(0, min(wanted, limit - (used - wanted)))
