import io
import os
import time
from collections.abc import Iterator

import numpy as np
import pytest
import soundfile

from irisx.kernel.errors import ValidationError
from irisx.settings import get_settings
from irisx.telephony.calls import prompts
from irisx.telephony.esl import commands
from tests.receiver import Answer, Receiver, receiving


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Receiver]:
    monkeypatch.setenv("IRISX_ALLOWED_PRIVATE_HOSTS", "127.0.0.1")
    get_settings.cache_clear()
    with receiving() as receiver:
        yield receiver
    monkeypatch.undo()
    get_settings.cache_clear()


def audio(
    seconds: float = 0.5, *, rate: int = 44_100, channels: int = 2, format: str = "WAV"
) -> bytes:
    """A tone of 440 Hz."""
    tone = 0.5 * np.sin(2 * np.pi * 440 * np.arange(int(seconds * rate)) / rate)
    file = io.BytesIO()
    soundfile.write(file, np.repeat(tone[:, None], channels, axis=1), rate, format=format)
    return file.getvalue()


def serve(server: Receiver, body: bytes, *, status: int = 200) -> str:
    server.answer = lambda request: Answer(status=status, body=body)
    return f"{server.url}/prompt"


@pytest.mark.parametrize("format", ["WAV", "FLAC", "OGG", "MP3"])
@pytest.mark.parametrize(("rate", "channels"), [(8000, 1), (16_000, 1), (44_100, 2), (48_000, 1)])
def test_audio_becomes_what_the_switch_plays(
    server: Receiver, format: str, rate: int, channels: int
) -> None:
    path = prompts.fetch(1, serve(server, audio(rate=rate, channels=channels, format=format)))
    samples, found = soundfile.read(path)
    assert (found, samples.ndim, soundfile.info(path).subtype) == (16_000, 1, "PCM_16")
    assert 0.45 < len(samples) / 16_000 < 0.7  # lossy formats pad
    spectrum = np.abs(np.fft.rfft(samples))
    assert abs(np.argmax(spectrum) * 16_000 / len(samples) - 440) < 5
    assert 0.4 < np.abs(samples).max() < 0.6


def test_the_file_can_be_read_by_the_switch_and_named_to_it(server: Receiver) -> None:
    path = prompts.fetch(1, serve(server, audio()))
    assert path.stat().st_mode & 0o444 == 0o444
    assert commands.source(str(path)) == str(path)


def test_a_fresh_file_is_not_fetched_again_an_old_one_is(server: Receiver) -> None:
    url = serve(server, audio(0.5))
    path = prompts.fetch(1, url)
    serve(server, audio(1.0))
    assert prompts.fetch(1, url) == path
    assert len(server.received) == 1
    age(path, 301)
    prompts.fetch(1, url)
    assert len(server.received) == 2
    assert soundfile.info(path).duration == pytest.approx(1.0, abs=0.01)


def test_tenants_do_not_share_files(server: Receiver) -> None:
    url = serve(server, audio())
    assert prompts.fetch(1, url) != prompts.fetch(2, url)


def test_files_that_nobody_played_for_a_week_go(server: Receiver) -> None:
    url = serve(server, audio())
    forgotten = prompts.fetch(1, url)
    age(forgotten, 7 * 24 * 3600 + 60)
    prompts.fetch(2, url)
    assert not forgotten.exists()


@pytest.mark.parametrize(
    "body",
    [b"", b"<html>", b"RIFF", audio()[:40], os.urandom(5000), b"\x00" * 5000],
    ids=["nothing", "html", "cut", "no samples", "noise", "zeros"],
)
def test_what_is_no_audio_is_refused_and_leaves_no_file(server: Receiver, body: bytes) -> None:
    with pytest.raises(ValidationError) as raised:
        prompts.fetch(9, serve(server, body))
    assert raised.value.details[0]["field"] == "url"
    assert not list((get_settings().home / "prompts").glob("*.part"))


def test_audio_that_is_too_long_is_refused(server: Receiver) -> None:
    with pytest.raises(ValidationError, match="longer than 600 s"):
        prompts.fetch(3, serve(server, audio(601, rate=8000, channels=1)))


def test_a_file_that_is_too_large_is_refused(
    server: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(prompts, "MAX_BYTES", 1000)
    with pytest.raises(ValidationError, match="larger than 1000 bytes"):
        prompts.fetch(4, serve(server, audio()))


@pytest.mark.parametrize("status", [301, 401, 404, 500])
def test_an_answer_that_is_not_the_file_is_refused(server: Receiver, status: int) -> None:
    with pytest.raises(ValidationError, match=str(status)):
        prompts.fetch(5, serve(server, audio(), status=status))


@pytest.mark.parametrize(
    "url",
    ["http://127.0.0.1:9/x.wav", "http://localhost/x.wav", "http://[::1]/x", "http://10.0.0.1/x",
     "http://169.254.169.254/latest/meta-data", "file:///etc/passwd", "ftp://example.com/x", "x",
     "http://user:pw@example.com/x"],
)  # fmt: skip
def test_a_private_or_strange_address_is_refused(url: str) -> None:
    with pytest.raises(ValidationError):
        prompts.fetch(6, url)


def age(path: os.PathLike[str], seconds: float) -> None:
    then = time.time() - seconds
    os.utime(path, (then, then))
