"""Child processes: those that never outlive their parent, and those that read strangers' files."""

import ctypes
import json
import os
import pwd
import resource
import signal
import subprocess
import sys
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext, suppress
from pathlib import Path
from typing import IO, Any

_PR_SET_PDEATHSIG = 1
_LOG_BYTES = 10_000_000  # a longer log is put aside before the next process writes to it
_libc = ctypes.CDLL(None, use_errno=True)


def spawn(
    argv: Sequence[str],
    *,
    log: Path | None = None,
    on_parent_death: signal.Signals = signal.SIGTERM,
    account: pwd.struct_passwd | None = None,
    stdin: int = subprocess.DEVNULL,
) -> "subprocess.Popen[bytes]":
    """Start `argv` in a process group of its own, so that the terminal's Ctrl-C spares it.

    Its output is appended to `log`, or goes where ours goes. The kernel sends it
    `on_parent_death` when the thread that called this ends (prctl(2), PR_SET_PDEATHSIG): call it
    from the main thread.
    `account`: the user to run as.
    """
    parent = os.getpid()

    def before_exec() -> None:
        os.setpgid(0, 0)
        if account is not None:
            os.setgroups([])
            os.setgid(account.pw_gid)
            os.setuid(account.pw_uid)
        # After setuid, which clears it. A parent that died before this line sends no signal.
        _libc.prctl(_PR_SET_PDEATHSIG, int(on_parent_death))
        if os.getppid() != parent:
            os._exit(1)

    with _output(log) as output:
        return subprocess.Popen(  # noqa: S603 - argv is ours
            argv,
            stdin=stdin,
            stdout=output,
            stderr=output,
            preexec_fn=before_exec,
        )


def _output(log: Path | None) -> AbstractContextManager[IO[bytes] | None]:
    if log is None:
        return nullcontext()
    with suppress(FileNotFoundError):
        if log.stat().st_size > _LOG_BYTES:
            log.replace(log.with_suffix(".log.1"))
    return log.open("ab")


def stop(
    process: "subprocess.Popen[bytes]", *, by: signal.Signals = signal.SIGTERM, seconds: float
) -> None:
    """Ask a child to end and kill it if it has not within `seconds`."""
    process.send_signal(by)
    try:
        process.wait(seconds)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


# --- strangers' files ---------------------------------------------------------------------------


class TooSlow(Exception):
    """The process did not finish within its time."""


class Crashed(Exception):
    """The process ended without an answer: killed by a limit, or by what it read."""


def ask_apart(
    module: str, arguments: Sequence[str], data: bytes, *, seconds: float
) -> dict[str, Any]:
    """Run `python -m module arguments…` with `data` on standard input; it answers a JSON object.

    For parsers and decoders of what strangers send: a crash costs one request. The module calls
    `limit` first. Other greenlets go on meanwhile. Raises TooSlow, Crashed.
    """
    try:
        done = subprocess.run(  # noqa: S603 - callers pass no argument of a stranger's
            [sys.executable, "-m", module, *arguments],
            input=data,
            capture_output=True,
            timeout=seconds,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise TooSlow from None
    if done.returncode != 0:
        raise Crashed
    answer: dict[str, Any] = json.loads(done.stdout)
    return answer


def limit(*, cpu_seconds: int, memory_bytes: int) -> None:
    """Bound this process: the kernel ends it beyond `cpu_seconds`, refuses memory beyond that."""
    resource.setrlimit(resource.RLIMIT_CPU, (cpu_seconds, cpu_seconds))
    resource.setrlimit(resource.RLIMIT_AS, (memory_bytes, memory_bytes))
