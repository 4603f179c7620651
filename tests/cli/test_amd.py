"""`irisx amd classify`."""

import json
from pathlib import Path

import numpy as np
import pytest
import soundfile
import soxr
from click.testing import CliRunner

from irisx.cli import irisx
from tests.media.amd.signals import pcm, silence, speech, tone

HELLO = pcm(silence(0.8), speech("Hello?"), silence(3))


@pytest.fixture
def fax(tmp_path: Path) -> Path:
    path = tmp_path / "fax.flac"
    soundfile.write(path, pcm(silence(0.3), tone(3, 2100)), 8000)
    return path


def classify(*arguments: object, status: int = 0) -> str:
    result = CliRunner().invoke(irisx, ["amd", "classify", *map(str, arguments)])
    assert result.exit_code == status, result.output
    return result.output


def test_a_json_object_a_file(tmp_path: Path, fax: Path) -> None:
    hello = tmp_path / "hello.wav"
    soundfile.write(hello, HELLO, 8000)
    human, machine = map(json.loads, classify("--json", hello, fax).splitlines())
    assert human["file"] == str(hello)
    assert human["result"] == "human"
    assert human["cause"] == "after_greeting_silence"
    assert 1000 < human["decided_at_ms"] < 4000
    assert human["beep_at_ms"] is None
    assert 0 < human["confidence"] <= 1
    assert (machine["file"], machine["result"]) == (str(fax), "fax")


def test_a_line_a_file(fax: Path) -> None:
    assert classify(fax).startswith(f"{fax}: fax (fax_ced) at ")


@pytest.mark.parametrize("rate", [8000, 11_025, 16_000, 44_100, 48_000])
@pytest.mark.parametrize("channels", [1, 2])
def test_any_rate_and_channels(tmp_path: Path, rate: int, channels: int) -> None:
    path = tmp_path / "hello.wav"
    audio = soxr.resample(HELLO.astype(np.float64) / 32768, 8000, rate)
    soundfile.write(path, np.stack([audio] * channels, axis=1), rate)
    assert json.loads(classify("--json", path))["result"] == "human"


def test_unreadable_files_are_reported_and_the_others_done(tmp_path: Path, fax: Path) -> None:
    text, missing, empty = tmp_path / "a.wav", tmp_path / "no.wav", tmp_path / "empty.flac"
    text.write_text("no audio")
    empty.touch()
    lines = classify(text, missing, empty, tmp_path, fax, status=1).splitlines()
    assert lines[0] == f"{text}: not WAV, FLAC or other audio"
    assert lines[1] == f"{missing}: No such file or directory"
    assert lines[2] == f"{empty}: not WAV, FLAC or other audio"
    assert lines[3] == f"{tmp_path}: Is a directory"
    assert lines[4].startswith(f"{fax}: fax")
    error, verdict = map(json.loads, classify("--json", text, fax, status=1).splitlines())
    assert error == {"file": str(text), "error": lines[0]}
    assert verdict["result"] == "fax"


def test_a_recording_without_samples_is_silence(tmp_path: Path) -> None:
    path = tmp_path / "nothing.wav"
    soundfile.write(path, np.empty(0, np.int16), 8000)
    assert json.loads(classify("--json", path))["result"] == "silence"


def test_a_mode_is_chosen(fax: Path) -> None:
    assert "fax" in classify("--mode", "fast", fax)
    assert "not one of 'fast'" in classify("--mode", "slow", fax, status=2)
