"""A real FreeSWITCH for the tests, run by scripts/freeswitch on ports of its own.

    with FreeSwitch() as switch:
        connect(switch.esl_url)

`needs_freeswitch` marks a test that is skipped where no FreeSWITCH is installed. Command line
tools of the tests speak to it with `switch.api("status")`, over a connection of their own.
"""

import os
import random
import re
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from types import TracebackType
from typing import Self
from urllib.parse import unquote

import pytest

from tests.waiting import wait_until

ROOT = Path(__file__).resolve().parent.parent
FREESWITCH = os.environ.get("FREESWITCH_BIN") or shutil.which("freeswitch")

needs_freeswitch = pytest.mark.skipif(
    FREESWITCH is None, reason="no FreeSWITCH: set FREESWITCH_BIN or put freeswitch on the PATH"
)


class FreeSwitch:
    """One FreeSWITCH on free ports of 127.0.0.1, with a home directory that goes with it.

    `environment` adds or replaces IRISX_* variables. `api_url` is where mod_xml_curl asks;
    without one it asks a closed port, as when the API is down. `root` holds another copy of
    scripts/freeswitch and what it runs on.
    """

    def __init__(
        self,
        *,
        api_url: str = "http://127.0.0.1:9",
        environment: Mapping[str, str] | None = None,
        root: Path = ROOT,
    ) -> None:
        self._root = root
        self.home = Path(tempfile.mkdtemp(prefix="irisx-fs-"))
        self.ip = "127.0.0.1"
        self.esl_port, self.sip_port, self.sip_agent_port = free_ports(3)
        rtp_start = free_rtp_range()
        self.esl_password = "test-" + os.urandom(8).hex()
        self.xml_token = "test-" + os.urandom(8).hex()
        self.environment = {
            **os.environ,
            "IRISX_HOME": str(self.home),
            "IRISX_SIP_IP": self.ip,
            "IRISX_SIP_PORT": str(self.sip_port),
            "IRISX_SIP_AGENT_PORT": str(self.sip_agent_port),
            "IRISX_ESL_PORT": str(self.esl_port),
            "IRISX_ESL_PASSWORD": self.esl_password,
            "IRISX_XML_TOKEN": self.xml_token,
            "IRISX_API_URL": api_url,
            "IRISX_RTP_START": str(rtp_start),
            "IRISX_RTP_END": str(rtp_start + RTP_PORTS - 2),
            **(environment or {}),
        }
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def esl_url(self) -> str:
        return f"esl://:{self.esl_password}@{self.ip}:{self.esl_port}"

    @property
    def log_path(self) -> Path:
        return self.home / "freeswitch" / "log" / "freeswitch.log"

    @property
    def pid(self) -> int:
        """FreeSWITCH's own process id: SIGKILL it to test a crash."""
        return int((self.home / "freeswitch" / "run" / "freeswitch.pid").read_text())

    def start(self, timeout: float = 30) -> Self:
        """Start and wait until calls can be taken. Also starts again after `stop`."""
        with (self.home / "output").open("ab") as output:
            self._process = subprocess.Popen(
                [self._root / "scripts" / "freeswitch"],
                env=self.environment,
                stdout=output,
                stderr=subprocess.STDOUT,
            )
        try:
            wait_until(self._ready, timeout)
        except BaseException:
            self.stop()
            raise AssertionError(f"FreeSWITCH did not start:\n{self.output()}") from None
        return self

    def stop(self, timeout: float = 15) -> None:
        if self._process is None:
            return
        self._process.terminate()
        try:
            self._process.wait(timeout)
        except subprocess.TimeoutExpired:
            with suppress(FileNotFoundError):  # it is as good as gone when its pid file is
                os.kill(self.pid, 9)
            self._process.kill()
            self._process.wait()
        self._process = None

    def kill_script(self) -> None:
        """SIGKILL to scripts/freeswitch, not to FreeSWITCH itself (`pid`)."""
        assert self._process is not None
        self._process.kill()
        self._process.wait()
        self._process = None

    def output(self) -> str:
        """What it wrote to its terminal: warnings and errors."""
        return (self.home / "output").read_text(errors="replace")

    def api(self, command: str) -> str:
        """Run one API command on a connection of its own and return the reply's text."""
        with event_socket(self.ip, self.esl_port, self.esl_password) as ask:
            return ask(f"api {command}")

    def variables(self, uuid: str) -> dict[str, str]:
        """All of a channel's event headers and variables, decoded (uuid_dump)."""
        lines = (line.partition(": ") for line in self.api(f"uuid_dump {uuid}").splitlines())
        return {name: unquote(value) for name, separator, value in lines if separator}

    def channels(self) -> list[str]:
        """UUIDs of the live channels. `show channels` lags by about 0.2 s."""
        return re.findall(r"^([0-9a-f-]{36}),", self.api("show channels"), re.MULTILINE)

    def _ready(self) -> bool:
        if self._process is not None and self._process.poll() is not None:
            raise AssertionError("FreeSWITCH ended at its start")
        try:
            running = re.findall(r"(\w+)\s+profile\s.*RUNNING", self.api("sofia status"))
            return {"carriers", "agents"} <= set(running) and "is ready" in self.api("status")
        except OSError:
            return False

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()
        shutil.rmtree(self.home, ignore_errors=True)


@contextmanager
def event_socket(ip: str, port: int, password: str) -> Iterator["Ask"]:
    """A bare Event Socket: nothing of irisx, so that a test of irisx does not judge itself."""
    with socket.create_connection((ip, port), timeout=10) as connection:
        ask = Ask(connection)
        ask.read()
        if "+OK" not in ask(f"auth {password}"):
            raise AssertionError("FreeSWITCH refused the Event Socket password")
        yield ask


class Ask:
    """Calling it sends one command and returns the reply's body, or its Reply-Text."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        self._stream = connection.makefile("rb")

    def __call__(self, command: str) -> str:
        self._connection.sendall(command.encode() + b"\n\n")
        return self.read()

    def read(self) -> str:
        headers = {}
        while line := self._stream.readline().decode().rstrip("\n"):
            name, _, value = line.partition(": ")
            headers[name] = value
        if not headers:
            raise ConnectionResetError("FreeSWITCH closed the Event Socket")
        length = int(headers.get("Content-Length", 0))
        body = self._stream.read(length).decode(errors="replace")
        return body if length else unquote(headers.get("Reply-Text", ""))


RTP_PORTS = 2000


def free_ports(count: int) -> list[int]:
    """Ports free for TCP and UDP alike at this moment; all different.

    They lie below the ephemeral ports, so that no connection of another test takes one meanwhile.
    """
    found: set[int] = set()
    while len(found) < count:
        port = random.randrange(2000, 10000)
        with socket.socket() as tcp, socket.socket(type=socket.SOCK_DGRAM) as udp:
            try:
                tcp.bind(("127.0.0.1", port))
                udp.bind(("127.0.0.1", port))
            except OSError:
                continue
            found.add(port)
    return list(found)


def free_rtp_range() -> int:
    """First port of a range for RTP below the ephemeral ports, its own for each test process."""
    slots = (32000 - 10000) // RTP_PORTS
    return 10000 + (os.getpid() + time.monotonic_ns() // 1000) % slots * RTP_PORTS
