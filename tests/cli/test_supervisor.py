"""Parts are kept running and ended together."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from irisx.cli.supervisor import NotReady, Part, Supervisor
from tests.waiting import wait_until

#: Writes its pid and waits; argument 2 is what to do on SIGTERM.
_PART = """
import os, pathlib, signal, sys, time
if sys.argv[2] == "deaf":
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
pathlib.Path(sys.argv[1]).write_text(str(os.getpid()))
time.sleep(600)
"""
#: Has all it needs and waits for a line; only then it is the part.
_SPARE = """
import os, pathlib, sys, time
pathlib.Path(sys.argv[2]).write_text(str(os.getpid()))
sys.stdin.readline()
pathlib.Path(sys.argv[1]).write_text(str(os.getpid()))
time.sleep(600)
"""
_SUPERVISE = """
from gevent import monkey
monkey.patch_all()
import sys
import gevent
from irisx.cli.supervisor import Part, Supervisor
supervisor = Supervisor()
supervisor.start(Part("deaf", sys.argv[1:], lambda pid: True))
gevent.sleep(600)
"""


def _argv(pid_file: Path, manner: str = "polite") -> list[str]:
    return [sys.executable, "-c", _PART, str(pid_file), manner]


def _pid(pid_file: Path) -> int:
    return int(wait_until(lambda: pid_file.exists() and pid_file.read_text(), timeout=10))


@pytest.fixture
def supervisor() -> Iterator[Supervisor]:
    supervisor = Supervisor()
    yield supervisor
    supervisor.stop(0.5)


def test_a_part_that_dies_is_started_again(supervisor: Supervisor, tmp_path: Path) -> None:
    pid_file = tmp_path / "pid"
    supervisor.start(Part("one", _argv(pid_file), lambda _pid: True))
    first = _pid(pid_file)
    os.kill(first, signal.SIGKILL)
    wait_until(lambda: _pid(pid_file) != first, timeout=10)


def test_a_spare_takes_the_place_of_a_part_that_dies(
    supervisor: Supervisor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("irisx.cli.supervisor._WELL_SECONDS", 0.2)
    pid_file, waiting = tmp_path / "pid", tmp_path / "waiting"
    spare = [sys.executable, "-c", _SPARE, str(pid_file), str(waiting)]
    supervisor.start(Part("one", _argv(pid_file), lambda _pid: True, spare=spare))
    for _ in range(2):
        next_one, running = _pid(waiting), _pid(pid_file)
        waiting.unlink()
        os.kill(running, signal.SIGKILL)
        wait_until(lambda old=running: _pid(pid_file) != old, timeout=10)
        assert _pid(pid_file) == next_one
    last = _pid(waiting)
    supervisor.stop(0.5)
    assert not psutil.pid_exists(last)


def test_stopping_ends_every_part_and_the_deaf_by_force(tmp_path: Path) -> None:
    supervisor = Supervisor()
    files = [tmp_path / "polite", tmp_path / "deaf"]
    for file in files:
        supervisor.start(Part(file.name, _argv(file, file.name), lambda _pid: True))
    pids = [_pid(file) for file in files]
    supervisor.stop(0.5)
    assert not any(psutil.pid_exists(pid) for pid in pids)


def test_parts_end_when_their_supervisor_is_killed(tmp_path: Path) -> None:
    pid_file = tmp_path / "pid"
    parent = subprocess.Popen([sys.executable, "-c", _SUPERVISE, *_argv(pid_file, "deaf")])
    pid = _pid(pid_file)
    parent.kill()
    parent.wait()
    wait_until(lambda: not psutil.pid_exists(pid))


def test_waiting_names_the_part_that_does_not_become_ready(
    supervisor: Supervisor, tmp_path: Path
) -> None:
    supervisor.start(Part("well", _argv(tmp_path / "a"), lambda _pid: True))
    supervisor.start(Part("slow", _argv(tmp_path / "b"), lambda _pid: False))
    with pytest.raises(NotReady, match="slow"):
        supervisor.wait_ready(0.5)


def test_a_part_is_ready_when_the_process_that_runs_now_says_so(
    supervisor: Supervisor, tmp_path: Path
) -> None:
    pid_file = tmp_path / "pid"
    supervisor.start(
        Part("one", _argv(pid_file), lambda pid: pid_file.exists() and _pid(pid_file) == pid)
    )
    supervisor.wait_ready(10)
