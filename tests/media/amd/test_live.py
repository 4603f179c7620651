"""The detector as a consumer of a tap: the same verdict as on a file, told as it comes."""

import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from irisx.media.amd import Settings
from irisx.media.amd.frames import Samples
from irisx.media.amd.live import LiveDetection
from irisx.media.amd.recordings import classify
from irisx.media.taps import Report, Start
from irisx.media.taps.reader import Taps
from irisx.sandbox.farends import BEEP, FAX, GREETING, HELLO
from irisx.settings import get_settings
from tests.waiting import wait_until


def quiet(seconds: float) -> Samples:
    return np.zeros(int(seconds * 8000), np.int16)


CLIPS = {
    "human": [quiet(0.5), HELLO, quiet(4)],
    "machine": [quiet(0.4), GREETING, quiet(0.3), BEEP, quiet(4)],
    "fax": [quiet(0.2), FAX, quiet(2)],
    "silence": [quiet(6)],
}


def hear(
    directory: Path, clip: Samples, mode: str = "balanced", **args: Any
) -> list[tuple[str, Any]]:
    """What the engine is told of a clip, in order, until the tap ends."""
    reports: list[Report] = []
    taps = Taps({"amd": LiveDetection}, directory, lambda node, report: reports.append(report))
    settings = Settings.model_validate({"mode": mode}).model_dump(mode="json")
    arguments = {"settings": settings, "until_beep": False, "audio": None, **args}
    request = Start("sandbox", "call", "amd", arguments, at=time.time())
    taps.start(request)
    with (directory / f"{request.id}.r8").open("wb", buffering=0) as switch:
        for start in range(0, len(clip), 160):
            switch.write(clip[start : start + 160].tobytes())
            taps.turn()
    taps.stop(request.id)
    taps.turn()
    taps.turn()
    return [(report.type, report.data) for report in reports]


@pytest.mark.parametrize("label", list(CLIPS))
def test_the_verdict_is_that_of_the_file(tmp_path: Path, label: str) -> None:
    clip = np.concatenate(CLIPS[label])
    (kind, verdict), (last, ended) = hear(tmp_path, clip)
    assert (kind, last, ended) == ("verdict", "ended", {"cause": "closed"})
    alone = asdict(classify(clip, Settings.model_validate({})))
    # The voice model's figures differ in the last digits when frames are judged together.
    told = ("result", "cause", "decided_at_ms", "features")
    assert {name: verdict[name] for name in told} == {name: alone[name] for name in told}
    assert verdict["result"] == label


def test_a_greeting_is_heard_out_where_a_message_is_to_be_left(tmp_path: Path) -> None:
    clip = np.concatenate(CLIPS["machine"])
    told = hear(tmp_path, clip, until_beep=True)
    assert [kind for kind, _ in told] == ["verdict", "greeting_over", "ended"]
    beep = 400 + len(GREETING) // 8 + 300
    assert told[0][1]["decided_at_ms"] < beep
    assert abs(told[1][1]["beep_at_ms"] - beep) < 64
    assert abs(told[1][1]["beep_end_ms"] - beep - 400) < 64


def test_with_message_end_the_engine_is_asked_for_patience(tmp_path: Path) -> None:
    clip = np.concatenate([quiet(0.4), GREETING, *CLIPS["machine"]])
    told = hear(tmp_path, clip, "message_end", until_beep=True)
    assert [kind for kind, _ in told] == ["patient", "verdict", "greeting_over", "ended"]
    assert told[1][1]["beep_end_ms"] == told[2][1]["beep_end_ms"]


def test_a_human_is_not_listened_to_after_the_verdict(tmp_path: Path) -> None:
    told = hear(tmp_path, np.concatenate(CLIPS["human"]), until_beep=True)
    assert [kind for kind, _ in told] == ["verdict", "ended"]


def test_a_call_that_ends_first_is_undecided_and_its_audio_kept(tmp_path: Path) -> None:
    clip = np.concatenate(CLIPS["human"])[:9600]
    (_, verdict), ended = hear(tmp_path, clip, audio="amd/kept.flac")
    assert (verdict["result"], verdict["cause"]) == ("unknown", "audio_ended")
    assert ended == ("ended", {"cause": "stopped"})
    file = get_settings().recording_path / "amd/kept.flac"
    wait_until(file.is_file)
    assert np.array_equal(soundfile.read(str(file), dtype="int16")[0], clip)
