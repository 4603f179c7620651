"""The last lines of the parts' log files (`IRISX_LOG_DIR`), which are JSON, one object a line."""

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal, get_args

from irisx.kernel.errors import NotFound
from irisx.kernel.logging import redact
from irisx.settings import get_settings

PartName = Literal["engine", "media", "worker", "api"]
Level = Literal["debug", "info", "warning", "error", "critical"]
_LEVELS: tuple[str, ...] = get_args(Level)
#: Of each file, from its end.
_READ_BYTES = 2_000_000


def tail(*, part: PartName | None, level: Level, limit: int) -> list[dict[str, Any]]:
    """Lines of one part or of all, of this level or worse, oldest first, at most `limit`."""
    directory = get_settings().log_dir
    if directory is None:
        raise NotFound(
            "Logs go to standard output here; set IRISX_LOG_DIR to keep them in files.",
            code="LOGS_NOT_KEPT",
        )
    names = [part] if part else get_args(PartName)
    found = [
        entry
        for name in names
        for entry in _entries(directory / f"{name}.log", name)
        if _LEVELS.index(entry["level"]) >= _LEVELS.index(level)
    ]
    return sorted(found, key=lambda entry: str(entry["timestamp"]))[-limit:]


def _entries(path: Path, part: str) -> Iterator[dict[str, Any]]:
    for line in _last_lines(path):
        try:
            fields = json.loads(line)
        except ValueError:
            continue  # cut by rotation, or printed by a library before logging was set up
        if not isinstance(fields, dict) or fields.get("level") not in _LEVELS:
            continue
        # Lines were redacted when they were written; rules may have become stricter since.
        fields = dict(redact(None, "", fields))
        yield {
            "timestamp": str(fields.pop("timestamp", "")),
            "level": fields.pop("level"),
            "part": part,
            "event": str(fields.pop("event", "")),
            "fields": fields,
        }


def _last_lines(path: Path) -> list[bytes]:
    try:
        with path.open("rb") as file:
            size = file.seek(0, os.SEEK_END)
            file.seek(max(0, size - _READ_BYTES))
            lines = file.read().splitlines()
    except FileNotFoundError:
        return []
    return lines if size <= _READ_BYTES else lines[1:]
