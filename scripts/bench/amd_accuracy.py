"""Verdicts of the detector's modes and of Asterisk's algorithm on labelled recordings."""

import statistics
import sys
import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

from irisx.media.amd import AmdMode, Detector, Settings
from irisx.media.amd.frames import RATE, Samples
from irisx.media.amd.recordings import classify
from scripts.bench import amd_asterisk
from scripts.bench.amd_corpus import Clip, clips, share

_RESULTS = ("human", "machine", "fax", "silence", "unknown")


@dataclass(frozen=True)
class Answer:
    result: str
    at: int
    beep_at: int | None = None


Classifier = Callable[[Samples], Answer]


def _irisx(settings: Settings, samples: Samples) -> Answer:
    verdict = classify(samples, settings)
    return Answer(verdict.result, verdict.decided_at_ms, verdict.beep_at_ms)


def _asterisk(preset: amd_asterisk.Preset, samples: Samples) -> Answer:
    return Answer(*amd_asterisk.classify(samples, preset))


def _classifiers() -> Mapping[str, Classifier]:
    return {
        f"IRISX {mode}": partial(_irisx, Settings.model_validate({"mode": mode}))
        for mode in AmdMode
    } | {name: partial(_asterisk, preset) for name, preset in amd_asterisk.PRESETS.items()}


def main() -> None:
    if len(sys.argv) != 2:
        sys.exit("usage: scripts/bench/amd FOLDER")
    corpus = list(clips(Path(sys.argv[1])))
    seconds = sum(len(clip.samples) for clip in corpus) / RATE
    print(f"{len(corpus)} recordings, {seconds / 60:.1f} min\n")
    for name, answer in _classifiers().items():
        answers = [answer(clip.samples) for clip in corpus]
        _print_verdicts(name, corpus, answers)
        if name.startswith("IRISX"):
            _print_beeps(corpus, answers)
        print()
    _print_cpu(corpus, seconds)


def _print_verdicts(name: str, corpus: list[Clip], answers: list[Answer]) -> None:
    counts = Counter((clip.label, a.result) for clip, a in zip(corpus, answers, strict=True))
    of = Counter(clip.label for clip in corpus)
    print(f"{name}\n  {'label':9}" + "".join(f"{result:>9}" for result in _RESULTS) + "  recall")
    for label in sorted(of):
        row = "".join(f"{counts[label, result]:9}" for result in _RESULTS)
        known = label in _RESULTS
        print(f"  {label:9}{row}  {share(counts[label, label], of[label]) if known else '-'}")
    human, machine = (counts[x, x] / of[x] if of[x] else 0.0 for x in ("human", "machine"))
    print(f"  balanced accuracy (human, machine): {(human + machine) / 2:.3f}")
    print(f"  humans called machine: {share(counts['human', 'machine'], of['human'])}")
    for label in ("human", "machine"):
        mine = [(c, a) for c, a in zip(corpus, answers, strict=True) if c.label == label]
        _print_times(f"{label}, from answer", [a.at for _, a in mine])
        _print_times(
            f"{label}, from first speech",
            [a.at - c.speech_at for c, a in mine if c.speech_at is not None],
        )
    both = [a.at for c, a in zip(corpus, answers, strict=True) if c.label in ("human", "machine")]
    _print_times("both, from answer", both)


def _print_times(what: str, times: list[int]) -> None:
    if times:
        p50, p95 = np.percentile(times, [50, 95])
        mean = statistics.mean(times)
        print(f"  decided ({what}): mean {mean:.0f} ms, p50 {p50:.0f}, p95 {p95:.0f}")


def _print_beeps(corpus: list[Clip], answers: list[Answer]) -> None:
    pairs = [(clip.beep_at, a.beep_at) for clip, a in zip(corpus, answers, strict=True)]
    errors = [abs(found - true) for true, found in pairs if true is not None and found is not None]
    there = sum(true is not None for true, _ in pairs)
    false = sum(true is None and found is not None for true, found in pairs)
    print(f"  beeps found: {share(len(errors), there)}, false: {false} of {len(pairs) - there}")
    if errors:
        p50, p95 = np.percentile(errors, [50, 95])
        print(
            f"  beep's start, error: median {p50:.0f} ms, p95 {p95:.0f} ms, most {max(errors)} ms"
        )


def _print_cpu(corpus: list[Clip], seconds: float) -> None:
    """As in a call: 20 ms at a time, all of every recording heard."""
    began = time.process_time()
    for clip in corpus:
        detector = Detector(Settings.model_validate({}))
        for at in range(0, len(clip.samples), RATE // 50):
            detector.feed(clip.samples[at : at + RATE // 50])
    cpu = (time.process_time() - began) / seconds * 1000
    print(f"CPU: {cpu:.1f} ms a second of audio: {1000 / cpu:.0f} calls at a time on one core")


if __name__ == "__main__":
    main()
