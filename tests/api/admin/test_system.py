"""`/admin/system`."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from irisx.kernel.clock import isoformat, now
from irisx.kernel.redis import redis
from irisx.settings import get_settings
from irisx.tenancy import nodes
from tests.api.client import ApiClient

REPORT = {
    "host": "127.0.0.1:8021",
    "up": True,
    "core_uuid": "c0",
    "version": "1.10.12",
    "api_expansion": False,
    "calls": 3,
    "max_calls": 1000,
    "draining": False,
    "engine": "e1",
}


@pytest.fixture
def report() -> Callable[..., None]:
    """`report("fs1", up=False)`: an engine reports a node."""

    def write(name: str, **changes: object) -> None:
        said = REPORT | {"seen_at": isoformat(now())} | changes
        redis().hset(nodes.REPORTS, name, json.dumps(said))

    return write


def test_nodes_are_shown_as_engines_report_them(
    admin: ApiClient, report: Callable[..., None]
) -> None:
    report("fs1")
    report("fs2", api_expansion=True)
    report("fs3", seen_at=0)
    found = {node["name"]: node for node in admin.get("/admin/system/health")["nodes"]}
    assert (found["fs1"]["up"], found["fs1"]["calls"], found["fs1"]["problems"]) == (True, 3, [])
    assert found["fs2"]["up"]
    assert "api-expansion" in found["fs2"]["problems"][0]
    assert not found["fs3"]["up"]


def test_a_node_is_drained_and_engines_see_it(
    admin: ApiClient, report: Callable[..., None]
) -> None:
    report("fs1")
    admin.post("/admin/system/nodes/fs1/drain")
    assert redis().smembers(nodes.DRAINING) == {b"fs1"}
    redis().flushall()
    nodes.publish_draining()  # the truth is in the database
    assert redis().smembers(nodes.DRAINING) == {b"fs1"}
    report("fs1")
    assert admin.get("/admin/system/health")["nodes"][0]["draining"]
    admin.post("/admin/system/nodes/fs1/undrain")
    assert redis().smembers(nodes.DRAINING) == set()


def test_an_unknown_node_can_not_be_drained(admin: ApiClient) -> None:
    admin.post("/admin/system/nodes/fs9/drain", status=404)


def test_the_configuration_shows_no_secret(
    admin: ApiClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("IRISX_ESL_URL", "esl://:ClueCon9@127.0.0.1:8021")
    get_settings.cache_clear()
    body = json.dumps(admin.get("/admin/system/config"))
    assert "127.0.0.1:8021" in body
    for secret in ("ClueCon9", "only for tests", "admin-token-of", "xml-token-of"):
        assert secret not in body


@pytest.fixture
def log_dir(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.setenv("IRISX_LOG_DIR", str(tmp_path))
    get_settings.cache_clear()
    yield tmp_path
    monkeypatch.undo()
    get_settings.cache_clear()


def test_logs_of_all_parts_in_order_by_level(admin: ApiClient, log_dir: Path) -> None:
    def line(at: int, level: str, **fields: object) -> str:
        return json.dumps({"timestamp": f"2026-01-01T00:00:0{at}Z", "level": level, **fields})

    (log_dir / "api.log").write_text(
        "not json\n" + line(2, "info", event="b", password="p") + "\n" + line(3, "debug", event="x")
    )
    (log_dir / "engine.log").write_text(line(1, "error", event="a") + "\n" + '{"level": "fatal"}')
    entries = admin.get("/admin/system/logs")["data"]["entries"]
    assert [(e["part"], e["event"]) for e in entries] == [("engine", "a"), ("api", "b")]
    assert entries[1]["fields"] == {"password": "[hidden]"}
    errors = admin.get("/admin/system/logs?level=error")["data"]["entries"]
    assert [e["event"] for e in errors] == ["a"]
    newest = admin.get("/admin/system/logs?limit=1")["data"]["entries"]
    assert [e["event"] for e in newest] == ["b"]
    assert admin.get("/admin/system/logs?part=media")["data"]["entries"] == []


def test_without_log_files_it_says_so(admin: ApiClient) -> None:
    assert admin.get("/admin/system/logs", status=404)["code"] == "LOGS_NOT_KEPT"


def test_metrics_come_from_the_system(admin: ApiClient) -> None:
    body = admin.get("/admin/system/metrics")
    assert body["live_calls"] == {"initiated": 0, "ringing": 0, "in-progress": 0}
    assert body["database"]["size_bytes"] > 0
    assert body["redis"]["connected_clients"] > 0
