"""What a tap's consumer is, and what it sees of its tap."""

from collections.abc import Callable
from enum import StrEnum
from typing import Any

import numpy as np
from numpy.typing import NDArray

from irisx.media.amd.frames import Frame
from irisx.media.taps.messages import Report, Start

Samples = NDArray[np.int16]


class Cause(StrEnum):
    """Why a tap ended."""

    #: Its consumer closed it.
    CLOSED = "closed"
    #: The switch writes no more: the call is over, or the engine stopped the tap.
    STOPPED = "stopped"
    #: The switch never began to write.
    NO_FILE = "no_file"
    #: Nothing was written for long; nobody said why.
    STALLED = "stalled"
    #: The consumer raised an exception.
    FAILED = "failed"
    #: The media process was killed or ended.
    LOST = "lost"


class Tap:
    """One channel's audio as its consumer sees it."""

    def __init__(self, request: Start, tell: Callable[[str, Report], None]) -> None:
        self.request = request
        self.closed = False
        self._tell = tell

    @property
    def id(self) -> str:
        return self.request.id

    def report(self, type: str, data: dict[str, Any]) -> None:
        """Tell the engine. Never waits; reports of a tap arrive in order."""
        asked = self.request
        self._tell(asked.node, Report(asked.id, asked.call, asked.consumer, type, data))

    def close(self) -> None:
        """No more audio is wanted."""
        self.closed = True


class Consumer:
    """Listens to one tap; see the package's docstring. What it does not need it leaves out.

    An exception ends its tap, as `failed`, and no other.
    """

    def hear(self, said: Samples, heard: Samples | None) -> None:
        """The next 20 ms: 160 samples of 8 kHz, what the party says and what it hears.

        `heard` is None in a tap that is not stereo.
        """

    def voice(self, frame: Frame, probability: float) -> None:
        """The next 32 ms of what the party says (256 samples, -1…1); how likely it is speech."""

    def told(self, type: str, data: dict[str, Any]) -> None:
        """The engine tells something (`telephony/taps.py`)."""

    def lost(self, frames: int) -> None:
        """So many frames of 20 ms were skipped here, since the reader had fallen behind."""

    def end(self, cause: Cause) -> None:
        """There is no more audio."""
