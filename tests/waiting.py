"""Waiting for a condition: the tests' only way to let time pass."""

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


def wait_until(predicate: Callable[[], T], timeout: float = 5.0, interval: float = 0.02) -> T:
    """The first truthy value that `predicate` returns; AssertionError after `timeout` seconds."""
    deadline = time.monotonic() + timeout
    while not (value := predicate()):
        if time.monotonic() > deadline:
            raise AssertionError(f"{predicate!r} was not true within {timeout} s: {value!r}")
        time.sleep(interval)
    return value
