"""Switch time: the wall clock at speed 1, accelerated for tests."""

import asyncio
import time
from collections.abc import Callable


class Clock:
    """Seconds and microseconds of the switch.

    At `speed` N every timer and all media run N times faster, and the time stamps in events
    advance N times faster too, so that durations computed from them stay true.
    """

    def __init__(self, speed: float = 1.0) -> None:
        if speed <= 0:
            raise ValueError("speed must be positive")
        self.speed = speed
        self._epoch = time.time()
        self._start = time.monotonic()

    def now(self) -> float:
        """Seconds since the Unix epoch."""
        return self._epoch + (time.monotonic() - self._start) * self.speed

    def micros(self) -> int:
        """Microseconds since the Unix epoch, the unit of FreeSWITCH's time stamps."""
        return int(self.now() * 1_000_000)

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(max(seconds, 0.0) / self.speed)

    def call_later(self, seconds: float, callback: Callable[[], None]) -> asyncio.TimerHandle:
        delay = max(seconds, 0.0) / self.speed
        return asyncio.get_running_loop().call_later(delay, callback)

    @staticmethod
    def local_text(micros: int) -> str:
        """`2026-02-17 12:00:00` in the machine's zone."""
        return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(micros // 1_000_000))
