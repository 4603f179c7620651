"""Recordings whose header is right, stale, missing, or none at all."""

import struct
from pathlib import Path

import numpy as np
import pytest
import soundfile
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from irisx.telephony.calls.wav import measure

SOUND = (np.arange(8000 * 3 * 2).reshape(-1, 2) % 1000).astype(np.int16)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "call.wav"
    soundfile.write(str(path), SOUND, 8000, subtype="PCM_16")
    return path


def test_a_closed_file_is_measured_and_left_as_it_is(path: Path) -> None:
    before = path.read_bytes()
    assert measure(path).duration_ms == 3000
    assert path.read_bytes() == before


@pytest.mark.parametrize("size", [0, 2**32 - 1])
def test_a_file_whose_writer_was_killed_is_mended(path: Path, size: int) -> None:
    content = bytearray(path.read_bytes())
    content[4:8] = content[40:44] = struct.pack("<I", size)
    path.write_bytes(content)
    assert measure(path).duration_ms == 3000
    sound, _ = soundfile.read(str(path), dtype="int16")
    assert np.array_equal(sound, SOUND)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=200)
@given(st.integers(0, 200), st.binary(max_size=60))
def test_a_cut_or_overwritten_file_has_a_length_or_a_reason(
    path: Path, at: int, noise: bytes
) -> None:
    content = path.read_bytes()[:4000]
    broken = path.with_name("broken.wav")
    broken.write_bytes(content[:at] + noise + content[at + len(noise) :])
    found = measure(broken)
    assert found.error or found.size_bytes > 0
    broken.write_bytes(content[:at])
    found = measure(broken)
    assert found.error or found.size_bytes > 0
