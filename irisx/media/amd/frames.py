"""Audio in chunks of any size, cut into the frames that the detector looks at."""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

RATE = 8000
#: Samples of a frame: 32 ms, what the voice model takes at 8 kHz.
FRAME = 256
FRAME_MS = FRAME * 1000 // RATE

Samples = NDArray[np.int16]
Frame = NDArray[np.float32]


class Framer:
    """Cuts a stream into frames of 256 samples, scaled to -1…1."""

    def __init__(self) -> None:
        self._rest: Samples = np.empty(0, np.int16)

    def cut(self, pcm: Samples) -> Iterator[Frame]:
        """The frames that this chunk completes; what is left over waits for the next one."""
        audio = np.concatenate((self._rest, np.asarray(pcm, np.int16).ravel()))
        whole = len(audio) // FRAME * FRAME
        self._rest = audio[whole:]
        for frame in audio[:whole].reshape(-1, FRAME):
            yield frame.astype(np.float32) / np.float32(32768)
