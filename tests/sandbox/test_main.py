"""The process: what it refuses, what it says, how it ends."""

import subprocess
import sys
from pathlib import Path

import pytest

from irisx.sandbox.__main__ import is_loopback, parse_arguments
from tests.sandbox.client import Client
from tests.sandbox.process import Sandbox


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        ([], "a password is needed"),
        (["--password", "x", "--host", "0.0.0.0"], "is not loopback"),
        (["--password", "x", "--host", "example.com"], "is not loopback"),
        (["--password", "x", "--speed", "0"], "--speed must be positive"),
        (["--password", "x", "--speed", "2", "--sip", "127.0.0.1:5099"], "need --speed 1"),
    ],
)
def test_what_it_refuses(
    arguments: list[str], complaint: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        parse_arguments(arguments)
    assert complaint in capsys.readouterr().err


def test_an_address_of_the_network_needs_a_flag() -> None:
    settings = parse_arguments(["--password", "x", "--host", "0.0.0.0", "--allow-remote"])
    assert settings.host == "0.0.0.0"


@pytest.mark.parametrize("host", ["127.0.0.1", "127.1.2.3", "::1", "localhost"])
def test_loopback(host: str) -> None:
    assert is_loopback(host)


def test_it_says_what_it_is_and_ends_at_once_with_calls_up(tmp_path: Path) -> None:
    sandbox = Sandbox(tmp_path).start()
    with Client(sandbox.port, sandbox.password) as client:
        client.command("event plain ALL")
        client.parked()
        assert "sandbox" in client.api("version").lower()
        assert "sandbox" in client.api("status").lower()
        assert client.api("global_getvar irisx_sandbox") == "true"
        assert client.api("global_getvar recordings_dir") == str(tmp_path)
        assert client.api("fsctl api_expansion") == "+OK api_expansion is off \n"
    assert sandbox.stop() == 0
    assert sandbox.log == ""


def test_it_shares_nothing_with_the_engine() -> None:
    """No gevent, and none of the other rooms."""
    code = (
        "import sys, irisx.sandbox.__main__, irisx.sandbox.sip;"
        "print([name for name in sys.modules if name.split('.')[0] in ('gevent', 'sqlalchemy')"
        " or name.startswith('irisx.') and not name.startswith('irisx.sandbox')])"
    )
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert said.stdout.strip() == "[]"
