"""The parent's side of a model process: started by the first request, ended when nobody asks.

A model takes seconds of CPU and hundreds of megabytes, which a gevent process that holds calls or
answers requests must not lend. A process that crashes or hangs costs the request it was at.
"""

import json
import subprocess
import sys
from typing import Any

import gevent
from gevent.lock import BoundedSemaphore

from irisx.intelligence.errors import ProviderError, ProviderTimeout
from irisx.intelligence.local import child
from irisx.kernel.logging import get_logger

log = get_logger(__name__)

_GRACE_SECONDS = 1.0


class ModelHost:
    """One process, one request at a time; further ones wait in order of arrival."""

    def __init__(self, what: str) -> None:
        self._what = what
        self._turn = BoundedSemaphore()
        self._process: subprocess.Popen[bytes] | None = None

    def ask(self, request: dict[str, Any], data: bytes = b"", *, timeout: float) -> dict[str, Any]:
        """The model's answer; `timeout` in seconds, the wait for its turn included.

        Raises ProviderTimeout, ProviderError for what the model can't do.
        """
        late = ProviderTimeout(f"The local model did not finish {self._what} within {timeout:g} s.")
        with gevent.Timeout(timeout, late), self._turn:
            try:
                reply = self._exchange(request, data)
            except BaseException:
                # Half an exchange: what comes next would answer the wrong request.
                self.stop()
                raise
        if "error" in reply:
            raise ProviderError(f"Local {self._what} failed: {reply['error']}.")
        return reply

    def stop(self) -> None:
        """End the process; the next request starts another."""
        process, self._process = self._process, None
        if process is not None:
            process.kill()
            process.wait()

    def _exchange(self, request: dict[str, Any], data: bytes) -> dict[str, Any]:
        frame = json.dumps(request | {"bytes": len(data)}).encode() + b"\n" + data
        for attempt in (1, 2):
            process = self._running()
            try:
                assert process.stdin is not None and process.stdout is not None
                process.stdin.write(frame)
                process.stdin.flush()
                line = process.stdout.readline()
            except BrokenPipeError:
                line = b""
            if line:
                reply: dict[str, Any] = json.loads(line)
                return reply
            # It had ended, idle, just as it was asked; or it crashed on this very request.
            code = process.wait()
            self._process = None
            log.warning("model_process_ended", what=self._what, code=code, attempt=attempt)
        raise ProviderError(f"The process for {self._what} ended (exit status {code}).")

    def _running(self) -> "subprocess.Popen[bytes]":
        if self._process is None or self._process.poll() is not None:
            # Not kernel.child.spawn: it ends when its standard input does, and needs no signal.
            self._process = subprocess.Popen(  # noqa: S603 - no argument is a stranger's
                [sys.executable, "-m", child.__name__],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                start_new_session=True,
            )
        return self._process


TEXTS = ModelHost("reading texts")
RECOGNITION = ModelHost("recognizing speech")
