"""Embedded PostgreSQL and Valkey: they keep data, and never outlive who started them."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pytest
from redis import AuthenticationError, Redis
from sqlalchemy import create_engine, text

from irisx.kernel.embedded import HomeInUse, databases, home_lock, postgres, valkey
from tests.waiting import wait_until

_HOLD = """
import sys
from pathlib import Path
from irisx.kernel.embedded import databases, home_lock
with home_lock(Path(sys.argv[1])), databases(Path(sys.argv[1]), durable=False):
    print("ready", flush=True)
    sys.stdin.read()
"""


def _processes_of(home: Path) -> list[psutil.Process]:
    """The servers' processes: each works in its data directory."""
    running = psutil.process_iter(["cwd"])
    return [process for process in running if (process.info["cwd"] or "").startswith(str(home))]


def _one(url: str, query: str) -> object:
    engine = create_engine(url)
    with engine.begin() as connection:
        value = connection.execute(text(query)).scalar()
    engine.dispose()
    return value


def test_rows_survive_a_restart(tmp_path: Path) -> None:
    with postgres(tmp_path, durable=False) as url:
        engine = create_engine(url)
        with engine.begin() as connection:
            connection.execute(text("CREATE TABLE kept AS SELECT 7 AS n"))
        engine.dispose()
    with postgres(tmp_path, durable=False) as url:
        assert _one(url, "SELECT n FROM kept") == 7


def test_valkey_keeps_its_keys_over_a_restart(tmp_path: Path) -> None:
    with valkey(tmp_path) as url:
        Redis.from_url(url).set("kept", "7")
    with valkey(tmp_path) as url:
        assert Redis.from_url(url).get("kept") == b"7"


def test_valkey_wants_its_password(tmp_path: Path) -> None:
    with valkey(tmp_path, durable=False) as url:
        stranger = Redis(host="127.0.0.1", port=int(url.rpartition(":")[2].partition("/")[0]))
        with pytest.raises(AuthenticationError):
            stranger.ping()


def test_a_home_too_deep_for_a_socket_works(tmp_path: Path) -> None:
    home = tmp_path.joinpath(*["deep" * 5] * 6)
    with postgres(home, durable=False) as url:
        assert _one(url, "SELECT 1") == 1


def test_both_end_with_the_block(tmp_path: Path) -> None:
    with databases(tmp_path, durable=False):
        assert len(_processes_of(tmp_path)) >= 2
    assert _processes_of(tmp_path) == []


def test_both_end_when_their_parent_is_killed(tmp_path: Path) -> None:
    parent = subprocess.Popen(
        [sys.executable, "-c", _HOLD, str(tmp_path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert parent.stdout is not None
    assert parent.stdout.readline() == "ready\n"
    assert len(_processes_of(tmp_path)) >= 2
    parent.send_signal(signal.SIGKILL)
    parent.wait()
    wait_until(lambda: not _processes_of(tmp_path))
    with home_lock(tmp_path), databases(tmp_path, durable=False) as urls:
        assert _one(urls.database, "SELECT 1") == 1


def test_a_home_has_one_holder_who_is_named(tmp_path: Path) -> None:
    named = pytest.raises(HomeInUse, match=f"process {os.getpid()}")
    with home_lock(tmp_path), named, home_lock(tmp_path):
        pass
    with home_lock(tmp_path):
        pass
