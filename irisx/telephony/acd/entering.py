"""How a call enters a queue."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime

#: The cause of a call whose customer was to be dialled once an agent was there, and none came.
NO_AGENT = "NO_AGENT"


@dataclass(frozen=True, slots=True)
class Entering:
    """How a call enters a queue. `place_at`: the place that it keeps. `needs`: skills that this
    caller needs beside the queue's. `agent`: the only one who gets this caller, while logged in.
    `auto_answer`: ask the agent's phone to answer by itself. `returns`: the call goes back to a
    flow, where `back` takes the outcome; None: it is still being taken up. `dial`: the customer is
    not there yet, and is dialled so once an agent is (`agent_first.py`); `dialled`: an engine that
    is gone has done it."""

    priority: int = 0
    max_wait: int | None = None
    place_at: datetime | None = None
    needs: Sequence[tuple[str, int]] = ()
    agent: int | None = None
    auto_answer: bool = False
    returns: bool = False
    back: Callable[[str], None] | None = None
    dial: Callable[[], None] | None = None
    dialled: bool = False
