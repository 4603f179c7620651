"""Who holds a node, on a real Valkey and the sandbox switch."""

import json
import os
import time
from collections.abc import Iterator

import pytest
from redis import Redis

from irisx.kernel.redis import redis
from irisx.telephony.calls.journal import Journal
from irisx.telephony.esl import commands
from irisx.telephony.lease import TTL_SECONDS, Leases
from irisx.telephony.switch import Switch
from tests.contract.sandbox import sandbox_switch
from tests.waiting import wait_until


@pytest.fixture(scope="module")
def sandbox_url() -> Iterator[str]:
    with sandbox_switch() as url:
        yield url


@pytest.fixture
def switch(sandbox_url: str, tmp_path: os.PathLike[str]) -> Iterator[Switch]:
    made = Switch(
        sandbox_url,
        sandbox=True,
        journal=Journal(tmp_path / "spool"),  # type: ignore[operator]
        on_event=lambda switch, event: None,
        on_up=lambda switch: None,
        on_down=lambda switch, reason: None,
    )
    made.connection.start()
    assert made.connection.wait_up(5)
    made.connection.api(commands.global_setvar("irisx_engine", ""))
    yield made
    made.connection.close()


def foreign(**differs: object) -> bytes:
    """A lease of an engine on another machine."""
    return json.dumps({"engine": "other", "host": "elsewhere", "pid": 1, **differs}).encode()


def test_a_lease_is_kept_from_another_engine_until_it_is_released(switch: Switch) -> None:
    mine, theirs = Leases(), Leases()
    assert mine.hold(switch) and mine.hold(switch)
    assert not theirs.hold(switch)
    mine.release(switch)
    assert theirs.hold(switch)


def test_a_lease_that_is_not_renewed_runs_out(switch: Switch) -> None:
    redis().set("irisx:node:sandbox", foreign(), px=300)
    assert not Leases().hold(switch)
    wait_until(lambda: Leases().hold(switch), TTL_SECONDS + 1)


def test_an_engine_on_this_machine_that_is_dead_has_none(switch: Switch) -> None:
    dead = foreign(host=Leases()._me["host"], pid=2**22 + 1)
    redis().set("irisx:node:sandbox", dead, px=60_000)
    assert Leases().hold(switch)


def test_a_release_does_not_take_another_engines_lease(switch: Switch) -> None:
    redis().set("irisx:node:sandbox", foreign())
    Leases().release(switch)
    assert redis().get("irisx:node:sandbox") == foreign()


def test_without_redis_the_node_itself_says_who_was_there_last(
    switch: Switch, monkeypatch: pytest.MonkeyPatch
) -> None:
    away = Redis.from_url("redis://127.0.0.1:1", socket_connect_timeout=0.2)
    mine, theirs = Leases(), Leases()
    monkeypatch.setattr("irisx.telephony.lease.redis", lambda: away)
    assert mine.hold(switch)
    assert not theirs.hold(switch)
    assert mine.hold(switch)
    now = time.time()
    monkeypatch.setattr("irisx.telephony.lease.time.time", lambda: now + TTL_SECONDS + 1)
    assert theirs.hold(switch)
