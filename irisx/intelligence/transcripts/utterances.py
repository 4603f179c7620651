"""Where somebody speaks in a recording, each channel by itself, in a process of its own.

`python -m irisx.intelligence.transcripts.utterances FILE` answers a JSON line. An hour of a call is
some seconds of CPU, which the worker must not lend.
"""

import json
import sys
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from itertools import pairwise
from pathlib import Path

from irisx.kernel import child

FRAME_MS = 20
#: Pauses shorter than this are within an utterance.
_PAUSE_MS = 600
#: What is heard before and after the frames that sound like speech: soft consonants.
_MARGIN_MS = 200
#: Clicks and breaths are shorter than any word.
_SHORTEST_MS = 120
#: Less than a recognizer takes at once.
_LONGEST_MS = 25_000
_VAD_HZ = 8_000
_VAD_MODE = 2
_BLOCK_SECONDS = 60
_SECONDS = 300.0
_MEMORY_BYTES = 2 * 1024**3


class NotReadable(Exception):
    """The recording can't be read; the text says why."""


@dataclass(frozen=True)
class Utterance:
    """`channel`: 0 left, 1 right. Times in ms from the recording's beginning."""

    channel: int
    start_ms: int
    end_ms: int


def find(path: Path) -> list[Utterance]:
    """In the order of their beginning. Other greenlets go on meanwhile. Raises NotReadable."""
    try:
        answer = child.ask_apart(__name__, [str(path)], b"", seconds=_SECONDS)
    except (child.TooSlow, child.Crashed):
        raise NotReadable("the recording could not be read") from None
    if "error" in answer:
        raise NotReadable(answer["error"])
    return [Utterance(**found) for found in answer["utterances"]]


def main() -> None:
    """The process."""
    import soundfile

    child.limit(cpu_seconds=int(_SECONDS), memory_bytes=_MEMORY_BYTES)
    try:
        found = [
            Utterance(channel, *span)
            for channel, frames in enumerate(_speech_frames(Path(sys.argv[1])))
            for span in spans(frames)
        ]
        found.sort(key=lambda utterance: (utterance.start_ms, utterance.channel))
        answer: dict[str, object] = {"utterances": [asdict(utterance) for utterance in found]}
    except soundfile.LibsndfileError as error:
        answer = {"error": error.error_string}
    sys.stdout.write(json.dumps(answer))


def _speech_frames(path: Path) -> list[list[bool]]:
    """For each channel, whether each frame sounds like speech."""
    import numpy as np
    import soundfile
    import soxr
    import webrtcvad

    size = _VAD_HZ * FRAME_MS // 1000
    with soundfile.SoundFile(str(path)) as file:
        vads = [webrtcvad.Vad(_VAD_MODE) for _ in range(file.channels)]
        frames: list[list[bool]] = [[] for _ in vads]
        resampler = soxr.ResampleStream(file.samplerate, _VAD_HZ, file.channels, dtype="int16")
        held = np.zeros((0, file.channels), np.int16)
        last = False
        while not last:
            block = file.read(file.samplerate * _BLOCK_SECONDS, dtype="int16", always_2d=True)
            last = len(block) < file.samplerate * _BLOCK_SECONDS
            narrow = resampler.resample_chunk(block, last=last)
            held = np.concatenate([held, narrow.reshape(-1, file.channels)])
            whole = len(held) // size * size
            for channel, vad in enumerate(vads):
                sound = np.ascontiguousarray(held[:whole, channel]).tobytes()
                frames[channel] += [
                    vad.is_speech(sound[at : at + 2 * size], _VAD_HZ)
                    for at in range(0, len(sound), 2 * size)
                ]
            held = held[whole:]
    return frames


def spans(frames: Iterable[bool]) -> Iterator[tuple[int, int]]:
    """Beginning and end in ms of each utterance: frames of speech with their pauses and margins."""
    heard = [index * FRAME_MS for index, speech in enumerate(frames) if speech]
    if not heard:
        return
    starts = [heard[0], *(after for before, after in pairwise(heard) if after - before > _PAUSE_MS)]
    ends = [*(before for before, after in pairwise(heard) if after - before > _PAUSE_MS), heard[-1]]
    for start, end in zip(starts, ends, strict=True):
        end += FRAME_MS
        if end - start < _SHORTEST_MS:
            continue
        begin, stop = max(0, start - _MARGIN_MS), end + _MARGIN_MS
        while stop - begin > _LONGEST_MS:
            yield begin, begin + _LONGEST_MS
            begin += _LONGEST_MS
        yield begin, stop


if __name__ == "__main__":
    main()
