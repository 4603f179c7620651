"""The sandbox switch as a whole: its channels, its memory and its settings."""

import asyncio
import logging
import os
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from irisx.sandbox import session
from irisx.sandbox.apps import APPLICATIONS, MEDIA_APPLICATIONS
from irisx.sandbox.channel import Channel, Handler
from irisx.sandbox.clock import Clock
from irisx.sandbox.events import EventBus
from irisx.sandbox.media import MediaError
from irisx.sandbox.scheduler import Scheduler
from irisx.sandbox.states import SIP_CAUSES, State
from irisx.sandbox.taps import run_ticker

if TYPE_CHECKING:
    from irisx.sandbox.sip import SipEndpoint

log = logging.getLogger(__name__)

HEARTBEAT_SECONDS = 20.0
VERSION = "1.10.12-irisx-sandbox"


@dataclass(frozen=True)
class Settings:
    """What the command line decides.

    `writable`: the only directories below which files are written; the first is recordings_dir.
    """

    host: str
    port: int
    password: str
    writable: tuple[Path, ...]
    speed: float = 1.0
    sip: str = ""


class Switch:
    """One node. Everything runs in one event loop, so nothing here is locked."""

    applications: dict[str, Callable[[Channel, str], Awaitable[None]]] = APPLICATIONS
    media_applications: set[str] = MEDIA_APPLICATIONS
    handlers: dict[State, Handler] = session.HANDLERS

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.clock = Clock(settings.speed)
        self.bus = EventBus(self.clock)
        self.scheduler = Scheduler(self.clock, self.bus)
        self.started = self.clock.micros()
        self.channels: dict[str, Channel] = {}
        self.sessions_started = 0
        self.sessions_peak = 0
        self.sessions_per_second = 300
        self.max_sessions = 1000
        self.paused: set[str] = set()
        self.hashes: dict[tuple[str, str], str] = {}
        self.gateways: dict[str, str] = {}
        self.sip: SipEndpoint | None = None
        self.variables = {
            "hostname": self.bus.hostname,
            "local_ip_v4": "127.0.0.1",
            "irisx_sandbox": "true",
            "core_uuid": self.bus.core_uuid,
        }
        if settings.writable:
            self.variables["recordings_dir"] = str(settings.writable[0])
        self._second = 0
        self._in_second = 0
        self._background: set[asyncio.Task[None]] = set()

    # Channels

    def admit(self, direction: str) -> str:
        """Why a new session is refused, or "" when it may begin."""
        second = int(self.clock.now())
        if second != self._second:
            self._second, self._in_second = second, 0
        if direction in self.paused or len(self.channels) >= self.max_sessions:
            return "SWITCH_CONGESTION"
        if self._in_second >= self.sessions_per_second:
            return "SWITCH_CONGESTION"
        self._in_second += 1
        self.sessions_started += 1
        return ""

    def adopt(self, channel: Channel) -> None:
        """Make a channel known."""
        self.channels[channel.uuid] = channel
        self.sessions_peak = max(self.sessions_peak, len(self.channels))

    def forget(self, channel: Channel) -> None:
        self.channels.pop(channel.uuid, None)
        self.scheduler.delete(channel.uuid)

    def find(self, uuid: str) -> Channel | None:
        """A live channel; one that is hanging up can't be found any more."""
        channel = self.channels.get(uuid.strip())
        return channel if channel is not None and channel.up else None

    @staticmethod
    def sip_cause(status: int) -> str:
        return SIP_CAUSES.get(status, "NORMAL_UNSPECIFIED")

    # Files

    def writable_path(self, path: str) -> str:
        """The real path of a file to write. Raises MediaError outside the allowed directories."""
        real = Path(os.path.realpath(path))
        if not Path(path).is_absolute() or not any(
            real.is_relative_to(os.path.realpath(root)) for root in self.settings.writable
        ):
            raise MediaError(f"not below an allowed directory: {path}")
        return str(real)

    # Background work

    def spawn(self, work: Awaitable[None], name: str) -> asyncio.Task[None]:
        """Run something beside the caller; a failure is logged."""

        async def guarded() -> None:
            try:
                await work
            except Exception:
                log.exception("%s failed", name)

        task = asyncio.create_task(guarded(), name=name)
        self._background.add(task)
        task.add_done_callback(self._background.discard)
        return task

    def start(self) -> None:
        self.spawn(run_ticker(self), "ticker")
        self.spawn(self._beat(), "heartbeat")

    async def _beat(self) -> None:
        while True:
            await self.clock.sleep(HEARTBEAT_SECONDS)
            self.bus.fire(
                "HEARTBEAT",
                {
                    "Event-Info": "System Ready",
                    "Up-Time": self.uptime_text(),
                    "FreeSWITCH-Version": VERSION,
                    "Uptime-msec": str((self.clock.micros() - self.started) // 1000),
                    "Session-Count": str(len(self.channels)),
                    "Max-Sessions": str(self.max_sessions),
                    "Session-Per-Sec": str(self.sessions_per_second),
                    "Session-Since-Startup": str(self.sessions_started),
                    "Session-Peak-Max": str(self.sessions_peak),
                    "Heartbeat-Interval": str(int(HEARTBEAT_SECONDS)),
                    "Idle-CPU": "100.000000",
                }.items(),
            )

    def uptime_text(self) -> str:
        """`0 years, 0 days, 0 hours, 2 minutes, 45 seconds, 81 milliseconds, 806 microseconds`."""
        rest = self.clock.micros() - self.started
        parts = []
        for unit, micros in (
            ("year", 31_536_000_000_000),
            ("day", 86_400_000_000),
            ("hour", 3_600_000_000),
            ("minute", 60_000_000),
            ("second", 1_000_000),
            ("millisecond", 1000),
            ("microsecond", 1),
        ):
            amount, rest = divmod(rest, micros)
            parts.append(f"{amount} {unit}{'' if amount == 1 else 's'}")
        return ", ".join(parts)
