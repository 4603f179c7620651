"""A stranger's audio is decoded in a process of its own, whatever it is."""

import random
from pathlib import Path

import pytest
import soundfile

from irisx.telephony.calls import convert as module
from irisx.telephony.calls.convert import NotPlayable, convert
from tests.telephony.calls.test_prompts import audio


def test_all_rates_are_made_at_once(tmp_path: Path) -> None:
    made = {rate: tmp_path / f"{rate}.wav" for rate in (8_000, 16_000)}
    converted = convert(audio(0.5, format="OGG"), made)
    assert converted.format == "OGG"
    assert converted.duration_ms == pytest.approx(500, abs=60)
    for rate, path in made.items():
        info = soundfile.info(str(path))
        assert (info.samplerate, info.channels, info.subtype) == (rate, 1, "PCM_16")


@pytest.mark.parametrize("seed", range(6))
def test_damaged_files_hurt_nobody(tmp_path: Path, seed: int) -> None:
    source = random.Random(seed)
    damaged = bytearray(audio(0.3, format=["OGG", "MP3", "FLAC"][seed % 3]))
    for _ in range(40):
        damaged[source.randrange(len(damaged))] = source.randrange(256)
    try:
        convert(bytes(damaged), {8_000: tmp_path / "a.wav"})
    except NotPlayable as refused:
        assert str(refused)


def test_a_decoder_that_dies_is_an_unplayable_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "__name__", "ctypes._endian_none")  # a module that can't be run
    with pytest.raises(NotPlayable, match="could not cope"):
        convert(audio(), {8_000: tmp_path / "a.wav"})
