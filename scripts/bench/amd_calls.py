"""Recordings as the callee of real calls: does the tap lead to the verdict that the file leads to?

A whole IRISX on a FreeSWITCH of its own; each clip is played by a sipp as the callee (µ-law over
RTP). Clips of all labels in turn, always the same ones. Machines get a message (a tone) and the
call is recorded: its left side has the beep, its right side the message, on one clock.
"""

# ruff: noqa: E402
from gevent import monkey

monkey.patch_all()

import io
import os
import statistics
import sys
import tempfile
from collections import defaultdict
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import requests
import soundfile

from irisx.media.amd import Settings, Verdict
from irisx.media.amd.frames import RATE, Samples
from irisx.media.amd.recordings import classify
from scripts.bench.amd_corpus import Clip, clips, share
from tests.installation import Installation
from tests.sipp import Sipp, plays
from tests.waiting import wait_until

#: Calls at one time: little enough that audio is on time on two cores.
_AT_A_TIME = 4
_QUIET_SECONDS = 12
_LATE_MS = 300
_PREFIX = "1555500"


@dataclass
class Call:
    """A clip, its verdict as a file, and the row of the same clip's call."""

    clip: Clip
    file: Verdict
    live: dict[str, Any]
    #: From the end of the beep to the first sample of the message, where one was left.
    message_after_ms: int | None = None


def main() -> int:
    if len(sys.argv) not in (2, 3):
        sys.exit("usage: scripts/bench/amd_live FOLDER [clips]")
    chosen = choose(Path(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) == 3 else 48)
    load = os.getloadavg()[0]
    with Installation() as irisx, ExitStack() as phones, tempfile.TemporaryDirectory() as name:
        prompt = upload_tone(irisx)
        calls = []
        for start in range(0, len(chosen), _AT_A_TIME):
            batch = chosen[start : start + _AT_A_TIME]
            calls += play(irisx, batch, start, prompt, Path(name), phones)
        show(calls)
        for part in ("engine", "media"):
            for line in irisx.log(part).splitlines():
                if '"amd.' in line or '"tap' in line:
                    print(f"{part}'s log: {line[:300]}")
    print(f"load {load:.1f} → {os.getloadavg()[0]:.1f}, {os.cpu_count()} CPUs")
    return 0


def choose(folder: Path, count: int) -> list[Clip]:
    """Clips of all labels in turn, spread over each label's."""
    by_label = defaultdict(list)
    for clip in clips(folder):
        by_label[clip.label].append(clip)
    # Humans and machines are what matters most: three of each for one of the others.
    weights = {"human": 3, "machine": 3}
    whole = sum(weights.get(label, 1) for label in by_label)
    chosen = []
    for label, of in sorted(by_label.items()):
        share_of = min(len(of), max(1, count * weights.get(label, 1) // whole))
        chosen += [of[index * len(of) // share_of] for index in range(share_of)]
    return chosen


def upload_tone(irisx: Installation) -> str:
    """A prompt of 440 Hz; its id."""
    wave = (8000 * np.sin(np.arange(RATE) * 2 * np.pi * 440 / RATE)).astype(np.int16)
    file = io.BytesIO()
    soundfile.write(file, wave, RATE, format="WAV", subtype="PCM_16")
    key = irisx.post("/v1/api-keys", {"name": "Bench", "permissions": ["*"]})["key"]
    answer = requests.post(
        f"{irisx.url}/v1/ivr/prompts",
        headers={"X-API-Key": key},
        data={"name": "tone"},
        files={"file": ("tone.wav", file.getvalue(), "audio/wav")},
        timeout=30,
    )
    answer.raise_for_status()
    return str(answer.json()["id"])


def play(
    irisx: Installation,
    batch: list[Clip],
    first: int,
    prompt: str,
    directory: Path,
    phones: ExitStack,
) -> list[Call]:
    """Call the clips of a batch side by side."""
    placed = []
    for index, clip in enumerate(batch, first):
        file = directory / f"{index}.ulaw"
        audio = as_heard(clip.samples)
        soundfile.write(str(file), audio, RATE, format="RAW", subtype="ULAW")
        phone = Sipp(plays(file), hold_ms=50, trace=False, timeout=180)
        phones.callback(phone.stop)
        number = f"{_PREFIX}{index:04}"
        irisx.carrier(number, phone.port)
        placed.append((clip, audio, number))
    amd = {"message": {"prompts": [{"prompt": prompt}]}, "action_on_silence": "hangup"}
    amd |= {"action_on_human": "hangup", "action_on_unknown": "hangup"}
    sids = [
        irisx.post("/v1/calls", {"to": f"+{number}", "record": True, "amd": amd})["sid"]
        for _, _, number in placed
    ]

    def ended() -> bool:
        return all(irisx.get(f"/v1/calls/{sid}")["ended_at"] for sid in sids)

    wait_until(ended, 120, interval=0.5)
    settings = Settings.model_validate({})
    return [
        Call(clip, classify(audio, settings), *outcome(irisx, sid))
        for (clip, audio, _), sid in zip(placed, sids, strict=True)
    ]


def as_heard(samples: Samples) -> Samples:
    """The clip as the callee's side of a call that goes on: silence after it, in µ-law."""
    file = io.BytesIO()
    audio = np.concatenate((samples, np.zeros(_QUIET_SECONDS * RATE, np.int16)))
    soundfile.write(file, audio, RATE, format="RAW", subtype="ULAW")
    file.seek(0)
    heard, _ = soundfile.read(
        file, dtype="int16", format="RAW", subtype="ULAW", samplerate=RATE, channels=1
    )
    return np.asarray(heard, np.int16)


def outcome(irisx: Installation, sid: str) -> tuple[dict[str, Any], int | None]:
    """The call's verdict, and how long after the beep its message began."""
    call = irisx.get(f"/v1/calls/{sid}")
    if not call["amd"] or call["amd"]["beep_end_ms"] is None:
        return call["amd"] or {}, None
    [file] = (irisx.home / "recordings").rglob(f"{sid}-1.wav")
    sides, _ = soundfile.read(str(file), dtype="int16")
    beep_end = classify(np.ascontiguousarray(sides[:, 0]), Settings.model_validate({})).beep_end_ms
    message = np.flatnonzero(np.abs(sides[:, 1].astype(int)) > 1000)
    if beep_end is None or not len(message):
        return call["amd"], None
    return call["amd"], int(message[0]) * 1000 // RATE - beep_end


def show(calls: list[Call]) -> None:
    seen = [call for call in calls if call.live]
    same = [call for call in seen if call.live["result"] == call.file.result]
    cause = [call for call in same if call.live["cause"] == call.file.cause]
    print(f"{len(calls)} calls, {len(seen)} with a verdict")
    print(f"same result as the file: {share(len(same), len(calls))}; and cause: {len(cause)}")
    by_label: dict[str, list[Call]] = defaultdict(list)
    for call in seen:
        by_label[call.clip.label].append(call)
    for label, of in sorted(by_label.items()):
        agree = sum(call.live["result"] == call.file.result for call in of)
        right = sum(call.live["result"] == label for call in of)
        print(f"  {label:8} {agree}/{len(of)} agree, {right}/{len(of)} right on the call")
    for call in seen:
        if call not in same:
            live, file = call.live, call.file
            print(
                f"  {call.clip.file}: file {file.result}/{file.cause} at {file.decided_at_ms},"
                f" call {live['result']}/{live['cause']} at {live['decided_ms']}"
            )
    later = sorted(call.live["decided_ms"] - call.file.decided_at_ms for call in cause)
    if later:
        p95 = later[len(later) * 95 // 100]
        print(
            f"decided later than in the file (ms): median {statistics.median(later):.0f}, p95 {p95}"
        )
    after = sorted(call.message_after_ms for call in seen if call.message_after_ms is not None)
    if after:
        p95 = after[len(after) * 95 // 100]
        print(
            f"message after the beep's end (ms), {len(after)} messages: "
            f"median {statistics.median(after):.0f}, p95 {p95}, most {after[-1]}"
        )
    for call in seen:
        if call.message_after_ms is not None and call.message_after_ms > _LATE_MS:
            print(f"  {call.clip.file}: {call.message_after_ms} ms, call {call.live}")


if __name__ == "__main__":
    sys.exit(main())
