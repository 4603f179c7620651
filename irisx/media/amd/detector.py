"""The detector: audio in, one verdict out."""

from dataclasses import asdict, dataclass, replace
from enum import StrEnum
from typing import Any

from irisx.media.amd.features import Speech, Timeline
from irisx.media.amd.frames import RATE, Frame, Framer, Samples
from irisx.media.amd.music import MusicTracker
from irisx.media.amd.settings import AmdMode, Settings
from irisx.media.amd.tones import Signal, Tone, ToneTracker
from irisx.media.amd.voice import VoiceModel

#: How much longer a pause must be while somebody far away goes on talking.
_BACKGROUND_MS = 200
#: Ringing after the answer (a switchboard): silence is waited for beyond its pauses.
_RING_PAUSE_MS = 6_000
#: Ringing, or another tone, that goes on for so long is waited for no more.
_LONGEST_TONE_MS = 60_000
#: Less speech than this (ms) before a tone is no greeting.
_GREETING_MS = 500
#: The voice model may call the beginning of a tone speech for so long (ms).
_VOICE_TAIL_MS = 100
#: With `message_end`: no beep for so long after the greeting's end, or in all: go on without.
_NO_BEEP_MS = 3_000
_LONGEST_GREETING_MS = 60_000


class Result(StrEnum):
    HUMAN = "human"
    MACHINE = "machine"
    FAX = "fax"
    SILENCE = "silence"
    UNKNOWN = "unknown"


class Cause(StrEnum):
    #: The callee spoke and waits for an answer.
    AFTER_GREETING_SILENCE = "after_greeting_silence"
    GREETING_LENGTH = "greeting_length"
    MAXIMUM_WORDS = "maximum_words"
    BEEP = "beep"
    SIT = "sit"
    FAX_CED = "fax_ced"
    FAX_CNG = "fax_cng"
    INITIAL_SILENCE = "initial_silence"
    #: Nobody spoke, but music plays: somebody may come.
    MUSIC = "music"
    TOTAL_ANALYSIS_TIME = "total_analysis_time"
    #: The audio ended before there was a decision.
    AUDIO_ENDED = "audio_ended"


#: Right verdicts and all verdicts of each cause on the development corpus (docs/amd.md).
_SEEN = {
    Cause.AFTER_GREETING_SILENCE: (110, 112),
    Cause.GREETING_LENGTH: (38, 45),
    Cause.MAXIMUM_WORDS: (52, 59),
    Cause.BEEP: (1, 1),
    Cause.SIT: (8, 8),
    Cause.FAX_CED: (11, 11),
    Cause.FAX_CNG: (5, 5),
    Cause.INITIAL_SILENCE: (15, 15),
}


def _confidence(cause: Cause) -> float:
    """How likely the next verdict of this cause is right, by Laplace's rule of succession."""
    if cause not in _SEEN:
        return 0.0
    right, seen = _SEEN[cause]
    return round((right + 1) / (seen + 2), 2)


@dataclass(frozen=True, slots=True)
class Verdict:
    """What took the call. Times in ms, from the answer unless they say otherwise."""

    result: Result
    cause: Cause
    #: How often a verdict of this cause is right, 0…1; 0 where nothing was decided.
    confidence: float
    decided_at_ms: int
    #: From the first speech; None without speech.
    decided_after_speech_ms: int | None
    features: dict[str, Any]
    beep_at_ms: int | None = None
    beep_end_ms: int | None = None


class Detector:
    """Listens to one call from its answer on.

    Feed it what the callee says, in chunks of any size: the verdict depends on the audio alone,
    not on how it was cut. After the verdict it goes on listening for the beep, if it is fed on.
    """

    def __init__(self, settings: Settings, rate: int = RATE) -> None:
        """Raises ValueError for another rate than 8000 Hz."""
        if rate != RATE:
            raise ValueError(f"the detector listens at {RATE} Hz, not at {rate}")
        self._settings = settings
        self._framer = Framer()
        self._model = VoiceModel()
        self._timeline = Timeline(settings.minimum_word_length, settings.between_words_silence)
        self._tones = ToneTracker()
        self._music = MusicTracker()
        self._decision: Verdict | None = None
        self._delivered = False
        #: The first beep after speech.
        self.beep: Tone | None = None

    def feed(self, pcm: Samples) -> Verdict | None:
        """Hear more: 16-bit samples of any number. The verdict, once, when there is one."""
        verdict = None
        for frame in self._framer.cut(pcm):
            verdict = self.hear(frame, self._model.probability(frame)) or verdict
        return verdict

    def close(self) -> Verdict | None:
        """The audio is over. The verdict, if it has not been given: at worst `unknown`."""
        if self._delivered:
            return None
        speech = self._timeline.speech()
        silent = speech is None and not self._music.is_music
        nothing = Result.SILENCE if silent else Result.UNKNOWN
        return self._deliver(self._decision or self._verdict((nothing, Cause.AUDIO_ENDED), speech))

    @property
    def is_patient(self) -> bool:
        """Whether it waits for longer than the settings say: for ringing to end, or a beep."""
        return not self._delivered and (
            self._decision is not None or self._tones.last_ring is not None
        )

    @property
    def greeting_over(self) -> bool:
        """Whether a message may be left: after the beep, or 3 s after a greeting without one."""
        return self._is_greeting_over(self._timeline.speech())

    def hear(self, frame: Frame, probability: float) -> Verdict | None:
        """As `feed`, a frame at a time; `probability`: how likely it is speech (`VoiceModel`)."""
        tone = self._tones.add(frame)
        if self._delivered and self.beep is not None:
            return None
        self._timeline.add(frame, probability)
        speech = self._timeline.speech()
        if speech is None:
            self._music.add(frame)
        if self.beep is None and tone is not None and _ends_greeting(tone, speech):
            self.beep = tone
        if self._decision is None and (judged := self._judge(speech)):
            self._decision = self._verdict(judged, speech)
        decision = self._decision
        if decision is None or self._delivered or self._awaits_beep(decision, speech):
            return None
        return self._deliver(decision)

    def _judge(self, speech: Speech | None) -> tuple[Result, Cause] | None:
        """Result and cause, as soon as there is enough to tell."""
        return self._by_tones(speech) or (
            self._without_speech() if speech is None else self._by_speech(speech)
        )

    def _by_tones(self, speech: Speech | None) -> tuple[Result, Cause] | None:
        match self._tones.signal():
            case Signal.SIT:
                return Result.MACHINE, Cause.SIT
            case Signal.CED:
                return Result.FAX, Cause.FAX_CED
            # The same tone after a greeting is a beep.
            case Signal.CNG if not _is_greeting(speech):
                return Result.FAX, Cause.FAX_CNG
        return (Result.MACHINE, Cause.BEEP) if self.beep else None

    def _without_speech(self) -> tuple[Result, Cause] | None:
        now, ring = self._timeline.now, self._tones.last_ring
        if now >= _LONGEST_TONE_MS:
            return Result.UNKNOWN, Cause.TOTAL_ANALYSIS_TIME
        patience, silence = self._settings.initial_silence, now
        if ring is not None:
            patience, silence = max(patience, _RING_PAUSE_MS), now - ring
        if silence >= patience and not self._tones.sounding:
            if self._music.is_music:
                return Result.UNKNOWN, Cause.MUSIC
            return Result.SILENCE, Cause.INITIAL_SILENCE
        return None

    def _by_speech(self, speech: Speech) -> tuple[Result, Cause] | None:
        settings = self._settings
        if speech.voiced >= settings.greeting_length:
            return Result.MACHINE, Cause.GREETING_LENGTH
        if speech.words > settings.maximum_words:
            return Result.MACHINE, Cause.MAXIMUM_WORDS
        waiting = max(speech.quiet, speech.pause - _BACKGROUND_MS)
        if speech.words and waiting >= settings.after_greeting_silence:
            return Result.HUMAN, Cause.AFTER_GREETING_SILENCE
        if self._timeline.now - speech.start >= settings.total_analysis_time:
            return Result.UNKNOWN, Cause.TOTAL_ANALYSIS_TIME
        return None

    def _verdict(self, judged: tuple[Result, Cause], speech: Speech | None) -> Verdict:
        result, cause = judged
        now = self._timeline.now
        return Verdict(
            result=result,
            cause=cause,
            confidence=_confidence(cause),
            decided_at_ms=now,
            decided_after_speech_ms=None if speech is None else now - speech.start,
            features={} if speech is None else asdict(speech),
        )

    def _awaits_beep(self, decision: Verdict, speech: Speech | None) -> bool:
        """Whether the verdict is held back for the beep."""
        if self._settings.mode is not AmdMode.MESSAGE_END:
            return False
        if decision.result is not Result.MACHINE or decision.cause is Cause.SIT:
            return False
        return not self._is_greeting_over(speech)

    def _is_greeting_over(self, speech: Speech | None) -> bool:
        if self.beep is not None or speech is None:
            return True
        late = speech.pause >= _NO_BEEP_MS or self._timeline.now >= _LONGEST_GREETING_MS
        return late and not self._tones.sounding

    def _deliver(self, decision: Verdict) -> Verdict:
        self._delivered = True
        if self.beep is None:
            return decision
        return replace(decision, beep_at_ms=self.beep.start, beep_end_ms=self.beep.end)


def _ends_greeting(tone: Tone, speech: Speech | None) -> bool:
    """Whether it is a beep after speech, not a vowel of the speech."""
    if speech is None or not (tone.is_beep and _is_greeting(speech)):
        return False
    return not tone.is_voice or speech.quiet + _VOICE_TAIL_MS >= tone.end - tone.start


def _is_greeting(speech: Speech | None) -> bool:
    return speech is not None and speech.voiced >= _GREETING_MS
