"""Where a call in a flow is, as one value that its channel carries.

The switch is the truth for a live call: an engine that takes the call up reads this variable, runs
the present node again, and answers from `answers` every verb that had ended.
"""

import base64
import json
import zlib
from dataclasses import asdict, dataclass, field
from typing import Any

from irisx.telephony.ivr.walk import Place, Position

#: The variable with the position; and which of its waits the switch has brought to an end.
VARIABLE = "irisx_flow"
DONE = "irisx_flow_done"
#: More than the largest set of variables that a flow may have.
_MAX_BYTES = 1024 * 1024


class Unreadable(Exception):
    """The variable holds no position that this version writes."""


@dataclass(slots=True)
class Kept:
    """Everything that another engine needs to go on.

    `entries`: of the node and of each that waits for a subflow, outermost first: the number of the
    step and when it was entered (µs since the epoch). `variables`: as the node found them.
    `answers`: what the node's verbs answered. `queued`: how many plays since the last answer were
    handed to the switch, which plays them whatever becomes of us. `wait`: the number of the wait
    that was begun last, `waiting`: it was not answered yet; `target`: in a transfer, whom it
    rings. `typed`: digits for the next gather. `wideband`: the call's audio has 16 kHz.
    """

    position: Position
    variables: dict[str, Any]
    entries: list[tuple[int, int]] = field(default_factory=list)
    answers: list[Any] = field(default_factory=list)
    queued: int = 0
    wait: int = 0
    waiting: bool = False
    target: int = 0
    typed: str = ""
    wideband: bool = False

    def encode(self) -> str:
        """Letters, digits, `-` and `_`: nothing that the switch would expand."""
        text = json.dumps(asdict(self), separators=(",", ":"), default=str)
        return base64.urlsafe_b64encode(zlib.compress(text.encode())).decode().rstrip("=")

    @classmethod
    def decode(cls, value: str) -> "Kept":
        """Raises Unreadable."""
        try:
            packed = base64.urlsafe_b64decode(value + "=" * (-len(value) % 4))
            unpacker = zlib.decompressobj()
            raw = json.loads(unpacker.decompress(packed, _MAX_BYTES))
            if not unpacker.eof:
                raise ValueError("cut short")
            raw["position"] = _position(raw["position"])
            raw["entries"] = [(int(step), int(at)) for step, at in raw["entries"]]
            return cls(**raw)
        except (ValueError, KeyError, TypeError, AttributeError, zlib.error) as error:
            raise Unreadable(str(error)) from error


def _position(raw: dict[str, Any]) -> Position:
    callers = tuple(_place(place) for place in raw["callers"])
    return Position(_place(raw["place"]), callers, int(raw["steps"]))


def _place(raw: dict[str, Any]) -> Place:
    return Place(int(raw["version"]), str(raw["node"]))
