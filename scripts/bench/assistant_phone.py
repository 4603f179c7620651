"""A caller who talks with an assistant and times it: a SIP telephone with ears.

    python -m scripts.bench.assistant_phone sip:+1555…@127.0.0.1:5080 PORT QUESTION.wav TURNS

It asks the question (WAV, 8 kHz, 16 bits, mono) when the assistant is silent, TURNS times; each
second time it asks again while the answer is spoken, and so interrupts. A JSON line for each thing
that happened: `answer_ms` from the last loud sample of the question to the first loud one of the
answer; `stop_ms` from the first loud sample of the interruption to the last loud one that is heard
while it lasts. Times are the telephone's own, so both ways through SIP and RTP are in them.
"""

import asyncio
import json
import sys
import time
import wave
from contextlib import suppress

import numpy as np
from baresip import Account, AudioNotActive, AudioRestarted, Config, Runtime, UserAgent
from baresip.errors import StaleHandleError

_RATE = 8000
#: Root mean square of a frame of 20 ms that somebody can hear.
_LOUD = 300
_STEP_SECONDS = 0.005
#: Samples that wait in the telephone before they are sent.
_AHEAD = 160 * 3


class Phone:
    """What is heard and what is said, each with its time on one clock."""

    def __init__(self, call, question: np.ndarray) -> None:  # type: ignore[no-untyped-def]
        self._call = call
        self._question = question
        self._loud = np.flatnonzero(np.abs(question) > _LOUD)
        self._left = question[:0]
        self._asked_at = 0.0
        self.heard_at = 0.0
        self.first_heard_at = 0.0
        self.quiet = True

    def step(self) -> None:
        """Send what is due and hear what has come."""
        try:
            info = self._call.audio.info()
            if info.tx_ready:
                self._send(info.tx_buffered // 2)
            if info.rx_ready:
                self._hear(np.frombuffer(self._call.audio.read(65536), np.int16))
        except (AudioNotActive, AudioRestarted):
            return

    def _send(self, waiting: int) -> None:
        room = _AHEAD - waiting
        if room <= 0:
            return
        part, self._left = self._left[:room], self._left[room:]
        filled = np.concatenate((part, np.zeros(room - len(part), np.int16)))
        self._call.audio.write(filled.tobytes())

    def _hear(self, samples: np.ndarray) -> None:
        now = time.monotonic()
        for start in range(0, len(samples) - 159, 160):
            frame = samples[start : start + 160].astype(float)
            if np.sqrt(np.mean(frame**2)) > _LOUD:
                if now - self.heard_at > 0.6:
                    self.first_heard_at = now
                self.heard_at = now

    def ask(self) -> tuple[float, float]:
        """Begin to ask; when the first and the last loud sample leave the telephone."""
        begins = time.monotonic() + _AHEAD / _RATE
        self._left = self._question
        return begins + self._loud[0] / _RATE, begins + self._loud[-1] / _RATE

    async def until(self, reached, seconds: float) -> bool:  # type: ignore[no-untyped-def]
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            self.step()
            if reached():
                return True
            await asyncio.sleep(_STEP_SECONDS)
        return False

    def silent_for(self, seconds: float) -> bool:
        return self.heard_at > 0 and time.monotonic() - self.heard_at > seconds


def tell(**happened: object) -> None:
    print(json.dumps(happened), flush=True)


async def main(uri: str, port: int, question: np.ndarray, turns: int) -> None:
    runtime = Runtime()
    text = f"sip_listen 127.0.0.1:{port}\nrtp_ports {port + 1000}-{port + 1100}\n"
    await runtime.start(
        Config(net_interface="127.0.0.1", extra_config_text=text + "audio_buffer 20-160\n")
    )
    account = Account("caller", "127.0.0.1", "", reg_interval=0, audio_codecs=("pcmu",))
    agent = await UserAgent.create(runtime, account)
    call = await agent.dial(uri)
    await call.wait_established()
    phone = Phone(call, question)
    if not await phone.until(lambda: phone.silent_for(1.0), 20):
        tell(fault="no greeting")
    for turn in range(turns):
        _, last = phone.ask()
        if not await phone.until(lambda: phone.first_heard_at > last, 20):  # noqa: B023
            tell(fault="no answer")
            break
        tell(answer_ms=round((phone.first_heard_at - last) * 1000))
        if turn % 2:
            await phone.until(lambda: phone.silent_for(1.0), 60)
            continue
        await phone.until(lambda: False, 1.0)
        first, last = phone.ask()
        await phone.until(lambda: time.monotonic() > last, 10)  # noqa: B023
        tell(stop_ms=round((phone.heard_at - first) * 1000))
        if not await phone.until(lambda: phone.first_heard_at > last, 20):  # noqa: B023
            tell(fault="no answer after an interruption")
            break
        tell(answer_ms=round((phone.first_heard_at - last) * 1000))
        await phone.until(lambda: phone.silent_for(1.0), 60)
    with suppress(StaleHandleError):  # the other side was faster
        await call.hangup()
    await phone.until(lambda: False, 0.5)
    await runtime.close()


if __name__ == "__main__":
    with wave.open(sys.argv[3]) as file:
        samples = np.frombuffer(file.readframes(file.getnframes()), np.int16)
    asyncio.run(main(sys.argv[1], int(sys.argv[2]), samples, int(sys.argv[4])))
