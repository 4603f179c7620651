"""How the modes' numbers were found, and what they are worth on unseen recordings.

The rule has four numbers. A human called machine counts twice, and for each of some mean times of
a decision the best numbers are sought that keep to it: `balanced` may take three seconds, on
`message_end` the clock presses less. Cross-validation leaves out voices, then texts: the numbers
are chosen on the others and judged on those. Tones are left aside, so verdicts come from speech
alone, some 60 ms later on the mean than with them.
"""

import sys
from collections.abc import Callable, Iterable
from itertools import product
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from irisx.media.amd.features import Timeline
from irisx.media.amd.frames import FRAME_MS, Framer
from irisx.media.amd.voice import VoiceModel
from scripts.bench.amd_corpus import Clip, clips, share

_GREETING_LENGTHS = (1500, 1650, 1800, 2000, 2300, 2500, 2800, 3200)
_AFTER_GREETING_SILENCES = (850, 950, 1000, 1080, 1150, 1300)
_BETWEEN_WORDS_SILENCES = (280, 350, 380, 420)
_MAXIMUM_WORDS = (1, 2, 3)
_MINIMUM_WORD_LENGTH = 100
_BACKGROUND_MS = 200
_BUDGETS_MS = (2800, 2900, 3030, 3200, 3350, 3500)
_FOLDS = 8
_NEVER = 1_000_000

Numbers = NDArray[np.float64]


class Rule(NamedTuple):
    greeting_length: int
    after_greeting_silence: int
    between_words_silence: int
    maximum_words: int


class Heard(NamedTuple):
    """What a clip's frames say, one entry a frame; words for each pause between them."""

    voiced: Numbers
    waiting: Numbers
    words: dict[int, Numbers]


def hear(clip: Clip) -> Heard:
    model = VoiceModel()
    lines = {ms: Timeline(_MINIMUM_WORD_LENGTH, ms) for ms in _BETWEEN_WORDS_SILENCES}
    voiced, waiting = [], []
    words: dict[int, list[int]] = {ms: [] for ms in lines}
    for frame in Framer().cut(clip.samples):
        probability = model.probability(frame)
        for ms, line in lines.items():
            line.add(frame, probability)
            speech = line.speech()
            words[ms].append(speech.words if speech else 0)
        voiced.append(speech.voiced if speech else 0)
        waiting.append(max(speech.quiet, speech.pause - _BACKGROUND_MS) if speech else 0)
    return Heard(
        np.array(voiced), np.array(waiting), {ms: np.array(counts) for ms, counts in words.items()}
    )


def _first(reached: NDArray[np.bool_]) -> int:
    return (int(reached.argmax()) + 1) * FRAME_MS if reached.any() else _NEVER


def verdicts(heard: list[Heard], rule: Rule) -> tuple[NDArray[np.str_], Numbers]:
    """Result and time of each clip."""
    results, times = [], []
    for clip in heard:
        words = clip.words[rule.between_words_silence]
        human = _first((clip.waiting >= rule.after_greeting_silence) & (words > 0))
        long = clip.voiced >= rule.greeting_length
        machine = _first(long | (words > rule.maximum_words))
        at = min(human, machine)
        results.append("unknown" if at == _NEVER else "human" if at < machine else "machine")
        times.append(min(at, len(clip.voiced) * FRAME_MS))
    return np.array(results), np.array(times, float)


class Table:
    """The verdicts of every rule on every clip."""

    def __init__(self, corpus: list[Clip]) -> None:
        self.labels = np.array([clip.label for clip in corpus])
        heard = [hear(clip) for clip in corpus]
        self._verdicts = {
            rule: verdicts(heard, rule)
            for rule in map(
                Rule._make,
                product(
                    _GREETING_LENGTHS,
                    _AFTER_GREETING_SILENCES,
                    _BETWEEN_WORDS_SILENCES,
                    _MAXIMUM_WORDS,
                ),
            )
        }

    def of(self, rule: Rule) -> tuple[NDArray[np.str_], Numbers]:
        return self._verdicts[rule]

    def best(self, on: NDArray[np.bool_], budget_ms: int) -> Rule:
        """The best of the rules that keep to the budget; if none does, the fastest."""

        def worth(rule: Rule) -> tuple[float, float]:
            results, times = self._verdicts[rule]
            late = max(0.0, times[on].mean() - budget_ms)
            return -late, self._worth(results, on)

        return max(self._verdicts, key=worth)

    def _worth(self, results: NDArray[np.str_], on: NDArray[np.bool_]) -> float:
        human, machine = (results[on & (self.labels == x)] for x in ("human", "machine"))
        recalls = (human == "human").mean() + (machine == "machine").mean()
        return float(recalls - (human == "machine").mean()) / 2

    def cross_validated(
        self, groups: Iterable[str], budget_ms: int
    ) -> tuple[NDArray[np.str_], Numbers]:
        """The verdicts on each group by rules chosen without it."""
        names = np.array(list(groups))
        order = np.random.default_rng(1).permutation(np.unique(names))
        results, times = np.full(len(names), "unknown"), np.zeros(len(names))
        for fold in range(_FOLDS):
            left_out = np.isin(names, order[fold::_FOLDS])
            rule = self.best(~left_out, budget_ms)
            for mine, all_ in zip((results, times), self.of(rule), strict=True):
                mine[left_out] = all_[left_out]
        return results, times


def _print(what: str, labels: NDArray[np.str_], results: NDArray[np.str_], times: Numbers) -> None:
    of = {x: results[labels == x] for x in ("human", "machine")}
    balanced = sum((of[x] == x).mean() for x in of) / 2
    print(f"  {what}: balanced {balanced:.3f}, mean {times.mean():.0f} ms")
    for x in of:
        print(f"    {x:8} {share(int((of[x] == x).sum()), len(of[x]))}")
    wrong = of["human"] == "machine"
    print(f"    humans called machine {share(int(wrong.sum()), len(wrong))}")


def main() -> None:
    if len(sys.argv) != 2:
        sys.exit("usage: scripts/bench/amd --tune FOLDER")
    corpus = [clip for clip in clips(Path(sys.argv[1])) if clip.label in ("human", "machine")]
    table = Table(corpus)
    groupings: dict[str, Callable[[Clip], str]] = {
        "voices": lambda clip: clip.voice,
        "texts": lambda clip: clip.text[:8],
    }
    for budget in _BUDGETS_MS:
        best = table.best(np.ones(len(corpus), bool), budget)
        print(f"{budget} ms at most: {best}")
        _print("fitted to these recordings", table.labels, *table.of(best))
        for name, group in groupings.items():
            results, times = table.cross_validated(map(group, corpus), budget)
            _print(f"cross-validated, {name} left out", table.labels, results, times)


if __name__ == "__main__":
    main()
