"""sipp as the far end of a test: carriers, phones and strangers. Scenarios: tests/sipp/*.xml.

result = call(f"127.0.0.1:{switch.sip_port}", service="+15550100", hold_ms=500)
assert result.successful == 1

with Sipp("uas_answer", local_ip="127.0.0.2") as carrier:
    ...                                 # the carrier listens on carrier.port
assert carrier.result.successful == 1
"""

import csv
import re
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

import pytest

from tests.switches import free_ports
from tests.waiting import wait_until

SCENARIOS = Path(__file__).parent / "sipp"
SIPP = shutil.which("sipp")

needs_sipp = pytest.mark.skipif(SIPP is None, reason="no sipp: install Debian's sip-tester")


@dataclass(frozen=True)
class SippResult:
    """What sipp counted; `messages` is empty where tracing was off."""

    exit_code: int
    successful: int
    failed: int
    messages: list[str]
    """SIP messages in order, each beginning with `sent` or `received` and a line feed."""
    errors: str
    answers_ms: list[float]
    """Request to answer, where the scenario times it and `-trace_rtt` asks for it."""

    @property
    def responses(self) -> list[int]:
        """Status codes that came from the other side."""
        heads = (re.match(r"received\nSIP/2\.0 (\d{3}) ", each) for each in self.messages)
        return [int(head[1]) for head in heads if head]


class Sipp:
    """A sipp process that runs one scenario; `result` waits for its end."""

    def __init__(
        self,
        scenario: str,
        target: str = "",
        *,
        service: str = "+15550100",
        to: str | None = None,
        caller: str = "+15550199",
        caller_name: str = "Ann Caller",
        extra: str = "none",
        domain: str = "irisx.test",
        username: str | None = None,
        password: str | None = None,
        calls: int = 1,
        rate: int = 20,
        hold_ms: int = 500,
        local_ip: str = "127.0.0.1",
        port: int | None = None,
        contact: int | None = None,
        trace: bool = True,
        timeout: float = 60,
        arguments: tuple[str, ...] = (),
        files: Mapping[str, bytes] = {},
    ) -> None:
        """`target` is host:port, empty for a scenario that is called.

        `service` is the called user part, `to` that of the To header if it differs, `rate` in
        calls/s, `hold_ms` the scenario's pause, `extra` the value of an X-Extra header,
        `contact` the port that a registration names, if it is another phone's.
        `username` and `password` answer a digest. Turn `trace` off for thousands of calls.
        `files` lie in the directory that the scenario's own names are of.
        """
        self.port = port or free_ports(1)[0]
        self.local_ip = local_ip
        self._timeout = timeout
        self._directory = Path(tempfile.mkdtemp(prefix="irisx-sipp-"))
        self._result: SippResult | None = None
        for name, content in files.items():
            (self._directory / name).write_bytes(content)
        command = [SIPP or "sipp", "-sf", str(SCENARIOS / f"{scenario}.xml"), "-nostdin"]
        command += ["-i", local_ip, "-mi", local_ip, "-p", str(self.port)]
        command += ["-m", str(calls), "-r", str(rate), "-d", str(hold_ms), "-s", service]
        command += ["-key", "caller", caller, "-key", "caller_name", caller_name]
        command += ["-key", "to", to or service, "-key", "extra", extra, "-key", "domain", domain]
        command += ["-key", "contact", str(contact or self.port)]
        command += ["-au", username or caller, "-ap", password or "none"]
        command += ["-trace_stat", "-stf", str(self._directory / "stat.csv"), "-fd", "1"]
        command += ["-trace_err", "-error_file", str(self._directory / "errors")]
        if trace:
            command += ["-trace_msg", "-message_file", str(self._directory / "messages")]
        command += ["-timeout", str(int(timeout)), "-timeout_error", *arguments]
        if target:
            command.append(target)
        self._output = (self._directory / "output").open("wb")
        self._process = subprocess.Popen(
            command, stdout=self._output, stderr=subprocess.STDOUT, cwd=self._directory
        )
        if not target:
            wait_until(self._listens)

    @property
    def result(self) -> SippResult:
        """The figures of the finished run; fails the test when it does not end by itself."""
        if self._result is None:
            try:
                exit_code = self._process.wait(self._timeout + 10)
            finally:
                self.stop()
            self._result = SippResult(
                exit_code, *self._counts(), self.messages(), self._errors(), self._answers_ms()
            )
            shutil.rmtree(self._directory, ignore_errors=True)
        return self._result

    def messages(self) -> list[str]:
        """The SIP messages so far."""
        text = self._text("messages")
        found = re.findall(r"message (sent|received) .*?:\n\n(.*?)(?=\n-{10,}|\Z)", text, re.DOTALL)
        return [f"{direction}\n{message}" for direction, message in found]

    def wait_for(self, start: str, timeout: float = 10) -> str:
        """The first message received whose first line begins with `start`, as `SIP/2.0 180`."""

        def received() -> str | None:
            head = f"received\n{start}"
            return next((each for each in self.messages() if each.startswith(head)), None)

        return wait_until(received, timeout) or ""

    def stop(self) -> None:
        if self._process.poll() is None:
            self._process.kill()
            self._process.wait()
        self._output.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if error is not None:
            self.stop()
        else:
            _ = self.result

    def _listens(self) -> bool:
        if self._process.poll() is not None:
            raise AssertionError(f"sipp did not run:\n{self._text('output')}")
        with socket.socket(type=socket.SOCK_DGRAM) as probe:
            try:
                probe.bind((self.local_ip, self.port))
            except OSError:
                return True
        return False

    def _counts(self) -> tuple[int, int]:
        rows = list(csv.DictReader(self._text("stat.csv").splitlines(), delimiter=";"))
        if not rows:
            raise AssertionError(f"sipp did not run:\n{self._text('output')}")
        return int(rows[-1]["SuccessfulCall(C)"]), int(rows[-1]["FailedCall(C)"])

    def _answers_ms(self) -> list[float]:
        """sipp's own table of `rtd` times: date; milliseconds; name."""
        lines = "".join(file.read_text() for file in self._directory.glob("*_rtt.csv")).splitlines()
        return [float(line.split(";")[1]) for line in lines if line[:1].isdigit()]

    def _errors(self) -> str:
        return self._text("errors")

    def _text(self, name: str) -> str:
        path = self._directory / name
        return path.read_text(errors="replace") if path.exists() else ""


_KEYS = {"*": "star", "#": "pound"}
_PRESS = """  <pause milliseconds="{pause}"/>
  <nop><action><exec play_pcap_audio="/usr/share/sip-tester/dtmf_2833_{key}.pcap"/></action></nop>
"""


def presses(digits: str) -> str:
    """A scenario that presses these digits, 0.5 s apart: for `Sipp`. A blank waits 1 s."""
    before, _, rest = (SCENARIOS / "uac_digits.xml").read_text().partition("  <pause milli")
    after = rest[rest.index("  <pause/>") :]
    keys, pause = "", 500
    for digit in digits:
        if digit == " ":
            pause += 1000
            continue
        keys += _PRESS.format(pause=pause, key=_KEYS.get(digit, digit))
        pause = 500
    path = Path(tempfile.mkdtemp(prefix="irisx-sipp-")) / "presses"
    path.with_suffix(".xml").write_text(before + keys + after)
    return str(path)


def plays(file: Path) -> str:
    """A scenario that answers, plays a headerless µ-law file and stays: for `Sipp`."""
    head, acked, rest = (
        (SCENARIOS / "uas_stays.xml").read_text().partition('<recv request="ACK"/>\n')
    )
    play = f'  <nop><action><exec rtp_stream="{file},1,0,PCMU/8000"/></action></nop>\n'
    path = Path(tempfile.mkdtemp(prefix="irisx-sipp-")) / "plays"
    path.with_suffix(".xml").write_text(head + acked + play + rest)
    return str(path)


def wideband() -> str:
    """The scenario `uas_stays` with G.722 as its only codec: for `Sipp`."""
    text = (SCENARIOS / "uas_stays.xml").read_text()
    text = text.replace("RTP/AVP 0 101", "RTP/AVP 9 101").replace("0 PCMU/8000", "9 G722/8000")
    path = Path(tempfile.mkdtemp(prefix="irisx-sipp-")) / "wideband"
    path.with_suffix(".xml").write_text(text)
    return str(path)


def call(target: str, scenario: str = "uac", **options: object) -> SippResult:
    """Run a calling scenario to its end. Options as for `Sipp`."""
    return Sipp(scenario, target, **options).result  # type: ignore[arg-type]
