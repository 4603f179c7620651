"""The sandbox needs no database: it is a process of its own."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.sandbox.client import Client
from tests.sandbox.process import Sandbox


@pytest.fixture(autouse=True)
def empty_databases() -> None:
    """Instead of the fixture that empties the tables after every other test."""


@pytest.fixture(scope="module")
def sandbox(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sandbox]:
    """Faster than life: what a test waits for is then longer to the switch, never shorter."""
    with Sandbox(tmp_path_factory.mktemp("sandbox"), "--speed", "4") as process:
        yield process


@pytest.fixture
def client(sandbox: Sandbox) -> Iterator[Client]:
    """A connection that hears every event; the calls of the test end with it."""
    with Client(sandbox.port, sandbox.password) as connection:
        connection.command("event plain ALL")
        yield connection
        connection.api("hupall")


@pytest.fixture
def recordings(sandbox: Sandbox) -> Path:
    return sandbox.recordings


@pytest.fixture(scope="module")
def fast_sandbox(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sandbox]:
    """A sandbox that runs twenty times faster."""
    with Sandbox(tmp_path_factory.mktemp("sandbox"), "--speed", "20") as process:
        yield process
