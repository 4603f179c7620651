"""What a channel keeps of its place in a queue, so that another engine goes on from it."""

import json
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from irisx.telephony.acd.entering import Entering
from irisx.telephony.acd.models import Queue
from irisx.telephony.acd.records import QueueRecord
from irisx.telephony.calls.live import LiveCall

#: The queue that a channel is in, as JSON.
VARIABLE = "irisx_queue"


def write(record: QueueRecord, entering: Entering) -> str:
    kept: dict[str, Any] = {
        "id": str(record.id),
        "queue": record.queue_id,
        "at": record.entered_at.timestamp(),
        "place": record.place_at.timestamp(),
        "priority": record.priority,
        "max_wait": entering.max_wait,
        "needs": [list(need) for need in entering.needs],
        "only": entering.agent,
        "auto": entering.auto_answer,
        "flow": entering.returns,
        "offers": record.offers,
    }
    if record.answered_at is not None:
        kept |= {"agent": record.agent_id, "answered": record.answered_at.timestamp()}
    return json.dumps(kept, separators=(",", ":"))


class Kept:
    """What `write` wrote. Raises ValueError, KeyError or TypeError for anything else.

    `talks`: the agent who has the caller, and since when.
    """

    def __init__(self, text: str, call: LiveCall) -> None:
        kept = json.loads(text)
        self.queue_id = f"{Queue.PREFIX}_{kept['queue']}"
        self.record = QueueRecord(
            id=UUID(kept["id"]),
            entered_at=_time(kept["at"]),
            tenant_id=call.tenant_id,
            queue_id=kept["queue"],
            call_id=call.id,
            number=call.customer_number,
            priority=kept["priority"],
            place_at=_time(kept["place"]),
            offers=kept["offers"],
        )
        self.entering = Entering(
            priority=kept["priority"],
            max_wait=kept["max_wait"],
            needs=[(skill, level) for skill, level in kept["needs"]],
            agent=kept["only"],
            auto_answer=kept["auto"],
            returns=kept["flow"],
        )
        self.talks: tuple[int, datetime] | None = None
        if "answered" in kept:
            self.talks = (kept["agent"], _time(kept["answered"]))


def _time(epoch_s: float) -> datetime:
    return datetime.fromtimestamp(epoch_s, UTC)
