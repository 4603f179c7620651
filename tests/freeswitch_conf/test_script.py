"""scripts/freeswitch, with a stand-in for FreeSWITCH that prints how it was called."""

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from tests.switches import free_ports

SCRIPT = Path(__file__).resolve().parents[2] / "scripts" / "freeswitch"


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    stand_in = tmp_path / "stand-in"
    stand_in.write_text('#!/bin/sh\necho "$@"\necho "$IRISX_ESL_PASSWORD $IRISX_XML_TOKEN"\n')
    stand_in.chmod(0o755)
    sip, agents, esl = free_ports(3)
    return {
        "PATH": os.environ["PATH"],
        "FREESWITCH_BIN": str(stand_in),
        "IRISX_HOME": str(tmp_path / "home"),
        "IRISX_TAPS_DIR": str(tmp_path / "taps"),
        "IRISX_SIP_IP": "127.0.0.1",
        "IRISX_SIP_PORT": str(sip),
        "IRISX_SIP_AGENT_PORT": str(agents),
        "IRISX_ESL_PORT": str(esl),
    }


def run(environment: dict[str, str]) -> "subprocess.CompletedProcess[str]":
    return subprocess.run([SCRIPT], env=environment, capture_output=True, text=True)


def test_all_that_freeswitch_writes_is_in_the_home_directory(
    environment: dict[str, str], tmp_path: Path
) -> None:
    arguments = run(environment).stdout.splitlines()[0].split()
    conf = arguments.index("-conf")
    assert Path(arguments.pop(conf + 1)).name == "freeswitch-conf"
    home = tmp_path / "home"
    for argument in arguments:
        assert argument.startswith("-") or Path(argument).is_relative_to(home)
    assert (home / "freeswitch").stat().st_mode & 0o077 == 0
    assert (tmp_path / "taps").is_dir()


def test_missing_secrets_are_made_once_and_kept(
    environment: dict[str, str], tmp_path: Path
) -> None:
    first = run(environment).stdout.splitlines()[1]
    assert run(environment).stdout.splitlines()[1] == first
    password, token = first.split()
    assert password != token
    for name, value in ("esl-password", password), ("xml-token", token):
        path = tmp_path / "home" / name
        assert path.read_text() == value
        assert path.stat().st_mode & 0o777 == 0o600


def test_secrets_that_are_given_are_used(environment: dict[str, str], tmp_path: Path) -> None:
    given = {"IRISX_ESL_PASSWORD": "given-one", "IRISX_XML_TOKEN": "given-two"}
    assert run(environment | given).stdout.splitlines()[1] == "given-one given-two"
    assert not (tmp_path / "home" / "esl-password").exists()


@pytest.mark.parametrize("password", ['a"/><x', "short", "with space", "ä" * 10])
def test_a_secret_that_would_break_the_xml_is_refused(
    environment: dict[str, str], password: str
) -> None:
    done = run(environment | {"IRISX_ESL_PASSWORD": password})
    assert done.returncode == 1
    assert "IRISX_ESL_PASSWORD cannot be used" in done.stderr
    assert password not in done.stderr


@pytest.mark.parametrize("name", ["IRISX_SIP_PORT", "IRISX_SIP_AGENT_PORT", "IRISX_ESL_PORT"])
def test_a_taken_port_is_named(environment: dict[str, str], name: str) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", int(environment[name])))
        taken.listen()
        done = run(environment)
    assert done.returncode == 1
    assert environment[name] in done.stderr
    assert f"Set {name}" in done.stderr


@pytest.mark.parametrize("binary", ["/nowhere/freeswitch", ""])
def test_a_missing_freeswitch_is_explained(environment: dict[str, str], binary: str) -> None:
    done = subprocess.run(
        [sys.executable, SCRIPT],
        env=environment | {"FREESWITCH_BIN": binary, "PATH": "/nowhere"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 1
    assert "FREESWITCH_BIN" in done.stderr
