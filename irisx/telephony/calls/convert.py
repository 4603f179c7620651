"""A stranger's audio becomes WAV files that the switch plays, in a process of its own.

Decoders have been made to crash by crafted files; a crash here costs one upload, not an engine
with all its calls. `python -m irisx.telephony.calls.convert` is that process: the audio comes by
standard input, arguments are pairs of rate and path, the answer is a JSON line.
"""

import io
import json
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import soundfile
import soxr

from irisx.kernel import child

MAX_SECONDS = 600
_MAX_CHANNELS = 8
_RATES_HZ = range(4_000, 192_001)
_CPU_SECONDS = 60
_MEMORY_BYTES = 2 * 1024**3
_WAIT_SECONDS = 25.0


class NotPlayable(Exception):
    """Not audio that can be played; the text says why."""


@dataclass(frozen=True)
class Converted:
    """`format`: what it was, as libsndfile calls it: WAV, MP3, OGG, FLAC …"""

    format: str
    duration_ms: int


def convert(audio: bytes, targets: Mapping[int, Path]) -> Converted:
    """Write `audio` as mono 16-bit WAV files, a path for each rate in Hz. Raises NotPlayable.

    Other greenlets go on meanwhile.
    """
    arguments = [str(part) for target in targets.items() for part in target]
    try:
        answer = child.ask_apart(__name__, arguments, audio, seconds=_WAIT_SECONDS)
    except child.TooSlow:
        raise NotPlayable("it takes too long to decode") from None
    except child.Crashed:
        raise NotPlayable("the decoder could not cope with it") from None
    if "error" in answer:
        raise NotPlayable(answer["error"])
    return Converted(**answer)


def main() -> None:
    """The process."""
    child.limit(cpu_seconds=_CPU_SECONDS, memory_bytes=_MEMORY_BYTES)
    audio = sys.stdin.buffer.read()
    rates, paths = map(int, sys.argv[1::2]), sys.argv[2::2]
    answer: dict[str, object] = {}
    try:
        for rate, path in zip(rates, paths, strict=True):
            answer["duration_ms"] = _write_wav(audio, path, rate)
        answer["format"] = soundfile.info(io.BytesIO(audio)).format
    except soundfile.LibsndfileError as error:
        answer = {"error": error.error_string}
    except NotPlayable as error:
        answer = {"error": str(error)}
    sys.stdout.write(json.dumps(answer))


def _write_wav(audio: bytes, target: str, rate: int) -> int:
    """Its length in ms."""
    with soundfile.SoundFile(io.BytesIO(audio)) as source:
        if source.channels > _MAX_CHANNELS or source.samplerate not in _RATES_HZ:
            raise NotPlayable(f"{source.channels} channels at {source.samplerate} Hz")
        resampler = soxr.ResampleStream(source.samplerate, rate, 1, dtype="float32")
        with soundfile.SoundFile(target, "w", rate, 1, subtype="PCM_16", format="WAV") as sink:
            # A second at a time: the file's own claims of its length are not to be believed.
            for _ in range(MAX_SECONDS):
                block = source.read(source.samplerate, dtype="float32", always_2d=True)
                last = len(block) < source.samplerate
                sink.write(resampler.resample_chunk(block.mean(axis=1), last=last))
                if last:
                    return round(int(sink.tell()) * 1000 / rate)
        raise NotPlayable(f"longer than {MAX_SECONDS} s")


if __name__ == "__main__":
    main()
