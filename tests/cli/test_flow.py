"""`irisx flow`, as an administrator types it."""

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from irisx.cli import irisx
from irisx.tenancy.models import Tenant

FLOW: dict[str, Any] = {
    "name": "Main Menu",
    "entry_point": "ask",
    "nodes": [
        {
            "id": "ask",
            "type": "menu",
            "config": {"text": "Sales 1, support 2.", "attempts": 1},
            "branches": {"1": "sales", "2": "support", "timeout": "support"},
        },
        {"id": "sales", "type": "hangup", "config": {"text": "Sales is away."}},
        {"id": "support", "type": "hangup", "config": {"text": "Support is away."}},
    ],
}


@pytest.fixture
def run(tenant: Tenant, tmp_path: Path) -> Callable[..., Result]:
    """`run("lint a.json")`: for the tenant, in a directory of its own."""

    def invoke(line: str, *, status: int = 0) -> Result:
        words = ["flow", *line.replace("DIR", str(tmp_path)).split()]
        result = CliRunner().invoke(irisx, [*words, "--tenant", tenant.public_id])
        assert result.exit_code == status, result.output
        return result

    return invoke


@pytest.fixture
def write(tmp_path: Path) -> Callable[..., None]:
    def file(file: str, **fields: Any) -> None:
        (tmp_path / file).write_text(json.dumps({**FLOW, **fields}))

    return file


def test_a_file_becomes_a_flow_and_comes_back(
    run: Callable[..., Result], write: Callable[..., None]
) -> None:
    write("a.json")
    first = run("import DIR/a.json --publish").output.splitlines()[-1]
    flow_id = re.fullmatch(r"(flow_\d+)@1 published", first)[1]  # type: ignore[index]
    assert json.loads(run(f"export {flow_id}").output) == FLOW
    write("b.json", name="Renamed")
    assert run(f"import DIR/b.json --flow {flow_id}").output.strip() == f"{flow_id}@2 draft"
    shown = run(f"diff {flow_id}@1 {flow_id}", status=1).output
    assert '-  "name": "Main Menu",\n+  "name": "Renamed",' in shown
    assert run(f"diff DIR/b.json {flow_id}@2").output == ""
    assert run(f"publish {flow_id}").output.splitlines()[-1] == f"{flow_id}@2 published"
    assert re.search(rf"{flow_id} +Renamed +2 +2", run("list").output)


def test_linting_names_the_node_and_fails(
    run: Callable[..., Result], write: Callable[..., None]
) -> None:
    write("a.json")
    assert "can be published" in run("lint DIR/a.json").output
    write("b.json", entry_point="nowhere")
    assert "nowhere" in run("lint DIR/b.json", status=1).output
    write("c.json", nodes=[{"id": "x", "type": "dance"}])
    assert "x: there is no node type 'dance'" in run("lint DIR/c.json", status=1).output


def test_simulating_shows_the_path(
    run: Callable[..., Result], write: Callable[..., None], tmp_path: Path
) -> None:
    write("a.json")
    said = run("simulate DIR/a.json --digits 1").output
    assert "ask (menu) → 1" in said
    assert "“Sales is away.”" in said
    (tmp_path / "s.json").write_text('{"digits": ["2"]}')
    assert "support (hangup)" in run("simulate DIR/a.json --script DIR/s.json").output
    (tmp_path / "s.json").write_text('{"digit": ["2"]}')
    assert "script.digit" in run("simulate DIR/a.json --script DIR/s.json", status=1).output


def test_what_is_no_file_and_no_flow_is_an_error_without_a_trace(
    run: Callable[..., Result], tmp_path: Path
) -> None:
    assert "No such file" in run("lint DIR/none.json", status=1).output
    assert "There is no flow" in run("export flow_4711", status=1).output
    (tmp_path / "a.json").write_text("{")
    assert "is no JSON" in run("lint DIR/a.json", status=1).output
