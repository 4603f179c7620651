"""`irisx up` as a newcomer runs it: one process group on an empty home."""

import json
import os
import signal
import socket
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Self

import psutil
import pytest
import requests

from tests.processes import parts_named
from tests.switches import free_ports
from tests.waiting import wait_until

_READY_SECONDS = 90
_END_SECONDS = 5


class Up:
    """A running `irisx up`, its output in a file. What a failed test leaves is killed."""

    def __init__(self, home: Path, port: int) -> None:
        self.home, self.port = home, port
        self._output = home.with_name(f"{home.name}.out")
        with self._output.open("w") as output:
            self.process = psutil.Popen(
                [sys.executable, "-m", "irisx", "up"],
                env=environment(home, port),
                stdout=output,
                stderr=subprocess.STDOUT,
            )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self.process.is_running():
            self.process.kill()  # its parts die with it
            self.process.wait()

    @property
    def output(self) -> str:
        return self._output.read_text()

    def wait_ready(self) -> Self:
        def ready() -> bool:
            assert self.process.poll() is None, self.output
            return "IRISX is ready" in self.output

        wait_until(ready, timeout=_READY_SECONDS)
        return self

    def part(self, name: str) -> psutil.Process:
        [process] = parts_named(self.process, name)
        return process

    def end(self, by: signal.Signals) -> None:
        """Send the signal; nothing of the group may be left after five seconds."""
        group = [self.process, *self.process.children(recursive=True)]
        self.process.send_signal(by)
        _, left = psutil.wait_procs(group, timeout=_END_SECONDS)
        assert not left, self.output


def environment(home: Path, port: int) -> dict[str, str]:
    """Nothing of the tests' own installation."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("IRISX_")}
    sip = f"127.0.0.1:{free_ports(1)[0]}"
    return kept | {"IRISX_HOME": str(home), "IRISX_PORT": str(port), "IRISX_SANDBOX_SIP": sip}


def run(home: Path, port: int, *args: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "irisx", *args],
        env=environment(home, port),
        capture_output=True,
        text=True,
        timeout=60,
    )


@pytest.fixture(scope="module")
def up(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Up]:
    """One installation for the tests of a running one."""
    with Up(tmp_path_factory.mktemp("up") / "home", free_ports(1)[0]) as group:
        yield group.wait_ready()
        group.end(signal.SIGINT)


def _credentials(up: Up) -> dict[str, str]:
    credentials: dict[str, str] = json.loads((up.home / "credentials.json").read_text())
    return credentials


def _place_call(up: Up, to: str = "+15555550100") -> str:
    credentials = _credentials(up)
    answer = requests.post(
        f"{credentials['api_url']}/v1/calls",
        headers={"X-API-Key": credentials["api_key"]},
        json={"to": to, "from": credentials["number"]},
        timeout=10,
    )
    assert answer.status_code == 201, answer.text
    return str(answer.json()["sid"])


def _await_status(up: Up, sid: str, status: str) -> None:
    # A key has 100 requests a minute.
    wait_until(lambda: _call(up, sid)["status"] == status, timeout=30, interval=0.7)


def _call(up: Up, sid: str) -> dict[str, object]:
    credentials = _credentials(up)
    answer = requests.get(
        f"{credentials['api_url']}/v1/calls/{sid}",
        headers={"X-API-Key": credentials["api_key"]},
        timeout=10,
    )
    assert answer.status_code == 200, answer.text
    return dict(answer.json())


@pytest.mark.timeout(180)
@pytest.mark.xdist_group("up")
class TestRunning:
    def test_credentials_are_private_and_complete(self, up: Up) -> None:
        path = up.home / "credentials.json"
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        assert set(_credentials(up)) == {
            "api_url",
            "api_key",
            "admin_token",
            "tenant_id",
            "number",
        }

    def test_the_block_says_how_to_place_a_call(self, up: Up) -> None:
        credentials = _credentials(up)
        for value in ("api_url", "api_key", "admin_token", "number"):
            assert credentials[value] in up.output
        assert "+15555550100" in up.output
        assert "sandbox" in up.output

    def test_every_secret_of_the_home_is_private(self, up: Up) -> None:
        for name in ("secret-key", "xml-token", "admin-token", "run/settings.json"):
            assert stat.S_IMODE((up.home / name).stat().st_mode) == 0o600

    def test_a_call_to_the_sandbox_is_completed(self, up: Up) -> None:
        sid = _place_call(up)
        _await_status(up, sid, "completed")

    def test_doctor_finds_nothing_wrong(self, up: Up) -> None:
        result = run(up.home, up.port, "doctor")
        assert result.returncode == 0, result.stdout
        assert "WRONG" not in result.stdout

    def test_a_second_start_on_the_home_says_so(self, up: Up) -> None:
        result = run(up.home, free_ports(1)[0], "up")
        assert result.returncode == 1
        assert f"IRISX runs on {up.home} already (process {up.process.pid})" in result.stderr

    def test_a_part_that_dies_is_started_again(self, up: Up) -> None:
        worker = up.part("worker")
        worker.kill()
        wait_until(lambda: "part=worker" in up.output, timeout=10)
        wait_until(lambda: parts_named(up.process, "worker"), timeout=30)

    def test_an_engine_that_is_killed_loses_no_call(self, up: Up) -> None:
        sid = _place_call(up, "+15555550108")
        _await_status(up, sid, "in-progress")
        up.part("engine").kill()
        end = f"{_credentials(up)['api_url']}/v1/calls/{sid}/end"
        headers = {"X-API-Key": _credentials(up)["api_key"]}
        wait_until(
            lambda: requests.post(end, headers=headers, timeout=10).ok, timeout=30, interval=0.7
        )
        _await_status(up, sid, "completed")


@pytest.mark.timeout(180)
@pytest.mark.xdist_group("up")
def test_a_taken_port_is_named(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        result = run(tmp_path / "home", port, "up")
    assert result.returncode == 1
    assert f"Port {port} on 127.0.0.1" in result.stderr


@pytest.mark.timeout(300)
@pytest.mark.xdist_group("up")
def test_data_survive_and_nothing_is_left_however_it_ends(tmp_path: Path) -> None:
    home, port = tmp_path / "home", free_ports(1)[0]
    with Up(home, port) as first:
        first.wait_ready()
        credentials, sid = _credentials(first), _place_call(first, "+15555550102")
        _await_status(first, sid, "busy")
        first.end(signal.SIGTERM)

    with Up(home, port) as second:
        second.wait_ready()
        assert _credentials(second) == credentials
        assert _call(second, sid)["status"] == "busy"
        second.end(signal.SIGKILL)


@pytest.mark.timeout(60)
@pytest.mark.xdist_group("up")
def test_ctrl_c_during_the_start_leaves_nothing(tmp_path: Path) -> None:
    with Up(tmp_path / "home", free_ports(1)[0]) as up:
        wait_until(lambda: up.process.children(), timeout=20)
        up.end(signal.SIGINT)
