"""`GET /v1/events`, read as a client does: over a socket, line by line."""

import json
from collections.abc import Callable, Iterator

import gevent
import pytest
import requests
from flask import Flask
from gevent.pywsgi import WSGIServer

from irisx.api.v1 import events as view
from irisx.kernel import clock, event_stream, events
from irisx.kernel.db import transaction
from irisx.kernel.event_stream import EventStreams
from irisx.tenancy.models import Tenant
from tests.api.client import ApiClient
from tests.waiting import wait_until


class Reader:
    """An EventSource: collects messages until its stream ends."""

    def __init__(self, url: str, headers: dict[str, str]) -> None:
        self.response = requests.get(url, headers=headers, stream=True, timeout=20)
        self.messages: list[dict[str, str]] = []
        self.lines: list[str] = []
        self.greenlet = gevent.spawn(self._read)

    def _read(self) -> None:
        message: dict[str, str] = {}
        for line in self.response.iter_lines(chunk_size=1, decode_unicode=True):
            self.lines.append(line)
            if not line and "data" in message:
                self.messages.append(message)
            if not line:
                message = {}
            elif not line.startswith(":"):
                name, _, value = line.partition(": ")
                message[name] = value

    @property
    def types(self) -> list[str]:
        return [message["event"] for message in self.messages]

    def close(self) -> None:
        self.greenlet.kill()
        self.response.close()


@pytest.fixture
def server(app: Flask, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    monkeypatch.setattr(view, "streams", EventStreams())
    server = WSGIServer(("127.0.0.1", 0), app, log=None)
    server.start()
    yield f"http://127.0.0.1:{server.server_port}"
    view.streams.stop()
    server.stop(timeout=1)


@pytest.fixture
def read(server: str, client: ApiClient) -> Iterator[Callable[..., Reader]]:
    """`read("?types=…", last="…")`: a reader that has been let in."""
    readers: list[Reader] = []

    def open_stream(query: str = "", last: str | None = None, by: ApiClient = client) -> Reader:
        headers = by.headers | ({"Last-Event-ID": last} if last else {})
        reader = Reader(f"{server}/v1/events{query}", headers)
        readers.append(reader)
        assert reader.response.status_code == 200
        wait_until(lambda: reader.lines)
        return reader

    yield open_stream
    for reader in readers:
        reader.close()


def happened(tenant: Tenant, *types: str) -> None:
    for type in types:
        with transaction() as session:
            events.publish(
                session,
                key=f"{tenant.id} {type} {clock.now()}",
                tenant_id=tenant.id,
                type=type,
                data={"sid": "CA1", "note": "line one\nline two"},
                occurred_at=clock.now(),
            )


def test_events_arrive_as_they_happen(read, tenant: Tenant, client: ApiClient) -> None:
    reader = read()
    assert reader.response.headers["Content-Type"].startswith("text/event-stream")
    happened(tenant, "call.ringing", "call.completed")
    wait_until(lambda: len(reader.messages) == 2)
    assert reader.types == ["call.ringing", "call.completed"]
    body = json.loads(reader.messages[1]["data"])
    assert body["type"] == "call.completed"
    assert body["data"]["note"] == "line one\nline two"
    assert body["timestamp"].endswith("Z")


def test_a_reader_resumes_behind_the_last_event(read, tenant: Tenant) -> None:
    reader = read()
    happened(tenant, "call.initiated", "call.ringing")
    wait_until(lambda: len(reader.messages) == 2)
    reader.close()
    happened(tenant, "call.answered", "call.completed")
    again = read(last=reader.messages[0]["id"])
    wait_until(lambda: len(again.messages) == 3)
    assert again.types == ["call.ringing", "call.answered", "call.completed"]


def test_types_are_filtered(read, tenant: Tenant) -> None:
    reader = read("?types=call.completed,call.failed")
    happened(tenant, "call.ringing", "call.failed")
    wait_until(lambda: reader.messages)
    assert reader.types == ["call.failed"]


def test_another_tenant_s_events_are_not_shown(
    read, tenant: Tenant, make_tenant, client_for: Callable[..., ApiClient]
) -> None:
    other = make_tenant("Other")
    reader = read(by=client_for(other))
    happened(tenant, "call.ringing")
    happened(other, "call.failed")
    wait_until(lambda: reader.messages)
    assert reader.types == ["call.failed"]


def test_streams_of_a_tenant_are_bounded_and_free_again(
    read, server: str, client: ApiClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(event_stream, "MAX_STREAMS", 1)
    monkeypatch.setattr(event_stream, "KEEP_ALIVE_SECONDS", 0.05)
    reader = read()
    assert client.get("/v1/events", status=429)["code"] == "TOO_MANY_STREAMS"
    reader.close()
    # The server notices a reader that has gone when it next says something.
    wait_until(lambda: not view.streams._open)
    read()


def test_a_stop_ends_open_streams_cleanly(read) -> None:
    reader = read()
    view.streams.stop()
    reader.greenlet.get(timeout=2)


@pytest.mark.parametrize(
    ("query", "headers", "field"),
    [
        ("?types=call.flown", {}, "types"),
        ("?types=", {}, "types"),
        ("", {"Last-Event-ID": "nonsense"}, "Last-Event-ID"),
        ("", {"Last-Event-ID": "9" * 40 + "-1"}, "Last-Event-ID"),
    ],
)
def test_a_faulty_request_is_refused(client: ApiClient, query: str, headers, field: str) -> None:
    fault = client.get(f"/v1/events{query}", status=400, headers=headers)
    assert [detail["field"] for detail in fault["details"]] == [field]
