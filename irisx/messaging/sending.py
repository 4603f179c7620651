"""The worker's part: messages that are due are handed to their providers.

All state is in rows. A message under way is leased: its worker settles it before the lease ends
or, if the worker died, another one takes it again: it repeats the attempt where the provider knows
our id, and says `unknown` where it does not. So nothing is lost, and nothing is sent twice by us.
"""

import time
from collections import Counter

from gevent.pool import Pool
from prometheus_client import Counter as Metric
from prometheus_client import Histogram

from irisx.kernel import clock
from irisx.kernel.db import transaction
from irisx.kernel.jobs import Job
from irisx.messaging import claiming
from irisx.messaging.accepting import TOPIC, lane_of
from irisx.messaging.attempts import Claim, Outcome, attempt
from irisx.messaging.settling import settle

MAX_IN_FLIGHT = 200
_STOP_SECONDS = 1.5

_attempts = Metric("irisx_message_attempts", "Attempts to send.", ["channel", "provider", "result"])
_delay = Histogram(
    "irisx_message_delay_seconds",
    "From accepted (or due) to the end of the first attempt.",
    ["channel"],
    buckets=(0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300),
)


class Sender:
    """Keeps many attempts under way: a bounded number, few of one lane."""

    def __init__(self) -> None:
        self.job = Job(TOPIC, self.run, interval=1.0, finish=self.finish)
        self._pool = Pool(MAX_IN_FLIGHT)
        self._held: Counter[int] = Counter()
        self._outcomes: list[Outcome] = []
        #: Lanes whose rate was used up, and in which second of the clock.
        self._throttled: dict[int, int] = {}

    def run(self) -> bool:
        """Settle what has ended and begin what is due and has room."""
        self._settle()
        room = self._pool.free_count()
        if not room:
            return False
        second = int(time.time())
        closed = [lane for lane, when in self._throttled.items() if when == second]
        with transaction() as session:
            taken = claiming.take(session, room, self._held, closed)
        self._throttled = {lane: second for lane in (*closed, *taken.throttled)}
        for claim in taken.claims:
            self._held[self._lane(claim)] += 1
            self._pool.spawn(self._attempt, claim)
        return bool(taken.claims) and taken.more

    def finish(self) -> None:
        """Give attempts under way a moment; what does not end in it is in doubt."""
        self._pool.join(timeout=_STOP_SECONDS)
        self._pool.kill()
        self._settle()

    def _attempt(self, claim: Claim) -> None:
        lane = self._lane(claim)
        try:
            self._outcomes.append(attempt(claim))
        finally:
            self._held[lane] -= 1
            if not self._held[lane]:
                del self._held[lane]
            self.job.due.set()

    def _settle(self) -> None:
        outcomes = self._outcomes[:]
        if not outcomes:
            return
        with transaction() as session:
            settle(session, outcomes)
        # Only now: an exception above (database away) leaves them for the next run.
        del self._outcomes[: len(outcomes)]
        now = clock.now()
        for outcome in outcomes:
            message = outcome.claim.message
            result = outcome.failure.kind if outcome.failure else "sent"
            _attempts.labels(message.channel, outcome.claim.provider.name, result).inc()
            if outcome.claim.number == 1:
                accepted = max(message.created_at, message.send_at or message.created_at)
                _delay.labels(message.channel).observe((now - accepted).total_seconds())

    @staticmethod
    def _lane(claim: Claim) -> int:
        account = claim.account
        return lane_of(claim.message.tenant_id, account.id if account else None)
