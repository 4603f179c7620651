"""The sandbox switch as a process, for the contract."""

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from irisx.settings import get_settings

_PASSWORD = "sandbox-of-the-tests"


@contextmanager
def sandbox_switch(*arguments: str) -> Iterator[str]:
    """A sandbox on a free port; its ESL URL. `arguments`: more of its command line."""
    settings = get_settings()
    settings.recording_path.mkdir(parents=True, exist_ok=True)
    command = [sys.executable, "-m", "irisx.sandbox", "--password", _PASSWORD]
    for directory in (settings.recording_path, settings.taps_path):
        command += ["--recordings", str(directory)]
    command += arguments
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    try:
        port = json.loads(process.stdout.readline())["port"]
        yield f"esl://:{_PASSWORD}@127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait(timeout=5)
