"""When a caller begins to speak, pauses, and has done: from how likely each frame is speech.

Pure: fed frame by frame, it says what happened. A pause is told early, so that recognition can
begin while it is not yet sure that the turn is over.
"""

from dataclasses import dataclass
from enum import StrEnum

#: Milliseconds of one frame: what the voice model judges at a time (`media/amd/frames.py`).
FRAME_MS = 32
#: A frame is speech from the first on; while somebody speaks, already from the second on, since
#: ends of words are faint.
_SPEECH, _STILL_SPEECH = 0.6, 0.35
#: So many of the last so many frames must be speech for a beginning: a click or a breath is none.
ONSET_FRAMES, _ONSET_WINDOW = 3, 4
PAUSE_MS = 224


class Phase(StrEnum):
    QUIET = "quiet"
    SPEAKING = "speaking"
    PAUSED = "paused"


#: Where each phase can lead.
TRANSITIONS: dict[Phase, frozenset[Phase]] = {
    Phase.QUIET: frozenset({Phase.SPEAKING}),
    Phase.SPEAKING: frozenset({Phase.PAUSED}),
    Phase.PAUSED: frozenset({Phase.SPEAKING, Phase.QUIET}),
}


@dataclass(frozen=True, slots=True)
class Change:
    """A phase that began. `speech_ms`: in the stream, where speech began or went on (SPEAKING), or
    ended (PAUSED, QUIET). `began`: it is a turn's beginning."""

    phase: Phase
    speech_ms: int
    began: bool = False


class Listener:
    """One caller's stream. `end_of_turn_ms`: the pause after which the turn is over."""

    def __init__(self, end_of_turn_ms: int) -> None:
        self.phase = Phase.QUIET
        self._end_frames = max(end_of_turn_ms, PAUSE_MS + FRAME_MS) // FRAME_MS
        self._frames = 0
        self._recent: list[bool] = []
        self._silent = 0

    @property
    def now_ms(self) -> int:
        """How much of the stream has been heard."""
        return self._frames * FRAME_MS

    def hear(self, probability: float) -> Change | None:
        """The next frame; the phase that begins with it, if one does."""
        self._frames += 1
        threshold = _SPEECH if self.phase is Phase.QUIET else _STILL_SPEECH
        speech = probability >= threshold
        self._recent = [*self._recent[1 - _ONSET_WINDOW :], speech]
        if self.phase is Phase.QUIET:
            return self._onset()
        self._silent = 0 if speech else self._silent + 1
        ended_ms = self.now_ms - self._silent * FRAME_MS
        if self.phase is Phase.PAUSED and speech:
            return self._enter(Phase.SPEAKING, self.now_ms - FRAME_MS)
        if self.phase is Phase.SPEAKING and self._silent * FRAME_MS >= PAUSE_MS:
            return self._enter(Phase.PAUSED, ended_ms)
        if self.phase is Phase.PAUSED and self._silent >= self._end_frames:
            self._recent.clear()
            return self._enter(Phase.QUIET, ended_ms)
        return None

    def _onset(self) -> Change | None:
        if sum(self._recent) < ONSET_FRAMES or not self._recent[-1]:
            return None
        first = self._recent.index(True)
        self._silent = 0
        return self._enter(Phase.SPEAKING, self.now_ms - (len(self._recent) - first) * FRAME_MS)

    def _enter(self, phase: Phase, speech_ms: int) -> Change:
        began, self.phase = self.phase is Phase.QUIET, phase
        return Change(phase, speech_ms, began)
