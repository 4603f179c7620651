"""`queue`: let the caller wait for an agent."""

from collections.abc import Iterator

from pydantic import Field

from irisx.telephony.ivr.nodes.base import (
    FAILED,
    NEXT,
    Catalog,
    Fault,
    NodeConfig,
    Outcomes,
    Result,
)
from irisx.telephony.ivr.step import HandOver, Step

ROOM = "queue"
TIMEOUT, FULL, CLOSED = "timeout", "full", "closed"
#: The caller pressed the queue's exit key, or wants to be called back.
EXIT, CALLBACK = "exit", "callback"


class Queue(NodeConfig):
    """Hand the caller over to a queue of the contact centre, until an agent is done."""

    WAITS = True

    queue: str = Field(pattern=r"^queue_[0-9]{1,18}$", examples=["queue_3"])
    priority: int = Field(0, ge=-100, le=100, description="Higher is served first.")
    max_wait: int | None = Field(None, ge=5, le=7200, description="Seconds to wait at most.")

    def outcomes(self) -> Outcomes:
        return Outcomes(
            required=frozenset({NEXT, TIMEOUT, FULL, CLOSED, FAILED}),
            optional=frozenset({EXIT, CALLBACK}),
            fallback={
                TIMEOUT: FAILED,
                FULL: FAILED,
                CLOSED: FAILED,
                EXIT: TIMEOUT,
                CALLBACK: NEXT,
            },
        )

    def check(self, catalog: Catalog) -> Iterator[Fault]:
        if not catalog.room_is_there(ROOM):
            yield Fault("", "queues are not part of this version; use a transfer node instead")
        elif not catalog.has_queue(self.queue):
            yield Fault("queue", f"there is no queue {self.queue}; use one of yours")

    def run(self, step: Step, exits: frozenset[str]) -> Result:
        options = {"priority": self.priority, "max_wait": self.max_wait}
        return step.hand_over(HandOver(ROOM, self.queue, options))
