"""A part's sign of life."""

import os
import subprocess
import sys
import time

from irisx.kernel import health
from irisx.settings import get_settings
from tests.waiting import wait_until


def _file(part: str) -> str:
    return str(get_settings().home / "run" / f"{part}.json")


def test_a_part_that_never_spoke_has_no_readiness() -> None:
    assert health.readiness("never") is None


def test_an_announced_part_is_alive_and_goes_on_saying_so() -> None:
    health.announce_ready("spoken")
    said = health.readiness("spoken")
    assert said is not None
    assert (said.pid, said.alive) == (os.getpid(), True)
    old = time.time() - 100
    os.utime(_file("spoken"), (old, old))
    wait_until(lambda: (now := health.readiness("spoken")) and now.age < 5)


def test_a_part_that_hangs_is_not_alive() -> None:
    said = health.Readiness(os.getpid(), age=health.STALE_SECONDS + 1)
    assert not said.alive


def test_a_part_that_died_is_not_alive_at_once() -> None:
    announce = "from irisx.kernel.health import announce_ready; announce_ready('dead')"
    subprocess.run([sys.executable, "-c", announce], check=True)
    said = health.readiness("dead")
    assert said is not None
    assert said.age < health.STALE_SECONDS
    assert not said.alive
