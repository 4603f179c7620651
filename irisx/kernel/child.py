"""Child processes that never outlive their parent, even one that was killed."""

import ctypes
import os
import pwd
import signal
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

_PR_SET_PDEATHSIG = 1
_libc = ctypes.CDLL(None, use_errno=True)


def spawn(
    argv: Sequence[str],
    *,
    log: Path,
    on_parent_death: signal.Signals = signal.SIGTERM,
    account: pwd.struct_passwd | None = None,
    env: Mapping[str, str] | None = None,
) -> "subprocess.Popen[bytes]":
    """Start `argv` in a process group of its own, so that the terminal's Ctrl-C spares it.

    Its output is appended to `log`. The kernel sends it `on_parent_death` when the thread that
    called this ends (prctl(2), PR_SET_PDEATHSIG): call it from the main thread.
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

    with log.open("ab") as output:
        return subprocess.Popen(  # noqa: S603 - argv is ours
            argv,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            env=env,
            preexec_fn=before_exec,
        )


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
