"""The processes of one installation: started, kept running, ended together."""

import signal
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import gevent

from irisx.kernel import child
from irisx.kernel.logging import get_logger

log = get_logger(__name__)

#: A part that ran for so long was well; it is started again at once.
_WELL_SECONDS = 10.0
_LONGEST_PAUSE_SECONDS = 30.0


class NotReady(RuntimeError):
    """A part did not become ready; the message names it and its log."""


@dataclass(frozen=True)
class Part:
    """A process to keep running. `ready(pid)`: does it serve?

    `log`: where its output goes; None: it writes its own log, its output is the terminal's.
    `spare`: how to run a second process that has loaded everything and waits for a line on its
    standard input, for what may not be away for as long as loading takes.
    """

    name: str
    argv: Sequence[str]
    ready: Callable[[int], bool]
    log: Path | None = None
    spare: Sequence[str] | None = None


class Supervisor:
    """Runs parts until `stop`, and starts again the ones that end."""

    def __init__(self) -> None:
        self._parts: list[Part] = []
        self._running: dict[str, subprocess.Popen[bytes]] = {}
        self._spares: dict[str, subprocess.Popen[bytes]] = {}
        self._keepers: list[gevent.Greenlet] = []

    def start(self, part: Part) -> None:
        self._parts.append(part)
        self._keepers.append(gevent.spawn(self._keep, part))

    def wait_ready(self, seconds: float) -> None:
        """Block until every part serves. Raises NotReady after `seconds`."""
        deadline = time.monotonic() + seconds
        for part in self._parts:
            while not self._is_ready(part):
                if time.monotonic() > deadline:
                    raise NotReady(f"{part.name} is not ready after {seconds:.0f} s")
                gevent.sleep(0.05)

    def stop(self, seconds: float) -> None:
        """End all parts: politely, and by force those that run still after `seconds`."""
        gevent.killall(self._keepers)
        for spare in self._spares.values():
            spare.kill()  # it does nothing yet
            spare.wait()
        running = {
            name: process for name, process in self._running.items() if process.poll() is None
        }
        for process in running.values():
            process.send_signal(signal.SIGTERM)
        deadline = time.monotonic() + seconds
        for name, process in running.items():
            try:
                process.wait(max(0.0, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                log.warning("a part did not end and is killed", part=name)
                process.kill()
                process.wait()

    def _is_ready(self, part: Part) -> bool:
        process = self._running.get(part.name)
        return process is not None and process.poll() is None and part.ready(process.pid)

    def _keep(self, part: Part) -> None:
        pause = 0.0
        while True:
            started = time.monotonic()
            process = self._spare_of(part) or _spawn(part, part.argv)
            self._running[part.name] = process
            with _later(_WELL_SECONDS, self._keep_spare, part):
                status = process.wait()
            lived = time.monotonic() - started
            was_well = lived > _WELL_SECONDS
            pause = 0.0 if was_well else min(max(pause * 2, 0.5), _LONGEST_PAUSE_SECONDS)
            log.warning(
                "a part ended and is started again",
                part=part.name,
                status=status,
                lived_s=round(lived, 1),
                pause_s=pause,
            )
            gevent.sleep(pause)

    def _keep_spare(self, part: Part) -> None:
        """Have a spare process of a part that has been well for a while."""
        if part.spare is not None and part.name not in self._spares:
            self._spares[part.name] = _spawn(part, part.spare, stdin=subprocess.PIPE)

    def _spare_of(self, part: Part) -> "subprocess.Popen[bytes] | None":
        """The spare process, told that its time has come; None where there is none."""
        spare = self._spares.pop(part.name, None)
        if spare is None or spare.stdin is None:
            return None
        with suppress(BrokenPipeError), spare.stdin as line:
            line.write(b"\n")
            line.flush()
            return spare
        return None


def _spawn(
    part: Part, argv: Sequence[str], *, stdin: int = subprocess.DEVNULL
) -> "subprocess.Popen[bytes]":
    # When we are killed nobody is left to end a part that does not listen.
    return child.spawn(argv, log=part.log, on_parent_death=signal.SIGKILL, stdin=stdin)


@contextmanager
def _later(seconds: float, function: Callable[[Part], None], part: Part) -> Iterator[None]:
    """Call `function(part)` if the block lasts for so long."""
    timer = gevent.spawn_later(seconds, function, part)
    try:
        yield
    finally:
        timer.kill()
