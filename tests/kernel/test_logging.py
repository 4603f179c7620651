"""Log lines: their form, their context, and what must not be in them."""

import json
import logging
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import structlog
from hypothesis import given
from hypothesis import strategies as st

from irisx.kernel import logging as irisx_logging
from irisx.kernel.logging import HIDDEN, get_logger, redact, setup
from irisx.settings import get_settings

Lines = Callable[[], list[dict[str, object]]]


@pytest.fixture
def lines(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Lines]:
    """Logging set up into a file; a call returns what was written."""
    root = logging.getLogger()
    before, level = list(root.handlers), root.level
    configured = structlog.get_config()
    monkeypatch.setenv("IRISX_LOG_DIR", str(tmp_path))
    monkeypatch.setattr("sys.excepthook", irisx_logging._log_crash)
    get_settings.cache_clear()
    setup("engine")
    path = tmp_path / "engine.log"
    yield lambda: [json.loads(line) for line in path.read_text().splitlines()]
    for handler in root.handlers:
        handler.close()
    root.handlers[:] = before
    root.setLevel(level)
    structlog.configure(**configured)
    get_settings.cache_clear()


def test_a_line_is_json_with_its_context(lines: Lines) -> None:
    with structlog.contextvars.bound_contextvars(request_id="req_1"):
        get_logger("irisx.calls").info("call answered", sid="CA1", ms=3)
    [line] = lines()
    assert line["event"] == "call answered"
    assert (line["request_id"], line["sid"], line["ms"]) == ("req_1", "CA1", 3)
    assert (line["level"], line["logger"]) == ("info", "irisx.calls")
    assert str(line["timestamp"]).endswith("Z")


def test_a_librarys_line_takes_the_same_way(lines: Lines) -> None:
    logging.getLogger("some.library").warning("slow %s", "Bearer abc.def", extra={"token": "x"})
    [line] = lines()
    assert line["event"] == f"slow Bearer {HIDDEN}"
    assert line["token"] == HIDDEN


def test_an_exception_is_logged_without_the_secrets_in_its_text(lines: Lines) -> None:
    try:
        raise ValueError("can't reach esl://:ClueCon@10.0.0.1:8021")
    except ValueError:
        get_logger("irisx").exception("lost")
    [line] = lines()
    assert "ClueCon" not in json.dumps(line)
    assert "10.0.0.1:8021" in str(line["exception"])


def test_a_crash_of_the_process_is_in_its_log(lines: Lines) -> None:
    error = RuntimeError("boom")
    irisx_logging._log_crash(RuntimeError, error, None)
    [line] = lines()
    assert line["level"] == "critical"
    assert "boom" in str(line["exception"])


@pytest.mark.parametrize(
    "name",
    ["password", "Authorization", "X-API-Key", "api_key", "refresh_token", "client_secret"],
)
@given(value=st.text(min_size=1) | st.integers())
def test_what_is_named_as_a_secret_is_hidden_at_any_depth(name: str, value: object) -> None:
    name = name.replace("-", "_")
    event = redact(None, "info", {"body": {"a": [{name: value}]}, name: value})
    assert event == {"body": {"a": [{name: HIDDEN}]}, name: HIDDEN}


@pytest.mark.parametrize(
    ("text", "left"),
    [
        ("Authorization: Bearer abc.def-g", f"Authorization: Bearer {HIDDEN}"),
        ("key irx_live_abc-DEF_1 used", f"key {HIDDEN} used"),
        ("redis://:pass@h:1/0", f"redis://:{HIDDEN}@h:1/0"),
        ("postgresql://user:p:w@h/db", f"postgresql://user:{HIDDEN}@h/db"),
        ("whsec_abc=", f"{HIDDEN}="),
        ("call CA12 to +15555550100 at 12:00", "call CA12 to +15555550100 at 12:00"),
        ("GET http://example.com:80/a", "GET http://example.com:80/a"),
    ],
)
def test_what_looks_like_a_secret_is_hidden_inside_text(text: str, left: str) -> None:
    assert redact(None, "info", {"event": text})["event"] == left
