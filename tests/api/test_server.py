"""The API as a process of its own, over a real socket; the last test ends it."""

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from timeit import timeit

import pytest
import requests

from irisx.kernel.health import readiness
from tests.switches import free_ports
from tests.waiting import wait_until

START = (
    "from gevent import monkey; monkey.patch_all();"
    "from psycogreen.gevent import patch_psycopg; patch_psycopg();"
    "from irisx.api.server import main; main()"
)


@pytest.fixture(scope="module")
def server() -> Iterator[tuple[str, "subprocess.Popen[bytes]"]]:
    port = free_ports(1)[0]
    process = subprocess.Popen(
        [sys.executable, "-c", START], env=os.environ | {"IRISX_PORT": str(port)}
    )
    url = f"http://127.0.0.1:{port}"
    try:
        wait_until(lambda: _answers(url), 20)
        yield url, process
    finally:
        process.kill()
        process.wait()


def _answers(url: str) -> bool:
    try:
        return requests.get(f"{url}/livez", timeout=2).ok
    except requests.ConnectionError:
        return False


def test_an_answer_does_not_wait_for_the_clients_acknowledgement(
    server: tuple[str, "subprocess.Popen[bytes]"],
) -> None:
    """Without TCP_NODELAY each answer on a kept connection takes a delayed ACK, 40 ms."""
    url, _ = server
    with requests.Session() as session:
        seconds = [
            timeit(lambda: session.get(f"{url}/livez", timeout=5), number=1) for _ in range(9)
        ]
    assert min(seconds[1:]) < 0.030


def test_a_chunked_body_above_the_limit_is_refused(
    server: tuple[str, "subprocess.Popen[bytes]"],
) -> None:
    url, _ = server

    def body() -> Iterator[bytes]:
        for _ in range(40):
            yield b" " * 65_536

    response = requests.post(
        f"{url}/v1/auth/login",
        data=body(),
        headers={"Content-Type": "application/json"},
        timeout=10,
    )
    assert response.status_code == 413
    assert response.json()["code"] == "REQUEST_ENTITY_TOO_LARGE"


def test_rubbish_on_the_socket_is_a_bad_request(
    server: tuple[str, "subprocess.Popen[bytes]"],
) -> None:
    url, _ = server
    port = int(url.rpartition(":")[2])
    with socket.create_connection(("127.0.0.1", port), timeout=5) as raw:
        raw.sendall(b"\x16\x03\x01\x00garbage\r\n\r\n")
        assert raw.recv(1000).startswith(b"HTTP/1.1 400")
    assert _answers(url)


def test_it_says_that_it_is_ready_and_ends_on_sigterm(
    server: tuple[str, "subprocess.Popen[bytes]"],
) -> None:
    url, process = server
    wait_until(lambda: (said := readiness("api")) is not None and said.pid == process.pid, 5)
    idle = requests.Session()
    idle.get(f"{url}/livez", timeout=2)  # an idle keep-alive connection holds nothing up
    process.send_signal(signal.SIGTERM)
    assert process.wait(3) == 0
