"""Many live audio taps in one reader: its CPU, how late audio is, what is lost.

A process of its own writes the files as FreeSWITCH does: 320 bytes each 20 ms for each tap, at
times spread over the 20 ms. Each frame begins with the time at which it was written, so that the
lateness is that of the audio itself. The reader runs pinned to one core, with the voice model on
every frame; beside it the same model alone on the same number of frames, one after the other (what
a reader of its own for each tap would pay).
"""

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import gevent
import numpy as np

from irisx.media.amd.frames import FRAME, RATE, Frame
from irisx.media.amd.voice import VoiceModel
from irisx.media.taps import Consumer, Report, Start, Tap
from irisx.media.taps.consumer import Samples
from irisx.media.taps.reader import SAMPLES, Taps

_WARM_UP_SECONDS = 3.0


class Listener(Consumer):
    """Notes how late each frame is."""

    late_ms: list[float]

    def __init__(self, tap: Tap, args: dict[str, Any]) -> None:
        self.judged = self.missed = 0

    def hear(self, said: Samples, heard: Samples | None) -> None:
        written = int(said[:4].view(np.int64)[0])
        self.late_ms.append((time.monotonic_ns() - written) / 1e6)

    def voice(self, frame: Frame, probability: float) -> None:
        self.judged += 1

    def lost(self, frames: int) -> None:
        self.missed += frames


def write(directory: Path, names: list[str], seconds: float) -> None:
    """What the switch does."""
    files = [(directory / f"{name}.r8").open("wb", buffering=0) for name in names]
    noise = np.random.default_rng(1).normal(0, 800, RATE * 4).astype(np.int16)
    began = time.monotonic()
    for turn in range(int(seconds * 50)):
        for index, file in enumerate(files):
            ahead = began + turn / 50 + index / len(files) / 50 - time.monotonic()
            if ahead > 0.001:
                time.sleep(ahead)
            at = (turn * SAMPLES + index * 997) % (len(noise) - SAMPLES)
            frame = noise[at : at + SAMPLES].copy()
            frame[:4] = np.array([time.monotonic_ns()]).view(np.int16)
            file.write(frame.tobytes())


def measure(count: int, seconds: float) -> None:
    listeners: list[Listener] = []
    reports: list[Report] = []
    Listener.late_ms = []

    def listener(tap: Tap, args: dict[str, Any]) -> Listener:
        listeners.append(Listener(tap, args))
        return listeners[-1]

    with tempfile.TemporaryDirectory(dir="/dev/shm") as name:
        directory = Path(name)
        taps = Taps({"bench": listener}, directory, lambda node, report: reports.append(report))
        requests = [Start("bench", "call", "bench", {}) for _ in range(count)]
        for request in requests:
            taps.start(request)
        gevent.spawn(taps.run)
        arguments = [str(directory), str(seconds + _WARM_UP_SECONDS + 1)]
        writer = subprocess.Popen(
            [sys.executable, "-m", __spec__.name, "write", *arguments, *(r.id for r in requests)]
        )
        os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})  # the writer is not bound
        try:
            gevent.sleep(_WARM_UP_SECONDS)
            Listener.late_ms.clear()
            judged = sum(each.judged for each in listeners)
            cpu, began = time.process_time(), time.monotonic()
            gevent.sleep(seconds)
            cpu, took = time.process_time() - cpu, time.monotonic() - began
        finally:
            writer.kill()
    judged = sum(each.judged for each in listeners) - judged
    late = np.array(Listener.late_ms)
    alone = _one_by_one(min(judged, 2000)) / min(judged, 2000) * judged
    share = cpu / (len(late) / 50 / count)  # of a core, while all taps are live
    print(f"{count} taps, {took:.0f} s, load {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores")
    print(f"frames of 20 ms: {len(late)} of {count * took * 50:.0f}; judged (32 ms): {judged}")
    print(f"skipped: {sum(each.missed for each in listeners)}; taps ended: {len(reports)}")
    print(f"CPU of the reader: {share:.2f} of one core for {count} live taps")
    print(f"  the model alone, frame by frame: {alone / (len(late) / 50 / count):.2f}")
    p50, p99, most = np.percentile(late, [50, 99, 100])
    print(f"late (ms): p50 {p50:.1f}, p99 {p99:.1f}, most {most:.1f}")


def _one_by_one(frames: int) -> float:
    model, frame = VoiceModel(), np.zeros(FRAME, np.float32)
    began = time.process_time()
    for _ in range(frames):
        model.probability(frame)
    return time.process_time() - began


if __name__ == "__main__":
    if sys.argv[1:2] == ["write"]:
        write(Path(sys.argv[2]), sys.argv[4:], float(sys.argv[3]))
    else:
        taps, seconds = [*sys.argv[1:], *["200", "15"][len(sys.argv) - 1 :]]
        measure(int(taps), float(seconds))
