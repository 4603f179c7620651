"""Taps over Redis: requests, reports, signs of life, what a killed process left behind."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import gevent
import numpy as np
import pytest

from irisx.media.taps import Consumer, Report, Start, Stop, Tap, Tell, messages, reader
from irisx.media.taps.consumer import Samples
from irisx.media.taps.service import TapService
from irisx.settings import get_settings
from tests.waiting import wait_until

NODE = "127.0.0.1:1"


class Loud(Consumer):
    """Reports the first loud frame."""

    def __init__(self, tap: Tap, args: dict[str, Any]) -> None:
        self._tap = tap

    def hear(self, said: Samples, heard: Samples | None) -> None:
        if np.abs(said.astype(int)).max() > 1000:
            self._tap.report("loud", {"peak": int(said.max())})
            self._tap.close()

    def told(self, type: str, data: dict[str, Any]) -> None:
        self._tap.report(f"heard {type}", data)


@pytest.fixture
def directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(get_settings(), "taps_dir", tmp_path)
    return tmp_path


@pytest.fixture
def service(directory: Path) -> Iterator[None]:
    greenlet = gevent.spawn(TapService({"loud": Loud}).run)
    wait_until(lambda: messages.is_alive(NODE))
    yield
    greenlet.kill()


def reports() -> Iterator[Report]:
    while (found := messages.reports([NODE], 5.0)) is not None:
        yield found[1]


def test_a_consumer_is_told_what_the_engine_says(service: None) -> None:
    request = Start(NODE, "a-call", "loud", {})
    messages.ask(NODE, request)
    messages.ask(NODE, Tell("nobody", "played", {"play": 1}))
    messages.ask(NODE, Tell(request.id, "played", {"play": 2}))
    said = reports()
    assert next(said).type == messages.RESTARTED
    heard = next(said)
    assert (heard.tap, heard.type, heard.data) == (request.id, "heard played", {"play": 2})


def test_an_engine_is_told_of_a_start_and_of_what_a_consumer_found(
    service: None, directory: Path
) -> None:
    request = Start(NODE, "a-call", "loud", {})
    messages.ask(NODE, request)
    (directory / f"{request.id}.r8").write_bytes(np.full(1600, 2000, np.int16).tobytes())
    told = reports()
    assert next(told).type == messages.RESTARTED
    loud, ended = next(told), next(told)
    assert (loud.tap, loud.call, loud.type, loud.data) == (
        request.id,
        "a-call",
        "loud",
        {"peak": 2000},
    )
    assert (ended.type, ended.data) == ("ended", {"cause": "closed"})
    assert list(directory.iterdir()) == []


def test_a_stop_ends_a_tap(service: None, directory: Path) -> None:
    request = Start(NODE, "a-call", "loud", {})
    messages.ask(NODE, request)
    file = directory / f"{request.id}.r8"
    file.write_bytes(bytes(320))
    wait_until(lambda: not file.exists())
    messages.ask(NODE, Stop(request.id))
    causes = [next(told).data.get("cause") for told in [reports()] for _ in range(2)]
    assert causes == [None, "stopped"]


def test_files_that_nobody_follows_are_removed(
    directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reader, "_FORGET_EVERY_SECONDS", 0.05)
    (directory / "left-by-a-killed-reader.r8").write_bytes(bytes(320))
    greenlet = gevent.spawn(TapService({}).run)
    wait_until(lambda: list(directory.iterdir()) == [])
    greenlet.kill()


def test_nodes_have_the_names_that_engines_give_them(monkeypatch: pytest.MonkeyPatch) -> None:
    from irisx.telephony.esl.connection import Address

    monkeypatch.setattr(get_settings(), "esl_url", "esl://:a@10.0.0.1,esl://:b@fs.example.com:8022")
    urls = (get_settings().esl_url or "").split(",")
    assert get_settings().nodes == tuple(str(Address.parse(url)) for url in urls)
