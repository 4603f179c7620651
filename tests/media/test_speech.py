"""From a text to a WAV file, through the media process as engines ask it."""

import os
import signal
import stat
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import gevent
import numpy as np
import pytest
import soundfile
from hypothesis import given, settings
from hypothesis import strategies as st

from irisx.kernel import health
from irisx.kernel.errors import Unavailable, ValidationError
from irisx.kernel.redis import redis
from irisx.media import cache, client, synthesis
from irisx.media.client import synthesize
from irisx.media.process import Media
from irisx.media.synthesis import Espeak, Hibari, SynthesisError, cache_key, choose
from tests.waiting import wait_until

TEXT = "Welcome to IRISX. Press one for sales."


@pytest.fixture
def media() -> Iterator[Media]:
    media = Media()
    greenlet = gevent.spawn(media.run)
    wait_until(lambda: redis().exists(client.ALIVE))
    yield media
    media.stop()
    greenlet.get(timeout=5)


@pytest.fixture
def espeak(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A program in the place of espeak-ng that notes its arguments and its input."""
    sound = tmp_path / "tone.wav"
    tone = np.sin(np.arange(22050) / 20).astype(np.float32) / 2
    soundfile.write(str(sound), tone, 22050)
    program = tmp_path / "bin" / "espeak-ng"
    program.parent.mkdir()
    program.write_text(
        f'#!/bin/sh\necho "$@" > {tmp_path}/arguments\ncat > {tmp_path}/input\ncp {sound} "$4"\n'
    )
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("PATH", f"{program.parent}:{os.environ['PATH']}")
    return tmp_path


def test_a_text_becomes_a_file_at_both_rates(media: Media) -> None:
    result = synthesize(TEXT, timeout=20)
    assert (result.voice, result.fallback) == (Hibari.VOICE, False)
    narrow, rate = soundfile.read(str(result.path))
    wide, wide_rate = soundfile.read(str(result.wideband_path))
    assert (rate, wide_rate) == (8000, 16000)
    assert abs(result.duration_ms - len(narrow) / 8) < 1
    assert abs(len(wide) - 2 * len(narrow)) <= 2
    assert 1500 < result.duration_ms < 6000
    assert 0.01 < np.sqrt(np.mean(narrow**2)) < 0.5  # speech, neither silence nor noise


def test_a_voice_of_another_vendor_falls_back_visibly(media: Media) -> None:
    result = synthesize(TEXT, "en-US-Neural2-F", timeout=20)
    assert (result.voice, result.fallback) == (Hibari.VOICE, True)
    assert not synthesize(TEXT, Hibari.VOICE, timeout=20).fallback


def test_a_text_is_spoken_once(media: Media, monkeypatch: pytest.MonkeyPatch) -> None:
    spoken: list[str] = []
    speak = Hibari.speak

    def counted(self: Hibari, text: str, voice: str):
        spoken.append(text)
        return speak(self, text, voice)

    monkeypatch.setattr(Hibari, "speak", counted)
    text = "A text that no other test speaks."
    waiting = [gevent.spawn(synthesize, text, timeout=20) for _ in range(5)]
    gevent.joinall(waiting, raise_error=True)
    assert len({one.value.path for one in waiting}) == 1
    assert spoken == [text]


def test_the_process_answers_others_while_it_speaks(
    media: Media, monkeypatch: pytest.MonkeyPatch
) -> None:
    synthesize(TEXT, timeout=20)
    ended: list[str] = []

    class Slow:
        sample_rate = 8000

        def __call__(self, text: str, seed: int):
            deadline = time.monotonic() + 1.0
            while time.monotonic() < deadline:
                np.sort(np.random.default_rng(0).random(10_000))  # CPU, not sleep
            ended.append(text)
            return np.ones(8000, np.float32) / 2

    monkeypatch.setattr(synthesis, "_hibari", Slow)
    busy = gevent.spawn(synthesize, "A long text.", timeout=20)
    gevent.sleep(0.1)
    synthesize(TEXT, timeout=1)
    assert ended == []
    busy.get(timeout=10)


def test_another_language_is_espeak_s(espeak: Path, media: Media) -> None:
    text = "--help; $(reboot) Hola"
    result = synthesize(text, "es-ES-Neural2-A", timeout=20)
    assert (result.voice, result.fallback) == ("espeak-ng/es-es", True)
    assert result.duration_ms == 1000
    assert (espeak / "input").read_text() == text
    assert "reboot" not in (espeak / "arguments").read_text()
    assert synthesize("Hola", language="es-ES", timeout=20).fallback is False


def test_without_a_voice_the_reason_is_told(media: Media, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nonexistent")
    with pytest.raises(Unavailable, match="espeak-ng is not installed") as error:
        synthesize("Hola", language="es-ES")
    assert error.value.code == "SPEECH_UNAVAILABLE"
    monkeypatch.setattr(synthesis, "_hibari", lambda: None)
    with pytest.raises(Unavailable, match="no voice speaks 'en-US'"):
        synthesize("Hello there, nobody.")


@pytest.mark.parametrize("text", ["", " \n\t ", "x" * 3001])
def test_an_empty_or_too_long_text_is_refused(text: str) -> None:
    with pytest.raises(ValidationError):
        synthesize(text)


def test_a_text_without_words_is_refused_by_name(media: Media) -> None:
    with pytest.raises(Unavailable, match="nothing that can be spoken"):
        synthesize("。。。", timeout=20)


def test_nobody_waits_for_media_that_is_away() -> None:
    began = time.monotonic()
    with pytest.raises(Unavailable) as error:
        synthesize(TEXT, timeout=5)
    assert error.value.code == "MEDIA_UNAVAILABLE"
    assert time.monotonic() - began < 1


def test_a_request_that_nobody_waits_for_is_dropped(monkeypatch: pytest.MonkeyPatch) -> None:
    redis().set(client.ALIVE, "1")  # one that hangs
    with pytest.raises(Unavailable) as error:
        synthesize("A text that is never spoken.", timeout=0.3)
    assert error.value.code == "MEDIA_TIMEOUT"
    media = Media()
    greenlet = gevent.spawn(media.run)
    wait_until(lambda: not redis().llen(client.REQUESTS))
    media.stop()
    greenlet.get(timeout=5)
    assert cache.find(cache_key("A text that is never spoken.", Hibari.VOICE)) is None


def test_nonsense_on_the_list_harms_nobody(media: Media) -> None:
    for nonsense in ("", "{", "[]", "{}", '{"id": "x", "deadline": 9e12, "verb": "fly"}'):
        redis().lpush(client.REQUESTS, nonsense)
    assert synthesize(TEXT, timeout=20).duration_ms > 0


def test_files_used_longest_ago_go_first(monkeypatch: pytest.MonkeyPatch) -> None:
    for number, key in enumerate(("aa-old", "bb-used", "cc-new")):
        speech = cache.store(key, np.ones(8000, np.float32) / 2, 8000)
        for path in (speech.path, speech.wideband_path):
            os.utime(path, (1000 + number, 1000 + number))
    sizes = sum(path.stat().st_size for path in (speech.path, speech.wideband_path))
    cache.find("bb-used")
    cache.prune(limit=sizes)
    assert cache.find("aa-old") is None
    assert cache.find("cc-new") is None
    assert cache.find("bb-used") is not None
    cache.prune(limit=0)
    assert cache.find("bb-used") is not None  # it may be about to be played


@settings(max_examples=50)
@given(st.none() | st.text(max_size=30), st.none() | st.text(max_size=30))
def test_any_voice_and_language_has_a_choice_or_a_reason(voice, language) -> None:
    try:
        chosen = choose(voice, language)
    except SynthesisError:
        return
    assert chosen.voice.startswith(("hibari/", "espeak-ng/"))
    assert Espeak().voice_for(language or "en-US") is None or " " not in chosen.voice


def test_the_process_starts_serves_and_ends() -> None:
    process = subprocess.Popen([sys.executable, "-m", "irisx", "media"], env=os.environ)
    try:
        wait_until(lambda: (it := health.readiness("media")) and it.pid == process.pid, 20)
        wait_until(lambda: redis().exists(client.ALIVE))
        assert synthesize("Spoken by a process of its own.", timeout=20).path.is_file()
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=3) == 0
    finally:
        process.kill()
        process.wait()
