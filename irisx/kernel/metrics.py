"""Prometheus metrics of all parts in one place.

Metrics are declared with `prometheus_client` where they are counted; a gauge says how the values
of several parts add up (`multiprocess_mode="livesum"`). Each part keeps its values in files under
home/run/metrics, so that the API's `/metrics` shows those of all parts.
"""

import os
from pathlib import Path

from prometheus_client import (
    CONTENT_TYPE_LATEST,
    REGISTRY,
    CollectorRegistry,
    generate_latest,
    values,
)
from prometheus_client.multiprocess import MultiProcessCollector

from irisx.settings import get_settings

_name = ""
_DIRECTORY = "PROMETHEUS_MULTIPROC_DIR"  # where prometheus_client looks for it


def setup(part: str) -> None:
    """Keep this process's metrics under the name of its part.

    Call it before importing what declares metrics. Counters go on after a restart of the part,
    gauges start anew. A process that waits to become the part is set up under a name of its own
    first; `setup` with the part's then takes its values up.
    """
    global _name
    directory = get_settings().home / "run" / "metrics"
    directory.mkdir(parents=True, exist_ok=True)
    for gauge in directory.glob(f"gauge_*_{part}.db"):
        gauge.unlink()
    first, _name = not _name, part
    if first:
        os.environ[_DIRECTORY] = str(directory)
        # By part, not by pid: a restarted part goes on in its files and leaves none behind. When
        # the name changes, prometheus_client opens the files of that name and reads its values.
        values.ValueClass = values.MultiProcessValue(lambda: _name)  # type: ignore[no-untyped-call]


def clear(home: Path) -> None:
    """Forget the values of an earlier run; no part may be running."""
    for file in (home / "run" / "metrics").glob("*.db"):
        file.unlink()


def render() -> tuple[bytes, str]:
    """All metrics in Prometheus's text format, and its content type."""
    registry = REGISTRY
    if _DIRECTORY in os.environ:
        registry = CollectorRegistry()
        MultiProcessCollector(registry)  # type: ignore[no-untyped-call]
    return generate_latest(registry), CONTENT_TYPE_LATEST
