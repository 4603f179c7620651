"""The reader of live audio taps, on files as the switch writes them."""

import os
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from irisx.media.amd.frames import Frame
from irisx.media.taps import Cause, Consumer, Report, Start, Tap
from irisx.media.taps.consumer import Samples
from irisx.media.taps.reader import NO_FILE_SECONDS, Taps


@dataclass
class Ear(Consumer):
    """Keeps what it hears."""

    tap: Tap
    args: dict[str, Any]
    said: list[Samples] = field(default_factory=list)
    heard: list[Samples | None] = field(default_factory=list)
    frames: int = 0
    missed: int = 0
    ended: Cause | None = None

    def hear(self, said: Samples, heard: Samples | None) -> None:
        if self.args.get("fails"):
            raise RuntimeError("as the test wants")
        self.said.append(said.copy())
        self.heard.append(heard)
        if len(self.said) == self.args.get("close_after"):
            self.tap.close()

    def voice(self, frame: Frame, probability: float) -> None:
        assert 0 <= probability <= 1 and frame.shape == (256,)
        self.frames += 1

    def lost(self, frames: int) -> None:
        self.missed += frames

    def end(self, cause: Cause) -> None:
        self.ended = cause


class Bench:
    """A reader without its greenlets: the test takes the turns."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.ears: list[Ear] = []
        self.reports: list[Report] = []
        self.taps = Taps(
            {"ear": self._ear}, directory, lambda node, report: self.reports.append(report)
        )

    def _ear(self, tap: Tap, args: dict[str, Any]) -> Ear:
        self.ears.append(Ear(tap, args))
        return self.ears[-1]

    def start(self, *, stereo: bool = False, at: float | None = None, **args: Any) -> Path:
        request = Start("sandbox", "call", "ear", args, stereo, at=at or time.time())
        self.taps.start(request)
        return self.directory / f"{request.id}.r8"

    def hear_out(self, file: Path) -> None:
        """Take turns until all is heard and the tap has ended."""
        self.taps.stop(file.stem)
        for _ in range(100):
            self.taps.turn()
        assert self.reports[-1].type == "ended"


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


def noise(samples: int, channels: int = 1, seed: int = 7) -> Samples:
    return np.random.default_rng(seed).integers(-9000, 9000, (samples, channels), np.int16)


@settings(max_examples=25, deadline=None)
@given(cuts=st.lists(st.integers(0, 4000), max_size=12), stereo=st.booleans())
def test_frames_do_not_depend_on_how_the_switch_wrote_them(
    tmp_path_factory: pytest.TempPathFactory, cuts: list[int], stereo: bool
) -> None:
    bench = Bench(tmp_path_factory.mktemp("taps"))
    audio = noise(1000, 2 if stereo else 1)
    raw = audio.tobytes()
    file = bench.start(stereo=stereo)
    with file.open("wb", buffering=0) as switch:
        ends = [*sorted(min(cut, len(raw)) for cut in cuts), len(raw)]
        for begin, end in zip([0, *ends], ends, strict=False):
            switch.write(raw[begin:end])
            bench.taps.turn()
    bench.hear_out(file)
    ear = bench.ears[0]
    assert np.array_equal(np.concatenate(ear.said), audio[:960, 0])
    if stereo:
        heard = [side for side in ear.heard if side is not None]
        assert np.array_equal(np.concatenate(heard), audio[:960, 1])
    else:
        assert ear.heard == [None] * 6
    assert ear.frames == 960 // 256


def test_the_name_is_gone_at_once_and_the_writer_goes_on(bench: Bench) -> None:
    file = bench.start()
    with file.open("wb", buffering=0) as switch:
        switch.write(noise(160).tobytes())
        bench.taps.turn()
        assert not file.exists()
        switch.write(noise(320).tobytes())
        bench.taps.turn()
    assert len(bench.ears[0].said) == 3


def test_what_was_read_of_a_long_tap_takes_no_room(bench: Bench) -> None:
    file = bench.start()
    with file.open("wb", buffering=0) as switch:
        for _ in range(400):  # 3.2 MB
            switch.write(noise(4000).tobytes())
            bench.taps.turn()
        assert os.fstat(switch.fileno()).st_blocks * 512 < 1_500_000
    assert len(bench.ears[0].said) == 400 * 25


def test_a_tap_ends_when_its_consumer_wants_no_more(bench: Bench) -> None:
    file = bench.start(close_after=2)
    file.write_bytes(noise(1600).tobytes())
    bench.taps.turn()
    assert len(bench.ears[0].said) == 2
    assert bench.ears[0].ended is Cause.CLOSED
    assert [(report.type, report.data) for report in bench.reports] == [
        ("ended", {"cause": "closed"})
    ]


def test_a_consumer_that_fails_ends_its_own_tap_only(bench: Bench) -> None:
    failing, other = bench.start(fails=True), bench.start()
    for file in (failing, other):
        file.write_bytes(noise(320).tobytes())
    bench.taps.turn()
    assert [ear.ended for ear in bench.ears] == [Cause.FAILED, None]
    assert len(bench.ears[1].said) == 2


def test_a_file_that_never_comes_ends_the_tap(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench.start()
    bench.taps.turn()
    assert bench.ears[0].ended is None
    later = time.monotonic() + NO_FILE_SECONDS + 1
    monkeypatch.setattr(time, "monotonic", lambda: later)
    bench.taps.turn()
    assert bench.ears[0].ended is Cause.NO_FILE


def test_a_reader_far_behind_skips_to_the_present_and_says_so(bench: Bench) -> None:
    file = bench.start()
    file.write_bytes(noise(160 * 300).tobytes())
    bench.taps.turn()
    assert bench.ears[0].missed == 300 and bench.ears[0].said == []


def test_requests_that_come_too_late_or_for_nobody_are_ended(bench: Bench) -> None:
    bench.start(at=time.time() - 60)
    bench.taps.start(Start("sandbox", "call", "nobody", {}))
    assert bench.ears == []
    assert [report.data["cause"] for report in bench.reports] == ["failed", "failed"]
