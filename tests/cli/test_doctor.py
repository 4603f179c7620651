"""irisx doctor names what is wrong and what to do."""

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner
from gevent.server import StreamServer
from gevent.socket import socket
from sqlalchemy import text

from irisx.cli import doctor, irisx
from irisx.intelligence.knowledge import search
from irisx.kernel import db, health
from irisx.settings import get_settings
from tests.contract.sandbox import sandbox_switch
from tests.switches import free_ports

Examine = Callable[..., dict[str, str]]


@pytest.fixture
def examine(monkeypatch: pytest.MonkeyPatch) -> Iterator[Examine]:
    """`examine(IRISX_ESL_URL=…)`: each subject's lines, under these settings."""

    def run(**environment: str) -> dict[str, str]:
        for name, value in environment.items():
            monkeypatch.setenv(name, value)
        get_settings.cache_clear()
        result = CliRunner().invoke(irisx, ["doctor"])
        assert result.exit_code == int("WRONG" in result.output), result.output
        return _by_subject(result.output)

    yield run
    get_settings.cache_clear()


def _by_subject(output: str) -> dict[str, str]:
    found: dict[str, str] = {}
    subject = ""
    for line in output.splitlines():
        if not line.startswith(" "):
            subject = line[6:32].strip()
        found[subject] = found.get(subject, "") + line + "\n"
    return found


@pytest.fixture
def switch() -> Iterator[Callable[..., str]]:
    """`switch(expansion="on")`: URL of a FreeSWITCH that answers so."""
    servers = []

    def start(expansion: str = "off", addresses: str = "<!-- served by IRISX -->") -> str:
        answers = {
            b"api version": "FreeSWITCH Version 1.10.12",
            b"api fsctl api_expansion": f"+OK api_expansion is {expansion}",
            b"api xml_locate": addresses,
        }

        def serve(connection: socket, _address: object) -> None:
            connection.sendall(b"Content-Type: auth/request\n\n")
            buffer = b""
            while data := connection.recv(4096):
                buffer += data
                while b"\n\n" in buffer:
                    command, _, buffer = buffer.partition(b"\n\n")
                    connection.sendall(_reply(command, answers))

        server = StreamServer(("127.0.0.1", 0), serve)
        server.start()
        servers.append(server)
        return f"esl://:secret@127.0.0.1:{server.server_port}"

    yield start
    for server in servers:
        server.stop()


def _reply(command: bytes, answers: dict[bytes, str]) -> bytes:
    if command.startswith(b"auth"):
        return b"Content-Type: command/reply\nReply-Text: +OK accepted\n\n"
    [body] = [text for start, text in answers.items() if command.startswith(start)]
    return f"Content-Type: api/response\nContent-Length: {len(body)}\n\n{body}".encode()


def test_what_answers_is_well(examine: Examine) -> None:
    found = examine()
    assert found["database"].startswith("ok")
    assert found["redis"].startswith("ok")
    assert found["recordings"].startswith("ok")


def test_a_database_that_is_away_is_named_with_its_fix(examine: Examine) -> None:
    db.engine.cache_clear()
    found = examine(IRISX_DATABASE_URL="postgresql+psycopg2://u@127.0.0.1:1/x")
    db.engine.cache_clear()
    assert "refused" in found["database"]
    assert "fix: start `irisx up`, or set IRISX_DATABASE_URL" in found["database"]


def test_pgvector_that_is_missing_is_named_with_its_fix(
    examine: Examine, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert examine()["pgvector"].startswith("ok")
    monkeypatch.setattr(search, "_HAS_PGVECTOR", text("SELECT false"))
    assert "fix: CREATE EXTENSION vector" in examine()["pgvector"]
    monkeypatch.setattr(doctor, "_VECTOR_INSTALLED", text("SELECT false"))
    assert "fix: install pgvector" in examine()["pgvector"]


def test_a_switch_that_is_away_is_named_with_its_setting(examine: Examine) -> None:
    port = free_ports(1)[0]
    found = examine(IRISX_ESL_URL=f"esl://:secret@127.0.0.1:{port}")
    assert found[f"switch 127.0.0.1:{port}"].startswith("WRONG")
    assert "IRISX_ESL_URL" in found[f"switch 127.0.0.1:{port}"]


def test_an_esl_url_that_is_none_is_named(examine: Examine) -> None:
    assert "not esl://" in examine(IRISX_ESL_URL="127.0.0.1:8021")["switch"]


def test_a_freeswitch_that_is_well_has_one_line(
    examine: Examine, switch: Callable[..., str]
) -> None:
    url = switch()
    found = examine(IRISX_ESL_URL=url)[f"switch {url.partition('@')[2]}"]
    assert found.startswith("ok")
    assert found.count("\n") == 1


def test_api_expansion_that_is_on_is_wrong(examine: Examine, switch: Callable[..., str]) -> None:
    url = switch(expansion="on")
    found = examine(IRISX_ESL_URL=url)[f"switch {url.partition('@')[2]}"]
    assert 'fix: set <param name="api-expansion" value="false"/>' in found


def test_a_freeswitch_without_our_xml_token_is_wrong(
    examine: Examine, switch: Callable[..., str]
) -> None:
    url = switch(addresses="<configuration name='acl.conf'/>")
    found = examine(IRISX_ESL_URL=url)[f"switch {url.partition('@')[2]}"]
    assert "IRISX_XML_TOKEN" in found


def test_the_sandbox_is_well_with_its_password_only(examine: Examine) -> None:
    with sandbox_switch() as url:
        subject = f"switch {url.partition('@')[2]}"
        assert examine(IRISX_SANDBOX_ESL_URL=url)[subject].startswith("ok")
        wrong = f"esl://:wrong@{url.partition('@')[2]}"
        assert examine(IRISX_SANDBOX_ESL_URL=wrong)[subject].startswith("WRONG")


def test_parts_are_well_while_they_say_so(examine: Examine, tmp_path: Path) -> None:
    found = examine(IRISX_HOME=str(tmp_path))
    assert "never started" in found["engine"]
    health.announce_ready("engine")
    assert f"alive (process {os.getpid()})" in examine()["engine"]


def test_recordings_that_cannot_be_written_are_wrong(examine: Examine, tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.touch()
    assert "fix:" in examine(IRISX_RECORDINGS_DIR=str(file))["recordings"]


def test_taps_on_a_disk_are_wrong(examine: Examine) -> None:
    assert examine(IRISX_TAPS_DIR="/dev/shm/irisx-taps")["taps"].startswith("ok")
    assert "fix: set IRISX_TAPS_DIR" in examine(IRISX_TAPS_DIR="/usr")["taps"]
