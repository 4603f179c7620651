"""Child processes that never outlive their parent, even one that was killed."""

import ctypes
import os
import pwd
import signal
import subprocess
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext, suppress
from pathlib import Path
from typing import IO

_PR_SET_PDEATHSIG = 1
_LOG_BYTES = 10_000_000  # a longer log is put aside before the next process writes to it
_libc = ctypes.CDLL(None, use_errno=True)


def spawn(
    argv: Sequence[str],
    *,
    log: Path | None = None,
    on_parent_death: signal.Signals = signal.SIGTERM,
    account: pwd.struct_passwd | None = None,
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
            stdin=subprocess.DEVNULL,
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
