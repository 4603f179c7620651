"""Each part says that it is ready and goes on saying so: `home/run/<part>.json`.

The file is touched every second by a greenlet, so that a part whose event loop hangs grows old
as one that died does.
"""

import json
import os
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import gevent

from irisx.settings import get_settings

#: The parts that run as processes of their own and announce themselves.
PARTS = ("engine", "media", "worker", "api")

_BEAT_SECONDS = 1.0
#: A part that was silent for so long hangs.
STALE_SECONDS = 10.0


@dataclass(frozen=True)
class Readiness:
    """What a part said last. `age`: seconds since then."""

    pid: int
    age: float

    @property
    def alive(self) -> bool:
        return self.age < STALE_SECONDS and Path(f"/proc/{self.pid}").exists()


def announce_ready(part: str) -> None:
    """This process serves from now on as `part`; call it once, when it does."""
    path = _path(part)
    path.parent.mkdir(parents=True, exist_ok=True)
    fresh = path.with_suffix(f".{os.getpid()}")
    fresh.write_text(json.dumps({"pid": os.getpid()}))
    fresh.replace(path)
    gevent.spawn(_beat, path)


def readiness(part: str) -> Readiness | None:
    """What `part` said last on this home; None if it never did."""
    path = _path(part)
    with suppress(FileNotFoundError, ValueError):
        return Readiness(json.loads(path.read_text())["pid"], time.time() - path.stat().st_mtime)
    return None


def _beat(path: Path) -> None:
    while True:
        gevent.sleep(_BEAT_SECONDS)
        with suppress(FileNotFoundError):
            os.utime(path)


def _path(part: str) -> Path:
    return get_settings().home / "run" / f"{part}.json"
