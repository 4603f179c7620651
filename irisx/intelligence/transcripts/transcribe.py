"""The worker's part in transcripts: recordings are taken one by one and what is said is written.

Whoever dies at it loses its lease, and another begins again: nothing is told before the commit.
"""

import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import soundfile
from sqlalchemy import text, update
from sqlalchemy.orm import Session

from irisx.intelligence import config, providers, usage
from irisx.intelligence.errors import ProviderError
from irisx.intelligence.recognition import Recognized, Recognizer, Word, mean_confidence
from irisx.intelligence.transcripts import redaction, utterances
from irisx.intelligence.transcripts.models import Transcript, TranscriptStatus
from irisx.intelligence.transcripts.utterances import NotReadable, Utterance
from irisx.kernel import clock, events
from irisx.kernel.db import transaction
from irisx.kernel.ids import call_sid
from irisx.kernel.jobs import backoff_seconds
from irisx.kernel.logging import get_logger
from irisx.kernel.storage import StorageError, storage_of

log = get_logger(__name__)

TOPIC = "transcripts"
EVENT = "call.transcribed"
#: Longer than one utterance takes; renewed with each.
LEASE = timedelta(minutes=3)
MAX_ATTEMPTS = 30
_UTTERANCE_SECONDS = 120.0
_BATCH = 50
#: The channels of a recording of a customer's leg: what it says, and what it hears.
_SPEAKERS = ("customer", "agent")

# Recordings are another room's rows: the two meet in the database.
_QUEUE = text("""
    INSERT INTO transcripts (tenant_id, call_id, recording_id)
    SELECT r.tenant_id, r.call_id, r.id
    FROM recordings r JOIN ai_configs c ON c.tenant_id = r.tenant_id
    WHERE r.status = 'completed' AND r.created_at >= c.transcribe_since
        AND NOT EXISTS (SELECT FROM transcripts t WHERE t.recording_id = r.id)
    ORDER BY r.id LIMIT :limit
    ON CONFLICT (recording_id) DO NOTHING
""")
_TAKE = text("""
    UPDATE transcripts SET status = 'processing', attempts = attempts + 1,
        next_try_at = now() + :lease
    WHERE id = (
        SELECT id FROM transcripts
        WHERE status IN ('queued', 'processing') AND next_try_at <= now()
        ORDER BY next_try_at LIMIT 1 FOR UPDATE SKIP LOCKED
    )
    RETURNING id, tenant_id, call_id, recording_id, attempts
""")
_LOCATION = text("SELECT location FROM recordings WHERE id = :id AND status = 'completed'")
_SHOW = text("""
    UPDATE recordings SET transcription_text = :text, transcription_confidence = :confidence
    WHERE id = :id AND status = 'completed'
""")
_ERASE = text("""
    DELETE FROM transcripts t USING recordings r
    WHERE r.id = t.recording_id AND r.status = 'deleted'
""")


@dataclass(frozen=True)
class Segment:
    """One utterance. `words`: dicts of `recognition.Word`; times from the recording's beginning."""

    speaker: str
    start_ms: int
    end_ms: int
    text: str
    confidence: float | None
    words: list[dict[str, Any]]


def queue_recordings() -> bool:
    """Queue the recordings of tenants that want all of theirs transcribed."""
    with transaction() as session:
        queued = session.connection().execute(_QUEUE, {"limit": _BATCH}).rowcount
    return queued == _BATCH


def erase_deleted() -> bool:
    """What is deleted as a sound is not kept as a text."""
    with transaction() as session:
        session.execute(_ERASE)
    return False


def transcribe_next() -> bool:
    """Transcribe one recording; True: there may be another."""
    with transaction() as session:
        taken = session.execute(_TAKE, {"lease": LEASE}).one_or_none()
        if taken is None:
            return False
        location: str | None = session.scalar(_LOCATION, {"id": taken.recording_id})
    if location is None:
        _fail(taken.id, "the recording was deleted")
        return True
    try:
        _transcribe(taken.id, taken.tenant_id, taken.call_id, taken.recording_id, location)
    except NotReadable as error:
        _fail(taken.id, str(error))
    except (ProviderError, StorageError) as error:
        _later(taken.id, taken.attempts, str(error))
    return True


def _transcribe(key: int, tenant_id: int, call_id: UUID, recording_id: int, location: str) -> None:
    recognizer = providers.recognizer(tenant_id)
    redacted = config.of(tenant_id).redact
    with _file(location) as path, usage.metered(tenant_id, "transcribe", recognizer) as meter:
        found = utterances.find(path)
        language: str | None = None
        spoken: list[tuple[Utterance, Recognized]] = []
        for utterance in found:
            if not _renew(key):
                return  # another worker thought this one lost
            heard = _recognize(recognizer, path, utterance)
            meter.audio_seconds = (meter.audio_seconds or 0.0) + _seconds(utterance)
            meter.characters_out += len(heard.text)
            language = language or heard.language
            if heard.words:
                spoken.append((utterance, heard))
        mono = soundfile.info(str(path)).channels == 1
    segments, count = _segments(spoken, mono, redacted)
    words = [Word(**word) for segment in segments for word in segment.words]
    values = {
        "provider": recognizer.provider,
        "model": recognizer.model,
        "language": language,
        "confidence": mean_confidence(words),
        "text": "\n".join(_line(segment, mono) for segment in segments),
        "segments": [asdict(segment) for segment in segments],
        "redacted": count,
    }
    _complete(key, tenant_id, call_id, recording_id, values)


@contextmanager
def _file(location: str) -> Iterator[Path]:
    """The recording's bytes as a local file. Raises StorageError, NotReadable."""
    storage = storage_of(location)
    with tempfile.TemporaryDirectory(prefix="irisx-transcript-") as directory:
        path = storage.fetch(location, Path(directory))
        if not path.is_file():
            raise NotReadable("the recording's file is not there")
        yield path


def _recognize(recognizer: Recognizer, path: Path, utterance: Utterance) -> Recognized:
    """Its words with times from the recording's beginning."""
    with soundfile.SoundFile(str(path)) as file:
        rate = file.samplerate
        first = min(utterance.start_ms * rate // 1000, file.frames)
        file.seek(first)
        count = (utterance.end_ms - utterance.start_ms) * rate // 1000
        samples = file.read(count, dtype="int16", always_2d=True)[:, utterance.channel]
    heard = recognizer.recognize(samples, rate, timeout=_UTTERANCE_SECONDS)
    offset = utterance.start_ms
    words = [
        replace(word, start_ms=word.start_ms + offset, end_ms=word.end_ms + offset)
        for word in heard.words
    ]
    return replace(heard, words=words)


def _seconds(utterance: Utterance) -> float:
    return (utterance.end_ms - utterance.start_ms) / 1000


def _segments(
    spoken: Sequence[tuple[Utterance, Recognized]], mono: bool, kinds: Sequence[str]
) -> tuple[list[Segment], int]:
    """Utterances as they are kept, and how many words were redacted.

    Each speaker's words are looked at as one row: numbers are said with pauses.
    """
    hidden: set[tuple[int, int]] = set()
    for channel in {utterance.channel for utterance, _ in spoken}:
        places = [
            (at, index)
            for at, (utterance, heard) in enumerate(spoken)
            if utterance.channel == channel
            for index in range(len(heard.words))
        ]
        said = [spoken[at][1].words[index].text for at, index in places]
        hidden.update(places[index] for index in redaction.marked(said, kinds))
    segments = []
    for at, (utterance, heard) in enumerate(spoken):
        words = [
            replace(word, text=redaction.REDACTED) if (at, index) in hidden else word
            for index, word in enumerate(heard.words)
        ]
        speaker = "unknown" if mono else _SPEAKERS[min(utterance.channel, 1)]
        segments.append(
            Segment(
                speaker=speaker,
                start_ms=words[0].start_ms,
                end_ms=words[-1].end_ms,
                text=_joined(words),
                confidence=mean_confidence(words),
                words=[asdict(word) for word in words],
            )
        )
    return segments, len(hidden)


def _joined(words: Sequence[Word]) -> str:
    """A run of redacted words is one."""
    texts: list[str] = []
    for word in words:
        if word.text != redaction.REDACTED or texts[-1:] != [redaction.REDACTED]:
            texts.append(word.text)
    return " ".join(texts)


def _line(segment: Segment, mono: bool) -> str:
    return segment.text if mono else f"{segment.speaker.capitalize()}: {segment.text}"


# --- rows ---------------------------------------------------------------------------------------


def _renew(key: int) -> bool:
    return _set(key, next_try_at=clock.now() + LEASE)


def _complete(
    key: int, tenant_id: int, call_id: UUID, recording_id: int, values: dict[str, Any]
) -> None:
    moment = clock.now()
    shown = {"text": values["text"], "confidence": values["confidence"]}
    with transaction() as session:
        done = {"status": TranscriptStatus.COMPLETED, "error": None, "completed_at": moment}
        if not _set_in(session, key, **done, **values):
            return
        session.execute(_SHOW, shown | {"id": recording_id})
        events.publish(
            session,
            key=f"transcript:{key}",
            tenant_id=tenant_id,
            type=EVENT,
            data={
                "sid": call_sid(call_id),
                "recording_id": recording_id,
                "language": values["language"],
                **shown,
            },
            occurred_at=moment,
        )


def _fail(key: int, reason: str) -> None:
    log.error("transcript_failed", transcript=key, reason=reason)
    _set(key, status=TranscriptStatus.FAILED, error=reason)


def _later(key: int, attempts: int, reason: str) -> None:
    """Try again: after 2, 4, 8 … minutes, half an hour at most."""
    if attempts >= MAX_ATTEMPTS:
        _fail(key, reason)
        return
    log.warning("transcript_delayed", transcript=key, attempts=attempts, reason=reason)
    pause = timedelta(minutes=backoff_seconds(min(attempts + 1, 6)))
    _set(key, status=TranscriptStatus.QUEUED, next_try_at=clock.now() + pause, error=reason)


def _set(key: int, **values: object) -> bool:
    with transaction() as session:
        return _set_in(session, key, **values)


def _set_in(session: Session, key: int, **values: object) -> bool:
    """Change a transcript that is being made; False if it no longer is."""
    mine = (Transcript.id == key, Transcript.status == TranscriptStatus.PROCESSING)
    changed = update(Transcript).where(*mine).values(**values).returning(Transcript.id)
    return session.execute(changed).one_or_none() is not None
