"""A sandbox switch for tests, in a process of its own on a free port."""

import json
import os
import subprocess
import sys
from pathlib import Path
from types import TracebackType
from typing import Self


class Sandbox:
    """`with Sandbox(directory) as switch: connect(switch.esl_url)`.

    Recordings may be written below `directory`. `arguments` are added to the command line.
    """

    def __init__(self, directory: Path, *arguments: str) -> None:
        self.recordings = directory
        self.arguments = arguments
        self.password = "test-" + os.urandom(8).hex()
        self.port = 0
        self.process: subprocess.Popen[bytes] | None = None

    @property
    def esl_url(self) -> str:
        return f"esl://:{self.password}@127.0.0.1:{self.port}"

    @property
    def log(self) -> str:
        return (self.recordings / "sandbox.log").read_text(errors="replace")

    def start(self) -> Self:
        command = [sys.executable, "-m", "irisx.sandbox", "--password", self.password]
        command += ["--recordings", str(self.recordings), *self.arguments]
        with (self.recordings / "sandbox.log").open("ab") as log:
            self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=log)
        assert self.process.stdout is not None
        said = self.process.stdout.readline()
        if not said:
            raise AssertionError(f"the sandbox did not start:\n{self.log}")
        self.port = json.loads(said)["port"]
        return self

    def stop(self) -> int:
        """End it and return its exit status."""
        assert self.process is not None
        self.process.terminate()
        status = self.process.wait(10)
        assert self.process.stdout is not None
        self.process.stdout.close()
        return status

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()
