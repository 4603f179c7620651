"""How long a caller waits for a voice assistant, on a real FreeSWITCH with a SIP telephone.

The models are a local HTTP server that answers in a fixed time: recognition after RECOGNITION_S,
the first words after CHAT_S, the rest of the sentences one after the other. What is reported is
what the caller's telephone measures (`assistant_phone.py`) beyond the models' time. In one call the
engine is killed, and its times are shown apart. Ends with 1 where a conversation did not go on.
"""

# ruff: noqa: E402
from gevent import monkey

monkey.patch_all()

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
import wave
from datetime import datetime
from pathlib import Path
from typing import Any

import gevent
import numpy as np
import soxr
from gevent.pywsgi import WSGIServer
from hibari import Hibari

from tests.installation import Installation
from tests.openai_server import OpenAiServer, Turn
from tests.switches import free_ports

RECOGNITION_S, CHAT_S = 0.15, 0.25
END_OF_TURN_MS = 600
TURNS = 4
NUMBER = "+15550002000"
QUESTION = "When are you open on Friday afternoon?"
ANSWER = (
    "From Monday to Thursday we are open from nine in the morning to five in the afternoon. ",
    "On Fridays we close an hour earlier, at four. ",
    "On Saturdays and on Sundays nobody is here, but you can leave a message at any time. ",
    "Is there anything else that you would like to know?",
)
RATE = 8000


class FixedModels(OpenAiServer):
    """Answers in a fixed time, whatever it is asked."""

    def _transcript(self, body: bytes) -> dict[str, Any]:
        gevent.sleep(RECOGNITION_S)
        return {"text": QUESTION, "language": "english", "duration": 2.0, "words": []}


def chat(body: dict[str, Any]) -> Turn:
    gevent.sleep(CHAT_S)
    return Turn(list(ANSWER))


def main() -> int:
    calls = int(sys.argv[1]) if len(sys.argv) > 1 else 6
    load = os.getloadavg()[0]
    models = FixedModels(chat)
    server = WSGIServer(("127.0.0.1", 0), models, log=None, error_log=None)
    server.start()
    models.port = server.server_port
    settings = {
        "IRISX_AI_BASE_URL": models.url,
        "IRISX_AI_CHAT_MODEL": "fixed",
        "IRISX_AI_TRANSCRIPTION_MODEL": "fixed",
    }
    answers: list[int] = []
    stops: list[int] = []
    faults: list[str] = []
    with Installation(environment=settings) as irisx, tempfile.TemporaryDirectory() as directory:
        question = Path(directory) / "question.wav"
        speak(question)
        prepare(irisx)
        for index in range(calls):
            kills = index == calls // 2
            for line in call(irisx, question, kills=kills):
                print("engine killed:" if kills else "", line, flush=True)
                faults += [line["fault"]] if "fault" in line else []
                if not kills:  # what is said while no engine is there waits for the next one
                    answers += [line["answer_ms"]] if "answer_ms" in line else []
                    stops += [line["stop_ms"]] if "stop_ms" in line else []
        print_kept(irisx)
    fixed = round((RECOGNITION_S + CHAT_S) * 1000)
    print(f"{calls} calls, the engine killed in one; load {load:.1f}, {os.cpu_count()} CPUs")
    print(f"models: recognition {RECOGNITION_S * 1000:.0f} ms, first words {CHAT_S * 1000:.0f} ms;")
    print(f"a turn ends after {END_OF_TURN_MS} ms of silence")
    if answers:
        beyond = np.array(answers) - fixed
        print(f"speech end -> first audio, beyond the models' time: {spread(beyond)}")
        print(f"  of which after the turn's end: {spread(beyond - END_OF_TURN_MS)}")
    if stops:
        print(f"barge-in -> silence: {spread(np.array(stops))}")
    for fault in faults:
        print(f"  {fault}")
    return 1 if faults or not answers else 0


def spread(values: "np.ndarray[Any, Any]") -> str:
    p50, p95 = np.percentile(values, [50, 95])
    return f"p50 {p50:.0f} ms, p95 {p95:.0f} ms (n={len(values)})"


def speak(path: Path) -> None:
    """The caller's question, by the local synthesiser."""
    model = Hibari()
    audio = soxr.resample(np.asarray(model(QUESTION, seed=0)), model.sample_rate, RATE)
    with wave.open(str(path), "wb") as file:
        file.setparams((1, 2, RATE, 0, "NONE", ""))
        file.writeframes((np.clip(audio, -1, 1) * 20_000).astype("<i2").tobytes())


def prepare(irisx: Installation) -> None:
    """An assistant on a number, and the machine itself as a carrier."""
    irisx.carrier("1999", free_ports(1)[0])
    irisx.phone_number(NUMBER, {"type": "number", "to": "+15555550100"})
    assistant = irisx.post(
        "/v1/voice/assistants",
        {
            "name": "Bench",
            "greeting": "Hello, how can I help you today?",
            "listening": {"end_of_turn_ms": END_OF_TURN_MS},
        },
    )
    path = f"/v1/voice/assistants/{assistant['id']}"
    irisx.post(f"{path}/deploy", {"phone_number": NUMBER, "replace": True})


def call(irisx: Installation, question: Path, *, kills: bool) -> list[dict[str, Any]]:
    """One conversation; with `kills` the engine is killed in it."""
    uri = f"sip:{NUMBER}@127.0.0.1:{irisx.freeswitch.sip_port}"
    command = ["-m", "scripts.bench.assistant_phone", uri, str(free_ports(1)[0])]
    phone = subprocess.Popen(
        [sys.executable, *command, str(question), str(TURNS)], stdout=subprocess.PIPE, text=True
    )
    if kills:
        gevent.sleep(12)
        os.kill(irisx.part("engine").pid, signal.SIGKILL)
    output, _ = phone.communicate(timeout=180)
    return [json.loads(line) for line in output.splitlines()]


def print_kept(irisx: Installation) -> None:
    """What the product itself measured: its own times of the turns."""
    assistant = irisx.get("/v1/voice/assistants")["data"]["assistants"][0]["id"]
    path = f"/v1/voice/assistants/{assistant}/sessions"
    deadline = time.monotonic() + 5
    sessions = irisx.get(path)["data"]["sessions"]
    while any(one["outcome"] is None for one in sessions) and time.monotonic() < deadline:
        gevent.sleep(0.5)
        sessions = irisx.get(path)["data"]["sessions"]
    print("kept outcomes:", [one["outcome"] for one in sessions])
    turns = [turn for one in sessions for turn in irisx.get(f"{path}/{one['id']}")["turns"]]
    print("kept turns:", len(turns), "interrupted:", sum(turn["interrupted"] for turn in turns))
    steps = ("speech_ended_at", "recognized_at", "first_words_at", "first_audio_at")
    timed = [[datetime.fromisoformat(turn[s]) for s in steps if turn[s]] for turn in turns]
    for index, step in enumerate(steps[1:]):
        took = [(at[index + 1] - at[index]).total_seconds() * 1000 for at in timed if len(at) == 4]
        print(f"  {steps[index]} -> {step}: {spread(np.array(took))}")


if __name__ == "__main__":
    sys.exit(main())
