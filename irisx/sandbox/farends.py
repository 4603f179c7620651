"""Who is at the other end of a leg when no real phone is: people and machines acted by a script.

The last four digits of a number +1555555xxxx choose the script; README documents them.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from irisx.sandbox.media import FRAME, FRAME_SECONDS, RATE, SILENCE, Samples, tone

if TYPE_CHECKING:
    from irisx.sandbox.channel import Channel


def babble(seconds: float, pitch: float = 120.0, seed: int = 1) -> Samples:
    """Something with the rhythm and the spectrum of speech, always the same for one seed.

    A buzz of harmonics under wandering formants, in syllables of about 200 ms.
    """
    random = np.random.default_rng(seed)
    count = int(seconds * RATE)
    time = np.arange(count) / RATE
    syllables = max(int(seconds / 0.2), 1)
    knots = np.linspace(0, seconds, syllables + 1)
    pitches = np.interp(time, knots, pitch * random.uniform(0.85, 1.2, syllables + 1))
    phase = 2 * np.pi * np.cumsum(pitches) / RATE
    formants = [
        np.interp(time, knots, random.uniform(low, high, syllables + 1))
        for low, high in ((300, 800), (900, 2200), (2300, 2900))
    ]
    wave = np.zeros(count)
    for harmonic in range(1, int(3400 / pitch)):
        frequency = harmonic * pitches
        gain = sum(np.exp(-(((frequency - formant) / 160) ** 2)) for formant in formants)
        wave += (gain + 0.02) * np.sin(harmonic * phase)
    envelope = np.abs(np.sin(np.pi * np.interp(time, knots, np.arange(syllables + 1)))) ** 0.6
    loudness = np.interp(time, knots, random.uniform(0.5, 1.0, syllables + 1))
    # A short pause between words.
    loudness[(time / seconds * syllables).astype(int) % 4 == 3] = 0
    wave *= envelope * loudness
    return np.asarray(wave / max(np.abs(wave).max(), 1e-9) * 9000, dtype=np.int16)


def fax_answer() -> Samples:
    """CED (2100 Hz, 2.6 s), a pause, then V.21 flags at 300 bit/s (1650 and 1850 Hz)."""
    bits = np.tile([0, 1, 1, 1, 1, 1, 1, 0], 75)
    time = np.arange(int(len(bits) * RATE / 300)) / RATE
    frequency = np.where(bits[(time * 300).astype(int)] == 1, 1650.0, 1850.0)
    flags = np.asarray(9000 * np.sin(2 * np.pi * np.cumsum(frequency) / RATE), dtype=np.int16)
    pause = np.zeros(int(0.075 * RATE), dtype=np.int16)
    return np.concatenate([tone(2.6, 2100), pause, flags])


# Made when the module is loaded: making them takes a while, in which nobody else would be served.
HELLO = babble(0.6, seed=4)
SENTENCE = babble(1.2, seed=3)
GREETING = babble(5.0, pitch=190.0, seed=4)
WORDS = babble(1.0, seed=5)
CALLER = babble(10.0, pitch=150.0, seed=6)
BEEP = tone(0.4, 1000)
FAX = fax_answer()

Script = Callable[["ScriptedFarEnd"], Awaitable[None]]


class FarEnd:
    """The party of a leg: silent and patient here; the subclasses do things.

    `wants_audio` tells the ticker that `hear()` must be fed with what the party should hear.
    """

    wants_audio = False

    def dial(self, channel: "Channel") -> None:
        """The switch calls this party."""

    def answered(self) -> None:
        """The switch answered a call that this party placed, or this party answered."""

    def frame(self, tick: int) -> Samples:
        """What the party says in the 20 ms frame of number `tick`."""
        return SILENCE

    def hear(self, frame: Samples) -> None:
        """What the party hears, only asked for with `wants_audio`."""

    def receive_digits(self, digits: str) -> None:
        """The switch sends DTMF to this party."""

    def hung_up(self, cause: str) -> None:
        """The leg is over."""


class ScriptedFarEnd(FarEnd):
    """A party that follows a script, given as a coroutine function."""

    def __init__(self, script: "Script") -> None:
        self.script = script
        self.channel: Channel
        self.heard_digits = ""
        self._task: asyncio.Task[None] | None = None
        self._answered = asyncio.Event()
        self._speech: tuple[Samples, int] | None = None

    def dial(self, channel: "Channel") -> None:
        self.channel = channel
        self._task = asyncio.create_task(self._act(), name=f"far end of {channel.uuid}")

    async def _act(self) -> None:
        await self.script(self)

    def answered(self) -> None:
        self._answered.set()

    def frame(self, tick: int) -> Samples:
        if self._speech is None:
            return SILENCE
        clip, start = self._speech
        at = (tick - start) * FRAME
        if not 0 <= at < len(clip):
            return SILENCE
        part = clip[at : at + FRAME]
        return part if len(part) == FRAME else np.concatenate([part, SILENCE[len(part) :]])

    def receive_digits(self, digits: str) -> None:
        self.heard_digits += digits

    def hung_up(self, cause: str) -> None:
        if self._task and self._task is not asyncio.current_task():
            self._task.cancel()

    # Verbs of scripts

    async def wait(self, seconds: float) -> None:
        await self.channel.switch.clock.sleep(seconds)

    async def until_answered(self) -> None:
        await self._answered.wait()

    async def say(self, clip: Samples) -> None:
        """Say it and wait until it is said."""
        now = self.channel.switch.clock.now()
        self._speech = (clip, int(now / FRAME_SECONDS))
        await self.wait(len(clip) / RATE)

    async def press(self, digits: str) -> None:
        """Press digits, 200 ms apart; `w` waits half a second, `W` a second."""
        for digit in digits:
            if digit in "wW":
                await self.wait(1.0 if digit == "W" else 0.5)
            elif digit in "0123456789*#ABCDabcd":
                self.channel.dtmf(digit.upper())
                await self.wait(0.2)

    async def ring_and_answer(self) -> None:
        self.channel.ring_ready()
        await self.wait(0.3)
        self.channel.answer()


async def talks(far: ScriptedFarEnd) -> None:
    """0100: a person who says hello, listens, says something and hangs up after 5 s."""
    await far.ring_and_answer()
    await far.wait(0.5)
    await far.say(HELLO)
    await far.wait(1.9)
    await far.say(SENTENCE)
    await far.wait(0.8)
    far.channel.far_hangup()


async def voicemail(far: ScriptedFarEnd) -> None:
    """0101: a greeting of 5 s and a beep, then it records until the caller hangs up."""
    await far.ring_and_answer()
    await far.wait(0.4)
    await far.say(GREETING)
    await far.wait(0.3)
    await far.say(BEEP)


async def busy(far: ScriptedFarEnd) -> None:
    """0102: busy."""
    far.channel.far_hangup(486)


async def rings(far: ScriptedFarEnd) -> None:
    """0103: rings for ever."""
    far.channel.ring_ready()


async def rejects(far: ScriptedFarEnd) -> None:
    """0104: declines."""
    far.channel.far_hangup(603)


async def fax(far: ScriptedFarEnd) -> None:
    """0105: a fax machine."""
    await far.ring_and_answer()
    await far.wait(0.2)
    await far.say(FAX)
    await far.wait(3.0)
    far.channel.far_hangup()


async def silent(far: ScriptedFarEnd) -> None:
    """0106 and 0108: answers, says nothing and stays."""
    await far.ring_and_answer()


async def presses(far: ScriptedFarEnd) -> None:
    """0107: answers and presses the digits of the variable `irisx_far_end_digits`."""
    await far.ring_and_answer()
    await far.wait(1.0)
    await far.press(far.channel.variables.get("irisx_far_end_digits", ""))


async def stays(far: ScriptedFarEnd) -> None:
    """0108: answers, says a word now and then and stays until it is hung up."""
    await far.ring_and_answer()
    while True:
        await far.wait(0.5)
        await far.say(WORDS)
        await far.wait(8.5)


def hums(hertz: float) -> Script:
    """0111 to 0114: answers, holds a tone and stays: for who hears whom."""

    async def hum(far: ScriptedFarEnd) -> None:
        await far.ring_and_answer()
        while True:
            await far.say(tone(10.0, hertz))

    return hum


SCRIPTS: dict[str, Script] = {
    "0100": talks,
    "0101": voicemail,
    "0102": busy,
    "0103": rings,
    "0104": rejects,
    "0105": fax,
    "0106": silent,
    "0107": presses,
    "0108": stays,
    "0111": hums(500),
    "0112": hums(900),
    "0113": hums(1300),
    "0114": hums(1700),
}


def by_number(number: str) -> FarEnd:
    """The far end of a dialled number."""
    script: Script = talks
    if number.removeprefix("+").startswith("1555555"):
        script = SCRIPTS.get(number[-4:], talks)
    return ScriptedFarEnd(script)


class Caller(ScriptedFarEnd):
    """Somebody who calls the installation: `api sandbox_call`.

    `digits` are pressed `digits_at` s after the answer, it talks for `talk` s at the answer and
    hangs up `hangup_after` s after the answer, or `give_up_after` s after dialling without one.
    """

    DEFAULTS: ClassVar[dict[str, float]] = {
        "digits_at": 1.0,
        "talk": 0.0,
        "hangup_after": 0.0,
        "give_up_after": 60.0,
    }

    def __init__(self, digits: str, times: dict[str, float]) -> None:
        super().__init__(lambda far: self._call())
        self.digits = digits
        self.times = self.DEFAULTS | times

    async def _call(self) -> None:
        try:
            async with asyncio.timeout(
                self.times["give_up_after"] / self.channel.switch.clock.speed
            ):
                await self.until_answered()
        except TimeoutError:
            self.channel.far_hangup(487)
            return
        parts = [self._press(), self._talk()]
        if self.times["hangup_after"]:
            parts.append(self._leave())
        await asyncio.gather(*parts)

    async def _press(self) -> None:
        await self.wait(self.times["digits_at"])
        await self.press(self.digits)

    async def _talk(self) -> None:
        if self.times["talk"]:
            length = int(min(self.times["talk"], 120.0) * RATE)
            await self.say(np.resize(CALLER, length))

    async def _leave(self) -> None:
        await self.wait(self.times["hangup_after"])
        self.channel.far_hangup()


def registered_user() -> FarEnd:
    """The phone of an agent, `user/…`: answers and stays."""
    return ScriptedFarEnd(stays)
